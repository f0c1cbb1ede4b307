#!/usr/bin/env python3
"""Runs the same work in adaplace and in PyTorch, in turns, and tabulates medians and ratios. See README.md.

    python3 benchmarks/run.py [--shared DIR] [--only NAME,..] [--rounds N] [--precision f32,bf16] [--python PATH] [--modes ..] [--limit N]
    python3 benchmarks/run.py --device cuda --program PATH [..]

The script needs only the standard library. PyTorch is in `benchmarks/.venv`, created on the first run, or in `--python`.
On a card, both engines have it for themselves. device.sh prepares that.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
ENGINE = ROOT / "target/release/adaplace-benchmarks"
# For each name: the kind, whether PyTorch does it as well, and the placements of the short runs that find its best mode.
WORKS = {
    "step-64": ("steps", True, None),
    "step-16": ("steps", True, None),
    "chain-20": ("steps", False, None),
    "chain-50": ("steps", False, None),
    "chain-80": ("steps", False, None),
    "gradient-map": ("gradient-map", True, None),
    "random-64": ("study", True, 2),
    "single-169": ("study", True, 2),
    "vit-16": ("study", True, 2),
    "vit-b-step": ("steps", True, None),
    "vit-b-64": ("study", True, 2),
    "vit-b-map": ("gradient-map", True, None),
}
# What is done unless names are given. The pictures of the others are written by pytorch/random_models.py.
USUAL = [name for name in WORKS if not name.startswith("vit-b")]
MODES = ("f32", "bf16-autocast", "bf16")
MODES_OF_CARDS = ("f32", "tf32", "bf16-autocast", "bf16")


def say(text):
    print(text, file=sys.stderr, flush=True)


def measure(command):
    """Runs a command that prints one JSON document, and adds the peak memory of its process in bytes."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([str(part) for part in command], stdout=out, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"error: `{' '.join(map(str, command))}` ended with {process.returncode}")
        out.seek(0)
        report = json.loads(out.read().decode().splitlines()[-1])
    report.setdefault("peak_memory", 1024 * usage.ru_maxrss)
    return report


def interpreter(python):
    """An interpreter with PyTorch: the given one, or that of a virtual environment created here."""
    if python:
        return python
    folder = HERE / ".venv"
    found = folder / "bin/python"
    requirements = HERE / "pytorch/requirements.txt"
    stamp = folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        say(f"installing PyTorch in {folder}")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([found, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
        stamp.write_text(requirements.read_text())
    return found


def processor():
    """The processor's name and number of cores, as text and as a file name."""
    info = pathlib.Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
    field = lambda key: (re.findall(rf"^{key}\s*:\s*(.+)$", info, re.M) or ["unknown"])[0]
    # Some virtual machines show only a family name instead of the model.
    model = field("model name")
    if not re.search(r"\d", model):
        model += f" family {field('cpu family')} model {field('model')}"
    cores = len(os.sched_getaffinity(0))
    name = f"{re.sub(r'[(](R|TM)[)]', '', model)}, {cores} cores"
    return name, re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def card(python, device):
    """The card's name, as text and as a file name."""
    code = f"import torch; print(torch.cuda.get_device_name(torch.device('{device}')))"
    name = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    return name, re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


class Engines:
    """The two commands."""

    def __init__(self, program, python, folder, limit, device):
        self.program, self.python, self.folder, self.limit, self.device = program, python, folder, limit, device

    def prepare(self, name, shared):
        command = [self.program, "prepare", name, "--shared", shared, "--out", self.folder / name, "--device", self.device]
        subprocess.run([str(part) for part in command], check=True)

    def variants(self, kind):
        """Every (mode, processes, compiled) that PyTorch may be fastest in."""
        if self.device == "cpu":
            return [(mode, processes, False) for mode in MODES for processes in ((1, 2) if kind == "study" else (1,))]
        # Every placement is compiled again, which takes longer than training it.
        return [(mode, 1, compiled) for mode in MODES_OF_CARDS for compiled in ((False, True) if kind == "steps" else (False,))]

    def limited(self, kind, limit):
        return ["--limit", limit] if limit and kind == "study" else []

    def adaplace(self, name, precision):
        kind = WORKS[name][0]
        command = [self.program, "run", self.folder / name, "--precision", precision, "--device", self.device]
        return measure(command + self.limited(kind, self.limit))

    def pytorch(self, name, variant, limit=None):
        mode, processes, compiled = variant
        kind = WORKS[name][0]
        command = [self.python, HERE / "pytorch/bench.py", self.folder / name, "--mode", mode, "--processes", processes]
        command += ["--device", self.device] + (["--compile"] if compiled else [])
        return measure(command + self.limited(kind, limit or self.limit))


def best_variants(engines, name):
    """The fastest variants of PyTorch in f32 and of all, by one short run each."""
    kind, _, short = WORKS[name]
    limit = min(short, engines.limit or short) if short else None
    seconds = {}
    for variant in engines.variants(kind):
        report = engines.pytorch(name, variant, limit)
        seconds[variant] = statistics.median(report["seconds"])
        say(f"  PyTorch {label(variant)}: {seconds[variant]:.4g} s")
    single = min((variant for variant in seconds if variant[0] == "f32"), key=seconds.get)
    return single, min(seconds, key=seconds.get), seconds


def known_variants(parser, text):
    """The two variants of `--modes`, in the form of `best_variants`."""
    found = re.fullmatch(r"(f32):([12])(:compiled)?,(f32|tf32|bf16-autocast|bf16):([12])(:compiled)?", text)
    if not found:
        parser.error("`--modes` is like f32:1,bf16-autocast:2 or f32:1,bf16:1:compiled")
    return (found[1], int(found[2]), bool(found[3])), (found[4], int(found[5]), bool(found[6])), {}


def label(variant):
    mode, processes, compiled = variant
    text = mode if processes == 1 else f"{mode}, {processes} processes"
    return f"{text}, compiled" if compiled else text


def correlation(x, y):
    try:
        return statistics.correlation(x, y)
    except statistics.StatisticsError:
        return None


def agreement(ours, theirs):
    """The difference between the results of the two engines."""
    pairs = list(zip(ours["results"], theirs["results"], strict=True))
    if ours["kind"] == "gradient-map":
        largest = max(b["nuclear"] for _, b in pairs)
        assert all(a["connection"] == b["connection"] for a, b in pairs)
        return {"nuclear_norm_difference": max(abs(a["nuclear"] - b["nuclear"]) for a, b in pairs) / largest}
    assert all(a["placement"] == b["placement"] for a, b in pairs), "the engines trained different placements"
    mean = lambda key: statistics.fmean(abs(a[key] - b[key]) for a, b in pairs)
    accuracies = [[result["validation_accuracy"] for result in results] for results in zip(*pairs)]
    return {
        "train_loss_difference": mean("train_loss"),
        "validation_loss_difference": mean("validation_loss"),
        "accuracy_difference": mean("validation_accuracy"),
        "accuracy_correlation": correlation(*accuracies) if len(pairs) > 2 else None,
    }


def summary(reports):
    """The median, least and greatest time and the greatest peak memory of the same run, done several times."""
    seconds = [value for report in reports for value in report["seconds"]]
    return {
        "median": statistics.median(seconds), "least": min(seconds), "greatest": max(seconds), "seconds": seconds,
        "peak_memory": max(report["peak_memory"] for report in reports),
    }


def compare(engines, name, precisions, rounds, variants):
    """Runs one work in turns, with PyTorch in these modes or in the best ones."""
    kind, both, _ = WORKS[name]
    runs = {f"adaplace {precision}": lambda precision=precision: engines.adaplace(name, precision) for precision in precisions}
    entry = {"work": name, "kind": kind}
    if both:
        single, best, entry["short_runs"] = variants or best_variants(engines, name)
        entry["short_runs"] = {label(variant): value for variant, value in entry["short_runs"].items()}
        entry["variants"] = {"f32": label(single), "best": label(best)}
        runs["pytorch f32"] = lambda: engines.pytorch(name, single)
        if best != single:
            runs["pytorch best"] = lambda: engines.pytorch(name, best)
    reports = {run: [] for run in runs}
    for turn in range(rounds):
        for run, start in runs.items():
            reports[run].append(start())
            last = reports[run][-1]["seconds"]
            say(f"  round {turn + 1}: {run} {statistics.median(last):.4g} s")
    if both:
        reports.setdefault("pytorch best", reports["pytorch f32"])
        entry["agreement"] = {}
        for precision in precisions:
            other = "pytorch f32" if precision == "f32" else "pytorch best"
            entry["agreement"][precision] = agreement(reports[f"adaplace {precision}"][-1], reports[other][-1])
        entry["pytorch_version"] = reports["pytorch f32"][-1]["version"]
    entry["runs"] = {run: summary(found) for run, found in reports.items()}
    return entry


def duration(seconds):
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def agreed(entry):
    found = entry.get("agreement", {}).get("f32") or next(iter(entry.get("agreement", {}).values()), None)
    if found is None:
        return ""
    if entry["kind"] == "gradient-map":
        return f"nuclear norms within {found['nuclear_norm_difference']:.1e}"
    text = f"train loss ± {found['train_loss_difference']:.1e}, accuracy ± {100 * found['accuracy_difference']:.2f} points"
    correlated = found["accuracy_correlation"]
    return text if correlated is None else f"{text}, correlation {correlated:.3f}"


def table(entries, precisions):
    """The results in Markdown. Ratios are PyTorch's time divided by adaplace's."""
    head = ["work"] + [f"adaplace {precision}" for precision in precisions] + ["PyTorch f32", "PyTorch best", "best mode"]
    ratios = [("f32", "pytorch f32", "f32 : f32"), ("bf16", "pytorch best", "bf16 : best")]
    ratios = [ratio for ratio in ratios if ratio[0] in precisions]
    head += [name for _, _, name in ratios] + ["memory, adaplace", "memory, PyTorch", "agreement"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for entry in entries:
        runs = entry["runs"]
        unit = " a step" if entry["kind"] == "steps" else ""
        time = lambda run: duration(runs[run]["median"]) + unit if run in runs else ""
        ours = [f"adaplace {precision}" for precision in precisions]
        ratio = lambda a, b: f"{runs[b]['median'] / runs[a]['median']:.2f}" if b in runs else ""
        # adaplace in its fastest precision is compared with the corresponding PyTorch mode.
        memory = lambda run: f"{runs[run]['peak_memory'] / 2**20:.0f} MiB" if run in runs and entry["kind"] == "study" else ""
        peer = "pytorch best" if "bf16" in precisions else "pytorch f32"
        cells = [entry["work"], *map(time, ours), time("pytorch f32"), time("pytorch best"), entry.get("variants", {}).get("best", "")]
        cells += [ratio(f"adaplace {precision}", other) for precision, other, _ in ratios]
        cells += [memory(ours[-1]), memory(peer), agreed(entry)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write(machine, entries, precisions, arguments):
    name, slug = machine
    versions = {entry["pytorch_version"] for entry in entries if "pytorch_version" in entry}
    text = f"# {name}\n\n"
    text += f"Medians of {arguments.rounds} rounds in turns"
    text += f", PyTorch {', '.join(sorted(versions))}" if versions else ""
    text += f", {arguments.limit} placements a study" if arguments.limit else ""
    text += ". A ratio is PyTorch's time divided by adaplace's.\n\n" + table(entries, precisions)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"{slug}.md").write_text(text)
    document = {"processor": name, "device": arguments.device, "rounds": arguments.rounds, "limit": arguments.limit, "works": entries}
    (arguments.out / f"{slug}.json").write_text(json.dumps(document, indent=1) + "\n")
    say(f"{text}written to {arguments.out / slug}.md and .json")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shared", default=ROOT.parent / "shared", type=pathlib.Path, help="folder with backbones/ and data/ [default: ../shared]")
    parser.add_argument("--only", default=",".join(USUAL), help="names of works, separated by commas")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda and so on for a card")
    parser.add_argument("--program", type=pathlib.Path, help="adaplace-benchmarks, built for the device, instead of building it")
    parser.add_argument("--rounds", type=int, default=3, help="number of turns of each engine")
    parser.add_argument("--precision", default="f32", help="precision of adaplace: f32, bf16 or f32,bf16")
    parser.add_argument("--python", help="an interpreter with PyTorch and safetensors, instead of benchmarks/.venv")
    parser.add_argument("--modes", help="PyTorch's best modes in f32 and overall, such as f32:1,bf16-autocast:2 (with the processes after the colon), instead of finding them")
    parser.add_argument("--limit", type=int, help="use only this many placements of a study, evenly spread, for a quick check")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "results/benchmarks", help="folder to which the tables are written")
    arguments = parser.parse_args()
    names, precisions = arguments.only.split(","), arguments.precision.split(",")
    for name in names:
        if name not in WORKS:
            parser.error(f"no work is called `{name}`; there are {', '.join(WORKS)}")
    if not set(precisions) <= {"f32", "bf16", "tf32"}:
        parser.error("`--precision` is f32, bf16, tf32 or several of them, separated by commas")
    variants = arguments.modes and known_variants(parser, arguments.modes)
    shared = arguments.shared.resolve()
    for folder in ("backbones", "data"):
        if not (shared / folder).is_dir():
            parser.error(f"`{shared}` has no folder `{folder}`; say with `--shared` where backbones and data are")

    if not arguments.program:
        features = [] if arguments.device == "cpu" else ["--features", arguments.device.partition(":")[0]]
        subprocess.run(["cargo", "build", "--release", "--locked", "-p", "adaplace-benchmarks", *features], cwd=ROOT, check=True)
    python, program = interpreter(arguments.python), (arguments.program or ENGINE).resolve()
    engines = Engines(program, python, HERE / "work", arguments.limit, arguments.device)
    machine = processor() if arguments.device == "cpu" else card(python, arguments.device)
    entries = []
    for name in names:
        say(name)
        engines.prepare(name, shared)
        entries.append(compare(engines, name, precisions, arguments.rounds, variants))
        # What is done so far is written at once.
        write(machine, entries, precisions, arguments)


if __name__ == "__main__":
    main()
