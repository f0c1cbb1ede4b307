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
