"""Every family on the engine's tiny fixtures, against the definition computed by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from by_hand import ByHand, frobenius, relative
from fixture_models import (
    FAMILIES,
    FIXTURES,
    HASHES,
    MIXED,
    inputs_of,
    load,
    parameters_of,
    placement,
    randomise,
    timm_model,
    timm_twin,
)
from safetensors.torch import load_file
from torch import Tensor

from adaplace.torch import attach, model_weights_sha256

LABELS = torch.tensor([0, 2, 1])


def loss_of(logits: Tensor) -> Tensor:
    return F.cross_entropy(logits, LABELS[: len(logits)])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pairs", [MIXED, [(1, 3)], [(2, 1)], [(3, 3), (1, 2)], [(4, 0)]], ids=str)
def test_states_and_gradients(family: str, pairs: list[tuple[int, int]]) -> None:
    model, inputs = load(family), inputs_of(family)
    attached = attach(model, placement(pairs, family), num_classes=3)
    randomise(attached)
    by_hand = ByHand(model)
    seen = by_hand.observe()
    logits = attached.logits(**inputs)
    loss_of(logits).backward()
    found = dict(seen)

    attached.detach()
    adapters = parameters_of(attached)
    states = by_hand.states(inputs, adapters)
    expected = F.linear(
        by_hand.pool(states[-1], inputs.get("attention_mask")), attached.head.weight, attached.head.bias
    )
    loss_of(expected).backward()

    assert relative(logits, expected) < 1e-5
    # What stands in the rows of padding is nobody's business, and differs where windows leave them without any token.
    real = inputs["attention_mask"].bool() if "attention_mask" in inputs else ...
    for n, state in enumerate(states):
        assert relative(found[n][real], state[real]) < 1e-5, f"h_{n}"
    for (source, target), adapter in adapters.items():
        for name, parameter in attached.adapters[source, target].named_parameters():
            assert frobenius(parameter.grad, adapter[name].grad) < 1e-4, f"{source}-{target}.{name}"


@pytest.mark.parametrize("family", FAMILIES)
def test_new_adapters_change_nothing_and_a_first_step_moves_them_all(family: str) -> None:
    model, inputs = load(family), inputs_of(family)
    expected = model(**inputs)[0]
    attached = attach(model, placement(MIXED, family), num_classes=3)
    assert torch.equal(attached(**inputs)[0], expected)
    loss_of(attached.logits(**inputs)).backward()
    for connection, adapter in attached.adapters.items():
        assert adapter.up.weight.grad is not None and adapter.up.weight.grad.abs().max() > 0, connection
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_hash_is_the_engine_s(family: str) -> None:
    assert model_weights_sha256(load(family)) == HASHES[family]
    # Half precision is widened; these weights were stored in it.
    assert model_weights_sha256(load(family, dtype=torch.float16)) == HASHES[family]


AVERAGE = {"num_classes": 4, "global_pool": "avg"}


@pytest.mark.parametrize(
    "family, settings",
    [("vit", {}), ("vit", AVERAGE), ("deit", {}), ("dinov2", {}), ("dinov2", AVERAGE)],
    ids=["vit", "vit-average", "deit", "dinov2", "dinov2-average"],
)
def test_timm_is_its_twin_in_transformers(family: str, settings: dict[str, Any]) -> None:
    model, pixels = load(family), inputs_of(family)["pixel_values"]
    twin = timm_twin(model, **settings)
    assert model_weights_sha256(twin) == HASHES[family]
    both = [attach(backbone, placement(MIXED, family), num_classes=3) for backbone in (model, twin)]
    logits = []
    for attached in both:
        randomise(attached)
        logits.append(attached.logits(pixels))
        loss_of(logits[-1]).backward()
    assert relative(logits[1], logits[0]) < 1e-5
    for (connection, ours), theirs in zip(both[0].adapters.items(), both[1].adapters.values()):
        for (name, one), other in zip(ours.named_parameters(), theirs.parameters()):
            assert frobenius(other.grad, one.grad) < 1e-4, f"{connection} {name}"


@pytest.mark.parametrize("name", ["vit", "deit", "dinov2", "dinov2-registers", "deit3", "dinov3", "dinov3-biased", "dinov3-gated"])
def test_a_checkpoint_of_timm_has_the_hash_of_the_engine(name: str) -> None:
    """What timm saved for the hub, loaded by timm: the engine reads the same weights under the names of transformers."""
    model = timm_model(f"timm-{name}")
    assert model_weights_sha256(model) == HASHES[f"timm-{name}"]
    stored = load_file(FIXTURES / f"timm-{name}" / "expected.safetensors")
    size = 20 if name.startswith("dinov2") else 16
    attached = attach(model, placement(MIXED), num_classes=3)
    # The adapters add nothing yet.
    found = attached.features(stored[f"{size}/pixels"])
    assert relative(found, stored[f"{size}/last"][:, 0]) < 1e-5


def test_timm_runs_both_passes_through_its_own_head_and_features() -> None:
    model, pixels = load("vit"), inputs_of("vit")["pixel_values"]
    twin = timm_twin(model, num_classes=4)
    attached = attach(twin, placement(MIXED, "vit"))
    randomise(attached)
    features = twin.forward_features(pixels)
    assert torch.equal(attached(pixels), twin.forward_head(features))
    assert torch.equal(attached.features(pixels), features[:, 0])


HEADS = {
    "bert": "AutoModelForSequenceClassification",
    "roberta": "AutoModelForMaskedLM",
    "electra": "AutoModelForSequenceClassification",
    "distilbert": "AutoModelForSequenceClassification",
    "vit": "AutoModelForImageClassification",
    "dinov2": "AutoModelForImageClassification",
    "dinov2_with_registers": "AutoModelForImageClassification",
}


@pytest.mark.parametrize("family", HEADS)
def test_a_model_with_a_task_head(family: str) -> None:
    model, inputs = load(family, HEADS[family]), inputs_of(family)
    attached = attach(model, placement(MIXED, family))
    randomise(attached)
    seen = ByHand(model.base_model).observe()
    output = attached(**inputs, output_hidden_states=True)
    assert output.logits.shape[0] == len(next(iter(inputs.values())))
    # What the library collects are the states with the adapters in them.
    for block, state in enumerate(output.hidden_states):
        assert relative(state, seen[2 * block]) < 1e-6, f"h_{2 * block}"
    found = seen[4]
    attached.detach()
    expected = ByHand(model.base_model).states(inputs, parameters_of(attached))[-1]
    assert relative(found, expected) < 1e-5
