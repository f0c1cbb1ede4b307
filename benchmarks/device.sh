#!/usr/bin/env bash
# What a card must pass, and how fast it is beside PyTorch: kernels and trainings against the processor, then timings.
# Takes some ten minutes. Results go to results/benchmarks/CARD.md and .json.
#
#   benchmarks/device.sh [OUT]
#
# A machine with a CUDA toolkit builds what it runs. Elsewhere `benchmarks/device.sh build FOLDER` builds it, and PREBUILT
# names that folder on the machine with the card, which needs python3 with torch, transformers, safetensors and Pillow.
#
#   SHARED    backbones and data, ../shared by default. ViT-B has random weights in any case. Without SHARED, MiniLM has them,
#             too: LIKE is then a folder with its config.json and tokenizer.json, and TEXTS the folder of TREC-6
#   DEVICE    cuda by default
set -euo pipefail
cd "$(dirname "$0")/.."
device="${DEVICE:-cuda}"
features="${device%%:*}"

# The tests that compute on the device which ADAPLACE_DEVICE names, and the program that is timed.
build() {
    mkdir -p "$1"
    cargo build --release --locked -p adaplace-benchmarks --features "$features"
    cp "${CARGO_TARGET_DIR:-target}/release/adaplace-benchmarks" "$1/"
    for crate in arithmetic backbone scorer; do
        # The others are integration tests, of which these two compute on devices.
        cargo test --release --locked -p "adaplace-$crate" --features "adaplace-arithmetic/$features" --no-run --message-format json |
            python3 -c '
import json, shutil, sys
for line in sys.stdin:
    found = json.loads(line)
    if found.get("executable") and found["target"]["name"] in ("adaplace_arithmetic", "adaplace_scorer", "tiny"):
        shutil.copy(found["executable"], sys.argv[1] + "/test-" + sys.argv[2] + "-" + found["target"]["name"])' "$1" "$crate"
    done
    strip "$1"/* 2>/dev/null || true
}

if [ "${1:-}" = build ]; then
    build "${2:?names the folder to build into}"
    exit
fi
out="${1:-results/benchmarks}"
programs="${PREBUILT:-}"
if [ -z "$programs" ]; then
    programs=benchmarks/work/programs
    build "$programs"
fi

echo "== kernels and trainings on $device against the processor"
export ADAPLACE_DEVICE="$device"
if [ "$features" = cuda ]; then
    "$programs/test-arithmetic-adaplace_arithmetic" --ignored on_a_card
fi
"$programs/test-backbone-tiny" prepared
"$programs/test-scorer-adaplace_scorer" tests:: --skip proxy_scorer --skip state_cache
if [ -d "${SHARED:-../shared}/parity" ]; then
    ADAPLACE_SHARED="${SHARED:-../shared}" "$programs/test-scorer-adaplace_scorer" --ignored as_tensors
fi

shared="${SHARED:-../shared}"
random=benchmarks/work/random
if [ ! -e "$random/complete" ]; then
    python3 benchmarks/pytorch/random_models.py "$random" \
        --like "${LIKE:-$shared/backbones/minilm-l6}" --texts "${TEXTS:-$shared/data/text/trec6}"
    touch "$random/complete"
fi
if [ ! -d "$shared/backbones" ]; then
    shared="$random"
fi

# Studies of ViT-B are cut to a few placements: PyTorch trains one after the other, and time is short.
run() {
    python3 benchmarks/run.py --device "$device" --program "$programs/adaplace-benchmarks" \
        --python python3 --precision f32,tf32,bf16 --rounds "${ROUNDS:-2}" "$@"
}
echo "== timings"
run --shared "$shared" --only step-64,random-64,gradient-map --out "$out"
run --shared "$random" --only vit-b-step,vit-b-64,vit-b-map --limit "${LIMIT:-8}" --out "$out/vit-b"
