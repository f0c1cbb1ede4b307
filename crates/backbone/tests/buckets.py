"""Writes `buckets.json`: the bucket of the distance between query and key at every distance where it changes, in transformers.

    pip install "transformers==5.24.0" "torch==2.15.0"
    python buckets.py
"""

import json
from pathlib import Path

import torch
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

FARTHEST = 511
DISTANCES = torch.arange(-FARTHEST, FARTHEST + 1)


def changes(buckets):
    found, before = [], None
    for distance, bucket in zip(DISTANCES.tolist(), buckets.long().tolist()):
        if bucket != before:
            found.append([distance, bucket])
        before = bucket
    return found


def deberta(span, farthest):
    return (make_log_bucket_position(DISTANCES, span, farthest).long() + span).clamp(0, 2 * span - 1)


tables = {
    # MPNet takes the distance from the query to the key.
    "mpnet": changes(MPNetEncoder.relative_position_bucket(-DISTANCES)),
    "deberta-256-512": changes(deberta(256, 512)),
    "deberta-4-16": changes(deberta(4, 16)),
}
Path(__file__).with_name("buckets.json").write_text(json.dumps(tables) + "\n")
