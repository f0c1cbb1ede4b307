"""Placement files, adapter files, and what is said about those that do not fit."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
import transformers
from fixture_models import HASHES, inputs_of, load, placement, randomise, timm_twin
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from adaplace import AdaplaceError, Connection, Placement, PlacementFile
from adaplace.torch import AttachError, attach

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
    found = PlacementFile.read(file)
    assert found.placement == Placement([(0, 2, 3), (3, 1, 4, 0.5)])
    assert found.placement.connections == [Connection(0, 2, 3), Connection(3, 1, 4, 0.5)]
    assert found.backbone.width == 32 and found.backbone.weights_sha256 == HASHES["bert"]


def test_what_a_placement_may_be_given_as(file: Path) -> None:
    expected = PlacementFile.read(file)
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    document = tomllib.loads(PLACEMENT + "made = 2024-10-21\n")
    model = load("bert")
    for given in (str(file), file, document, MappingProxyType(document), expected, expected.placement):
        with attach(model, given) as attached:
            assert attached.placement == expected.placement
            assert list(attached.adapters) == [(0, 2), (3, 1)]
    document["connection"][0]["source"] = 9
    with pytest.raises(AttachError, match="the placement: connection `9->1` is outside the backbone"):
        attach(model, document)
    document["connection"][0]["source"] = "three"
    with pytest.raises(AttachError, match=r"the placement: `connection\[0\].source`: invalid type"):
        attach(model, document)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("placement/1", "placement/2", "its format is `adaplace.placement/2`, this version reads"),
        ("passes = 2", "passes = 1", "`passes = 1` contradicts the connections, which take 2"),
        ("passes = 2", "", "missing field `passes`"),
        ("passes = 2", "passes = true", "`passes`: invalid type: boolean `true`"),
        ("width = 32", "width = -1", "`backbone.width`: invalid value: integer `-1`"),
        ("width = 32", "width = 32\ndepth = 2", "`backbone`: unknown field `depth`"),
        ("passes = 2", "passes = 2\nextra = 2", "unknown field `extra`"),
        ('"gelu"', '"relu"', "unknown variant `relu`, expected `gelu`"),
        ("layer-norm", "none", "unknown variant `none`, expected `layer-norm`"),
        ("rank = 4", "rank = 0", "an adapter of rank 0 can learn nothing"),
        ("scale = 0.5", "scale = 1e39", "the adapter scale inf is not a finite number other than 0"),
        ("scale = 0.5", "scale = nan", "the adapter scale NaN is not a finite number other than 0"),
        ("scale = 0.5", "scale = 0.0", "the adapter scale 0 is not a finite number other than 0"),
        ("source = 3", "source = 5", "connection `5->1` is outside the backbone, whose hidden states are 0 to 4"),
        ("source = 0\ntarget = 2", "source = 3\ntarget = 1", "connection `3->1` is given twice"),
        ("target = 1", "target = 1\nkind = 2", "unknown field `kind`"),
        ("[[connection]]", "[[connection", "line 16: unclosed array table"),
    ],
)
def test_placement_files_that_are_refused(file: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(AttachError, match=re.escape(message)) as error:
        attach(load("bert"), changed(file, old, new))
    assert "placement.toml" in str(error.value)


def test_a_placement_file_without_connections_is_refused(file: Path) -> None:
    file.write_text(re.sub(r"\[\[connection\]\](\n\w.*)*", "", PLACEMENT).replace("passes = 2", "passes = 1"))
    with pytest.raises(AttachError, match="placement.toml`: the placement has no adapter"):
        attach(load("bert"), file)
    with pytest.raises(AttachError, match=r"cannot read `.*missing.toml`: No such file"):
        attach(load("bert"), file.with_name("missing.toml"))
    reference = placement([(1, 1)], "bert").backbone
    with pytest.raises(AdaplaceError, match="no adapter"):
        PlacementFile(Placement(), reference)
    with pytest.raises(AdaplaceError, match="`5->1` is outside the backbone"):
        PlacementFile(Placement([(5, 1)]), reference)


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
    with pytest.raises(AttachError, match="has the pooling `max`; only mean, cls, last are supported"):
        attach(load("vit"), placement([(1, 1)], "vit", pooling="max"), check="warn")
    model, inputs = load("bert"), inputs_of("bert")
    state, mask = model(**inputs)[0], inputs["attention_mask"]
    for pooling in ("cls", "mean", "last"):
        with attach(model, placement([(1, 1)], "bert", pooling=pooling)) as attached:
            found = attached.features(**inputs)
            rows = [row[: int(length)] for row, length in zip(state, mask.sum(1))]
            read = {"cls": lambda row: row[0], "mean": lambda row: row.mean(0), "last": lambda row: row[-1]}[pooling]
            expected = [read(row) for row in rows]
            assert torch.allclose(found, torch.stack(expected), atol=1e-6)
            assert torch.allclose(
                attached.features(inputs["input_ids"], mask, inputs["token_type_ids"]), found
            )


def test_the_last_token_is_found_behind_and_before_padding() -> None:
    model, inputs = load("llama"), inputs_of("llama")
    with attach(model, placement([(1, 1), (4, 0)], "llama")) as attached:
        randomise(attached)
        behind = attached.features(**inputs)
        lengths = inputs["attention_mask"].sum(1)
        before = {
            name: torch.stack([row.roll(len(row) - int(n)) for row, n in zip(values, lengths)])
            for name, values in inputs.items()
        }
        assert before["attention_mask"][1].tolist() == [0, 0, 0, 1, 1, 1, 1]
        # Positions are relative, so that it does not matter where a text begins.
        assert torch.allclose(attached.features(**before), behind, atol=1e-5)
        alone = {name: values[1:2, :4] for name, values in inputs.items()}
        assert torch.allclose(attached.features(alone["input_ids"]), behind[1:2], atol=1e-5)


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
    assert (again.classes, again.max_length) == (["a", "b", "ü"], 64)
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
    assert len(load_file(path)) == 4 * 2
    assert attach(load("bert"), file, path, num_classes=4).logits(**inputs_of("bert")).shape == (3, 4)


def test_diverged_adapters_are_not_written(tmp_path: Path, file: Path) -> None:
    attached = attach(load("bert"), file)
    with torch.no_grad():
        attached.adapters[0, 2].up.bias[3] = torch.nan
    with pytest.raises(AttachError, match="`0-2.up.bias` contains a value that is not finite"):
        attached.save_adapters(tmp_path / "adapters.safetensors", head=False)
    assert not (tmp_path / "adapters.safetensors").exists()


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
        ({"3-1.up.bias": None}, "has no tensor `3-1.up.bias` of shape [32]"),
        ({"head.bias": None}, "has no tensor `head.bias` of shape [3]"),
        ({"head.weight": None}, "has no tensor `head.weight` of shape [3, 32]"),
        ({"1-1.up.bias": torch.zeros(32)}, "has the tensor `1-1.up.bias`, which the placement does not have"),
        (
            {"3-1.down.weight": torch.zeros(8, 32)},
            "tensor `3-1.down.weight` is F32 of shape [8, 32], but the placement needs F32 of shape [4, 32]",
        ),
        (
            {"0-2.up.weight": torch.zeros(64, 3)},
            "tensor `0-2.up.weight` is F32 of shape [64, 3], but the placement needs F32 of shape [32, 3]",
        ),
        ({"0-2.up.bias": torch.zeros(32).half()}, "tensor `0-2.up.bias` is F16 of shape [32]"),
        (
            {"head.weight": torch.zeros(3, 16)},
            "tensor `head.weight` is F32 of shape [3, 16], but the placement needs",
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
    with pytest.raises(AttachError, match="its header is damaged"):
        attach(model, file, saved)
    saved.write_bytes(saved.read_bytes()[:-7])
    with pytest.raises(AttachError, match="is damaged or truncated"):
        attach(model, file, saved)
    with pytest.raises(AttachError, match="cannot use adapter file `.*no.safetensors`: No such file"):
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
    t5 = transformers.T5EncoderModel(transformers.T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, vocab_size=9))
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
        (t5, "`T5EncoderModel` with the model_type `t5` is not supported; use a model of transformers"),
        (torch.nn.Linear(2, 2), "`Linear` with the model_type `None` is not supported"),
        (backbone, "is built on `Dinov2Backbone`; only `Dinov2Model` is supported"),
        (decoder, "`BertModel` has is_decoder = `True`; only `False` is supported"),
        (chunked, "`BertModel` has chunk_size_feed_forward = 2; set it to 0"),
        (swiglu, "`Dinov2Model` has use_swiglu_ffn = true"),
        (registers, "`VisionTransformer` has register tokens = 4; they are supported in DINOv2 alone"),
    ]:
        with pytest.raises(AttachError, match=re.escape(message)):
            attach(model, one)
    with pytest.raises(AttachError, match="connection `9->2` is outside the backbone, whose hidden states are 0 to 4"):
        attach(load("bert"), placement([(9, 2)]))
    assert issubclass(AttachError, ValueError)
