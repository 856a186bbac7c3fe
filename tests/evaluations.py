"""A benchmark of few and short items, for tests of evaluations; child processes can import it."""

from __future__ import annotations

import shutil
from pathlib import Path

from dubbing.room import Room
from dubflow.judging.card.items import Benchmark, BenchmarkItem, ItemFile, item_file, write_benchmark
from dubflow.judging.card.rows import Tags

SAID = {"a/0": "red now", "a/1": "set blue", "b/2": "lay it"}
"""What is to be said in the items that can be dubbed."""


def small_benchmark(room: Room, root: Path, *, refused: bool = True) -> Path:
    """Writes ``benchmark.json`` and its media below ``root``: three items, and with ``refused`` three that fail.

    Item ``a/0`` has a reference, ``a/1`` another voice, ``b/2`` its own voice.
    """
    media = root / "media"
    media.mkdir(parents=True)
    files: list[ItemFile] = []
    for number in range(2):
        shutil.copyfile(room.clip(number), media / f"{number}.mp4")
        files.append(item_file(media / f"{number}.mp4", root))
    first, other = files
    items = [
        item("a/0", first, reference=first, voice=first),
        item("a/1", other, voice=first),
        item("b/2", first),
    ]
    if refused:
        items += [
            item("c/language", first, transcript="red", language="xx"),
            item("c/silent", first, transcript=None),
            item("c/long", first, transcript="she sells sea shells by the sea shore every morning and evening"),
        ]
    benchmark = Benchmark(name="small", world="embedded", items=tuple(items))
    return write_benchmark(benchmark, root / "benchmark.json")


def item(name: str, source: ItemFile, **fields: object) -> BenchmarkItem:
    content = {
        "id": name,
        "source": source,
        "transcript": SAID.get(name),
        "language": "en",
        "source_language": "en",
        "tags": Tags(speaker=name[0], language_pair="en-en"),
    }
    return BenchmarkItem.model_validate(content | fields)
