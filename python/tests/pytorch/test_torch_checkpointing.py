"""Gradient checkpointing: the same gradients, whatever runs between forward and backward."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from fixture_models import DECODERS, FAMILIES, MIXED, inputs_of, load, placement, randomise, timm_model, timm_twin
from torch import Tensor

from adaplace.torch import Attached, attach

CASES = [
    # MPNet has no checkpointing.
    *[pytest.param(family, {}, id=family) for family in FAMILIES if family != "mpnet"],
    pytest.param("bert", {"activation_checkpointing_kwargs": {"use_reentrant": True}}, id="bert-reentrant"),
    pytest.param(
        "dinov2", {"activation_checkpointing_kwargs": {"use_reentrant": False}}, id="dinov2-not-reentrant"
    ),
    pytest.param("timm", {}, id="timm"),
    pytest.param("timm-dinov3", {}, id="timm-dinov3"),
]


def attached_of(family: str, options: dict[str, Any] | None, **settings: Any) -> Attached:
    if family == "timm-dinov3":
        model = timm_model(family)
    else:
        model = timm_twin(load("vit")) if family == "timm" else load(family, **settings)
    attached = attach(model, placement(MIXED), num_classes=3)
    randomise(attached)
    attached.train()
    if options is not None:
        attached.activation_checkpointing_enable(**options)
    return attached


def inputs(family: str) -> dict[str, Tensor]:
    if family.startswith("timm"):
        return {"x": inputs_of("vit")["pixel_values"]}
    return inputs_of(family)


def gradients(attached: Attached) -> dict[str, Tensor]:
    return {
        name: parameter.grad.clone()
        for name, parameter in attached.named_parameters()
        if not name.startswith("model.") and parameter.grad is not None
    }


# The two models that are compared would draw other numbers.
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def settings_of(family: str) -> dict[str, float | None]:
    if family == "gpt2":
        return {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    if family == "dinov3_vit":
        # In training, each forward draws how far apart patches are.
        return {"pos_embed_rescale": None}
    # These have no dropout unless it is asked for.
    if family in ("timm", "timm-dinov3", "clip_vision_model", "siglip_vision_model", "modernbert", *DECODERS):
        return {}
    return {"dropout": 0.0, "attention_dropout": 0.0} if family == "distilbert" else NO_DROPOUT


@pytest.mark.parametrize("family, options", CASES)
def test_gradients_are_the_same(family: str, options: dict[str, Any]) -> None:
    plain = attached_of(family, None, **settings_of(family))
    saving = attached_of(family, options, **settings_of(family))
    for attached in (plain, saving):
        # Two forwards before the backwards: each recomputation must see the states of its own forward.
        first = attached.logits(**inputs(family))
        other = {
            name: value.flip(0) if value.ndim == 4 else value.clone()
            for name, value in inputs(family).items()
        }
        if "input_ids" in other:
            other["input_ids"][:, 0] = 9
        second = attached.logits(**other)
        first.square().sum().backward()
        second.exp().sum().backward()
    one, two = gradients(plain), gradients(saving)
    assert one.keys() == two.keys() and len(one) == 4 * len(MIXED) + 2
    for name in one:
        # The sums are the same, to the last bit but for the order in which two backwards are added up.
        assert torch.allclose(one[name], two[name], rtol=1e-5, atol=1e-6 * float(one[name].abs().max())), name


@pytest.mark.parametrize("family", ["bert", "timm"])
def test_blocks_are_really_run_again_and_restored(family: str) -> None:
    attached = attached_of(family, {}, **settings_of(family))
    block = attached.model.blocks[1] if family == "timm" else attached.model.encoder.layer[1]
    own = dict(block.__dict__)
    runs = []
    inner = block.norm1 if family == "timm" else block.attention.output.LayerNorm
    inner.register_forward_hook(lambda *_: runs.append(1))
    loss = attached.logits(**inputs(family)).sum()
    assert len(runs) == 2  # two passes
    loss.backward()
    assert len(runs) == 4
    assert block.__dict__.keys() == own.keys()
    assert family != "timm" or attached.model.grad_checkpointing
    attached.activation_checkpointing_disable()
    attached.logits(**inputs(family)).sum().backward()
    assert len(runs) == 6


def test_a_forward_without_a_backward_leaves_nothing_behind() -> None:
    for options in (None, {}):
        attached = attached_of("bert", options, **NO_DROPOUT)
        kept = []
        hook = attached.model.encoder.layer[0].attention.output.LayerNorm.register_forward_hook(
            lambda module, args, output: kept.append(weakref.ref(output))
        )
        logits = attached.logits(**inputs("bert"))
        hook.remove()
        del logits
        gc.collect()
        assert kept and all(reference() is None for reference in kept)


def test_dropout_draws_the_same_numbers_again() -> None:
    attached = attached_of("bert", {})
    gradient = []
    for saving in (True, False):
        if not saving:
            attached.activation_checkpointing_disable()
        attached.zero_grad()
        torch.manual_seed(3)
        attached.logits(**inputs("bert")).square().sum().backward()
        gradient.append(gradients(attached))
    for name, value in gradient[0].items():
        assert torch.allclose(value, gradient[1][name], rtol=1e-5, atol=1e-6 * float(value.abs().max())), name
