"""Makes a language modelling task of a classification of texts: the text is the prompt, and the class its completion.

    python benchmarks/completions.py TASK OUT [CLASS=WORDS...]

TASK has {train,validation,test}.jsonl with `text` and `label`. WORDS takes the place of the name of a class, such as
`HUM=person` for the questions of TREC.
"""

import json
import sys
from pathlib import Path


def main(task: Path, out: Path, words: dict[str, str]) -> None:
    out.mkdir(parents=True)
    for path in sorted(task.glob("*.jsonl")):
        rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        rows = ({"prompt": row["text"] + " :", "completion": " " + words.get(row["label"], row["label"])} for row in rows)
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (out / path.name).write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), dict(pair.split("=", 1) for pair in sys.argv[3:]))
