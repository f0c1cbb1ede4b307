"""Writes a folder like `--shared` with models of random weights, for timings where no real ones are at hand.

    python random_models.py OUT --like BERT --texts TASK [--pictures 1000]

`backbones/minilm-l6` has the configuration and the tokenizer of the folder BERT and random weights, `backbones/vit-b` is a
ViT-B/16 for 224 pixels, `data/text/trec6` is a copy of TASK, and `data/images/waves` are pictures of waves, whose class is
their direction. Needs torch, transformers and Pillow.
"""

import argparse
import math
import pathlib
import shutil

import torch
from PIL import Image
from transformers import BertConfig, BertModel, ViTConfig, ViTImageProcessor, ViTModel

SIZE = 224
CLASSES = 10
VALIDATION = 128


def bert(folder, like):
    model = BertModel(BertConfig.from_pretrained(like), add_pooling_layer=False)
    model.save_pretrained(folder)
    # What `save_pretrained` writes has other names for some keys in some versions.
    shutil.copy(like / "config.json", folder / "config.json")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (like / name).exists():
            shutil.copy(like / name, folder / name)


def vit(folder):
    ViTModel(ViTConfig(image_size=SIZE), add_pooling_layer=False).save_pretrained(folder)
    ViTImageProcessor(size={"height": SIZE, "width": SIZE}).save_pretrained(folder)


def wave(index, label):
    """A wave in one of ten directions with a phase of its own, and some noise, as an RGB picture."""
    random = torch.Generator().manual_seed(index)
    across = torch.arange(SIZE) * (2 * math.pi / 16)
    angle = math.pi * label / CLASSES
    phase = 2 * math.pi * torch.rand(3, 1, 1, generator=random)
    values = torch.sin(across[:, None] * math.sin(angle) + across[None, :] * math.cos(angle) + phase)
    noise = torch.randn(3, SIZE // 8, SIZE // 8, generator=random).repeat_interleave(8, 1).repeat_interleave(8, 2)
    pixels = (128 + 60 * values + 30 * noise).clamp(0, 255).to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def waves(folder, count):
    for part, begin, end in (("train", 0, count), ("validation", count, count + VALIDATION)):
        for index in range(begin, end):
            label = index % CLASSES
            target = folder / part / str(label)
            target.mkdir(parents=True, exist_ok=True)
            wave(index, label).save(target / f"{index:05}.jpg", quality=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--like", type=pathlib.Path, required=True, help="a BERT folder with config.json and tokenizer.json")
    parser.add_argument("--texts", type=pathlib.Path, required=True, help="a task of texts")
    parser.add_argument("--pictures", type=int, default=1000, help="number of training pictures")
    arguments = parser.parse_args()
    for needed in (arguments.like / "config.json", arguments.texts / "train.jsonl"):
        if not needed.exists():
            parser.error(f"`{needed}` is missing")
    torch.manual_seed(0)
    for folder in ("backbones", "data/text", "data/images"):
        (arguments.out / folder).mkdir(parents=True, exist_ok=True)
    bert(arguments.out / "backbones/minilm-l6", arguments.like)
    vit(arguments.out / "backbones/vit-b")
    shutil.copytree(arguments.texts, arguments.out / "data/text/trec6", dirs_exist_ok=True)
    waves(arguments.out / "data/images/waves", arguments.pictures)


if __name__ == "__main__":
    main()
