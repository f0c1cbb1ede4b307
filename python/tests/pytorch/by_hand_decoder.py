"""The sublayers of decoders and of ModernBERT, one function for each, with the layers of a model of transformers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FAMILIES = ("modernbert", "gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text")
FAMILIES += ("starcoder2",)


class DecoderByHand:
    """A bare model in evaluation mode."""

    def __init__(self, model: Any) -> None:
        self.model, self.config = model, model.config
        self.family = model.config.model_type
        self.blocks = list(model.h if self.family == "gpt2" else model.layers)

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        ids = inputs["input_ids"]
        if self.family == "gpt2":
            return self.model.wte(ids) + self.model.wpe(torch.arange(ids.shape[1]))
        if self.family == "modernbert":
            return self.model.embeddings(input_ids=ids)
        return self.model.embed_tokens(ids)

    def norms_of(self, n: int) -> tuple[Any, Any]:
        """The norms in front of and behind a sublayer."""
        block, mlp = self.blocks[n // 2], n % 2 == 1
        if self.family == "gpt2":
            return (block.ln_2 if mlp else block.ln_1), None
        if self.family == "modernbert":
            return (block.mlp_norm if mlp else block.attn_norm), None
        if self.family in ("gemma2", "gemma3_text"):
            if mlp:
                return block.pre_feedforward_layernorm, block.post_feedforward_layernorm
            return block.input_layernorm, block.post_attention_layernorm
        return (block.post_attention_layernorm if mlp else block.input_layernorm), None

    def sublayer(self, n: int, h: Tensor, mask: Tensor | None) -> Tensor:
        before, behind = self.norms_of(n)
        x = before(h)
        branch = self.mlp(self.blocks[n // 2], x) if n % 2 else self.attention(n // 2, x, mask)
        return h + (branch if behind is None else behind(branch))

    def mlp(self, block: Any, x: Tensor) -> Tensor:
        mlp = block.mlp
        if self.family in ("gpt2", "starcoder2"):
            return mlp.c_proj(F.gelu(mlp.c_fc(x), approximate="tanh"))
        if self.family == "modernbert":
            read, gate = mlp.Wi(x).chunk(2, dim=-1)
            return mlp.Wo(F.gelu(read) * gate)
        gate = mlp.gate_proj(x)
        gate = F.gelu(gate, approximate="tanh") if self.family.startswith("gemma") else F.silu(gate)
        return mlp.down_proj(gate * mlp.up_proj(x))

    def attention(self, number: int, x: Tensor, mask: Tensor | None) -> Tensor:
        block, config = self.blocks[number], self.config
        batch, tokens, width = x.shape
        heads = config.num_attention_heads
        if self.family == "gpt2":
            query, key, value = block.attn.c_attn(x).split(width, dim=2)
            end = block.attn.c_proj
        elif self.family == "modernbert":
            query, key, value = block.attn.Wqkv(x).split(width, dim=2)
            end = block.attn.Wo
        else:
            a = block.self_attn
            query, key, value, end = a.q_proj(x), a.k_proj(x), a.v_proj(x), a.o_proj
        by_head = lambda y, count: y.view(batch, tokens, count, -1).transpose(1, 2)  # noqa: E731
        shared = getattr(config, "num_key_value_heads", None) or heads
        query, key, value = by_head(query, heads), by_head(key, shared), by_head(value, shared)
        if self.family in ("qwen3", "gemma3_text"):
            query, key = block.self_attn.q_norm(query), block.self_attn.k_norm(key)
        if self.family != "gpt2":
            cosines, sines = self.turns(number, x)
            query, key = turned(query, cosines, sines), turned(key, cosines, sines)
        key, value = (y.repeat_interleave(heads // shared, dim=1) for y in (key, value))
        scalar = getattr(config, "query_pre_attn_scalar", None) or query.shape[-1]
        scores = query @ key.transpose(-1, -2) * scalar**-0.5
        if self.family == "gemma2":
            cap = config.attn_logit_softcapping
            scores = cap * torch.tanh(scores / cap)
        place = torch.arange(tokens)
        distance = place[:, None] - place
        window = self.window(number)
        if self.family == "modernbert":
            seen = distance.abs() <= (tokens if window is None else window)
        else:
            seen = (distance >= 0) & (distance < (tokens if window is None else window))
        real = seen if mask is None else seen & mask[:, None, None, :].bool()
        weights = scores.masked_fill(~real, torch.finfo(scores.dtype).min).softmax(-1)
        return end((weights @ value).transpose(1, 2).reshape(batch, tokens, -1))

    def slides(self, number: int) -> bool:
        types = getattr(self.config, "layer_types", None)
        if types is not None:
            return types[number] == "sliding_attention"
        if self.family == "modernbert":
            return number % self.config.global_attn_every_n_layers > 0
        return self.family == "mistral"

    def window(self, number: int) -> int | None:
        if not self.slides(number):
            return None
        return self.config.local_attention // 2 if self.family == "modernbert" else self.config.sliding_window

    def turns(self, number: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """The cosines and sines of a block, (1, tokens, width of a head) each."""
        places = torch.arange(x.shape[1])[None]
        kind = "sliding_attention" if self.slides(number) else "full_attention"
        of_block = getattr(getattr(self.blocks[number], "attn", None), "rotary_emb", None)
        if of_block is not None:
            return of_block(x, position_ids=places)
        local = getattr(self.model, "rotary_emb_local", None)
        if local is not None:
            return (local if self.slides(number) else self.model.rotary_emb)(x, places)
        if self.family in ("modernbert", "gemma3_text"):
            return self.model.rotary_emb(x, places, kind)
        return self.model.rotary_emb(x, places)

    def last_norm(self) -> nn.Module:
        names = {"gpt2": "ln_f", "modernbert": "final_norm"}
        return getattr(self.model, names.get(self.family, "norm"))

    def pool(self, h: Tensor, mask: Tensor | None) -> Tensor:
        h = self.last_norm()(h)
        mask = torch.ones(h.shape[:2]) if mask is None else mask
        if self.family == "modernbert":
            weights = mask.unsqueeze(-1).to(h.dtype)
            return (h * weights).sum(1) / weights.sum(1)
        # The fixtures' padding comes behind the texts.
        return h[torch.arange(len(h)), mask.sum(1).long() - 1]


def turned(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    first, second = heads.chunk(2, dim=-1)
    return heads * cosines[:, None] + torch.cat([-second, first], dim=-1) * sines[:, None]
