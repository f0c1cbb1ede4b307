#!/usr/bin/env python3
"""Creates the fixtures for the parity test: one tiny random model of each family, saved by transformers in
the layout of the family's checkpoints, and its hidden states for a few inputs.

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python make.py            # writes fixtures/FAMILY/{config.json,model.safetensors,expected.safetensors}

Weights are stored as f16 and widened to f32 for everything that is computed. `expected.safetensors` holds, for each case
(`text`, or the image size in pixels):

    CASE/ids, CASE/type_ids, CASE/mask     (rows, tokens), the mask 1 for real tokens      texts
    CASE/pixels                            (rows, 3, size, size)                           images
    CASE/state.N                           (rows, tokens, 32): h_0, h_2, h_4, the states before blocks 0 and 1 and after 1
    CASE/last                              the same shape: h_4, after the last norm if the family has one
    CASE/weights                           (rows, 32), but not for the first twelve models
    CASE/gradient.N                        the gradient at h_0, h_2, h_4 of the sum of weights times the pooled last state,
                                           which is its mean over the real tokens, or the last real token of a decoder
"""

import inspect
import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

HERE = Path(__file__).parent
WIDTH, HEADS, BLOCKS, INTERMEDIATE = 32, 4, 2, 48
VOCABULARY = 64
LENGTHS = [7, 4, 2]

SIZES = {
    "hidden_size": WIDTH,
    "num_attention_heads": HEADS,
    "num_hidden_layers": BLOCKS,
    "intermediate_size": INTERMEDIATE,
}
PICTURES = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "num_hidden_layers": BLOCKS, "patch_size": 4}


def families():
    """The name, which begins with the family's, the model (with a head if the family's checkpoints have one) and the image sizes (none for text)."""
    t = transformers
    bert = t.BertConfig(**SIZES, vocab_size=VOCABULARY, max_position_embeddings=12)
    yield "bert", t.BertForMaskedLM(bert), None
    distilbert = t.DistilBertConfig(
        dim=WIDTH, n_heads=HEADS, n_layers=BLOCKS, hidden_dim=INTERMEDIATE,
        vocab_size=VOCABULARY, max_position_embeddings=12,
    )
    yield "distilbert", t.DistilBertForMaskedLM(distilbert), None
    of_roberta = dict(vocab_size=VOCABULARY, max_position_embeddings=12, type_vocab_size=1, layer_norm_eps=1e-5)
    yield "roberta", t.RobertaForMaskedLM(t.RobertaConfig(**SIZES, **of_roberta)), None
    yield "xlm-roberta", t.XLMRobertaModel(t.XLMRobertaConfig(**SIZES, **of_roberta)), None
    of_vit = PICTURES | {"intermediate_size": INTERMEDIATE}
    yield "vit", t.ViTForImageClassification(t.ViTConfig(**of_vit, image_size=16)), [16, 20]
    deit = t.DeiTConfig(**of_vit, image_size=16)
    yield "deit", t.DeiTForImageClassificationWithTeacher(deit), [16, 12]
    dinov2 = t.Dinov2Config(**PICTURES, image_size=20, mlp_ratio=2)
    yield "dinov2", t.Dinov2Model(dinov2), [20, 12]
    electra = t.ElectraConfig(**SIZES, embedding_size=24, vocab_size=VOCABULARY, max_position_embeddings=12)
    yield "electra", t.ElectraForPreTraining(electra), None
    registers = t.Dinov2WithRegistersConfig(**PICTURES, image_size=20, mlp_ratio=2, num_register_tokens=3)
    yield "dinov2_with_registers", t.Dinov2WithRegistersForImageClassification(registers), [20, 12, 28]
    yield "bert-gelu-new", t.BertModel(t.BertConfig(**bert.to_dict() | {"hidden_act": "gelu_new"})), None
    quick = t.ViTConfig(**of_vit, image_size=16, hidden_act="quick_gelu")
    yield "vit-quick-gelu", t.ViTModel(quick), [16]
    clip = t.CLIPVisionConfig(**of_vit, image_size=16)
    yield "clip_vision_model", t.CLIPVisionModelWithProjection(clip), [16, 20]
    yield from rotary_encoders()
    yield from decoders()
    yield from rotary_pictures()
    yield from relative_encoders()
    shared = SIZES | {"vocab_size": VOCABULARY, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 1}
    grouped = transformers.Starcoder2Config(**shared, num_key_value_heads=2)
    yield "starcoder2", transformers.Starcoder2ForCausalLM(grouped), None
    window = transformers.Starcoder2Config(**shared, num_key_value_heads=4, use_bias=False, sliding_window=3)
    yield "starcoder2-window", transformers.Starcoder2Model(window), None
    yield from stretched_decoders()
    yield from further_configurations()
    yield from configurations_of_the_first_families()


def stretched_decoders():
    """Positions by YaRN in its forms, and dynamic ones, which are those of the first training up to its length."""
    t = transformers
    shared = SIZES | {"vocab_size": VOCABULARY, "max_position_embeddings": 64, "pad_token_id": 0, "num_key_value_heads": 2}
    yarn = {"rope_type": "yarn", "rope_theta": 50.0, "factor": 4.0, "original_max_position_embeddings": 24}
    yield "llama-yarn", t.LlamaForCausalLM(t.LlamaConfig(**shared, head_dim=16, rope_parameters=yarn)), None
    weighed = yarn | {"mscale": 0.7, "mscale_all_dim": 2.0, "beta_fast": 6, "beta_slow": 0.5}
    yield "mistral-yarn", t.MistralModel(t.MistralConfig(**shared, head_dim=16, rope_parameters=weighed)), None
    named = yarn | {"attention_factor": 1.3, "truncate": False, "beta_fast": 5}
    yield "qwen3-yarn", t.Qwen3Model(t.Qwen3Config(**shared, head_dim=16, rope_parameters=named)), None
    dynamic = {"rope_type": "dynamic", "rope_theta": 50.0, "factor": 3.0}
    yield "qwen2-dynamic", t.Qwen2Model(t.Qwen2Config(**shared, rope_parameters=dynamic)), None
    layered = {"full_attention": yarn, "sliding_attention": {"rope_type": "linear", "rope_theta": 10.0, "factor": 2.0}}
    local = dict(head_dim=16, sliding_window=3, layer_types=["sliding_attention", "full_attention"])
    gemma3 = t.Gemma3TextConfig(**shared, **local, rope_parameters=layered, query_pre_attn_scalar=20)
    yield "gemma3_text-yarn", t.Gemma3ForSequenceClassification(gemma3), None
    plain = shared | {"bos_token_id": 1, "eos_token_id": 1}
    yield "starcoder2-yarn", t.Starcoder2ForSequenceClassification(t.Starcoder2Config(**plain, rope_parameters=yarn)), None


def further_configurations():
    """What else is a third configuration of a family."""
    t = transformers
    shared = SIZES | {"vocab_size": VOCABULARY, "max_position_embeddings": 64, "pad_token_id": 0}
    wide = t.GemmaConfig(**shared, num_key_value_heads=2, head_dim=16, rope_theta=100.0)
    yield "gemma-wide", t.GemmaForSequenceClassification(wide), None
    biased = t.GemmaConfig(**shared, num_key_value_heads=4, head_dim=8, attention_bias=True, rms_norm_eps=1e-3)
    yield "gemma-biased", t.GemmaModel(biased), None
    windows = dict(layer_types=["sliding_attention"] * 2, sliding_window=2, attn_logit_softcapping=0.8)
    gemma2 = t.Gemma2Config(**shared, num_key_value_heads=4, head_dim=12, attention_bias=True, **windows)
    yield "gemma2-windows", t.Gemma2ForSequenceClassification(gemma2), None
    of_gpt2 = dict(n_embd=WIDTH, n_head=2, n_layer=BLOCKS, vocab_size=VOCABULARY, n_positions=12, pad_token_id=0)
    steep = dict(scale_attn_weights=False, activation_function="gelu", layer_norm_epsilon=1e-3)
    yield "gpt2-unscaled", t.GPT2Model(t.GPT2Config(**of_gpt2, **steep, bos_token_id=1, eos_token_id=1)), None
    patches = PICTURES | {"patch_size": 8, "num_attention_heads": 2, "layer_norm_eps": 1e-3, "hidden_act": "quick_gelu"}
    siglip = t.SiglipVisionConfig(**patches, intermediate_size=20, image_size=24)
    yield "siglip_vision_model-wide", t.SiglipVisionModel(siglip), [24, 16]
    of_mpnet = dict(vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=BLOCKS, intermediate_size=20)
    few = t.MPNetConfig(**of_mpnet, num_attention_heads=2, max_position_embeddings=20, hidden_act="gelu_new")
    yield "mpnet-few", t.MPNetModel(few), None
    coarse = t.MPNetConfig(**of_mpnet, num_attention_heads=8, max_position_embeddings=40, layer_norm_eps=1e-3)
    yield "mpnet-coarse", t.MPNetForSequenceClassification(coarse), None


def configurations_of_the_first_families():
    """Other numbers of heads, widths, patches, epsilons and activations, with gradients."""
    t = transformers
    few = SIZES | {"num_attention_heads": 2, "intermediate_size": 20, "layer_norm_eps": 1e-3, "hidden_act": "gelu_pytorch_tanh"}
    many = SIZES | {"num_attention_heads": 8, "intermediate_size": 80, "layer_norm_eps": 1e-6}
    text = {"vocab_size": VOCABULARY, "max_position_embeddings": 20}
    yield "bert-few", t.BertForSequenceClassification(t.BertConfig(**few, **text, type_vocab_size=3)), None
    for name, heads, hidden in (("distilbert-few", 2, 20), ("distilbert-many", 8, 80)):
        sizes = dict(dim=WIDTH, n_heads=heads, n_layers=BLOCKS, hidden_dim=hidden)
        yield name, t.DistilBertForSequenceClassification(t.DistilBertConfig(**sizes, **text)), None
    for family, config, model in (
        ("roberta", t.RobertaConfig, t.RobertaForSequenceClassification),
        ("xlm-roberta", t.XLMRobertaConfig, t.XLMRobertaForMaskedLM),
    ):
        yield f"{family}-few", model(config(**few, **text, type_vocab_size=1)), None
        yield f"{family}-many", model(config(**many, **text, type_vocab_size=1)), None
    same = t.ElectraConfig(**few, **text, embedding_size=WIDTH)
    yield "electra-few", t.ElectraForSequenceClassification(same), None
    yield "electra-many", t.ElectraModel(t.ElectraConfig(**many, **text, embedding_size=8)), None

    coarse = PICTURES | {"patch_size": 8, "num_attention_heads": 2, "layer_norm_eps": 1e-3}
    fine = PICTURES | {"patch_size": 2, "num_attention_heads": 8, "layer_norm_eps": 1e-6}
    yield "vit-coarse", t.ViTModel(t.ViTConfig(**coarse, intermediate_size=20, image_size=24)), [24, 16]
    yield "deit-coarse", t.DeiTModel(t.DeiTConfig(**coarse, intermediate_size=20, image_size=24)), [24]
    yield "deit-fine", t.DeiTForImageClassification(t.DeiTConfig(**fine, intermediate_size=80, image_size=8)), [8, 6]
    yield "dinov2-coarse", t.Dinov2Model(t.Dinov2Config(**coarse, mlp_ratio=3, image_size=24)), [24, 16]
    yield "dinov2-fine", t.Dinov2ForImageClassification(t.Dinov2Config(**fine, mlp_ratio=1, image_size=8)), [8, 6]
    of_registers = t.Dinov2WithRegistersConfig
    one = of_registers(**coarse, mlp_ratio=3, image_size=24, num_register_tokens=1)
    yield "dinov2_with_registers-coarse", t.Dinov2WithRegistersModel(one), [24, 16]
    five = of_registers(**fine, mlp_ratio=1, image_size=8, num_register_tokens=5)
    yield "dinov2_with_registers-fine", t.Dinov2WithRegistersModel(five), [8, 6]
    tower = t.CLIPVisionConfig(**coarse, intermediate_size=20, image_size=24, hidden_act="gelu")
    yield "clip_vision_model-coarse", t.CLIPVisionModel(tower), [24, 16]
    tower = t.CLIPVisionConfig(**fine, intermediate_size=80, image_size=8)
    yield "clip_vision_model-fine", t.CLIPVisionModelWithProjection(tower), [8, 6]


def relative_encoders():
    """MPNet, and DeBERTa with both terms of distances or one, by layers of their own or shared ones, in buckets or not."""
    t = transformers
    shared = SIZES | {"vocab_size": VOCABULARY}
    mpnet = t.MPNetConfig(**shared, max_position_embeddings=14)
    yield "mpnet", t.MPNetForMaskedLM(mpnet), None
    of_deberta = shared | {"relative_attention": True, "max_position_embeddings": 16, "pad_token_id": 0}
    v3 = dict(
        position_buckets=4, pos_att_type="p2c|c2p", norm_rel_ebd="layer_norm", share_att_key=True,
        position_biased_input=False,
    )
    yield "deberta-v2", t.DebertaV2ForMaskedLM(t.DebertaV2Config(**of_deberta, **v3)), None
    own = dict(pos_att_type=["c2p", "p2c"], type_vocab_size=2, max_relative_positions=5)
    yield "deberta-v2-own", t.DebertaV2Model(t.DebertaV2Config(**of_deberta, **own)), None
    one = dict(pos_att_type=["c2p"], share_att_key=True, position_buckets=4, hidden_act="gelu_new")
    yield "deberta-v2-one", t.DebertaV2ForSequenceClassification(t.DebertaV2Config(**of_deberta, **one)), None


def rotary_pictures():
    """DINOv3: with registers, without, and with a gated MLP and every bias. SigLIP: the tower, with its head and without."""
    t = transformers
    shared = PICTURES | {"intermediate_size": INTERMEDIATE, "image_size": 16}
    yield "dinov3_vit", t.DINOv3ViTModel(t.DINOv3ViTConfig(**shared, num_register_tokens=2)), [16, 20, 12]
    yield "dinov3_vit-plain", t.DINOv3ViTModel(t.DINOv3ViTConfig(**shared, rope_theta=20.0)), [16, 24]
    gated = dict(use_gated_mlp=True, hidden_act="silu", key_bias=True, num_register_tokens=4, layer_norm_eps=1e-6)
    yield "dinov3_vit-gated", t.DINOv3ViTModel(t.DINOv3ViTConfig(**shared, **gated)), [16]
    yield "siglip_vision_model", t.SiglipVisionModel(t.SiglipVisionConfig(**shared)), [16, 20]
    headless = t.SiglipVisionConfig(**shared | {"hidden_act": "gelu"}, vision_use_head=False)
    yield "siglip_vision_model-headless", t.SiglipForImageClassification(t.SiglipConfig(
        text_config=t.SiglipTextConfig(**SIZES, vocab_size=VOCABULARY).to_dict(), vision_config=headless.to_dict()
    )), [16]


def rotary_encoders():
    """ModernBERT: with a block that attends to all, with biases and windows alone, and with other angles."""
    t = transformers
    shared = SIZES | {"vocab_size": VOCABULARY, "max_position_embeddings": 64, "pad_token_id": 0}
    bases = lambda full, sliding: {
        "full_attention": {"rope_type": "default", "rope_theta": full},
        "sliding_attention": {"rope_type": "default", "rope_theta": sliding},
    }
    plain = t.ModernBertConfig(**shared, local_attention=4)
    yield "modernbert", t.ModernBertForMaskedLM(plain), None
    biased = dict(attention_bias=True, mlp_bias=True, norm_bias=True, layer_types=["sliding_attention"] * 2)
    yield "modernbert-biased", t.ModernBertModel(t.ModernBertConfig(**shared, **biased, local_attention=2)), None
    turned = t.ModernBertConfig(**shared, rope_parameters=bases(50.0, 7.0), local_attention=6)
    yield "modernbert-turned", t.ModernBertForSequenceClassification(turned), None


def decoders():
    t = transformers
    shared = SIZES | {"vocab_size": VOCABULARY, "max_position_embeddings": 64, "pad_token_id": 0}
    grouped = shared | {"num_key_value_heads": 2}
    slow = {
        "rope_type": "llama3", "rope_theta": 50.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    }
    yield "llama", t.LlamaForCausalLM(t.LlamaConfig(**grouped, rope_parameters=slow)), None
    linear = {"rope_type": "linear", "rope_theta": 100.0, "factor": 3.0}
    biased = dict(attention_bias=True, mlp_bias=True, head_dim=12, rope_parameters=linear)
    yield "llama-biased", t.LlamaModel(t.LlamaConfig(**shared, **biased)), None
    single = t.LlamaConfig(**shared | {"num_key_value_heads": 1, "hidden_act": "gelu"}, tie_word_embeddings=True)
    yield "llama-single", t.LlamaForSequenceClassification(single), None
    window = t.MistralConfig(**grouped, sliding_window=3)
    yield "mistral", t.MistralForCausalLM(window), None
    yield "mistral-wide", t.MistralModel(t.MistralConfig(**grouped, sliding_window=None, head_dim=16)), None
    yield "qwen2", t.Qwen2ForCausalLM(t.Qwen2Config(**grouped)), None
    late = dict(use_sliding_window=True, sliding_window=2, max_window_layers=1)
    yield "qwen2-late", t.Qwen2Model(t.Qwen2Config(**grouped, **late)), None
    yield "qwen3", t.Qwen3ForCausalLM(t.Qwen3Config(**grouped, head_dim=16)), None
    yield "qwen3-biased", t.Qwen3Model(t.Qwen3Config(**shared | {"num_key_value_heads": 4}, head_dim=8, attention_bias=True)), None
    yield "gemma", t.GemmaForCausalLM(t.GemmaConfig(**shared | {"num_key_value_heads": 1}, head_dim=12)), None
    capped = dict(head_dim=8, query_pre_attn_scalar=11, attn_logit_softcapping=1.5, sliding_window=3)
    yield "gemma2", t.Gemma2ForCausalLM(t.Gemma2Config(**grouped, **capped)), None
    yield "gemma2-free", t.Gemma2Model(t.Gemma2Config(**grouped, head_dim=8, attn_logit_softcapping=None)), None
    turned = {
        "full_attention": {"rope_type": "linear", "rope_theta": 200.0, "factor": 2.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10.0},
    }
    local = dict(head_dim=8, sliding_window=3, layer_types=["sliding_attention", "full_attention"])
    gemma3 = t.Gemma3TextConfig(**grouped, **local, rope_parameters=turned)
    yield "gemma3_text", t.Gemma3ForCausalLM(gemma3), None
    both_ways = t.Gemma3TextConfig(**grouped, head_dim=8, sliding_window=4, use_bidirectional_attention=True)
    yield "gemma3_text-both-ways", t.Gemma3TextModel(both_ways), None
    of_gpt2 = dict(
        n_embd=WIDTH, n_head=HEADS, n_layer=BLOCKS, vocab_size=VOCABULARY, n_positions=12, pad_token_id=0,
        bos_token_id=1, eos_token_id=1,
    )
    yield "gpt2", t.GPT2LMHeadModel(t.GPT2Config(**of_gpt2)), None
    other = dict(n_inner=INTERMEDIATE, scale_attn_by_inverse_layer_idx=True, activation_function="gelu_pytorch_tanh")
    yield "gpt2-inverse", t.GPT2ForSequenceClassification(t.GPT2Config(**of_gpt2, **other)), None


@torch.no_grad()
def fill(model, random):
    """Draws weights that preserve the size of their input and are neither 0 nor 1, and rounds them to halves."""
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=random)
        if "lambda1" in name:
            value = 0.6 + 0.2 * noise
        elif ("norm" in name.lower() or ".ln_" in name) and name.endswith("weight"):
            value = 1 + 0.1 * noise
        elif name.endswith("bias"):
            value = 0.1 * noise
        elif "embeddings." in name and "projection" not in name:
            value = 0.5 * noise
        else:
            value = noise / weight[0].numel() ** 0.5
        weight.copy_(value.half().float())


def text_inputs(padding, random):
    """Rows of different lengths. Row 0 contains the padding id in the middle of its text."""
    ids = torch.randint(8, VOCABULARY, (len(LENGTHS), LENGTHS[0]), generator=random)
    mask = (torch.arange(LENGTHS[0]) < torch.tensor(LENGTHS)[:, None]).long()
    ids[0, 3] = padding
    ids = torch.where(mask.bool(), ids, padding)
    types = (torch.arange(LENGTHS[0]) > 1).long() * mask
    return ids, types, mask


# The models that were made before gradients were stored.
WITHOUT_GRADIENTS = [
    "bert", "distilbert", "roberta", "xlm-roberta", "vit", "deit", "dinov2", "electra", "dinov2_with_registers",
    "bert-gelu-new", "vit-quick-gelu", "clip_vision_model",
]
# The blocks of each family.
BLOCKS_OF = {"gpt2": "h", "dinov3_vit": "model.layer", "siglip_vision_model": "encoder.layers"}
OF_TEXT = ("bert", "roberta", "xlm-roberta", "electra", "mpnet", "deberta-v2")
BLOCKS_OF |= {family: "encoder.layer" for family in (*OF_TEXT, "dinov2", "dinov2_with_registers")}
BLOCKS_OF |= {"distilbert": "transformer.layer", "vit": "layers", "deit": "layers", "clip_vision_model": "encoder.layers"}
BLOCKS_OF |= {family: "layers" for family in ("modernbert", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "starcoder2")}


def run_with_gradients(model, inputs, random):
    """The states where blocks begin and end, and the gradients there of weights times the pooled last state."""
    blocks = model.get_submodule(BLOCKS_OF[model.config.model_type])
    states = []

    def seen(state):
        state.retain_grad()
        states.append(state)

    hooks = [blocks[0].register_forward_pre_hook(lambda _, args: seen(args[0]))]
    of_block = lambda output: output[0] if isinstance(output, tuple) else output
    hooks += [block.register_forward_hook(lambda _, __, output: seen(of_block(output))) for block in blocks]
    last = model(**inputs).last_hidden_state
    for hook in hooks:
        hook.remove()
    mask, family = inputs.get("attention_mask"), model.config.model_type
    if family == "clip_vision_model":
        # It applies its last norm after it has read the class token.
        last = model.post_layernorm(last)
    if family.startswith("siglip"):
        pooled = last.mean(1)
    elif mask is None:
        pooled = last[:, 0]
    elif family in (*OF_TEXT, "distilbert", "modernbert"):
        real = mask[:, :, None].float()
        pooled = (last * real).sum(1) / real.sum(1)
    else:
        pooled = last[torch.arange(len(mask)), mask.sum(1) - 1]
    weights = torch.randn(pooled.shape, generator=random)
    (weights * pooled).sum().backward()
    found = {f"state.{2 * place}": state.detach() for place, state in enumerate(states)}
    found |= {f"gradient.{2 * place}": state.grad for place, state in enumerate(states)}
    return found | {"last": last.detach(), "weights": weights}


@torch.no_grad()
def run(model, inputs):
    states = model(**inputs, output_hidden_states=True)
    named = {f"state.{2 * block}": state for block, state in enumerate(states.hidden_states)}
    last = states.last_hidden_state
    # CLIP applies its last norm after it has read the class token.
    return named | {"last": model.post_layernorm(last) if hasattr(model, "post_layernorm") else last}


def expected(name, model, sizes, random):
    gradients = name not in WITHOUT_GRADIENTS
    base = model if isinstance(model, transformers.DINOv3ViTModel) else model.base_model
    base = getattr(base, "vision_model", base)
    if sizes is None:
        ids, types, mask = text_inputs(model.config.pad_token_id or 0, random)
        inputs = {"input_ids": ids, "attention_mask": mask}
        # The tokenizers of the other families have no token types.
        if model.config.model_type in ("bert", "electra") or getattr(model.config, "type_vocab_size", 0) == 2:
            inputs["token_type_ids"] = types
        texts = {"ids": ids, "type_ids": types, "mask": mask}
        tensors = texts | (run_with_gradients(base, inputs, random) if gradients else run(base, inputs))
        return {f"text/{name}": tensor for name, tensor in tensors.items()}
    tensors = {}
    for size in sizes:
        pixels = torch.randn(2, 3, size, size, generator=random)
        inputs = {"pixel_values": pixels}
        if "interpolate_pos_encoding" in inspect.signature(base.forward).parameters:
            inputs["interpolate_pos_encoding"] = True
        case = {"pixels": pixels} | (run_with_gradients(base, inputs, random) if gradients else run(base, inputs))
        tensors |= {f"{size}/{name}": tensor for name, tensor in case.items()}
    return tensors


def main():
    torch.set_num_threads(1)
    for number, (name, model, sizes) in enumerate(families()):
        random = torch.Generator().manual_seed(number)
        fill(model.eval(), random)
        folder = HERE / "fixtures" / name
        tensors = expected(name, model, sizes, random)
        model.half().save_pretrained(folder)
        save_file({key: value.contiguous().clone() for key, value in tensors.items()}, folder / "expected.safetensors")
        (folder / "generation_config.json").unlink(missing_ok=True)
        assert name.startswith(json.loads((folder / "config.json").read_text())["model_type"])


if __name__ == "__main__":
    main()
