"""The definition of a placement once more, straight down the chain: one function for each sublayer, no hooks.

Independent of the package: it takes the layers out of a model of transformers and computes with them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from by_hand_decoder import FAMILIES as DECODERS
from by_hand_decoder import DecoderByHand, turned
from torch import Tensor, nn

Adapters = dict[tuple[int, int], dict[str, Any]]


class ByHand:
    """A bare model of transformers in evaluation mode."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.family = model.config.model_type
        self.decoder = DecoderByHand(model) if self.family in DECODERS else None
        if self.decoder is not None:
            self.blocks = self.decoder.blocks
            return
        text = model.transformer.layer if self.family == "distilbert" else None
        self.siglip, self.dinov3 = self.family == "siglip_vision_model", self.family == "dinov3_vit"
        self.clip = self.siglip or self.family == "clip_vision_model"
        # Before version 5 of transformers the tower is a module of the model.
        self.model = model = getattr(model, "vision_model", model)
        blocks = model.encoder.layers if self.clip else getattr(model, "layers", None)
        blocks = getattr(model, "model", model).layer if self.dinov3 else blocks
        self.blocks = list(text if text is not None else blocks or model.encoder.layer)
        self.heads = getattr(model.config, "num_attention_heads", None) or model.config.n_heads

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        if self.decoder is not None:
            return self.decoder.embed(inputs)
        if "pixel_values" in inputs:
            embedded = self.model.embeddings(inputs["pixel_values"])
            if self.dinov3:
                self.turns = self.model.rope_embeddings(inputs["pixel_values"])
            return self.model.pre_layrnorm(embedded) if self.clip and not self.siglip else embedded
        types = {"token_type_ids": inputs["token_type_ids"]} if "token_type_ids" in inputs else {}
        embedded = self.model.embeddings(input_ids=inputs["input_ids"], **types)
        return self.model.embeddings_project(embedded) if self.family == "electra" else embedded

    def sublayer(self, n: int, h: Tensor, mask: Tensor | None) -> Tensor:
        if self.decoder is not None:
            return self.decoder.sublayer(n, h, mask)
        block = self.blocks[n // 2]
        attention = n % 2 == 0
        if self.family == "distilbert":
            if attention:
                a = block.attention
                return block.sa_layer_norm(h + a.out_lin(self.attend(a.q_lin, a.k_lin, a.v_lin, h, mask)))
            return block.output_layer_norm(h + block.ffn.lin2(F.gelu(block.ffn.lin1(h))))
        if self.family in ("bert", "roberta", "xlm-roberta", "electra"):
            if attention:
                s, o = block.attention.self, block.attention.output
                return o.LayerNorm(h + o.dense(self.attend(s.query, s.key, s.value, h, mask)))
            return block.output.LayerNorm(h + block.output.dense(F.gelu(block.intermediate.dense(h))))
        if self.family in ("mpnet", "deberta-v2"):
            if attention:
                return self.by_distance(block.attention, h, mask)
            return block.output.LayerNorm(h + block.output.dense(F.gelu(block.intermediate.dense(h))))
        norm = self.norm_of(n)
        if self.clip:
            if attention:
                a = block.self_attn
                return h + a.out_proj(self.attend(a.q_proj, a.k_proj, a.v_proj, norm(h), None))
            hidden = block.mlp.fc1(norm(h))
            quick = hidden * torch.sigmoid(1.702 * hidden)
            return h + block.mlp.fc2(F.gelu(hidden, approximate="tanh") if self.siglip else quick)
        if attention:
            a = block.attention
            if hasattr(a, "q_proj"):
                branch = a.o_proj(self.attend(a.q_proj, a.k_proj, a.v_proj, norm(h), None))
            else:
                s = a.attention
                branch = a.output.dense(self.attend(s.query, s.key, s.value, norm(h), None))
        elif self.dinov3:
            branch = block.mlp.down_proj(F.gelu(block.mlp.up_proj(norm(h))))
        elif hasattr(block, "mlp"):
            branch = block.mlp.fc2(F.gelu(block.mlp.fc1(norm(h))))
        else:
            branch = block.output.dense(F.gelu(block.intermediate.dense(norm(h))))
        if self.family.startswith("dinov"):
            branch = branch * (block.layer_scale1 if attention else block.layer_scale2).lambda1
        return h + branch

    def by_distance(self, attention: Any, h: Tensor, mask: Tensor | None) -> Tensor:
        """An attention whose scores depend on the distance between tokens."""
        encoder = self.model.encoder
        if self.family == "mpnet":
            a = attention.attn
            bias = encoder.compute_position_bias(h)
            return attention.LayerNorm(h + a.o(self.attend(a.q, a.k, a.v, h, mask, bias)))
        real = torch.ones(h.shape[:2]) if mask is None else mask
        seen = real[:, None, None, :] * real[:, None, :, None]
        distances = {"relative_pos": encoder.get_rel_pos(h), "rel_embeddings": encoder.get_rel_embedding()}
        mixed = attention.self(h, seen, **distances)[0]
        return attention.output.LayerNorm(h + attention.output.dense(mixed))

    def norm_of(self, n: int) -> nn.Module:
        """The norm that opens sublayer n of a pre-norm model."""
        if self.decoder is not None:
            return self.decoder.norms_of(n)[0]
        dino = self.family.startswith("dinov")
        names = ("norm1", "norm2") if dino else ("layernorm_before", "layernorm_after")
        names = ("layer_norm1", "layer_norm2") if self.clip else names
        return getattr(self.blocks[n // 2], names[n % 2])

    def attend(
        self, q: Any, k: Any, v: Any, h: Tensor, mask: Tensor | None, bias: Tensor | None = None
    ) -> Tensor:
        batch, tokens, width = h.shape
        query, key, value = (p(h).view(batch, tokens, self.heads, -1).transpose(1, 2) for p in (q, k, v))
        if self.dinov3:
            cosines, sines = (turns[None] for turns in self.turns)
            alone = tokens - cosines.shape[1]
            query, key = (
                torch.cat([x[:, :, :alone], turned(x[:, :, alone:], cosines, sines)], dim=2) for x in (query, key)
            )
        weights = query @ key.transpose(-1, -2) / (width // self.heads) ** 0.5
        if bias is not None:
            weights = weights + bias
        if mask is not None:
            weights = weights.masked_fill(~mask[:, None, None, :].bool(), torch.finfo(weights.dtype).min)
        return (weights.softmax(-1) @ value).transpose(1, 2).reshape(batch, tokens, width)

    def states(self, inputs: dict[str, Tensor], adapters: Adapters) -> list[Tensor]:
        mask, count = inputs.get("attention_mask"), 2 * len(self.blocks) + 1
        before: list[Tensor] | None = None
        for _ in range(2 if any(i > j for i, j in adapters) else 1):
            states: list[Tensor] = []
            for n in range(count):
                h = self.embed(inputs) if n == 0 else self.sublayer(n - 1, states[-1], mask)
                for (i, j), adapter in adapters.items():
                    if j == n and i < n:
                        h = h + adapt(states[i], adapter)
                    elif j == n and i > n and before is not None:
                        h = h + adapt(before[i], adapter)
                if (n, n) in adapters:
                    h = h + adapt(h, adapters[n, n])
                states.append(h)
            before = states
        assert before is not None
        return before

    def pool(self, h: Tensor, mask: Tensor | None) -> Tensor:
        if self.decoder is not None:
            return self.decoder.pool(h, mask)
        last_norm = self.last_norm()
        if self.siglip and last_norm is not None:
            return last_norm(h).mean(1)
        if last_norm is not None:
            return last_norm(h)[:, 0]
        weights = torch.ones(h.shape[:2]) if mask is None else mask
        weights = weights.unsqueeze(-1).to(h.dtype)
        return (h * weights).sum(1) / weights.sum(1)

    def last_norm(self) -> nn.Module | None:
        if self.decoder is not None:
            return self.decoder.last_norm()
        return getattr(self.model, "post_layernorm" if self.clip else "norm" if self.dinov3 else "layernorm", None)

    def observe(self) -> dict[int, Tensor]:
        """Fills itself with what really stands between the sublayers of the model whenever it runs.

        To be called after the adapters are attached: hooks see what earlier ones made of an output.
        """
        seen: dict[int, Tensor] = {}

        def output(n: int) -> Any:
            # A block returned a tuple before version 5 of transformers.
            first = lambda result: result[0] if isinstance(result, tuple) else result  # noqa: E731
            return lambda module, args, result: seen.__setitem__(n, first(result))

        def reading(n: int) -> Any:
            return lambda module, args: seen.__setitem__(n, args[0])

        count = 2 * len(self.blocks)
        last_norm = self.last_norm()
        if last_norm is not None:
            for n in range(count):
                self.norm_of(n).register_forward_pre_hook(reading(n))
            if self.decoder is None and self.clip:
                # The last norm reads the class token alone.
                self.blocks[-1].register_forward_hook(output(count))
            else:
                last_norm.register_forward_pre_hook(reading(count))
            return seen
        begin = self.model.embeddings_project if self.family == "electra" else self.model.embeddings
        begin.register_forward_hook(output(0))
        for n in range(count):
            block = self.blocks[n // 2]
            if self.family == "distilbert":
                norm = block.output_layer_norm if n % 2 else block.sa_layer_norm
            else:
                attention = block.attention if self.family == "mpnet" else block.attention.output
                norm = (block.output if n % 2 else attention).LayerNorm
            norm.register_forward_hook(output(n + 1))
        return seen


def adapt(x: Tensor, a: dict[str, Any]) -> Tensor:
    z = F.gelu(F.linear(F.layer_norm(x, x.shape[-1:], eps=1e-5), a["down.weight"], a["down.bias"]))
    return a["scale"] * F.linear(z, a["up.weight"], a["up.bias"])


def relative(found: Tensor, expected: Tensor) -> float:
    """The largest deviation by the largest value."""
    found, expected = found.detach(), expected.detach()
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-30))


def frobenius(found: Tensor | None, expected: Tensor) -> float:
    assert found is not None, "a parameter has no gradient"
    expected = expected.detach()
    return float((found - expected).norm() / expected.norm().clamp_min(1e-30))
