"""What all tests of the PyTorch loader share."""

import os
from pathlib import Path

import pytest
import torch

PYTHON = Path(__file__).resolve().parents[2]
os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real backbones and the outputs of the independent definition on them."""
    folder = Path(os.environ.get("ADAPLACE_SHARED", PYTHON.parents[1] / "shared"))
    if not (folder / "parity").is_dir():
        pytest.skip(f"`{folder}` with the parity fixtures is missing; set ADAPLACE_SHARED")
    return folder


@pytest.fixture
def trained_by_trainer(tmp_path):
    """Trains a module with `Trainer`, which must lower its loss, and returns the trainer and its data."""

    from transformers import Trainer, TrainingArguments

    def train(module, inputs, labels, steps):
        data = [
            {"labels": label, **{name: values[row] for name, values in inputs.items()}}
            for row, label in enumerate(labels)
        ]
        arguments = TrainingArguments(
            str(tmp_path / "trainer"),
            max_steps=steps,
            learning_rate=0.01,
            report_to="none",
            use_cpu=True,
            remove_unused_columns=False,
            label_names=["labels"],
        )
        trainer = Trainer(model=module, args=arguments, train_dataset=data, eval_dataset=data)
        before = trainer.evaluate()["eval_loss"]
        trainer.train()
        assert trainer.evaluate()["eval_loss"] < before
        return trainer, data

    return train
