"""The outputs of the independent definition on two real backbones (`parity/reference.py`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers
from by_hand import ByHand, frobenius, relative
from safetensors import safe_open
from torch import Tensor

from adaplace import Placement
from adaplace.torch import Attached, attach, model_weights_sha256

BACKBONES = ["minilm", "dinov2"]
CASES = [
    "frozen",
    "sequential",
    "parallel",
    "long-range",
    "recurrent",
    "deepest-recurrent",
    "embedding-sequential",
    "mixed",
]
INPUTS = ("input_ids", "attention_mask", "pixel_values")
MINILM = "b6b180aeb70fff794723667848283da78ddfb5b11ec166e7c09e8b644facf576"


class Parity:
    def __init__(self, folder: Path, name: str) -> None:
        with safe_open(folder / "parity" / f"{name}.safetensors", framework="pt") as file:
            header = file.metadata()
            self.tensors: dict[str, Tensor] = {key: file.get_tensor(key) for key in file.keys()}
        self.cases: dict[str, list[list[int]]] = json.loads(header["cases"])
        self.model: Any = transformers.AutoModel.from_pretrained(
            folder / "backbones" / header["backbone"], dtype=torch.float32
        ).eval()
        self.inputs = {key: self.tensors[key] for key in INPUTS if key in self.tensors}

    def attach(self, case: str, pairs: list[list[int]]) -> Attached:
        """With the head and the adapters of the fixture."""
        adapters = Placement((source, target, 4) for source, target in pairs)
        attached = attach(self.model, adapters, num_classes=3)
        state = {name: self.tensors[name] for name in ("head.weight", "head.bias")}
        for source, target in pairs:
            for part in ("down.weight", "down.bias", "up.weight", "up.bias"):
                state[f"{source}-{target}.{part}"] = self.tensors[f"{case}/{source}-{target}.{part}"]
        attached.load_state_dict(state)
        return attached


@pytest.fixture(scope="module", params=BACKBONES)
def parity(request: pytest.FixtureRequest, shared: Path) -> Parity:
    return Parity(shared, request.param)


@pytest.mark.parametrize("case", CASES)
def test_states_logits_and_gradients(parity: Parity, case: str) -> None:
    with parity.attach(case, parity.cases[case]) as attached:
        seen = ByHand(parity.model).observe()
        logits = attached.logits(**parity.inputs)
        loss = F.cross_entropy(logits, parity.tensors["labels"])
        loss.backward()
        deviations = {"logits": relative(logits, parity.tensors[f"{case}/logits"])}
        for n, state in seen.items():
            deviations[f"state.{n}"] = relative(state[:, :4], parity.tensors[f"{case}/state.{n}"])
        assert len(deviations) == 2 + 2 * parity.model.config.num_hidden_layers
        gradients = {
            name: frobenius(parameter.grad, parity.tensors[f"{case}/grad.{name}"])
            for name, parameter in attached.named_parameters()
            if not name.startswith("model.")
        }
        assert len(gradients) == 2 + 4 * len(parity.cases[case])
    print(f"{case}: values within {max(deviations.values()):.1e}, gradients {max(gradients.values()):.1e}")
    assert max(deviations.values()) < 1e-4, deviations
    assert max(gradients.values()) < 1e-3, gradients


def test_twenty_training_steps(parity: Parity) -> None:
    last = 2 * parity.model.config.num_hidden_layers
    with parity.attach("training", [[last - 2, 1], [2, 3], [1, last - 1]]) as attached:
        optimiser = torch.optim.AdamW(attached.trainable_parameters(), lr=2e-3, weight_decay=1e-2)
        losses = []
        for _ in range(20):
            loss = F.cross_entropy(attached.logits(**parity.inputs), parity.tensors["labels"])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    expected = parity.tensors["training/losses"]
    worst = float(((torch.tensor(losses) - expected).abs() / expected).max())
    print(f"training: losses within {worst:.1e}")
    assert worst < 1e-2


def test_the_hash_of_a_real_backbone_is_the_engine_s(shared: Path) -> None:
    model = transformers.AutoModel.from_pretrained(shared / "backbones" / "minilm-l6", dtype=torch.float32)
    assert model_weights_sha256(model) == MINILM
