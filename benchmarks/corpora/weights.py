"""A file laid out like safetensors: some tensors trained on, one inserted."""

from __future__ import annotations

import json
import random
from pathlib import Path

from benchmarks.corpora.corpus import MIB, Corpus

TENSORS = 128
FULL_TENSOR_BYTES = 8 * MIB
TRAINED = range(40, 56)
INSERTED_AT = 64


def build(folder: Path, scale: float) -> None:
    """Writes both versions."""
    size = round(FULL_TENSOR_BYTES * scale) // 2 * 2
    old = [(f"layer.{number}.weight", number) for number in range(TENSORS)]
    new = [(name, seed + 1000 if seed in TRAINED else seed) for name, seed in old]
    new.insert(INSERTED_AT, ("adapter.weight", 2000))
    write(folder / FILES[0], old, size)
    write(folder / FILES[1], new, size)


def write(out: Path, tensors: list[tuple[str, int]], size: int) -> None:
    """Writes a header with offsets, then the tensors, each from its seed."""
    header = {
        name: {"dtype": "BF16", "shape": [size // 2], "data_offsets": [at * size, (at + 1) * size]}
        for at, (name, _) in enumerate(tensors)
    }
    text = json.dumps(header).encode()
    with out.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, seed in tensors:
            file.write(random.Random(seed).randbytes(size))


FILES = ("before.safetensors", "after.safetensors")
WEIGHTS = Corpus("weights", FILES, (("weights", FILES[0], FILES[1]),), build)
