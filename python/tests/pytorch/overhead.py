"""How much longer a forward takes with a placement attached: by default one without connections.

    python overhead.py --backbone FOLDER [--tokens 64] [--batch 16] [--rounds 40] [--threads 1]
        [--connection 9-2 ..]

The model with and without runs in turns, each pair in random order; what counts is the median of the pairs'
ratios of processor time, so that whatever else the machine does falls on both alike.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable

import torch
import transformers

from adaplace import Connection, Placement
from adaplace.torch import attach


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", required=True, help="folder or name of a model of transformers")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--connection", action="append", default=[], help="SOURCE-TARGET, of rank 8")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    model = transformers.AutoModel.from_pretrained(arguments.backbone, dtype=torch.float32).eval()
    twin = transformers.AutoModel.from_pretrained(arguments.backbone, dtype=torch.float32).eval()
    connections = [Connection(*map(int, text.split("-"))) for text in arguments.connection]
    attached = attach(twin, Placement(connections))
    if model.main_input_name == "pixel_values":
        size = model.config.image_size
        inputs = {"pixel_values": torch.randn(arguments.batch, 3, size, size)}
    else:
        inputs = {"input_ids": torch.randint(1000, 20000, (arguments.batch, arguments.tokens))}
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])

    ratios = []
    with torch.inference_mode():
        for number in range(arguments.rounds + 3):
            runs: list[tuple[str, Callable[[], object]]] = [
                ("plain", lambda: model(**inputs)),
                ("attached", lambda: attached(**inputs)),
            ]
            random.shuffle(runs)
            seconds = {}
            for name, run in runs:
                start = time.process_time()
                run()
                seconds[name] = time.process_time() - start
            # The first rounds fill caches.
            if number >= 3:
                ratios.append(seconds["attached"] / seconds["plain"])
    quarters = statistics.quantiles(ratios, n=4)
    print(
        f"{len(connections)} connections: {statistics.median(ratios):.4f} times the model's own time "
        f"(quartiles {quarters[0]:.4f} to {quarters[2]:.4f}, {arguments.rounds} rounds)"
    )


if __name__ == "__main__":
    main()
