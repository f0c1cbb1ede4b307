"""Placement files, adapter files, and what is said about those that do not fit."""

from __future__ import annotations

import json
import re
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from fixture_models import HASHES, inputs_of, load, placement, randomise, timm_twin
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from adaplace.torch import AdapterSpec, AttachError, Connection, Placement, attach

PLACEMENT = f"""
format = "adaplace.placement/1"
passes = 2

[backbone]
model_type = "bert"
hidden_states = 5
width = 32
pooling = "cls"
weights_sha256 = "{HASHES["bert"]}"

[adapter]
activation = "gelu"
input_norm = "layer-norm"

[[connection]]
source = 3
target = 1
rank = 4
scale = 0.5

[[connection]]
source = 0
target = 2
rank = 3
scale = 1.0

[provenance]
strategy = "greedy"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "placement.toml"
    path.write_text(PLACEMENT)
    return path


def changed(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


def test_a_placement_file(file: Path) -> None:
    found = Placement.read(file)
    assert list(found.adapters.items()) == [
        (Connection(0, 2), AdapterSpec(3)),
        (Connection(3, 1), AdapterSpec(4, 0.5)),
    ]
    assert found.passes == 2 and found.backbone is not None and found.backbone.width == 32


def test_the_hash_is_that_of_the_documented_bytes() -> None:
    # The value stands in the engine's own test; it follows from the bytes alone.
    pairs = {Connection(9, 2): AdapterSpec(8), Connection(3, 4): AdapterSpec(16, 0.5)}
    assert Placement(pairs).hash == "9da5f4b26fbc61ea"
    assert AdapterSpec(1, 0.1).scale == struct.unpack("<f", struct.pack("<f", 0.1))[0]


def test_what_a_placement_may_be_given_as(file: Path) -> None:
    expected = Placement.read(file)
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    document = tomllib.loads(PLACEMENT)
    engine = SimpleNamespace(connections=[SimpleNamespace(**entry) for entry in document["connection"]])
    model = load("bert")
    for given in (str(file), file, document, expected, engine):
        with attach(model, given) as attached:
            assert attached.placement.adapters == expected.adapters
    with pytest.raises(AttachError, match="the placement has the connection 9->1, outside"):
        document["connection"][0]["source"] = 9
        attach(model, document)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("placement/1", "placement/2", "has the format `adaplace.placement/2`, but only `adaplace.placement/1`"),
        ("passes = 2", "passes = 1", "has 1 as `passes`, but its connections need 2"),
        ("passes = 2", "", "lacks the key `passes`"),
        ("passes = 2", "passes = true", "has True as `passes`; it should be a whole number"),
        ("width = 32", "width = -1", "has -1 as `width`; it should be a whole number"),
        ("width = 32", "width = 32\ndepth = 2", "`backbone` has the unknown key `depth`"),
        ("passes = 2", "passes = 2\nextra = 2", "has the unknown key `extra`"),
        ('"gelu"', '"relu"', "has the activation `relu`; only `gelu`"),
        ("layer-norm", "none", "has the input_norm `none`; only `layer-norm`"),
        ("rank = 4", "rank = 0", "connection 3->1: an adapter has the rank 0"),
        ("scale = 0.5", "scale = 1e39", "connection 3->1: an adapter has the scale 1e+39; it must be finite"),
        ("scale = 0.5", "scale = nan", "must be finite"),
        ("source = 3", "source = 5", "has the connection 5->1, outside of h_0 to h_4"),
        ("source = 0\ntarget = 2", "source = 3\ntarget = 1", "has the connection 3->1 twice"),
        ("target = 1", "target = 1\nkind = 2", "has the unknown key `kind`"),
        ("[[connection]]", "[[connection", "is not TOML"),
    ],
)
def test_placement_files_that_are_refused(file: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(AttachError, match=re.escape(message)) as error:
        attach(load("bert"), changed(file, old, new))
    assert "placement.toml" in str(error.value)


def test_a_placement_file_without_connections_is_refused(file: Path) -> None:
    file.write_text(re.sub(r"\[\[connection\]\](\n\w.*)*", "", PLACEMENT).replace("passes = 2", "passes = 1"))
    with pytest.raises(AttachError, match="contains no connection"):
        Placement.read(file)
    with pytest.raises(AttachError, match=r"cannot read `.*missing.toml`: No such file"):
        Placement.read(file.with_name("missing.toml"))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"weights_sha256": "0" * 64}, f"the weights_sha256 `{'0' * 64}`, but the model has `{HASHES['bert']}`"),
        ({"model_type": "roberta"}, "the model_type `roberta`, but the model has `bert`"),
    ],
)
def test_another_backbone_is_an_error_or_a_warning(changes: dict[str, Any], message: str) -> None:
    model = load("bert")
    with pytest.raises(AttachError, match=re.escape(message)) as error:
        attach(model, placement([(1, 1)], "bert", **changes))
    assert 'check="warn"' in str(error.value)
    with pytest.warns(UserWarning, match=re.escape(message)) as warnings:
        attach(model, placement([(1, 1)], "bert", **changes), check="warn").detach()
    assert warnings[0].filename == __file__


def test_pooling() -> None:
    with pytest.raises(AttachError, match="the pooling `mean`, but the model has `cls`"):
        attach(load("vit"), placement([(1, 1)], "vit", pooling="mean"))
    with pytest.raises(AttachError, match="has the pooling `max`; only mean, cls are supported"):
        attach(load("vit"), placement([(1, 1)], "vit", pooling="max"), check="warn")
    model, inputs = load("bert"), inputs_of("bert")
    state, mask = model(**inputs)[0], inputs["attention_mask"]
    for pooling in ("cls", "mean"):
        with attach(model, placement([(1, 1)], "bert", pooling=pooling)) as attached:
            found = attached.features(**inputs)
            rows = [row[: int(length)] for row, length in zip(state, mask.sum(1))]
            expected = [row[0] if pooling == "cls" else row.mean(0) for row in rows]
            assert torch.allclose(found, torch.stack(expected), atol=1e-6)
            assert torch.allclose(
                attached.features(inputs["input_ids"], mask, inputs["token_type_ids"]), found
            )


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"hidden_states": 7}, "the hidden_states `7`, but the model has `5`"),
        ({"width": 64}, "the width `64`, but the model has `32`"),
    ],
)
def test_another_shape_is_always_an_error(changes: dict[str, Any], message: str) -> None:
    for check in ("error", "warn"):
        with pytest.raises(AttachError, match=re.escape(message)):
            attach(load("bert"), placement([(1, 1)], "bert", **changes), check=check)


def test_changed_weights_are_noticed() -> None:
    model = load("dinov2")
    with torch.no_grad():
        model.encoder.layer[1].layer_scale2.lambda1[3] += 1e-6
    with pytest.raises(AttachError, match="weights_sha256"):
        attach(model, placement([(1, 1)], "dinov2"))
    with torch.no_grad():
        model.encoder.layer[1].layer_scale2.lambda1[3] -= 1e-6
    with pytest.raises(AttachError, match=r"in the precision of its file \(it is in bfloat16 now\)"):
        attach(load("dinov2", dtype=torch.bfloat16), placement([(1, 1)], "dinov2"))
    # Neither a pooler nor a task head belongs to the backbone.
    attach(load("vit", "AutoModelForImageClassification"), placement([(1, 1)], "vit"))


def test_adapters_are_saved_and_read_back(tmp_path: Path, file: Path) -> None:
    model, inputs = load("bert"), inputs_of("bert")
    path = tmp_path / "adapters.safetensors"
    attached = attach(model, file, num_classes=3)
    randomise(attached)
    expected = attached.logits(**inputs)
    attached.save_adapters(path, classes=["a", "b", "ü"], max_length=64)
    attached.detach()
    assert [entry.name for entry in sorted(tmp_path.iterdir())] == ["adapters.safetensors", "placement.toml"]
    with safe_open(path, framework="pt") as stored:
        header = json.loads(stored.metadata()["adaplace"])
    assert header == {
        "placement": Placement.read(file).hash,
        "weights_sha256": HASHES["bert"],
        "classes": '["a","b","ü"]',
        "max_length": "64",
    }
    tensors = load_file(path)
    assert len(tensors) == 4 * 2 + 2 and all(tensor.dtype == torch.float32 for tensor in tensors.values())
    assert tensors["3-1.up.weight"].shape == (32, 4) and tensors["head.weight"].shape == (3, 32)

    again = attach(model, file, path)
    assert torch.equal(again.logits(**inputs), expected) and torch.equal(again.classify(**inputs), expected)
    again.save_adapters(tmp_path / "second.safetensors")
    assert (tmp_path / "second.safetensors").read_bytes() == path.read_bytes()
    again.detach()
    # The fixture is stored in f16, so this loses nothing, and the adapters stay f32 beside it.
    half = attach(load("bert", dtype=torch.float16), file, path)
    half.save_adapters(tmp_path / "half.safetensors")
    assert (tmp_path / "half.safetensors").read_bytes() == path.read_bytes()


def test_adapters_without_a_head(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "adapters.safetensors"
    attached = attach(load("bert"), file)
    with pytest.raises(AttachError, match="there is no head to save"):
        attached.save_adapters(path)
    with pytest.raises(AttachError, match="there is no head; attach with `num_classes`"):
        attached.logits(**inputs_of("bert"))
    attached.save_adapters(path, head=False)
    assert attach(load("bert"), file, path, num_classes=4).logits(**inputs_of("bert")).shape == (3, 4)


@pytest.fixture
def saved(tmp_path: Path, file: Path) -> Path:
    attached = attach(load("bert"), file, num_classes=3)
    randomise(attached)
    attached.save_adapters(tmp_path / "adapters.safetensors")
    return tmp_path / "adapters.safetensors"


def rewritten(path: Path, metadata: dict[str, str] | None = None, **tensors: torch.Tensor | None) -> Path:
    values = load_file(path) | tensors
    header = None if metadata is None else {"adaplace": json.dumps(metadata)}
    save_file({name: value for name, value in values.items() if value is not None}, path, header)
    return path


@pytest.mark.parametrize(
    "tensors, message",
    [
        ({"3-1.up.bias": None}, "has no tensor `3-1.up.bias` of shape (32,)"),
        ({"head.bias": None}, "has no tensor `head.bias` of shape (3,)"),
        ({"head.weight": None}, "has no tensor `head.weight` of shape (3, 32)"),
        ({"1-1.up.bias": torch.zeros(32)}, "contains the tensor `1-1.up.bias` of shape (32,), which"),
        (
            {"3-1.down.weight": torch.zeros(8, 32)},
            "tensor `3-1.down.weight` is float32 of shape (8, 32), "
            "but the placement needs float32 of shape (4, 32)",
        ),
        (
            {"0-2.up.weight": torch.zeros(64, 3)},
            "tensor `0-2.up.weight` is float32 of shape (64, 3), "
            "but the placement needs float32 of shape (32, 3)",
        ),
        ({"0-2.up.bias": torch.zeros(32).half()}, "tensor `0-2.up.bias` is float16 of shape (32,)"),
        (
            {"head.weight": torch.zeros(3, 16)},
            "tensor `head.weight` is float32 of shape (3, 16), but the placement needs",
        ),
        ({"0-2.up.bias": torch.full((32,), torch.inf)}, "`0-2.up.bias` contains a value that is not finite"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_adapter_files_that_are_refused(
    file: Path, saved: Path, tensors: dict[str, torch.Tensor | None], message: str
) -> None:
    with pytest.raises(AttachError, match=re.escape(message)) as error:
        attach(load("bert"), file, rewritten(saved, **tensors))
    assert "adapters.safetensors" in str(error.value)


def test_adapter_files_of_another_origin(file: Path, saved: Path) -> None:
    model = load("bert")
    for key, found in (("placement", "0" * 16), ("weights_sha256", "1" * 64)):
        message = f"was trained with another {key}, `{found}` and not `"
        rewritten(saved, {key: found})
        with pytest.raises(AttachError, match=message):
            attach(model, file, saved)
        with pytest.warns(UserWarning, match=message) as warnings:
            attach(model, file, saved, check="warn").detach()
        assert warnings[0].filename == __file__
    attach(model, file, rewritten(saved)).detach()
    save_file(load_file(saved), saved, {"adaplace": "{"})
    with pytest.raises(AttachError, match="the header of .* is damaged"):
        attach(model, file, saved)
    saved.write_bytes(saved.read_bytes()[:-7])
    with pytest.raises(AttachError, match="is damaged or truncated"):
        attach(model, file, saved)
    with pytest.raises(AttachError, match="cannot read `.*no.safetensors`"):
        attach(model, file, saved.with_name("no.safetensors"))


def test_arguments_that_are_refused(file: Path, saved: Path) -> None:
    model = load("bert")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"check": "ignore"}, 'check is `ignore`; it must be "error" or "warn"'),
        ({"num_classes": 0}, "num_classes is 0; a head has at least one class"),
        (
            {"adapters": saved, "num_classes": 5},
            "the head in the adapter file has 3 classes, but num_classes is 5",
        ),
        ({"trainable": ["classifier"]}, "`BertModel` has no parameter in `classifier`"),
        ({"trainable": "pooler"}, "trainable is the text `pooler`; pass a list"),
    ]
    for arguments, message in wrong:
        with pytest.raises(AttachError, match=re.escape(message)):
            attach(model, file, **arguments)
    required = [parameter.requires_grad for parameter in model.parameters()]
    assert all(required), "a refused call leaves the model alone"
    with attach(model, file, num_classes=3) as attached:
        with pytest.raises(AttachError, match="2 classes are named, but the head has 3"):
            attached.save_adapters(saved, classes=["a", "b"])
        for again in (model, attached.model):
            with pytest.raises(AttachError, match="`BertModel` has adapters already; detach them first"):
                attach(again, file)
    attach(model, file)


def test_models_that_are_refused() -> None:
    one = placement([(1, 1)])
    gpt = transformers.GPT2Model(transformers.GPT2Config(n_layer=1, n_embd=8, n_head=1, vocab_size=9))
    backbone = transformers.Dinov2Backbone(
        transformers.Dinov2Config(
            hidden_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=8, patch_size=4
        )
    )
    decoder = load("bert", is_decoder=True)
    chunked = load("bert", chunk_size_feed_forward=2)
    swiglu = transformers.Dinov2Model(
        transformers.Dinov2Config(
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            image_size=8,
            patch_size=4,
            use_swiglu_ffn=True,
        )
    )
    registers = timm_twin(load("vit"))
    registers.reg_token, registers.num_reg_tokens = torch.nn.Parameter(torch.zeros(1, 4, 32)), 4
    for model, message in [
        (gpt, "`GPT2Model` with the model_type `gpt2` is not supported; use a model of transformers"),
        (torch.nn.Linear(2, 2), "`Linear` with the model_type `None` is not supported"),
        (backbone, "is built on `Dinov2Backbone`; only `Dinov2Model` is supported"),
        (decoder, "`BertModel` has is_decoder = `True`; only `False` is supported"),
        (chunked, "`BertModel` has chunk_size_feed_forward = 2; set it to 0"),
        (swiglu, "`Dinov2Model` has use_swiglu_ffn = true"),
        (registers, "`VisionTransformer` has register tokens = 4; only models without are supported"),
    ]:
        with pytest.raises(AttachError, match=re.escape(message)):
            attach(model, one)
    with pytest.raises(AttachError, match="has the connection 9->2, outside of h_0 to h_4"):
        attach(load("bert"), placement([(9, 2)]))
    assert issubclass(AttachError, ValueError)
