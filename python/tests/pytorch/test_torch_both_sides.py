"""Adapters trained by the engine or by PyTorch are worth the same on either side."""

import json

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import AutoModel

import adaplace
from adaplace.torch import Classifier, attach

#: All four kinds; the tiny backbone has five hidden states.
PLACEMENT = [(0, 0, 4), (1, 2, 4), (0, 3, 4), (4, 1, 4)]


@pytest.fixture
def made(folders, backbone, tmp_path):
    adaplace.Placement(PLACEMENT).write(tmp_path / "placement.toml", backbone)
    model = AutoModel.from_pretrained(folders[0], dtype=torch.float32).eval()
    return model, tmp_path / "placement.toml"


def examples(folders, part):
    """Tokens, padded on the right, and labels."""
    rows = [json.loads(line) for line in (folders[1] / f"{part}.jsonl").read_text().splitlines()]
    tokenizer = Tokenizer.from_file(str(folders[0] / "tokenizer.json"))
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch([row["text"] for row in rows])
    inputs = {
        "input_ids": torch.tensor([one.ids for one in encoded]),
        "attention_mask": torch.tensor([one.attention_mask for one in encoded]),
    }
    return inputs, torch.tensor([row["label"] for row in rows])


def torch_evaluation(attached, folders):
    inputs, labels = examples(folders, "test")
    with torch.no_grad():
        logits = attached.logits(**inputs)
    return (logits.argmax(-1) == labels).double().mean().item(), F.cross_entropy(logits.double(), labels).item()


def engine_evaluation(program, folders, placement, adapters):
    report = program(
        *("evaluate", placement, "--adapters", adapters, "--backbone", folders[0], "--task", folders[1]),
        *("--precision", "f32", "--json"),
    )
    evaluation = json.loads(report)["result"]
    return evaluation["accuracy"], evaluation["loss"]


def test_trained_by_the_engine(program, folders, made, tmp_path):
    model, placement = made
    program(
        *("train", placement, "--backbone", folders[0], "--task", folders[1], "--out", tmp_path / "trained"),
        *("--steps", "60", "--learning-rate", "0.02", "--precision", "f32"),
    )
    adapters = tmp_path / "trained" / "adapters.safetensors"
    accuracy, loss = engine_evaluation(program, folders, placement, adapters)
    # The adapters must matter for this to say anything: the task is beyond the linear probe's reach.
    assert accuracy > 0.6
    with attach(model, placement, adapters) as attached:
        assert torch_evaluation(attached, folders) == pytest.approx((accuracy, loss), abs=1e-5)


def test_trained_by_pytorch(program, folders, made, tmp_path):
    model, placement = made
    inputs, labels = examples(folders, "train")
    attached = attach(model, placement, num_classes=2, seed=3)
    classifier = Classifier(attached)
    optimiser = torch.optim.AdamW(attached.trainable_parameters(), lr=0.01)
    for _ in range(60):
        loss = classifier(**inputs, labels=labels)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    attached.save_adapters(tmp_path / "adapters.safetensors", classes=["0", "1"])
    expected = torch_evaluation(attached, folders)
    assert expected[0] > 0.6
    found = engine_evaluation(program, folders, placement, tmp_path / "adapters.safetensors")
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_engine_needs_a_head(program, folders, made, tmp_path):
    model, placement = made
    adapters = tmp_path / "adapters.safetensors"
    attach(model, placement).save_adapters(adapters, head=False)
    message = program(
        *("evaluate", placement, "--adapters", adapters, "--backbone", folders[0], "--task", folders[1]),
        code=1,
    )
    assert f"`{adapters}` has no head; save the adapters together with their head" in message


@pytest.mark.parametrize("made_with", ["a file", "a placement"])
def test_a_file_is_the_same_from_either_side(program, folders, made, tmp_path, made_with):
    """What the engine wrote is what PyTorch writes after it has read it."""
    model, placement = made
    program(
        *("train", placement, "--backbone", folders[0], "--task", folders[1], "--out", tmp_path / "trained"),
        *("--steps", "2", "--precision", "f32"),
    )
    adapters = tmp_path / "trained" / "adapters.safetensors"
    given = placement if made_with == "a file" else adaplace.Placement.read(placement)
    attach(model, given, adapters).save_adapters(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == adapters.read_bytes()
