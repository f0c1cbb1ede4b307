"""Makes a task of pictures with several labels from one with a folder for each class.

Each picture shows one to four pictures of a task in the quarters of a grey square, and has the classes of all of them:

    pip install pillow pyarrow
    python benchmarks/several_labels.py TASK OUT

OUT gets train.parquet, validation.parquet and test.parquet with `image`, PNG, and `label`, a list of classes. Every picture
of a part is used about as often as any other.
"""

import argparse
import io
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
from PIL import Image

#: The width and height of the square in pixels.
SIZE = 196
GREY = (128, 128, 128)
QUARTERS = [(0, 0), (SIZE // 2, 0), (0, SIZE // 2), (SIZE // 2, SIZE // 2)]


def pictures(part: Path) -> list[tuple[str, Path]]:
    """The pictures of a part with their classes."""
    return [(path.parent.name, path) for path in sorted(part.glob("*/*")) if path.is_file()]


def shuffled_forever(values: list[tuple[str, Path]], generator: random.Random) -> Iterator[tuple[str, Path]]:
    while True:
        generator.shuffle(values)
        yield from values


def squares(part: Path, count: int, generator: random.Random) -> Iterator[dict[str, object]]:
    chosen = shuffled_forever(pictures(part), generator)
    for _ in range(count):
        square = Image.new("RGB", (SIZE, SIZE), GREY)
        classes = set()
        for corner in generator.sample(QUARTERS, generator.randint(1, 4)):
            name, path = next(chosen)
            with Image.open(path) as picture:
                square.paste(picture.convert("RGB").resize((SIZE // 2, SIZE // 2), Image.Resampling.BICUBIC), corner)
            classes.add(name)
        content = io.BytesIO()
        square.save(content, "PNG")
        yield {"image": content.getvalue(), "label": sorted(classes)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True)
    for part, count in [("train", 1500), ("validation", 500), ("test", 500)]:
        rows = list(squares(arguments.task / part, count, random.Random(part)))
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), arguments.out / f"{part}.parquet")


if __name__ == "__main__":
    main()
