"""Trains the placements of a bench in PyTorch, many at once, on a GPU or a CPU.

    python many.py FOLDER --out SCORES.jsonl [--device cuda] [--together 32] [--seconds 300]

FOLDER is the output of `adaplace-benchmarks sets`: encoded examples, linear probe, initial adapters and batches by repetition.
So each training is the one that `adaplace bench` does. The examples of several placements run side by side through the frozen
products, each with its own adapters and head, which are clipped and stepped separately. In f32 (no TF32) the losses differ from
those of a single training only by rounding. SCORES.jsonl gets a line for each training, and trainings in it are not repeated.
"""

import argparse
import json
import pathlib
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import bench

torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False


class Part(bench.Part):
    def to(self, device):
        for name in ("labels", "pixels", "ids", "lengths"):
            if getattr(self, name, None) is not None:
                setattr(self, name, getattr(self, name).to(device))
        return self

    def batch(self, rows):
        if self.pixels is not None:
            return self.pixels[rows], None, self.labels[rows]
        lengths = self.lengths[rows]
        longest = int(lengths.max())
        padding = torch.arange(longest, device=rows.device) >= lengths[:, None]
        mask = torch.zeros(padding.shape, device=rows.device).masked_fill_(padding, float("-inf"))[:, None, None, :]
        return self.ids[rows, :longest], mask, self.labels[rows]


class Group:
    """Adapters that add to one state: all of `sources`, with one index_select for each and one product for all."""

    def __init__(self, members, device):
        self.sources = []
        by_source = {}
        for source, training, adapter in members:
            by_source.setdefault(source, []).append((training, adapter))
        trainings, adapters = [], []
        for source, pairs in sorted(by_source.items()):
            self.sources.append((source, torch.tensor([training for training, _ in pairs], device=device)))
            trainings += [training for training, _ in pairs]
            adapters += [adapter for _, adapter in pairs]
        self.trainings, self.adapters = (torch.tensor(x, device=device) for x in (trainings, adapters))


class Many(torch.nn.Module):
    """The backbone with the adapters and heads of several placements, whose hidden states are (placements, batch, tokens, width)."""

    def __init__(self, backbone, placements, tensors, prefix, device):
        super().__init__()
        self.backbone, self.count = backbone, len(placements)
        size = len(placements[0])
        stack = lambda part: torch.stack([tensors[f"{prefix}{i}-{j}.down.{part}"] for placement in placements for i, j in placement])
        parameter = lambda x: torch.nn.Parameter(x.to(device))
        self.down_weight, self.down_bias = parameter(stack("weight")), parameter(stack("bias"))
        total, rank, width = self.down_weight.shape
        self.up_weight, self.up_bias = parameter(torch.zeros(total, width, rank)), parameter(torch.zeros(total, width))
        self.head_weight = parameter(tensors["head.weight"].repeat(self.count, 1, 1))
        self.head_bias = parameter(tensors["head.bias"].repeat(self.count, 1))
        self.size = size
        members = {"earlier": {}, "recurrent": {}, "sequential": {}}
        for training, placement in enumerate(placements):
            for slot, (i, j) in enumerate(placement):
                kind = "sequential" if i == j else "earlier" if i < j else "recurrent"
                members[kind].setdefault(j, []).append((i, training, training * size + slot))
        for kind, targets in members.items():
            setattr(self, kind, {target: Group(found, device) for target, found in targets.items()})

    def adapt(self, x, adapters):
        """Maps states (adapters, batch, tokens, width) to outputs of the same shape."""
        shape, width = x.shape, x.shape[-1]
        x = F.layer_norm(x, (width,), eps=1e-5).flatten(1, 2)
        hidden = torch.baddbmm(self.down_bias[adapters].unsqueeze(1), x, self.down_weight[adapters].transpose(1, 2))
        out = torch.baddbmm(self.up_bias[adapters].unsqueeze(1), F.gelu(hidden), self.up_weight[adapters].transpose(1, 2))
        return out.view(shape)

    def added(self, h, group, states):
        x = torch.cat([states[source].index_select(0, trainings) for source, trainings in group.sources])
        return h.index_add(0, group.trainings, self.adapt(x, group.adapters))

    def run(self, embedded, mask, before):
        states = []
        for n in range(self.backbone.sublayers + 1):
            if n == 0:
                h = embedded
            else:
                h = self.backbone.sublayer(n - 1, states[-1].flatten(0, 1), mask).view(states[-1].shape)
            if n in self.earlier:
                h = self.added(h, self.earlier[n], states)
            if before is not None and n in self.recurrent:
                h = self.added(h, self.recurrent[n], before)
            if n in self.sequential:
                h = self.added(h, self.sequential[n], states + [h])
            states.append(h)
        return states

    def forward(self, inputs, mask):
        embedded = self.backbone.embed(inputs).unsqueeze(0).expand(self.count, -1, -1, -1)
        if mask is not None:
            mask = mask.repeat(self.count, 1, 1, 1)
        states = self.run(embedded, mask, None)
        if self.recurrent:
            states = self.run(embedded, mask, states)
        h = states[-1]
        features = self.backbone.pool(h.flatten(0, 1), mask).view(self.count, -1, h.shape[-1])
        return torch.baddbmm(self.head_bias.unsqueeze(1), features, self.head_weight.transpose(1, 2))

    def clip(self, most):
        """Clips the gradient of each training separately."""
        squares = 0.0
        for tensor in self.parameters():
            own = tensor.grad.pow(2).flatten(1).sum(1)
            squares = squares + (own.view(self.count, -1).sum(1))
        factor = (most / (squares.sqrt() + 1e-6)).clamp(max=1.0)
        for tensor in self.parameters():
            each = factor.repeat_interleave(len(tensor) // self.count)
            tensor.grad.mul_(each.view(-1, *[1] * (tensor.dim() - 1)))


class Sets:
    """A work folder in memory."""

    def __init__(self, folder, device, backbone=None):
        folder = pathlib.Path(folder)
        self.device = device
        self.work = json.loads((folder / "work.json").read_text())
        self.tensors = load_file(folder / "work.safetensors")
        source = self.work["configuration"]["backbone"]
        self.backbone = bench.Backbone(backbone or source["folder"], source["pooling"], "f32")
        for owner in [self.backbone, *self.backbone.layers]:
            for name, value in vars(owner).items():
                if isinstance(value, torch.Tensor):
                    setattr(owner, name, value.to(device))
                elif isinstance(value, tuple) and isinstance(value[0], torch.Tensor):
                    setattr(owner, name, tuple(x.to(device) for x in value))
        self.train, self.validation = (Part(self.tensors, name, torch.float32).to(device) for name in ("train", "validation"))

    def score(self, placements, repetition):
        """Trains the placements and returns (validation accuracy, validation loss, training loss) for each."""
        work, settings = self.work, self.work["configuration"]["training"]
        steps = self.work["configuration"]["search"]["steps"]
        model = Many(self.backbone, placements, self.tensors, f"{repetition}/", self.device)
        head = [model.head_weight, model.head_bias]
        adapters = [model.down_weight, model.down_bias, model.up_weight, model.up_bias]
        rates = settings["adapter_learning_rate"], settings["head_learning_rate"]
        groups = [{"params": part, "lr": rate} for part, rate in zip((adapters, head), rates)]
        optimiser = torch.optim.AdamW(groups, weight_decay=settings["weight_decay"], fused=True)
        warm_up, losses = -(-settings["warm_up"] * steps // 1), []
        for step, rows in enumerate(work["batches"][repetition - 1]):
            inputs, mask, labels = self.train.batch(torch.tensor(rows, device=self.device))
            logits = model(inputs, mask)
            loss = F.cross_entropy(logits.flatten(0, 1), labels.repeat(model.count), reduction="none").view(model.count, -1).mean(1)
            optimiser.zero_grad()
            loss.sum().backward()
            model.clip(settings["gradient_clip"])
            factor = (step + 1) / warm_up if step < warm_up else (steps - step) / (steps - warm_up)
            for group, rate in zip(optimiser.param_groups, rates):
                group["lr"] = factor * rate
            optimiser.step()
            losses.append(loss.detach())
        epoch = -(-len(self.train.labels) // settings["batch_size"])
        train_loss = torch.stack(losses[-epoch:]).double().mean(0)
        return torch.stack([*self.evaluate(model), train_loss], 1).tolist()

    @torch.inference_mode()
    def evaluate(self, model):
        loss, correct, together = 0.0, 0.0, 4
        batches = self.work["validation_batches"]
        for first in range(0, len(batches), together):
            rows = torch.tensor(sum(batches[first : first + together], []), device=self.device)
            inputs, mask, labels = self.validation.batch(rows)
            logits, labels = model(inputs, mask), labels.repeat(model.count)
            found = F.cross_entropy(logits.flatten(0, 1), labels, reduction="none").view(model.count, -1)
            loss = loss + found.double().sum(1)
            correct = correct + (logits.flatten(0, 1).argmax(1) == labels).view(model.count, -1).double().sum(1)
        count = len(self.validation.labels)
        return correct / count, loss / count


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--out", required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--together", type=int, default=32, help="number of placements that are trained together")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="number of seconds after which no more trainings start")
    parser.add_argument("--limit", type=int, help="number of placements to train, starting with the first")
    parser.add_argument("--backbone", help="folder of the backbone, if it is not where the bench says")
    arguments = parser.parse_args()
    start, out = time.perf_counter(), pathlib.Path(arguments.out)
    sets = Sets(arguments.folder, arguments.device, arguments.backbone)
    known = set()
    if out.exists():
        known = {(line["placement"], line["repetition"]) for line in map(json.loads, out.read_text().splitlines())}
    placements, done = sets.work["placements"][: arguments.limit], 0
    for repetition in range(1, len(sets.work["batches"]) + 1):
        missing = [index for index in range(len(placements)) if (index, repetition) not in known]
        for first in range(0, len(missing), arguments.together):
            if time.perf_counter() - start > arguments.seconds:
                break
            chosen = missing[first : first + arguments.together]
            scores = sets.score([placements[index] for index in chosen], repetition)
            with out.open("a") as file:
                for index, (accuracy, loss, train_loss) in zip(chosen, scores):
                    file.write(json.dumps({
                        "placement": index, "repetition": repetition, "accuracy": accuracy, "loss": loss, "train_loss": train_loss,
                    }) + "\n")
            done += len(chosen)
    print(f"{done} trainings in {time.perf_counter() - start:.1f} s with {arguments.together} side by side", flush=True)


if __name__ == "__main__":
    main()
