"""The library `adapters` with an interface, on models that it may not know itself, gives what a placement is defined to give."""

import json
import os

import pytest

adapters = pytest.importorskip("adapters")
if "ADAPLACE" not in os.environ:
    pytest.skip("ADAPLACE does not say where the program is", allow_module_level=True)

import torch
from hooked import FAMILIES, inputs_of, model_of, run, stored_states
from reference import CLASSES, WIDTH, adapter, export, write

PLACEMENTS = {
    "sequential": [(1, 1), (2, 2), (3, 3), (4, 4)],
    "parallel": [(0, 1), (1, 2), (2, 3), (3, 4)],
    "mixed": [(1, 1), (1, 2), (2, 3), (4, 4)],
}


def deviation(found, expected, inputs):
    """On the tokens that are not padding."""
    if "attention_mask" in inputs:
        real = inputs["attention_mask"].bool()
        found, expected = found[real], expected[real]
    return ((found - expected).abs().max() / expected.abs().max()).item()


def loaded(family, folder):
    """As the README.md in the folder says, but for how the fixture is read."""
    model = model_of(family)
    interface = json.loads((folder / "adapter_interface.json").read_text())["interface"]
    adapters.init(model, interface=adapters.AdapterModelInterface(**interface))
    info = {}
    model.load_adapter(str(folder), set_active=True, use_safetensors=True, loading_info=info)
    assert info["missing_keys"] == []
    assert not [key for key in info["unexpected_keys"] if "adaplace" in key]
    return model.eval()


def written(folder, family, connections, seed):
    """The exported folder of a placement with adapters of different ranks and scales, and the placement."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, 0.5), (5, 1.0), (3, 2.0)]
    placement = {pair: adapter(*shapes[n % 3], generator) for n, pair in enumerate(connections)}
    head = {
        "head.weight": torch.randn(CLASSES, WIDTH, generator=generator),
        "head.bias": torch.randn(CLASSES, generator=generator),
    }
    write(folder, family, placement, head, "mean" if "attention_mask" in inputs_of(family) else "cls")
    ended = export(folder, "adapters", "--adapters", "adapters.safetensors", "--out", "out")
    assert ended.returncode == 0, ended.stderr
    return folder / "out", placement


@pytest.mark.parametrize("family", FAMILIES)
def test_the_hooks_are_at_the_states(family):
    inputs = inputs_of(family)
    _, states = run(model_of(family), family, inputs, {})
    for n, expected in stored_states(family).items():
        assert deviation(states[n], expected, inputs) <= 1e-5, n


@pytest.mark.parametrize("name", PLACEMENTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_library_gives_the_same(tmp_path, family, name):
    folder, placement = written(tmp_path, family, PLACEMENTS[name], 7)
    inputs = inputs_of(family)
    expected, _ = run(model_of(family), family, inputs, placement)
    frozen, _ = run(model_of(family), family, inputs, {})
    with torch.no_grad():
        found = loaded(family, folder)(**inputs).last_hidden_state
    assert deviation(found, expected, inputs) <= 1e-4
    # The adapters do something, or equality would say nothing.
    assert deviation(frozen, expected, inputs) > 0.05


@pytest.mark.parametrize("family", ["llama", "gemma2", "deberta-v2", "dinov3_vit"])
def test_the_adapters_can_be_trained(tmp_path, family):
    folder, placement = written(tmp_path, family, PLACEMENTS["mixed"], 8)
    model = loaded(family, folder)
    model.train_adapter("adaplace")
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    assert all(".adaplace." in name for name in trained)
    model(**inputs_of(family)).last_hidden_state.square().mean().backward()
    up = [value for name, value in trained.items() if name.endswith("adaplace.adapter_up.weight")]
    assert len(up) == len(placement) and all(value.grad.abs().max() > 0 for value in up)


def test_gemma_3_is_refused(tmp_path):
    generator = torch.Generator().manual_seed(9)
    placement = {(1, 1): adapter(2, 1.0, generator)}
    write(tmp_path, "gemma3_text", placement, {}, "last")
    ended = export(tmp_path, "adapters", "--out", "out")
    assert ended.returncode == 1 and "gemma3_text" in ended.stderr, ended
