"""Training with `Trainer` of transformers, and with drop path and dropout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from by_hand import relative
from fixture_models import MIXED, inputs_of, load, placement, randomise, timm_twin
from torch import Tensor, nn

from adaplace.torch import Classifier, attach

PAIRS = [(0, 2), (2, 2), (3, 1)]
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


class Examples(torch.utils.data.Dataset):
    """Random texts whose label is their first token's parity."""

    def __init__(self) -> None:
        ids = torch.randint(8, 64, (32, 6), generator=torch.Generator().manual_seed(0))
        self.rows = [
            {"input_ids": row, "attention_mask": torch.ones(6, dtype=torch.long), "labels": row[0] % 2}
            for row in ids
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.rows[index]


def trained(model: nn.Module, folder: Path, **settings: Any) -> tuple[transformers.Trainer, list[float]]:
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        max_steps=12,
        per_device_train_batch_size=32,
        learning_rate=2e-2,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
        lr_scheduler_type="constant",
        **settings,
    )
    trainer = transformers.Trainer(
        model=model, args=arguments, train_dataset=Examples(), eval_dataset=Examples()
    )
    trainer.train()
    return trainer, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("settings", [{}, {"bf16": True}, {"gradient_checkpointing": True}], ids=str)
def test_trainer_trains_the_adapters_alone(tmp_path: Path, settings: dict[str, Any]) -> None:
    model = load("bert", "AutoModelForSequenceClassification", **NO_DROPOUT)
    # A classifier of full size, for it stays as it is.
    torch.nn.init.normal_(model.classifier.weight)
    frozen = {name: value.clone() for name, value in model.state_dict().items()}
    with attach(model, placement(PAIRS, "bert"), seed=0) as attached:
        before = {name: value.clone() for name, value in attached.state_dict().items()}
        trainer, losses = trained(attached, tmp_path, **settings)
        assert losses[-1] < 0.8 * losses[0], losses
        after = attached.state_dict()
        assert before.keys() == after.keys() and len(before) == 4 * len(PAIRS)
        assert all(not torch.equal(before[name], after[name]) for name in before)
        evaluation = trainer.evaluate()
        assert evaluation["eval_loss"] < losses[0]
        assert trainer.predict(Examples()).predictions.shape == (32, 2)
        trainer.save_model(str(tmp_path / "saved"))
    assert all(torch.equal(value, frozen[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_trainer_with_the_model_s_own_classifier(tmp_path: Path) -> None:
    model = load("bert", "AutoModelForSequenceClassification", **NO_DROPOUT)
    attached = attach(model, placement(PAIRS, "bert"), trainable=["classifier"], seed=0)
    classifier, encoder = (
        model.classifier.weight.clone(),
        model.bert.encoder.layer[0].output.dense.weight.clone(),
    )
    _, losses = trained(attached, tmp_path)
    assert losses[-1] < 0.8 * losses[0], losses
    assert not torch.equal(model.classifier.weight, classifier)
    assert torch.equal(model.bert.encoder.layer[0].output.dense.weight, encoder)


def test_trainer_with_the_placement_s_head(tmp_path: Path) -> None:
    attached = attach(load("bert", **NO_DROPOUT), placement(PAIRS, "bert"), num_classes=2, seed=0)
    head = attached.head.weight.clone()
    trainer, losses = trained(
        Classifier(attached), tmp_path, remove_unused_columns=False, gradient_checkpointing=True
    )
    assert losses[-1] < 0.8 * losses[0], losses
    assert not torch.equal(attached.head.weight, head)
    assert trainer.evaluate()["eval_loss"] < losses[0]


def gated() -> list[Any]:
    return [
        pytest.param("dinov2", False, {"drop_path_rate": 0.4}, id="dinov2"),
        pytest.param("vit", False, {"hidden_dropout_prob": 0.4}, id="vit"),
        pytest.param("vit", True, {"drop_path_rate": 0.8}, id="timm"),
    ]


@pytest.mark.parametrize("family, timm, settings", gated())
def test_what_an_adapter_adds_is_never_dropped(family: str, timm: bool, settings: dict[str, float]) -> None:
    """With the branches at zero a block passes on its input and what adapters add, whatever is dropped."""
    model = load(family, **({} if timm else settings))
    if timm:
        model = timm_twin(model, **settings)
    embeddings = model.norm_pre if timm else model.embeddings
    blocks = model.blocks if timm else getattr(model, "layers", None) or model.encoder.layer
    with torch.no_grad():
        for name, parameter in blocks.named_parameters():
            if any(part in name for part in ("attn.proj", "o_proj", "output.dense", "fc2")):
                parameter.zero_()
    pixels = inputs_of(family)["pixel_values"].repeat(8, 1, 1, 1)
    attached = attach(model, placement([(1, 1), (2, 3), (4, 1), (3, 4)]), num_classes=3)
    randomise(attached)
    expected = attached.logits(pixels)
    attached.train()
    if not timm and family == "vit":
        # Its embedding drops as well.
        embeddings.eval()
    assert relative(attached.logits(pixels), expected) < 1e-5


def test_drop_path_of_the_model_is_left_as_it_is() -> None:
    """With adapters that add nothing, a model in training gives the same numbers as without."""
    pixels = inputs_of("dinov2")["pixel_values"].repeat(8, 1, 1, 1)
    model = load("dinov2", drop_path_rate=0.4).train()
    torch.manual_seed(5)
    expected = model(pixels)[0]
    pairs = [pair for pair in MIXED if pair[0] <= pair[1]]
    with attach(model, placement(pairs)) as attached:
        torch.manual_seed(5)
        assert relative(attached(pixels)[0], expected) < 1e-6
