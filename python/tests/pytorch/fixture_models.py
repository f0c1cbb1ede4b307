"""The tiny models that the engine's own parity test is held to, and placements for them."""

from __future__ import annotations

import json
import logging
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn

from adaplace import BackboneReference, Connection, Placement, PlacementFile
from adaplace.torch import Attached

FIXTURES = Path(__file__).resolve().parents[3] / "crates/backbone/tests/parity/fixtures"
TEXT = ["bert", "roberta", "xlm-roberta", "electra", "mpnet", "deberta-v2", "distilbert"]
DECODERS = ["gpt2", "llama", "mistral", "qwen2", "qwen3", "starcoder2"]
# Before version 5, no module of the first two computes the embedding, and AutoModel does not find the weights of the third.
CURRENT = int(transformers.__version__.partition(".")[0]) >= 5
DECODERS += ["gemma", "gemma2", "gemma3_text"] if CURRENT else []
FAMILIES = [*TEXT, "modernbert", *DECODERS, "vit", "deit", "dinov2", "dinov2_with_registers", "clip_vision_model"]
# The same is true of the weights of SigLIP's tower alone.
FAMILIES += ["dinov3_vit", "siglip_vision_model"] if CURRENT else ["dinov3_vit"]
HASHES: dict[str, str] = json.loads((Path(__file__).parent / "engine_hashes.json").read_text())[
    "weights_sha256"
]

# All four kinds, several into one state, within a block and across blocks, on the first and the last state;
# h_4 is the last one of the fixtures.
MIXED = [(0, 0), (0, 1), (1, 2), (0, 3), (2, 2), (3, 3), (1, 4), (4, 1), (3, 0), (4, 2), (4, 4), (2, 1)]

logging.getLogger("transformers").setLevel(logging.ERROR)
transformers.utils.logging.disable_progress_bar()


def load(family: str, auto: str = "AutoModel", **settings: Any) -> Any:
    """The fixture of a family in f32 and evaluation mode."""
    settings = {"dtype": torch.float32, **settings}
    return getattr(transformers, auto).from_pretrained(FIXTURES / family, **settings).eval()


def inputs_of(family: str) -> dict[str, Tensor]:
    """The inputs that were committed with the fixture; texts of different lengths, padded."""
    stored = load_file(FIXTURES / family / "expected.safetensors")
    if "text/ids" in stored:
        inputs = {"input_ids": stored["text/ids"], "attention_mask": stored["text/mask"]}
        typed = family in ("bert", "electra")
        return inputs | ({"token_type_ids": stored["text/type_ids"]} if typed else {})
    size = 20 if family.startswith("dinov2") else 16
    return {"pixel_values": stored[f"{size}/pixels"]}


def placement(
    pairs: list[tuple[int, int]], family: str | None = None, rank: int = 3, **changes: Any
) -> Placement | PlacementFile:
    """Adapters on `pairs`, one of them with a scale; made for the fixture of `family`, if one is named."""
    adapters = Placement(Connection(*pair, rank, 0.5 if pair == (1, 2) else 1.0) for pair in pairs)
    if family is None:
        return adapters
    usual = "mean" if family in [*TEXT, "modernbert", "siglip_vision_model"] else "last" if family in DECODERS else "cls"
    reference = {
        "model_type": family,
        "hidden_states": 5,
        "width": 32,
        "pooling": usual,
        "weights_sha256": HASHES[family],
    }
    return PlacementFile(adapters, BackboneReference(**{**reference, **changes}))


@torch.no_grad()
def randomise(attached: Attached, seed: int = 1, factor: float = 3.0) -> None:
    """Gives all adapters and the head values that matter."""
    random = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(attached.named_parameters()):
        if not name.startswith("model."):
            values = torch.empty(parameter.shape).uniform_(-1, 1, generator=random) * 32**-0.5
            parameter.copy_(values * (factor if ".up." in name else 1.0))


def parameters_of(attached: Attached) -> dict[tuple[int, int], dict[str, Any]]:
    """Copies of the adapters' values as leaves, for the definition by hand."""
    return {
        pair: {
            **{name: value.detach().clone().requires_grad_() for name, value in adapter.named_parameters()},
            "scale": adapter.scale,
        }
        for pair, adapter in attached.adapters.items()
    }


def timm_model(name: str) -> Any:
    """A checkpoint of timm, loaded by timm."""
    import timm

    return timm.create_model(f"local-dir:{FIXTURES / name}", pretrained=True).eval()


def timm_twin(model: nn.Module, **settings: Any) -> Any:
    """The vision transformer of timm with the weights of a ViT, DeiT or DINOv2 of transformers."""
    import timm
    from timm.models.deit import VisionTransformerDistilled

    config: Any = model.config
    dinov2, deit = config.model_type == "dinov2", config.model_type == "deit"
    make = VisionTransformerDistilled if deit else timm.models.vision_transformer.VisionTransformer
    hidden = int(config.hidden_size * config.mlp_ratio) if dinov2 else config.intermediate_size
    twin = make(
        img_size=config.image_size,
        patch_size=config.patch_size,
        embed_dim=config.hidden_size,
        depth=config.num_hidden_layers,
        num_heads=config.num_attention_heads,
        mlp_ratio=hidden / config.hidden_size,
        norm_layer=partial(nn.LayerNorm, eps=config.layer_norm_eps),
        **{"num_classes": 0, **({"init_values": 1.0} if dinov2 else {}), **settings},
    )
    # The names of the checkpoint file, which are the same in all versions of transformers.
    stored = load_file(FIXTURES / config.model_type / "model.safetensors")
    stored = {
        name.removeprefix("vit.").removeprefix("deit."): value.float() for name, value in stored.items()
    }
    twin.load_state_dict(_timm_state(stored, twin), strict=False)
    return twin.eval()


def _timm_state(stored: dict[str, Tensor], twin: nn.Module) -> dict[str, Tensor]:
    names = {
        "cls_token": "embeddings.cls_token",
        "dist_token": "embeddings.distillation_token",
        "pos_embed": "embeddings.position_embeddings",
    }
    layers = {
        "patch_embed.proj": ["embeddings.patch_embeddings.projection"],
        "norm": ["layernorm"],
        "fc_norm": ["layernorm"],
        "attn.proj": ["attention.output.dense"],
        "attn.qkv": [f"attention.attention.{part}" for part in ("query", "key", "value")],
        "mlp.fc1": ["mlp.fc1", "intermediate.dense"],
        "mlp.fc2": ["mlp.fc2", "output.dense"],
        "norm1": ["norm1", "layernorm_before"],
        "norm2": ["norm2", "layernorm_after"],
    }
    state = {}
    for name in twin.state_dict():
        path, _, part = name.rpartition(".")
        block, inner = "", path
        if name.startswith("blocks."):
            _, number, inner = path.split(".", 2)
            block = f"encoder.layer.{number}."
        if name in names:
            state[name] = stored[names[name]]
        elif inner in ("ls1", "ls2"):
            state[name] = stored[f"{block}layer_scale{inner[2]}.lambda1"]
        elif inner in layers:
            parts = [stored[key] for old in layers[inner] if (key := f"{block}{old}.{part}") in stored]
            state[name] = torch.cat(parts)
    return state
