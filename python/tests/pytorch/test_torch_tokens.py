"""Heads that read single tokens: tags of words, and a decoder's own head over its vocabulary."""

import json
import math
import shutil

import pytest
import torch
from tokenizers import Tokenizer
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

import adaplace
from adaplace.torch import AttachError, LanguageModel, TokenClassifier, attach, with_loss

PLACEMENT = [(0, 0, 4), (1, 2, 4), (0, 3, 4), (4, 1, 4)]
NAMES = ["B-X", "I-X", "O"]


def tag(words, place):
    """Words with an even number are names."""
    even = [int(word.removeprefix("word")) % 2 == 0 for word in words]
    if not even[place]:
        return "O"
    return "I-X" if place and even[place - 1] else "B-X"


def tagged(text):
    words = text.split()
    return {"tokens": words, "tags": [tag(words, place) for place in range(len(words))]}


def completed(text):
    words = text.split()
    return {"prompt": " ".join(words[:-2]), "completion": " " + " ".join(reversed(words[-2:]))}


def rewritten(folders, task, row_of):
    """The shared task with other rows made of its texts."""
    task.mkdir()
    for part in ("train", "validation", "test"):
        rows = [json.loads(line) for line in (folders[1] / f"{part}.jsonl").read_text().splitlines()]
        rows = [row_of(row["text"]) for row in rows]
        (task / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return task


def rows_of(task, part):
    return [json.loads(line) for line in (task / f"{part}.jsonl").read_text().splitlines()]


def tokenizer_of(folder):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    return tokenizer


def tensors(encoded, labels):
    """Tokens with padding, and labels with -100 where nothing is predicted."""
    inputs = {
        "input_ids": torch.tensor([one.ids for one in encoded]),
        "attention_mask": torch.tensor([one.attention_mask for one in encoded]),
    }
    return inputs, torch.tensor(labels)


def tags_of(folder, task, part):
    rows = rows_of(task, part)
    encoded = tokenizer_of(folder).encode_batch([row["tokens"] for row in rows], is_pretokenized=True)
    labels = []
    for row, one in zip(rows, encoded, strict=True):
        before = [None, *one.word_ids]
        labels.append(
            [
                -100 if word is None or word == previous else NAMES.index(row["tags"][word])
                for word, previous in zip(one.word_ids, before, strict=False)
            ]
        )
    return tensors(encoded, labels)


def completions_of(folder, task, part):
    rows = rows_of(task, part)
    encoded = tokenizer_of(folder).encode_batch([row["prompt"] + row["completion"] for row in rows])
    labels = []
    for row, one in zip(rows, encoded, strict=True):
        # What follows the last word of the prompt, the end of the text included, but no padding.
        last = max(place for place, (_, end) in enumerate(one.offsets) if 0 < end <= len(row["prompt"]))
        labels.append(
            [
                token if real and place > last else -100
                for place, (token, real) in enumerate(zip(one.ids, one.attention_mask, strict=True))
            ]
        )
    return tensors(encoded, labels)


def evaluated(program, backbone, task, placement, adapters):
    report = program(
        *("evaluate", placement, "--adapters", adapters, "--backbone", backbone, "--task", task),
        *("--precision", "f32", "--json"),
    )
    return json.loads(report)["result"]


def trained(program, backbone, task, placement, out):
    program(
        *("train", placement, "--backbone", backbone, "--task", task, "--out", out),
        *("--steps", "30", "--learning-rate", "0.02", "--precision", "f32"),
    )
    return out / "adapters.safetensors"


@pytest.fixture
def placement(backbone, tmp_path):
    adaplace.Placement(PLACEMENT).write(tmp_path / "placement.toml", backbone)
    return tmp_path / "placement.toml"


@pytest.fixture
def tags(folders, tmp_path):
    return rewritten(folders, tmp_path / "tags", tagged)


def bert(folders):
    return AutoModel.from_pretrained(folders[0], dtype=torch.float32).eval()


def test_tags_trained_by_the_engine(program, folders, tags, placement, tmp_path):
    adapters = trained(program, folders[0], tags, placement, tmp_path / "trained")
    expected = evaluated(program, folders[0], tags, placement, adapters)
    inputs, labels = tags_of(folders[0], tags, "test")
    with attach(bert(folders), placement, adapters) as attached, torch.no_grad():
        assert (attached.problem, attached.classes) == ("token-classification", NAMES)
        found = with_loss(attached)(**inputs, labels=labels)
        assert found["loss"].item() == pytest.approx(expected["loss"], rel=1e-5, abs=1e-6)
        right = (found["logits"].argmax(-1) == labels)[labels != -100].double().mean().item()
        assert right == pytest.approx(expected["tags"]["token_accuracy"])
        attached.save_adapters(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == adapters.read_bytes()


def test_tags_trained_by_pytorch(program, folders, tags, placement, trained_by_trainer, tmp_path):
    attached = attach(bert(folders), placement, num_classes=3, seed=3)
    module = TokenClassifier(attached)
    inputs, labels = tags_of(folders[0], tags, "train")
    trained_by_trainer(module, inputs, labels, steps=30)
    attached.save_adapters(tmp_path / "adapters.safetensors", classes=NAMES)
    inputs, labels = tags_of(folders[0], tags, "test")
    with torch.no_grad():
        expected = module(**inputs, labels=labels)["loss"].item()
    found = evaluated(program, folders[0], tags, placement, tmp_path / "adapters.safetensors")
    assert found["loss"] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_weights_of_tags_are_those_of_pytorch(folders, placement):
    attached = attach(bert(folders), placement, num_classes=3, seed=3)
    weights = torch.tensor([0.25, 2.0, 1.0])
    inputs = {"input_ids": torch.tensor([[2, 9, 10, 3]])}
    labels = torch.tensor([[-100, 1, 0, -100]])
    with torch.no_grad():
        found = TokenClassifier(attached, class_weights=weights)(**inputs, labels=labels)
        expected = torch.nn.CrossEntropyLoss(weight=weights)(found["logits"][0, 1:3], torch.tensor([1, 0]))
    assert found["loss"].item() == pytest.approx(expected.item())


DECODERS = {
    "gpt2": lambda words: GPT2LMHeadModel(
        GPT2Config(vocab_size=words, n_positions=32, n_embd=16, n_layer=2, n_head=2, bos_token_id=2, eos_token_id=3)
    ),
    "llama with its own head": lambda words: LlamaForCausalLM(
        LlamaConfig(
            vocab_size=words,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=32,
            tie_word_embeddings=False,
            bos_token_id=2,
            eos_token_id=3,
        )
    ),
}


@pytest.fixture(params=sorted(DECODERS))
def decoder(request, folders, tmp_path):
    """A tiny decoder whose head is tied to its embeddings or not, and a task of completions for it."""
    folder = tmp_path / "decoder"
    words = len(json.loads((folders[0] / "tokenizer.json").read_text())["model"]["vocab"])
    DECODERS[request.param](words).save_pretrained(folder)
    shutil.copy(folders[0] / "tokenizer.json", folder)
    return folder, rewritten(folders, tmp_path / "completions", completed)


@pytest.fixture
def of_decoder(decoder, tmp_path):
    path = tmp_path / "of-decoder.toml"
    adaplace.Placement(PLACEMENT).write(path, adaplace.Backbone(decoder[0]))
    return path


def causal(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def test_completions_trained_by_the_engine(program, decoder, of_decoder, tmp_path):
    folder, task = decoder
    adapters = trained(program, folder, task, of_decoder, tmp_path / "trained")
    expected = evaluated(program, folder, task, of_decoder, adapters)
    inputs, labels = completions_of(folder, task, "test")
    with attach(causal(folder), of_decoder, adapters) as attached, torch.no_grad():
        assert attached.problem == "language-modelling"
        found = with_loss(attached)(**inputs, labels=labels)
        assert found["loss"].item() == pytest.approx(expected["loss"], rel=1e-5, abs=1e-6)
        assert expected["language"]["perplexity"] == pytest.approx(math.exp(expected["loss"]))
        of_model = attached(**inputs, labels=labels).loss.item()
        assert of_model == pytest.approx(expected["loss"], rel=1e-5, abs=1e-6)
        predicted = found["logits"][:, :-1].argmax(-1) == labels[:, 1:]
        right = predicted[labels[:, 1:] != -100].double().mean().item()
        assert right == pytest.approx(expected["language"]["token_accuracy"])
        attached.save_adapters(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == adapters.read_bytes()


def test_completions_trained_by_pytorch(program, decoder, of_decoder, tmp_path):
    folder, task = decoder
    attached = attach(causal(folder), of_decoder, seed=3)
    module = LanguageModel(attached)
    inputs, labels = completions_of(folder, task, "train")
    optimiser = torch.optim.AdamW(attached.trainable_parameters(), lr=0.02)
    losses = []
    for _ in range(30):
        loss = module(**inputs, labels=labels)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0], losses
    attached.save_adapters(tmp_path / "adapters.safetensors")
    inputs, labels = completions_of(folder, task, "test")
    with torch.no_grad():
        expected = module(**inputs, labels=labels)["loss"].item()
    found = evaluated(program, folder, task, of_decoder, tmp_path / "adapters.safetensors")
    assert found["loss"] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_a_language_model_has_no_other_head(decoder, of_decoder):
    with pytest.raises(AttachError, match="predicts with its own head"):
        LanguageModel(attach(causal(decoder[0]), of_decoder, num_classes=3))
    base = AutoModel.from_pretrained(decoder[0], dtype=torch.float32)
    with pytest.raises(AttachError, match="load it with `AutoModelForCausalLM`"):
        LanguageModel(attach(base, of_decoder))(input_ids=torch.tensor([[2, 9, 3]]))


def test_a_study_of_completions(decoder, tmp_path):
    folder, task = decoder
    backbone = adaplace.Backbone(folder)
    encoded = adaplace.Task(task, backbone)
    assert encoded.problem == "language-modelling" and "completions" in repr(encoded)
    scorer = adaplace.Scorer(backbone, encoded, batch_size=8)
    score = scorer.score(adaplace.Placement(PLACEMENT), steps=3)
    assert score.perplexity == pytest.approx(math.exp(score.loss))
    assert 0 <= score.token_accuracy <= 1 and score.accuracy is None
