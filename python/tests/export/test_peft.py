"""`adaplace export --to peft` refuses every placement. This looks whether that is still right: no tuner of the installed
`peft` computes W_up gelu(W_down norm(x)).

Every tuner that changes a linear layer is put on one and given random weights. If the layer is then still affine in its
input, f(x + y) - f(x) - f(y) + f(0) = 0, no gelu of the input is in it.
"""

import os

import pytest

peft = pytest.importorskip("peft")

import torch
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING

# Tuners that are on no layer, or on none that is linear, and why they are no bottleneck between hidden states.
NOT_ON_LINEAR_LAYERS = {
    "PROMPT_TUNING": "prepends tokens", "MULTITASK_PROMPT_TUNING": "prepends tokens", "P_TUNING": "prepends tokens",
    "PREFIX_TUNING": "prepends keys and values", "CPT": "prepends tokens", "CARTRIDGE": "prepends keys and values",
    "ADAPTION_PROMPT": "prepends keys and values in the attention of Llama and its like",
    "LN_TUNING": "trains the weights of layer norms", "TRAINABLE_TOKENS": "trains embeddings",
    "XLORA": "mixes LoRA adapters by a classifier of the model's last state",
    "SHADOW": "adds, between whole blocks, maps of gelu networks that have no norm at their input",
    "POLY": "mixes LoRA adapters by the task",
}  # fmt: skip
# Its gate is averaged over all tokens of the batch, so that a token's adapter depends on the other tokens; ours does not.
MIXES_TOKENS = {"LILY"}
WIDTH = 32
SETTINGS = {
    "ADALORA": {"total_step": 10}, "BOFT": {"boft_block_size": 4}, "OFT": {"oft_block_size": 4}, "C3A": {"block_size": 8},
    "FOURIERFT": {"n_frequency": 50}, "ADAMSS": {"r": 4, "num_subspaces": 2}, "IA3": {"feedforward_modules": []},
    "VBLORA": {"num_vectors": 16, "vector_length": 8, "topk": 2}, "ROAD": {"group_size": 8},
    "HRA": {"r": 2}, "WAVEFT": {"n_frequency": 50}, "MISS": {"r": 4}, "SHIRA": {"r": 4},
}  # fmt: skip


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = torch.nn.Linear(WIDTH, WIDTH)
        self.config = {"model_type": "custom"}

    def forward(self, x):
        return self.dense(x)


def tuned(name):
    """A linear layer with the tuner on it, and the same without."""
    torch.manual_seed(0)
    config = PEFT_TYPE_TO_CONFIG_MAPPING[name](target_modules=["dense"], **SETTINGS.get(name, {}))
    frozen = Layer()
    model = peft.get_peft_model(Layer(), config)
    model.get_base_model().dense.get_base_layer().load_state_dict(frozen.dense.state_dict())
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.is_floating_point():
            parameter.data.add_(torch.randn(parameter.shape).mul_(0.3).to(parameter.dtype))
    return model.eval(), frozen


# A tuner that a newer version adds is tried, too: where it has no linear layer to be on, it fails here and wants to be read.
@pytest.mark.parametrize("name", sorted(t.value for t in PEFT_TYPE_TO_TUNER_MAPPING if t.value not in NOT_ON_LINEAR_LAYERS))
@torch.no_grad()
def test_a_tuned_layer_stays_affine(name):
    try:
        model, frozen = tuned(name)
    except ImportError as error:
        pytest.skip(f"{name} needs more packages: {error}")
    x, y = torch.randn(2, 1, 1, WIDTH)
    effect = (model(x) - frozen(x)).abs().max().item()
    assert effect > 1e-4, "the tuner does nothing, so nothing is shown"
    if name in MIXES_TOKENS:
        alone, among_others = model(x), model(torch.cat([x, 3 * y], 1))[:, :1]
        assert (alone - among_others).abs().max().item() > 1e-3 * effect
        return
    second_difference = model(x + y) - model(x) - model(y) + model(torch.zeros_like(x))
    assert second_difference.abs().max().item() <= 1e-4 * max(1.0, effect)


@torch.no_grad()
def test_our_adapter_is_not_affine():
    """The yardstick tells a bottleneck from the rest."""
    down, up = torch.randn(4, WIDTH), torch.randn(WIDTH, 4)

    def layer(x):
        x = torch.nn.functional.layer_norm(x, x.shape[-1:])
        return torch.nn.functional.gelu(x @ down.T) @ up.T

    x, y = torch.randn(2, 1, 1, WIDTH)
    second_difference = layer(x + y) - layer(x) - layer(y) + layer(torch.zeros_like(x))
    assert second_difference.abs().max().item() > 0.1


@pytest.mark.skipif("ADAPLACE" not in os.environ, reason="ADAPLACE does not say where the program is")
def test_the_program_says_so(tmp_path):
    from reference import adapter, export, write

    generator = torch.Generator().manual_seed(0)
    placement = {pair: adapter(2, 1.0, generator) for pair in [(1, 1), (2, 3)]}
    write(tmp_path, "bert", placement, {}, "mean")
    ended = export(tmp_path, "peft", "--out", "out")
    assert ended.returncode == 1
    assert "1->1, 2->3" in ended.stderr and not (tmp_path / "out").exists()
