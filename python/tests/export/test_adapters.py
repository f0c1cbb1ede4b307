"""The library `adapters`, loading what `adaplace export --to adapters` wrote, gives what a placement is defined to give.

    ADAPLACE=$PWD/target/debug/adaplace python -m pytest --noconftest python/tests/export

It needs `adapters` 1.3, which brings transformers 4.57, and nothing of the Python package.
"""

import json
import os

import pytest

adapters = pytest.importorskip("adapters")
if "ADAPLACE" not in os.environ:
    pytest.skip("ADAPLACE does not say where the program is", allow_module_level=True)

import torch
import torch.nn.functional as F
import transformers
from reference import (
    CLASSES, FIXTURES, IMAGES, TEXT, WIDTH, adapter, export, logits, states, write,
)  # fmt: skip
from safetensors.torch import load_file

SEQUENTIAL = [(1, 1), (2, 2), (3, 3), (4, 4)]
PARALLEL = [(0, 1), (1, 2), (2, 3), (3, 4)]
PLACEMENTS = {
    "sequential-everywhere": SEQUENTIAL,
    "sequential-attention": [(1, 1), (3, 3)],
    "sequential-mlp": [(2, 2), (4, 4)],
    "one-sequential": [(3, 3)],
    "subset": [(1, 1), (4, 4)],
    "parallel-everywhere": PARALLEL,
    "one-parallel": [(1, 2)],
    "mixed": [(1, 1), (1, 2), (2, 3), (4, 4)],
}
NATIVE = {
    "bert": "BertAdapterModel", "roberta": "RobertaAdapterModel", "xlm-roberta": "XLMRobertaAdapterModel",
    "electra": "ElectraAdapterModel", "distilbert": "DistilBertAdapterModel", "vit": "ViTAdapterModel",
}  # fmt: skip


def inputs_of(family, generator):
    if family in TEXT:
        ids = torch.randint(8, 64, (3, 7), generator=generator)
        return {"input_ids": ids, "attention_mask": (torch.arange(7) < torch.tensor([[7], [4], [2]])).long()}
    size = transformers.AutoConfig.from_pretrained(FIXTURES / family).image_size
    return {"pixel_values": torch.randn(3, 3, size, size, generator=generator)}


def model_of(family):
    # Models of text get a pooler that the file does not have; nobody looks at it.
    return transformers.AutoModel.from_pretrained(FIXTURES / family, dtype=torch.float32).eval()


def loaded(family, folder, set_active=True):
    """As the README.md in the folder says."""
    model = model_of(family)
    interface = folder / "adapter_interface.json"
    if interface.exists():
        interface = adapters.AdapterModelInterface(**json.loads(interface.read_text())["interface"])
        adapters.init(model, interface=interface)
    else:
        adapters.init(model)
    info = {}
    model.load_adapter(str(folder), set_active=set_active, use_safetensors=True, loading_info=info)
    assert info["missing_keys"] == []
    assert not [key for key in info["unexpected_keys"] if "adaplace" in key]
    return model.eval()


def deviation(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


def drawn(connections, differing, generator):
    """Adapters on these connections, their ranks and scales the same or differing; 5 does not divide the width."""
    shapes = [(2, 0.5), (5, 1.0), (3, 2.0)] if differing else [(4, 0.75)]
    return {pair: adapter(*shapes[n % len(shapes)], generator) for n, pair in enumerate(connections)}


def expected_of(family, inputs, placement):
    model = model_of(family)
    last = states(model, family, inputs, placement)[-1]
    return model.layernorm(last) if family in IMAGES else last


def head_of(generator):
    return {
        "head.weight": torch.randn(CLASSES, WIDTH, generator=generator),
        "head.bias": torch.randn(CLASSES, generator=generator),
    }


@torch.no_grad()
@pytest.mark.parametrize("differing", [False, True], ids=["alike", "differing"])
@pytest.mark.parametrize("name", PLACEMENTS)
@pytest.mark.parametrize("family", TEXT + IMAGES)
def test_the_library_gives_the_same(tmp_path, family, name, differing, record_property):
    generator = torch.Generator().manual_seed(7)
    placement = drawn(PLACEMENTS[name], differing, generator)
    head = head_of(generator)
    pooling = "mean" if family in TEXT else "cls"
    write(tmp_path, family, placement, head, pooling)
    ended = export(tmp_path, "adapters", "--adapters", "adapters.safetensors", "--out", "out")
    assert ended.returncode == 0, ended.stderr

    parallel = any(source < target for source, target in placement)
    hooked = family in ("deit", "dinov2", "dinov2_with_registers") or (family in TEXT and parallel)
    assert (tmp_path / "out/adapter_interface.json").exists() == hooked

    inputs = inputs_of(family, generator)
    model = loaded(family, tmp_path / "out")
    found = model(**inputs).last_hidden_state
    expected = expected_of(family, inputs, placement)
    frozen = expected_of(family, inputs, {})
    stored = load_file(tmp_path / "out/head.safetensors")
    found_logits = logits(found, inputs, stored, pooling)
    expected_logits = logits(expected, inputs, head, pooling)
    if family in TEXT:
        real = inputs["attention_mask"].bool()
        found, expected, frozen = found[real], expected[real], frozen[real]
    record_property("deviation", max(deviation(found, expected), deviation(found_logits, expected_logits)))
    assert deviation(found, expected) <= 1e-4
    assert deviation(found_logits, expected_logits) <= 1e-4
    # The adapters do something, or equality would say nothing.
    assert deviation(frozen, expected) > 0.05


@torch.no_grad()
@pytest.mark.parametrize("family", NATIVE)
def test_the_head_of_the_library_gives_the_same_logits(tmp_path, family):
    generator = torch.Generator().manual_seed(8)
    placement = drawn([(1, 1), (2, 2), (4, 4)], True, generator)
    head = head_of(generator)
    write(tmp_path, family, placement, head, "cls")
    ended = export(tmp_path, "adapters", "--adapters", "adapters.safetensors", "--out", "out")
    assert ended.returncode == 0, ended.stderr
    model = getattr(adapters, NATIVE[family]).from_pretrained(FIXTURES / family, dtype=torch.float32)
    model.load_adapter(str(tmp_path / "out"), set_active=True, use_safetensors=True)
    inputs = inputs_of(family, generator)
    found = model.eval()(**inputs).logits
    expected = logits(expected_of(family, inputs, placement), inputs, head, "cls")
    assert found.shape == (3, CLASSES)
    assert deviation(found, expected) <= 1e-4


@torch.no_grad()
@pytest.mark.parametrize("family", NATIVE)
@pytest.mark.parametrize("problem", ["regression", "multi-label"])
def test_heads_for_numbers_and_several_labels_are_those_of_the_library(tmp_path, family, problem):
    """The library's output of a regression is in the unit of the labels, and its loss is that of the problem."""
    generator = torch.Generator().manual_seed(8)
    placement = drawn([(1, 1), (2, 2), (4, 4)], True, generator)
    rows, mean, deviation_of = (1, 250.0, 40.0) if problem == "regression" else (CLASSES, 0.0, 1.0)
    head = {name: values[:rows] for name, values in head_of(generator).items()}
    header = {"problem": problem}
    if problem == "regression":
        header["scale"] = json.dumps({"mean": mean, "deviation": deviation_of})
    write(tmp_path, family, placement, head, "cls", **header)
    ended = export(tmp_path, "adapters", "--adapters", "adapters.safetensors", "--out", "out")
    assert ended.returncode == 0, ended.stderr
    model = getattr(adapters, NATIVE[family]).from_pretrained(FIXTURES / family, dtype=torch.float32)
    model.load_adapter(str(tmp_path / "out"), set_active=True, use_safetensors=True)
    inputs = inputs_of(family, generator)
    labels = torch.tensor([[200.0], [250.0], [300.0]]) if rows == 1 else torch.randint(0, 2, (3, rows)).float()
    found = model.eval()(**inputs, labels=labels)
    expected = mean + deviation_of * logits(expected_of(family, inputs, placement), inputs, head, "cls")
    assert deviation(found.logits / deviation_of, expected / deviation_of) <= 1e-4
    loss = F.mse_loss if rows == 1 else F.binary_cross_entropy_with_logits
    assert found.loss.item() == pytest.approx(loss(expected, labels).item(), rel=1e-3)
    readme = (tmp_path / "out/README.md").read_text()
    assert ("in the unit of the labels" if rows == 1 else "whose logits are above 0") in readme


@torch.no_grad()
@pytest.mark.parametrize("family", ["bert", "dinov2"])
def test_models_with_a_head_of_their_own_load_it_too(tmp_path, family):
    generator = torch.Generator().manual_seed(9)
    placement = drawn(PARALLEL, True, generator)
    write(tmp_path, family, placement, head_of(generator), "cls")
    export(tmp_path, "adapters", "--adapters", "adapters.safetensors", "--out", "out")
    classes = {"bert": "BertForSequenceClassification", "dinov2": "Dinov2ForImageClassification"}
    model = getattr(transformers, classes[family]).from_pretrained(FIXTURES / family, dtype=torch.float32)
    interface = json.loads((tmp_path / "out/adapter_interface.json").read_text())["interface"]
    adapters.init(model, interface=adapters.AdapterModelInterface(**interface))
    model.load_adapter(str(tmp_path / "out"), set_active=True, use_safetensors=True)
    inputs = inputs_of(family, generator)
    found = model.eval()(**inputs, output_hidden_states=True).hidden_states[-1]
    expected = states(model_of(family), family, inputs, placement)[-1]
    if family in TEXT:
        real = inputs["attention_mask"].bool()
        found, expected = found[real], expected[real]
    assert deviation(found, expected) <= 1e-4


@torch.no_grad()
@pytest.mark.parametrize("connections", [SEQUENTIAL, PARALLEL], ids=["sequential", "parallel"])
@pytest.mark.parametrize("family", ["bert", "vit"])
def test_untrained_adapters_change_nothing_and_can_be_trained(tmp_path, family, connections):
    generator = torch.Generator().manual_seed(10)
    placement = drawn(connections, True, generator)
    write(tmp_path, family, placement, head_of(generator), "cls")
    ended = export(tmp_path, "adapters", "--out", "out")
    assert ended.returncode == 0, ended.stderr
    inputs = inputs_of(family, generator)
    model = loaded(family, tmp_path / "out")
    expected = expected_of(family, inputs, {})
    assert deviation(model(**inputs).last_hidden_state, expected) <= 1e-5
    model.train_adapter("adaplace")
    trained = [name for name, value in model.named_parameters() if value.requires_grad]
    assert trained and all(".adaplace." in name for name in trained)
    with torch.enable_grad():
        model(**inputs).last_hidden_state.square().mean().backward()
    up = [value for name, value in model.named_parameters() if name.endswith("adaplace.adapter_up.weight")]
    assert len(up) == len(connections) and all(value.grad.abs().max() > 0 for value in up)


@torch.no_grad()
def test_another_name_can_be_given_on_loading(tmp_path):
    generator = torch.Generator().manual_seed(11)
    placement = drawn([(1, 1), (1, 2)], True, generator)
    write(tmp_path, "vit", placement, head_of(generator), "cls")
    export(tmp_path, "adapters", "--adapters", "adapters.safetensors", "--out", "out")
    inputs = inputs_of("vit", generator)
    model = model_of("vit")
    adapters.init(model)
    model.load_adapter(str(tmp_path / "out"), load_as="other", set_active=True, use_safetensors=True)
    found = model.eval()(**inputs).last_hidden_state
    assert deviation(found, expected_of("vit", inputs, placement)) <= 1e-4


def test_the_interface_file_is_as_the_library_writes_it(tmp_path):
    generator = torch.Generator().manual_seed(12)
    write(tmp_path, "bert", drawn(PARALLEL, False, generator), head_of(generator), "mean")
    export(tmp_path, "adapters", "--out", "out")
    model = loaded("bert", tmp_path / "out")
    model.adapter_interface._save(tmp_path, model.config)
    ours, theirs = (json.loads((tmp_path / name).read_text()) for name in ("out/adapter_interface.json", "adapter_interface.json"))
    assert {key: value for key, value in theirs["interface"].items() if value is not None} == {
        key: value for key, value in ours["interface"].items() if value is not None
    }
    assert ours["model_type"] == theirs["model_type"]
