"""What a placement computes in families for which the library `adapters` has to be told where the states are, by hooks on the
models of transformers 4.57. `modules` are the ones that read the state before a sublayer and that end the sublayer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import transformers
from reference import FIXTURES, adapt
from safetensors.torch import load_file


class Hooked(NamedTuple):
    model_class: str
    blocks: str
    modules: tuple[tuple[str, str], tuple[str, str]]
    # Whether the end of a sublayer gives the next state, and not what is added to the one before.
    post_norm: bool = False


LLAMA = (("input_layernorm", "self_attn"), ("post_attention_layernorm", "mlp"))
GEMMA2 = (
    ("input_layernorm", "post_attention_layernorm"),
    ("pre_feedforward_layernorm", "post_feedforward_layernorm"),
)
TOWER = (("layer_norm1", "self_attn"), ("layer_norm2", "mlp"))
BERT = (("attention", "attention"), ("intermediate", "output"))
FAMILIES = {
    "mpnet": Hooked("MPNetModel", "encoder.layer", BERT, True),
    "deberta-v2": Hooked("DebertaV2Model", "encoder.layer", BERT, True),
    "modernbert": Hooked("ModernBertModel", "layers", (("attn_norm", "attn"), ("mlp_norm", "mlp"))),
    "gpt2": Hooked("GPT2Model", "h", (("ln_1", "attn"), ("ln_2", "mlp"))),
    "llama": Hooked("LlamaModel", "layers", LLAMA),
    "mistral": Hooked("MistralModel", "layers", LLAMA),
    "qwen2": Hooked("Qwen2Model", "layers", LLAMA),
    "qwen3": Hooked("Qwen3Model", "layers", LLAMA),
    "starcoder2": Hooked("Starcoder2Model", "layers", LLAMA),
    "gemma": Hooked("GemmaModel", "layers", LLAMA),
    "gemma2": Hooked("Gemma2Model", "layers", GEMMA2),
    "dinov3_vit": Hooked("DINOv3ViTModel", "layer", (("norm1", "layer_scale1"), ("norm2", "layer_scale2"))),
    "clip_vision_model": Hooked("CLIPVisionModel", "vision_model.encoder.layers", TOWER),
    "siglip_vision_model": Hooked("SiglipVisionModel", "vision_model.encoder.layers", TOWER),
}


def model_of(family):
    """The fixture's model. It was written by transformers 5, whose names of settings and tensors differ for some."""
    config = transformers.AutoConfig.from_pretrained(FIXTURES / family)
    rotary = getattr(config, "rope_parameters", None) or {}
    if "sliding_attention" in rotary:
        config.local_rope_theta = rotary["sliding_attention"]["rope_theta"]
        rotary = rotary["full_attention"]
        config.global_rope_theta = rotary["rope_theta"]
    if rotary:
        config.rope_theta = rotary["rope_theta"]
        scaled = rotary["rope_type"] != "default"
        config.rope_scaling = {**rotary, "rope_theta": None} if scaled else None
    model = getattr(transformers, FAMILIES[family].model_class)._from_config(
        config, attn_implementation="eager", dtype=torch.float32
    )
    stored = {name: value.float() for name, value in load_file(FIXTURES / family / "model.safetensors").items()}
    names = dict(model.named_parameters())
    for name in names:
        known = [prefix + name for prefix in ("", "model.", "transformer.", "deberta.", "mpnet.")]
        known.append(name.removeprefix("vision_model."))
        found = [key for key in known if key in stored]
        # Nobody looks at a pooler or at SigLIP's head.
        assert found or "pooler" in name or "head" in name, name
        if found:
            names[name].data.copy_(stored[found[0]])
    return model.eval()


def inputs_of(family):
    stored = load_file(FIXTURES / family / "expected.safetensors")
    if "text/ids" in stored:
        return {"input_ids": stored["text/ids"], "attention_mask": stored["text/mask"]}
    return {"pixel_values": stored["16/pixels"]}


def stored_states(family):
    """The states before and behind every block that transformers 5 computed."""
    stored = load_file(FIXTURES / family / "expected.safetensors")
    part = "text" if "text/ids" in stored else "16"
    return {n: stored[f"{part}/state.{n}"] for n in (0, 2, 4)}


@contextmanager
def adapted(model, family, placement) -> Iterator[list]:
    """Hooks that add the adapters of a placement, and the states h_0 .. h_4 of the last forward pass."""
    hooked = FAMILIES[family]
    states: list = [None] * 5
    handles = []
    for block, layer in enumerate(model.get_submodule(hooked.blocks)):
        for half, (reads, ends) in enumerate(hooked.modules):
            n = 2 * block + half

            def read(_, args, kwargs, n=n):
                states[n] = args[0] if args else kwargs["hidden_states"]

            def end(_, args, output, n=n):
                first = output[0] if isinstance(output, tuple) else output
                state = first if hooked.post_norm else states[n] + first
                if (n, n + 1) in placement:
                    state = state + adapt(states[n], placement[n, n + 1])
                if (n + 1, n + 1) in placement:
                    state = state + adapt(state, placement[n + 1, n + 1])
                states[n + 1] = state
                changed = state if hooked.post_norm else state - states[n]
                return (changed, *output[1:]) if isinstance(output, tuple) else changed

            handles.append(layer.get_submodule(reads).register_forward_pre_hook(read, with_kwargs=True))
            handles.append(layer.get_submodule(ends).register_forward_hook(end))
    try:
        yield states
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def run(model, family, inputs, placement):
    """The last hidden state, and h_0 .. h_4."""
    with adapted(model, family, placement) as states:
        return model(**inputs).last_hidden_state, list(states)
