"""The PyTorch side of the benchmarks: does the work of a folder and prints one line of JSON, like `adaplace-benchmarks run`.

    python bench.py FOLDER [--mode f32|tf32|bf16-autocast|bf16] [--device cuda] [--compile] [--processes 2] [--limit N]

It is written as a competent user would write it, with what is fastest on a CPU; on a card the examples are on the card
and nothing waits for a loss before the end of a training:
- plain functions on the checkpoint's tensors: one product for q, k and v (the scale of attention in the weights of q),
  F.layer_norm, F.gelu, AdamW with its fused kernel;
- attention by F.scaled_dot_product_attention if its backward pass runs in f32; as two products and a softmax in bf16,
  where the fused kernel's backward pass takes 5 to 9 times as long, and without gradient, where the kernel is no faster;
- backbone weights need no gradient, so autograd records nothing below the earliest target and no weight gradient;
- batches are cut to their own longest example, and a mask is built only if there is padding;
- evaluation under torch.inference_mode;
- the second pass of a recurrent placement starts at its earliest recurrent target, and the first ends at its latest
  recurrent source.

The modes are `f32`; `bf16-autocast`, f32 weights under torch.autocast; and `bf16`, backbone weights and states in bfloat16,
but adapters, head and loss in f32. `--processes 2` shares the placements of a study between two processes of one thread
each. By default one process has all threads. Which of them is faster depends on the processor, so the driver tries all.
docs/how-it-works.md defines a placement: state n is the sublayer of state n-1, plus the adapters i -> n with i < n, plus
those with i > n of the previous pass, then plus the adapter n -> n of that sum.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import resource
import sys
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

MODES = ("f32", "tf32", "bf16-autocast", "bf16")


class Layer:
    """The weights of one block, under the same names for BERT and ViT."""

    def __init__(self, weights, prefix, names, scale):
        def get(name):
            return weights[f"{prefix}.{names[name]}.weight"], weights[f"{prefix}.{names[name]}.bias"]

        weight, bias = get("query")
        qkv = [(weight * scale, bias * scale), get("key"), get("value")]
        self.qkv = torch.cat([weight for weight, _ in qkv]), torch.cat([bias for _, bias in qkv])
        self.output, self.intermediate, self.dense = get("output"), get("intermediate"), get("dense")
        self.attention_norm, self.mlp_norm = get("attention_norm"), get("mlp_norm")


BERT = {
    "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
    "output": "attention.output.dense", "attention_norm": "attention.output.LayerNorm",
    "intermediate": "intermediate.dense", "dense": "output.dense", "mlp_norm": "output.LayerNorm",
}
VIT = {
    "query": "attention.attention.query", "key": "attention.attention.key", "value": "attention.attention.value",
    "output": "attention.output.dense", "attention_norm": "layernorm_before",
    "intermediate": "intermediate.dense", "dense": "output.dense", "mlp_norm": "layernorm_after",
}


class Backbone:
    """A frozen BERT or ViT as a chain of sublayers between hidden states."""

    def __init__(self, folder, pooling, mode, device):
        folder = pathlib.Path(folder)
        config = json.loads((folder / "config.json").read_text())
        weights = load_file(folder / "model.safetensors")
        anchor = next(name for name in weights if name.endswith("encoder.layer.0.attention.output.dense.weight"))
        prefix = anchor.removesuffix("encoder.layer.0.attention.output.dense.weight")
        self.dtype = torch.bfloat16 if mode == "bf16" else torch.float32
        weights = {name.removeprefix(prefix): tensor.to(device, self.dtype) for name, tensor in weights.items()}
        self.bert = config["model_type"] == "bert"
        self.width, self.heads = config["hidden_size"], config["num_attention_heads"]
        self.epsilon, self.pooling = config["layer_norm_eps"], pooling
        self.patch = config.get("patch_size")
        blocks = config["num_hidden_layers"]
        names = BERT if self.bert else VIT
        scale = (self.width // self.heads) ** -0.5
        self.layers = [Layer(weights, f"encoder.layer.{block}", names, scale) for block in range(blocks)]
        self.sublayers = 2 * blocks
        if self.bert:
            self.words = weights["embeddings.word_embeddings.weight"]
            self.positions = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
            self.embedding_norm = weights["embeddings.LayerNorm.weight"], weights["embeddings.LayerNorm.bias"]
        else:
            self.projection = tuple(weights[f"embeddings.patch_embeddings.projection.{part}"] for part in ("weight", "bias"))
            self.class_token, self.positions = weights["embeddings.cls_token"], weights["embeddings.position_embeddings"]
            self.last_norm = weights["layernorm.weight"], weights["layernorm.bias"]

    def norm(self, x, parameters):
        return F.layer_norm(x, (self.width,), *parameters, eps=self.epsilon)

    def embed(self, inputs):
        if self.bert:
            return self.norm(F.embedding(inputs, self.words) + self.positions[: inputs.shape[1]], self.embedding_norm)
        x = F.conv2d(inputs.to(self.dtype), *self.projection, stride=self.patch).flatten(2).transpose(1, 2)
        return torch.cat([self.class_token.expand(len(x), -1, -1).to(x.dtype), x], 1) + self.positions

    def attention(self, x, layer, mask):
        batch, tokens, width = x.shape
        qkv = F.linear(x, *layer.qkv).view(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if x.is_cuda or x.requires_grad and q.dtype == torch.float32:
            x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)
        else:
            weights = q @ k.transpose(-1, -2)
            x = (weights if mask is None else weights + mask).softmax(-1) @ v
        return F.linear(x.transpose(1, 2).reshape(batch, tokens, width), *layer.output)

    @staticmethod
    def mlp(x, layer):
        return F.linear(F.gelu(F.linear(x, *layer.intermediate)), *layer.dense)

    def sublayer(self, n, h, mask):
        layer, attends = self.layers[n // 2], n % 2 == 0
        if self.bert:
            branch = self.attention(h, layer, mask) if attends else self.mlp(h, layer)
            return self.norm(h + branch, layer.attention_norm if attends else layer.mlp_norm)
        if attends:
            return h + self.attention(self.norm(h, layer.attention_norm), layer, mask)
        return h + self.mlp(self.norm(h, layer.mlp_norm), layer)

    def pool(self, h, mask):
        if not self.bert:
            h = self.norm(h[:, 0] if self.pooling == "cls" else h, self.last_norm)
            return h.float() if self.pooling == "cls" else h.float().mean(1)
        if self.pooling == "cls":
            return h[:, 0].float()
        if mask is None:
            return h.float().mean(1)
        keep = (mask[:, 0, 0, :, None] == 0).float()
        return (h.float() * keep).sum(1) / keep.sum(1)


class Adapter(torch.nn.Module):
    def __init__(self, down_weight, down_bias):
        super().__init__()
        rank, width = down_weight.shape
        self.down_weight, self.down_bias = torch.nn.Parameter(down_weight.clone()), torch.nn.Parameter(down_bias.clone())
        self.up_weight, self.up_bias = torch.nn.Parameter(torch.zeros(width, rank)), torch.nn.Parameter(torch.zeros(width))

    def forward(self, x):
        hidden = F.linear(F.layer_norm(x.float(), x.shape[-1:], eps=1e-5), self.down_weight, self.down_bias)
        return F.linear(F.gelu(hidden), self.up_weight, self.up_bias).to(x.dtype)


class Model(torch.nn.Module):
    """The backbone with the adapters of a placement and a head."""

    def __init__(self, backbone, placement, tensors):
        super().__init__()
        self.backbone = backbone
        self.adapters = torch.nn.ModuleList(
            Adapter(tensors[f"{i}-{j}.down.weight"], tensors[f"{i}-{j}.down.bias"]) for i, j in placement
        )
        self.head = torch.nn.Linear(backbone.width, len(tensors["head.bias"]))
        with torch.no_grad():
            self.head.weight.copy_(tensors["head.weight"])
            self.head.bias.copy_(tensors["head.bias"])
        self.earlier, self.recurrent, self.sequential = {}, {}, {}
        for (i, j), adapter in zip(placement, self.adapters):
            kind = self.sequential if i == j else self.earlier if i < j else self.recurrent
            kind.setdefault(j, []).append((i, adapter))
        self.first_target = min(self.recurrent, default=None)
        self.last_source = max((i for read in self.recurrent.values() for i, _ in read), default=None)

    def forward(self, inputs, mask):
        before, begin = None, 0
        if self.recurrent:
            before, shared = self.run([], None, 0, self.last_source, None, inputs, mask)
            begin, states = self.first_target, before[: self.first_target]
            states, _ = self.run(states, shared, begin, self.backbone.sublayers, before, inputs, mask)
        else:
            states, _ = self.run([], None, 0, self.backbone.sublayers, None, inputs, mask)
        return self.head(self.backbone.pool(states[-1], mask))

    def run(self, states, shared, begin, end, before, inputs, mask):
        """Adds the states `begin` to `end` of one pass. `shared` is the part of state `begin` that both passes share."""
        states, common = list(states), None
        for n in range(begin, end + 1):
            if shared is not None and n == begin:
                h = shared
            else:
                h = self.backbone.sublayer(n - 1, states[-1], mask) if n else self.backbone.embed(inputs)
                for i, adapter in self.earlier.get(n, ()):
                    h = h + adapter(states[i])
            if n == self.first_target:
                common = h
            if before is not None:
                for i, adapter in self.recurrent.get(n, ()):
                    h = h + adapter(before[i])
            for _, adapter in self.sequential.get(n, ()):
                h = h + adapter(h)
            states.append(h)
        return states, common


class Part:
    """Training or validation examples in memory."""

    def __init__(self, tensors, name, dtype, device):
        self.dtype, self.device = dtype, device
        self.labels = tensors[f"{name}.labels"].to(device)
        self.pixels = tensors.get(f"{name}.pixels")
        if self.pixels is None:
            self.ids, self.lengths = tensors[f"{name}.ids"].to(device), tensors[f"{name}.mask"].sum(1, dtype=torch.long)
        else:
            self.pixels = self.pixels.to(device)

    def batch(self, rows):
        """The inputs; None, or a mask (batch, 1, 1, tokens) with 0 for a token and -inf for padding; and the labels."""
        if self.pixels is not None:
            return self.pixels[rows], None, self.labels[rows]
        lengths = self.lengths[rows.cpu()]
        longest = int(lengths.max())
        ids, mask = self.ids[rows, :longest], None
        if int(lengths.min()) < longest:
            padding = torch.arange(longest) >= lengths[:, None]
            mask = torch.zeros(padding.shape, dtype=self.dtype).masked_fill_(padding, float("-inf"))[:, None, None, :]
            mask = mask.to(self.device, non_blocking=True)
        return ids, mask, self.labels[rows]


class Bench:
    """A work folder in memory."""

    def __init__(self, folder, mode, device="cpu", compiled=False):
        folder = pathlib.Path(folder)
        self.work = json.loads((folder / "work.json").read_text())
        self.tensors = load_file(folder / "work.safetensors")
        self.mode, self.device, self.compiled = mode, torch.device(device), compiled
        torch.backends.cuda.matmul.allow_tf32 = mode == "tf32"
        # cuDNN's attention makes a plan for every new shape, which takes longer than the steps of batches of all lengths.
        torch.backends.cuda.enable_cudnn_sdp(False)
        self.backbone = Backbone(self.work["source"]["backbone"], self.work["pooling"], mode, device)
        self.train, self.validation = (Part(self.tensors, name, self.backbone.dtype, device) for name in ("train", "validation"))
        rows = lambda key: [torch.tensor(rows, device=device) for rows in self.work[key]]
        self.batches, self.validation_batches = rows("batches"), rows("validation_batches")

    def autocast(self):
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.mode == "bf16-autocast")

    def finish(self):
        """Waits until a card has done what was asked of it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def fine_tune(self, placement):
        """Trains the placement, and returns the model and its mean loss over the last epoch."""
        work, settings = self.work, self.work["settings"]
        model = Model(self.backbone, placement, self.tensors).to(self.device)
        if self.compiled:
            model.compile(dynamic=True)
        rates = settings["adapter_learning_rate"], settings["head_learning_rate"]
        groups = [{"params": part.parameters(), "lr": rate} for part, rate in zip((model.adapters, model.head), rates)]
        optimiser = torch.optim.AdamW(groups, weight_decay=settings["weight_decay"], fused=True)
        parameters = list(model.parameters())
        steps, losses = work["steps"], []
        warm_up = -(-settings["warm_up"] * steps // 1)
        for step, rows in enumerate(self.batches):
            inputs, mask, labels = self.train.batch(rows)
            with self.autocast():
                logits = model(inputs, mask)
            loss = F.cross_entropy(logits.float(), labels)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, settings["gradient_clip"], foreach=True)
            factor = (step + 1) / warm_up if step < warm_up else (steps - step) / (steps - warm_up)
            for group, rate in zip(optimiser.param_groups, rates):
                group["lr"] = factor * rate
            optimiser.step()
            losses.append(loss.detach())
        epoch = -(-len(self.train.labels) // settings["batch_size"])
        return model, torch.stack(losses[-epoch:]).double().mean().item()

    @torch.inference_mode()
    def evaluate(self, model):
        loss, correct = (torch.zeros((), device=self.device, dtype=torch.float64) for _ in range(2))
        for rows in self.validation_batches:
            inputs, mask, labels = self.validation.batch(rows)
            with self.autocast():
                logits = model(inputs, mask)
            logits = logits.float()
            loss += F.cross_entropy(logits, labels, reduction="sum")
            correct += (logits.argmax(1) == labels).sum()
        count = len(self.validation.labels)
        return loss.item() / count, correct.item() / count

    def score(self, placement):
        model, train_loss = self.fine_tune(placement)
        loss, accuracy = self.evaluate(model)
        return {"placement": placement, "validation_accuracy": accuracy, "validation_loss": loss, "train_loss": train_loss}

    def gradient_map(self):
        """The singular values of G_ij for all pairs of states, (states, states, width)."""
        backbone, count = self.backbone, len(self.train.labels)
        head = self.tensors["head.weight"].to(self.device), self.tensors["head.bias"].to(self.device)
        sources, gradients = [], []
        for rows in self.batches:
            inputs, mask, labels = self.train.batch(rows)
            with self.autocast():
                states = [backbone.embed(inputs).requires_grad_()]
                for n in range(backbone.sublayers):
                    states.append(backbone.sublayer(n, states[-1], mask))
                logits = F.linear(backbone.pool(states[-1], mask), *head)
            loss = F.cross_entropy(logits.float(), labels, reduction="sum")
            caught = torch.autograd.grad(loss, states)
            keep = slice(None) if mask is None else mask.reshape(-1) == 0
            with torch.no_grad():
                normed = [F.layer_norm(h.float(), h.shape[-1:], eps=1e-5) for h in states]
                sources.append(torch.cat([x.flatten(0, 1)[keep] for x in normed], 1))
                gradients.append(torch.cat([d.float().flatten(0, 1)[keep] for d in caught], 1))
        n, width = backbone.sublayers + 1, backbone.width
        # Block (j, i) is the sum over tokens of dL/dh_j norm(h_i)^T, computed as one product for all pairs.
        product = torch.cat(gradients).T @ torch.cat(sources) / count
        matrices = product.view(n, width, n, width).permute(2, 0, 1, 3).reshape(n * n, width, width)
        return singular_values(matrices.cpu()).view(n, n, width)


def singular_values(matrices):
    """Computes matrix by matrix on all cores, with one thread each, which is several times as fast as one batched call."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        values = list(pool.map(torch.linalg.svdvals, matrices.unbind(0)))
    torch.set_num_threads(threads)
    return torch.stack(values)


def choose(placements, limit):
    """At most `limit` placements, evenly spread."""
    count = min(limit or len(placements), len(placements))
    return [placements[index * len(placements) // count] for index in range(count)]


def timed(bench, once):
    """Does the work as often as it asks for, and returns the seconds and the last result."""
    for _ in range(bench.work["warm_ups"]):
        once()
    seconds = []
    for _ in range(bench.work["repeats"]):
        bench.finish()
        start = time.perf_counter()
        last = once()
        bench.finish()
        seconds.append(time.perf_counter() - start)
    return seconds, last


def peak_memory():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def share(bench, placements, counter):
    """Scores placements until none is left, and returns (index, score) pairs."""
    found = []
    while True:
        with counter.get_lock():
            index = counter.value
            counter.value += 1
        if index >= len(placements):
            return found
        found.append((index, bench.score(placements[index])))


def helper(folder, mode, threads, limit, counter, barrier, queue):
    torch.set_num_threads(threads)
    bench = Bench(folder, mode)
    placements = choose(bench.work["placements"], limit)
    barrier.wait()
    queue.put((share(bench, placements, counter), peak_memory()))


def study(bench, placements, arguments):
    """Returns the seconds, the scores in order, and the peak memory of all processes together."""
    if arguments.processes == 1:
        seconds, results = timed(bench, lambda: [bench.score(placement) for placement in placements])
        return seconds, results, peak_memory()
    context = multiprocessing.get_context("spawn")
    counter, barrier, queue = context.Value("i", 0), context.Barrier(arguments.processes), context.Queue()
    shared = (arguments.folder, arguments.mode, torch.get_num_threads(), arguments.limit, counter, barrier, queue)
    helpers = [context.Process(target=helper, args=shared) for _ in range(arguments.processes - 1)]
    for process in helpers:
        process.start()
    barrier.wait()
    start = time.perf_counter()
    found, memory = share(bench, placements, counter), peak_memory()
    for _ in helpers:
        others, peak = queue.get()
        found, memory = found + others, memory + peak
    seconds = time.perf_counter() - start
    for process in helpers:
        process.join()
    return [seconds], [score for _, score in sorted(found, key=lambda pair: pair[0])], memory


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--mode", choices=MODES, default="f32")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda and so on for a card")
    parser.add_argument("--compile", action="store_true", help="compile the models of placements")
    parser.add_argument("--processes", type=int, default=1, help="number of processes that share the placements of a study")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="number of threads of all processes together")
    parser.add_argument("--limit", type=int, help="use only this many of the placements, evenly spread")
    arguments = parser.parse_args()
    torch.set_num_threads(max(1, arguments.threads // arguments.processes))
    if arguments.processes != 1 and arguments.device != "cpu":
        sys.exit("several processes share the placements of a study on a processor alone")
    bench = Bench(arguments.folder, arguments.mode, arguments.device, arguments.compile)
    work, memory = bench.work, None
    placements = choose(work["placements"], arguments.limit) if work["placements"] else []
    if work["kind"] == "study":
        seconds, results, memory = study(bench, placements, arguments)
    elif arguments.processes != 1:
        sys.exit("only the placements of a study can be shared between processes")
    elif work["kind"] == "steps":
        (placement,) = placements
        seconds, (model, train_loss) = timed(bench, lambda: bench.fine_tune(placement))
        seconds = [value / work["steps"] for value in seconds]
        loss, accuracy = bench.evaluate(model)
        results = [{"placement": placement, "validation_accuracy": accuracy, "validation_loss": loss, "train_loss": train_loss}]
    else:
        seconds, values = timed(bench, bench.gradient_map)
        largest, nuclear = values[..., 0].tolist(), values.sum(-1).tolist()
        results = [
            {"connection": [i, j], "largest": largest[i][j], "nuclear": nuclear[i][j]}
            for i in range(len(largest)) for j in range(len(largest))
        ]
    print(json.dumps({
        "engine": "pytorch", "work": work["name"], "kind": work["kind"], "precision": arguments.mode,
        "device": torch.cuda.get_device_name(bench.device) if bench.device.type == "cuda" else "cpu", "compiled": arguments.compile,
        "processes": arguments.processes, "version": torch.__version__,
        "seconds": seconds, "peak_memory": memory or peak_memory(), "results": results,
    }))


if __name__ == "__main__":
    main()
