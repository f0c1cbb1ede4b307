"""What a placement computes, in PyTorch, on the models of transformers 4.57, and files to export it from.

Connection i -> j reads hidden state h_i and adds A(h_i) to h_j, A(x) = scale * (W_up gelu(W_down norm(x) + b_down) + b_up).
h_0 is the embedding, h_{2l+1} what the attention sublayer of block l gives, h_{2l+2} what its MLP sublayer gives. Here are
only connections that look back at most one sublayer, so that one pass is enough.
"""

import json
import os
import subprocess
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

FIXTURES = Path(__file__).parents[3] / "crates/backbone/tests/parity/fixtures"
WIDTH, HEADS, BLOCKS, CLASSES = 32, 4, 2, 3
TEXT = ["bert", "roberta", "xlm-roberta", "electra", "distilbert"]
IMAGES = ["vit", "deit", "dinov2", "dinov2_with_registers"]


def adapter(rank, scale, generator):
    def rand(*shape):
        return torch.randn(*shape, generator=generator)

    return {
        "down.weight": rand(rank, WIDTH), "down.bias": rand(rank),
        "up.weight": rand(WIDTH, rank), "up.bias": rand(WIDTH), "scale": scale,
    }  # fmt: skip


def adapt(x, a):
    x = F.layer_norm(x, x.shape[-1:], eps=1e-5)
    z = F.gelu(F.linear(x, a["down.weight"], a["down.bias"]))
    return a["scale"] * F.linear(z, a["up.weight"], a["up.bias"])


def attend(q, k, v, h, mask):
    b, t, d = h.shape
    q, k, v = (p(h).view(b, t, HEADS, -1).transpose(1, 2) for p in (q, k, v))
    w = q @ k.transpose(-1, -2) / (d // HEADS) ** 0.5
    if mask is not None:
        w = w.masked_fill(~mask[:, None, None, :].bool(), torch.finfo(w.dtype).min)
    return (w.softmax(-1) @ v).transpose(1, 2).reshape(b, t, d)


def sublayer(model, family, n, h, mask):
    """h_{n+1} of a model without adapters from its h_n"""
    attention = n % 2 == 0
    if family == "distilbert":
        block = model.transformer.layer[n // 2]
        if attention:
            a = block.attention
            return block.sa_layer_norm(a.out_lin(attend(a.q_lin, a.k_lin, a.v_lin, h, mask)) + h)
        return block.output_layer_norm(block.ffn.lin2(F.gelu(block.ffn.lin1(h))) + h)
    block = model.encoder.layer[n // 2]
    if family in TEXT:
        if attention:
            s, o = block.attention.self, block.attention.output
            return o.LayerNorm(o.dense(attend(s.query, s.key, s.value, h, mask)) + h)
        return block.output.LayerNorm(block.output.dense(F.gelu(block.intermediate.dense(h))) + h)
    s, o = block.attention.attention, block.attention.output.dense
    if family.startswith("dinov2"):
        if attention:
            return h + block.layer_scale1(o(attend(s.query, s.key, s.value, block.norm1(h), mask)))
        return h + block.layer_scale2(block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(h)))))
    if attention:
        return h + o(attend(s.query, s.key, s.value, block.layernorm_before(h), mask))
    return h + block.output.dense(F.gelu(block.intermediate.dense(block.layernorm_after(h))))


def states(model, family, inputs, placement):
    """h_0 .. h_N, the sequential adapter of a state last"""
    mask = inputs.get("attention_mask")
    embedded = model.embeddings(**{name: value for name, value in inputs.items() if name != "attention_mask"})
    if family == "electra":
        embedded = model.embeddings_project(embedded)
    hs = []
    for n in range(2 * BLOCKS + 1):
        h = sublayer(model, family, n - 1, hs[-1], mask) if n else embedded
        if (n - 1, n) in placement:
            h = h + adapt(hs[n - 1], placement[n - 1, n])
        if (n, n) in placement:
            h = h + adapt(h, placement[n, n])
        hs.append(h)
    return hs


def logits(last, inputs, head, pooling):
    """`last` is the last state, in a ViT behind its last LayerNorm."""
    if pooling == "cls":
        pooled = last[:, 0]
    else:
        mask = inputs["attention_mask"].unsqueeze(-1).to(last.dtype)
        pooled = (last * mask).sum(1) / mask.sum(1)
    return F.linear(pooled, head["head.weight"], head["head.bias"])


def write(folder, family, placement, head, pooling, **header):
    """placement.toml and adapters.safetensors with this header in `folder`, as `adaplace train` writes them."""
    lines = [
        'format = "adaplace.placement/1"', "passes = 1", "[backbone]", f'model_type = "{family}"',
        f"hidden_states = {2 * BLOCKS + 1}", f"width = {WIDTH}", f'pooling = "{pooling}"', 'weights_sha256 = "0"',
        "[adapter]", 'activation = "gelu"', 'input_norm = "layer-norm"',
    ]  # fmt: skip
    tensors = dict(head)
    for (source, target), a in placement.items():
        rank, scale = len(a["down.bias"]), a["scale"]
        lines += ["[[connection]]", f"source = {source}", f"target = {target}", f"rank = {rank}", f"scale = {scale}"]
        tensors |= {f"{source}-{target}.{name}": value for name, value in a.items() if name != "scale"}
    (folder / "placement.toml").write_text("\n".join(lines) + "\n")
    save_file(tensors, folder / "adapters.safetensors", {"adaplace": json.dumps(header)} if header else None)


def export(folder, to, *options):
    """The program, run in `folder`."""
    program = [os.environ["ADAPLACE"], "export", "placement.toml", "--to", to, *options]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True)
