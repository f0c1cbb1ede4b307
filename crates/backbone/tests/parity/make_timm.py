#!/usr/bin/env python3
"""Creates the fixtures of the models of timm: tiny random ones, saved by timm as it saves for the hub, with the states and
gradients of `make.py`. The second size is that of pictures for which timm resizes or computes the positions.

    .venv/bin/pip install timm==1.0.31
    .venv/bin/python make_timm.py       # writes fixtures/timm-NAME
"""

import timm
import torch
from safetensors.torch import save_file
from timm.models import save_for_hf

from make import BLOCKS, HEADS, HERE, WIDTH, fill

SHAPE = dict(embed_dim=WIDTH, depth=BLOCKS, num_heads=HEADS, mlp_ratio=1.5, patch_size=4, img_size=16, num_classes=3)


def models():
    yield "vit", "vit_tiny_patch16_224", {}, [16, 20]
    yield "deit", "deit_tiny_distilled_patch16_224", {}, [16, 12]
    yield "dinov2", "vit_small_patch14_dinov2", {"img_size": 20}, [20, 12]
    yield "dinov2-registers", "vit_small_patch14_reg4_dinov2", {"img_size": 20}, [20, 28]
    yield "deit3", "deit3_small_patch16_224", {}, [16, 20]
    yield "dinov3", "vit_small_patch16_dinov3", {}, [16, 20]
    yield "dinov3-biased", "vit_small_patch16_dinov3_qkvb", {}, [16, 12]
    yield "dinov3-gated", "vit_small_plus_patch16_dinov3", {}, [16, 24]


def case(model, size, random):
    """As `run_with_gradients` of `make.py`, read at the class token."""
    pixels = torch.randn(2, 3, size, size, generator=random)
    states = []

    def seen(state):
        state.retain_grad()
        states.append(state)

    hooks = [model.blocks[0].register_forward_pre_hook(lambda _, args: seen(args[0]))]
    hooks += [block.register_forward_hook(lambda _, __, output: seen(output)) for block in model.blocks]
    last = model.forward_features(pixels)
    for hook in hooks:
        hook.remove()
    weights = torch.randn(last[:, 0].shape, generator=random)
    (weights * last[:, 0]).sum().backward()
    found = {f"state.{2 * place}": state.detach() for place, state in enumerate(states)}
    found |= {f"gradient.{2 * place}": state.grad for place, state in enumerate(states)}
    return found | {"pixels": pixels, "last": last.detach(), "weights": weights}


def main():
    torch.set_num_threads(1)
    for number, (name, architecture, arguments, sizes) in enumerate(models()):
        random = torch.Generator().manual_seed(100 + number)
        model = timm.create_model(architecture, **SHAPE | arguments).eval()
        fill(model, random)
        folder = HERE / "fixtures" / f"timm-{name}"
        # Before the positions are resized.
        save_for_hf(model.half(), folder, safe_serialization=True)
        tensors = {}
        for size in sizes:
            model.float().set_input_size(img_size=size)
            tensors |= {f"{size}/{key}": value for key, value in case(model, size, random).items()}
            model = timm.create_model(architecture, **SHAPE | arguments).eval()
            model.load_state_dict(load(folder))
        save_file({key: value.contiguous().clone() for key, value in tensors.items()}, folder / "expected.safetensors")


def load(folder):
    from safetensors.torch import load_file

    return {name: value.float() for name, value in load_file(folder / "model.safetensors").items()}


if __name__ == "__main__":
    main()
