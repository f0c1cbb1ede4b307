"""Heads for numbers and for several labels: the engine's adapters in PyTorch, and the reverse."""

import json

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModel

import adaplace
from adaplace.torch import AttachError, Classifier, MultiLabelClassifier, Regressor, attach, with_loss

PLACEMENT = [(0, 0, 4), (1, 2, 4), (0, 3, 4), (4, 1, 4)]

#: What an example with this class and place in the file is labelled with.
LABELS = {
    "regression": lambda label, place: 1000.0 + 250.5 * label + place % 3,
    "multi-label": lambda label, place: [name for name, there in (("a", label), ("b", place % 3 == 0)) if there],
}


@pytest.fixture(params=sorted(LABELS))
def problem(request, folders, tmp_path):
    """The kind of problem, a task of it with the texts of the shared one, and a placement file."""
    task = tmp_path / "task"
    task.mkdir()
    for part in ("train", "validation", "test"):
        rows = [json.loads(line) for line in (folders[1] / f"{part}.jsonl").read_text().splitlines()]
        for place, row in enumerate(rows):
            row["label"] = LABELS[request.param](row["label"], place)
        (task / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return request.param, task


@pytest.fixture
def placement(backbone, tmp_path):
    adaplace.Placement(PLACEMENT).write(tmp_path / "placement.toml", backbone)
    return tmp_path / "placement.toml"


@pytest.fixture
def model(folders):
    return AutoModel.from_pretrained(folders[0], dtype=torch.float32).eval()


def examples(folders, task, part):
    """Tokens and labels of a part: numbers, or one column for each class."""
    rows = [json.loads(line) for line in (task / f"{part}.jsonl").read_text().splitlines()]
    tokenizer = Tokenizer.from_file(str(folders[0] / "tokenizer.json"))
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch([row["text"] for row in rows])
    inputs = {
        "input_ids": torch.tensor([one.ids for one in encoded]),
        "attention_mask": torch.tensor([one.attention_mask for one in encoded]),
    }
    labels = [row["label"] for row in rows]
    if isinstance(labels[0], float):
        return inputs, torch.tensor(labels)
    return inputs, torch.tensor([[int(name in label) for name in "ab"] for label in labels])


def engine_loss(program, folders, task, placement, adapters):
    report = program(
        *("evaluate", placement, "--adapters", adapters, "--backbone", folders[0], "--task", task),
        *("--precision", "f32", "--json"),
    )
    return json.loads(report)["result"]


def test_trained_by_the_engine(program, folders, problem, placement, model, tmp_path):
    kind, task = problem
    program(
        *("train", placement, "--backbone", folders[0], "--task", task, "--out", tmp_path / "trained"),
        *("--steps", "30", "--learning-rate", "0.02", "--precision", "f32"),
    )
    adapters = tmp_path / "trained" / "adapters.safetensors"
    expected = engine_loss(program, folders, task, placement, adapters)
    inputs, labels = examples(folders, task, "test")
    with attach(model, placement, adapters) as attached, torch.no_grad():
        assert attached.problem == kind
        found = with_loss(attached)(**inputs, labels=labels)
        assert found["loss"].item() == pytest.approx(expected["loss"], rel=1e-5, abs=1e-6)
        if kind == "regression":
            error = (found["logits"].squeeze(-1) - labels).pow(2).mean().sqrt().item()
            assert error == pytest.approx(expected["numbers"]["root_mean_squared_error"], rel=1e-4)
        else:
            right = ((found["logits"] > 0).int() == labels).all(-1).double().mean().item()
            assert right == pytest.approx(expected["sets"]["exact_match"])
        with pytest.raises(AttachError, match=f"trained for {kind}"):
            Classifier(attached)
        attached.save_adapters(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == adapters.read_bytes()


def test_trained_by_pytorch(program, folders, problem, placement, model, tmp_path):
    kind, task = problem
    inputs, labels = examples(folders, task, "train")
    attached = attach(model, placement, num_classes=1 if kind == "regression" else 2, seed=3)
    if kind == "regression":
        module = Regressor(attached, scale=(labels.mean().item(), labels.std(correction=0).item()))
    else:
        module = MultiLabelClassifier(attached)
    optimiser = torch.optim.AdamW(attached.trainable_parameters(), lr=0.01)
    losses = []
    for _ in range(40):
        loss = module(**inputs, labels=labels)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0], losses
    names = None if kind == "regression" else ["a", "b"]
    attached.save_adapters(tmp_path / "adapters.safetensors", classes=names)
    inputs, labels = examples(folders, task, "test")
    with torch.no_grad():
        expected = module(**inputs, labels=labels)["loss"].item()
    found = engine_loss(program, folders, task, placement, tmp_path / "adapters.safetensors")
    assert found["loss"] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_trainer_takes_every_head(folders, problem, placement, model, trained_by_trainer):
    kind, task = problem
    inputs, labels = examples(folders, task, "train")
    attached = attach(model, placement, num_classes=1 if kind == "regression" else 2, seed=3)
    module = Regressor(attached, scale=(1125.0, 125.0)) if kind == "regression" else MultiLabelClassifier(attached)
    trainer, data = trained_by_trainer(module, inputs, labels, steps=20)
    assert trainer.predict(data).predictions.shape == (48, 1 if kind == "regression" else 2)


def test_class_weights_are_those_of_pytorch(placement, model):
    attached = attach(model, placement, num_classes=2, seed=3)
    weights = torch.tensor([0.25, 2.0])
    inputs = {"input_ids": torch.tensor([[2, 9, 3], [2, 10, 3]])}
    labels = torch.tensor([0, 1])
    with torch.no_grad():
        found = Classifier(attached, class_weights=weights)(**inputs, labels=labels)
        expected = torch.nn.CrossEntropyLoss(weight=weights)(found["logits"], labels)
    assert found["loss"].item() == pytest.approx(expected.item())


def test_a_number_takes_a_head_of_one_row(placement, model):
    with pytest.raises(AttachError, match="has 3 rows, but a number takes one"):
        Regressor(attach(model, placement, num_classes=3))


def test_a_scale_without_spread_is_refused(placement, model):
    with pytest.raises(AttachError, match="deviation of the labels is 0"):
        Regressor(attach(model, placement, num_classes=1), scale=(3.0, 0.0))
