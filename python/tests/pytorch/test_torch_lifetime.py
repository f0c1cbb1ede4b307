"""What attaching leaves behind: nothing; and what can be done with an attached model meanwhile."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from by_hand import relative
from fixture_models import FAMILIES, MIXED, TEXT, inputs_of, load, placement, randomise, timm_twin
from torch import Tensor, nn

from adaplace import Placement
from adaplace.torch import AttachError, attach


def hooks_of(model: nn.Module) -> dict[str, int]:
    return {
        name: len(module._forward_hooks) + len(module._forward_pre_hooks)
        for name, module in model.named_modules()
    }


def forwards_of(model: nn.Module) -> dict[str, list[str]]:
    """What instances have of their own beside their class."""
    return {name: sorted(module.__dict__) for name, module in model.named_modules()}


def raw(model: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


def models() -> list[Any]:
    timm = [pytest.param("vit", True, id="timm-vit"), pytest.param("dinov2", True, id="timm-dinov2")]
    return [pytest.param(family, False, id=family) for family in FAMILIES] + timm


@pytest.mark.parametrize("family, timm", models())
def test_detach_restores_the_model_bit_for_bit(family: str, timm: bool) -> None:
    model, (pixels, *rest) = load(family), list(inputs_of(family).values())
    model = timm_twin(model) if timm else model

    def run(module: nn.Module) -> Tensor:
        output = module(pixels, *rest) if family in TEXT else module(pixels)
        return output if isinstance(output, Tensor) else output[0]

    next(model.parameters()).requires_grad_(False)
    before = run(model)
    state, hooks, own = raw(model), hooks_of(model), forwards_of(model)
    required = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    kind = type(model), type(model).forward

    with attach(model, placement(MIXED, family)) as attached:
        randomise(attached)
        with_adapters = run(attached)
        assert not torch.equal(with_adapters, before)
        assert torch.equal(run(model), with_adapters)
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert raw(model) == state
    assert not attached.is_attached
    assert torch.equal(run(model), before)
    assert raw(model) == state and hooks_of(model) == hooks and forwards_of(model) == own
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == required
    assert (type(model), type(model).forward) == kind
    with pytest.raises(AttachError, match="were detached"):
        run(attached)
    attached.detach()

    again = attach(model, placement(MIXED, family))
    again.load_state_dict(attached.state_dict())
    assert torch.equal(run(again), with_adapters)


def test_an_error_in_the_forward_leaves_no_pass_behind() -> None:
    attached = attach(load("bert"), placement(MIXED, "bert"))
    inputs = inputs_of("bert")
    expected = attached(**inputs)[0]
    with pytest.raises(Exception):
        attached(input_ids=torch.full((1, 3), 9999))
    assert torch.equal(attached(**inputs)[0], expected)
    with pytest.raises(AttachError, match="was called by itself"):
        attached.model.encoder(expected)


def test_no_connection_means_no_hook() -> None:
    model = load("vit")
    hooks, forward = hooks_of(model), model.forward
    with attach(model, Placement(), num_classes=2) as attached:
        assert hooks_of(model) == hooks and model.forward == forward
        assert attached.logits(**inputs_of("vit")).shape == (2, 2)
    assert attached.state_dict().keys() == {"head.weight", "head.bias"}


def test_state_dict_holds_what_is_trained_under_the_names_of_an_adapter_file() -> None:
    model = load("bert", "AutoModelForSequenceClassification")
    attached = attach(model, placement([(3, 1), (2, 2)], "bert"), num_classes=4, trainable=["classifier"])
    randomise(attached)
    state = attached.state_dict()
    adapters = [
        f"{pair}.{part}"
        for pair in ("2-2", "3-1")
        for part in ("down.weight", "down.bias", "up.weight", "up.bias")
    ]
    assert sorted(state) == sorted(
        [*adapters, "head.weight", "head.bias", "model.classifier.weight", "model.classifier.bias"]
    )
    names = {name for name, parameter in attached.named_parameters() if parameter.requires_grad}
    assert names == set(state)
    assert {id(p) for p in attached.trainable_parameters()} == {
        id(p) for p in attached.parameters() if p.requires_grad
    }
    expected = attached(**inputs_of("bert")).logits
    attached.detach()
    assert sorted(attached.state_dict()) == sorted(state)

    other = attach(
        model, placement([(3, 1), (2, 2)], "bert"), num_classes=4, trainable=["classifier"], seed=9
    )
    assert not torch.equal(other(**inputs_of("bert")).logits, expected)
    assert other.load_state_dict(state) == ([], [])
    assert torch.equal(other(**inputs_of("bert")).logits, expected)
    wrapped = nn.ModuleDict({"inner": other})
    assert set(wrapped.state_dict()) == {f"inner.{name}" for name in state}
    assert wrapped.load_state_dict(wrapped.state_dict()) == ([], [])
    with pytest.raises(RuntimeError, match="3-1.up.bias"):
        other.load_state_dict({name: value for name, value in state.items() if name != "3-1.up.bias"})


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "torch.save"])
@pytest.mark.parametrize("family", ["bert", "dinov2", "timm"])
def test_copies_are_of_their_own(how: str, family: str) -> None:
    model = timm_twin(load("vit")) if family == "timm" else load(family)
    name = "vit" if family == "timm" else family
    values = next(iter(inputs_of(name).values()))
    attached = attach(model, placement(MIXED, name), num_classes=3)
    randomise(attached)
    expected = attached.logits(values)
    if how == "deepcopy":
        twin = copy.deepcopy(attached)
    elif how == "pickle":
        twin = pickle.loads(pickle.dumps(attached))
    else:
        buffer = io.BytesIO()
        torch.save(attached, buffer)
        buffer.seek(0)
        twin = torch.load(buffer, weights_only=False)
    assert torch.equal(twin.logits(values), expected)
    randomise(twin, seed=5)
    assert not torch.equal(twin.logits(values), expected)
    twin.detach()
    assert torch.equal(attached.logits(values), expected)
    attached.detach()
    plain = [m.forward_features(values) if family == "timm" else m(values)[0] for m in (model, twin.model)]
    assert torch.equal(*plain)


def test_train_and_eval_reach_the_model_and_it_keeps_its_mode() -> None:
    model = load("bert").train()
    attached = attach(model, placement([(1, 1)], "bert"))
    assert attached.training and model.training and attached.adapters[1, 1].training
    attached.eval()
    assert not model.training
    attached.train()
    assert model.training


def test_seeds() -> None:
    model, pairs = load("bert"), placement([(3, 1), (2, 2)], "bert")
    global_state = torch.get_rng_state()
    states = []
    for seed in (1, 1, 2):
        with attach(model, pairs, seed=seed, num_classes=2) as attached:
            states.append(attached.state_dict())
    assert torch.equal(torch.get_rng_state(), global_state)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["2-2.down.weight"], states[2]["2-2.down.weight"])
    for name, value in states[0].items():
        if ".down." in name:
            assert 0 < value.abs().max() <= 32**-0.5
        elif ".up." in name:
            assert not value.any()


@pytest.mark.parametrize("family", ["bert", "vit", "dinov2"])
def test_autocast_and_half_precision_stay_near(family: str) -> None:
    inputs = inputs_of(family)
    labels = torch.arange(len(next(iter(inputs.values())))) % 3
    attached = attach(load(family), placement(MIXED, family), num_classes=3)
    # Twelve adapters of full size in a row are a chaotic model; gentle ones show the rounding alone.
    randomise(attached, factor=0.5)
    exact = attached.logits(**inputs)
    F.cross_entropy(exact, labels).backward()
    gradient = attached.adapters[4, 1].down.weight.grad
    attached.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = attached.logits(**inputs)
        loss = F.cross_entropy(rounded.float(), labels)
    loss.backward()
    assert relative(rounded.float(), exact) < 0.05
    assert relative(attached.adapters[4, 1].down.weight.grad, gradient) < 0.2
    assert attached.adapters[4, 1].down.weight.grad.dtype == torch.float32

    half = attach(load(family, dtype=torch.bfloat16), placement(MIXED), num_classes=3)
    half.load_state_dict(attached.state_dict())
    assert half.adapters[4, 1].up.weight.dtype == torch.float32
    pixels = {"pixel_values": inputs["pixel_values"].bfloat16()} if "pixel_values" in inputs else inputs
    logits = half.logits(**pixels)
    assert relative(logits.float(), exact) < 0.05
    logits.sum().backward()


def test_a_gradient_agrees_with_finite_differences() -> None:
    """(L(w + e) - L(w - e)) / 2e, error of order e^2, in f64; through both passes of a recurrent
    connection."""
    for family in ("bert", "vit"):
        inputs = inputs_of(family)
        attached = attach(load(family), placement(MIXED, family), num_classes=3).double()
        randomise(attached)
        if "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].double()
        labels = torch.arange(len(next(iter(inputs.values())))) % 3

        def loss() -> Tensor:
            return F.cross_entropy(attached.logits(**inputs), labels)

        loss().backward()
        for connection in [(4, 1), (3, 0), (1, 2), (2, 2)]:
            weight, step = attached.adapters[connection].down.weight, 1e-5
            with torch.no_grad():
                weight[1, 2] += step
                above = loss()
                weight[1, 2] -= 2 * step
                below = loss()
                weight[1, 2] += step
            slope = float((above - below) / (2 * step))
            assert abs(slope - float(weight.grad[1, 2])) < 1e-7 * max(1.0, abs(slope)), connection
