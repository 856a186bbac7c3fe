"""A benchmark: what every system is asked to dub, and what its clips are judged against.

One JSON file; paths are relative to its folder. The digest is over the items (with the digests of their files), not
over where they lie, so a benchmark can be moved and a changed reference makes another benchmark.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from dubflow.atomic import write_json
from dubflow.config import Strict
from dubflow.corpora.cache import content_key
from dubflow.errors import BadInput
from dubflow.judging.card.rows import Digest, Tags
from dubflow.media.digest import sha256_file

FORMAT: Literal["dubflow.benchmark/1"] = "dubflow.benchmark/1"


class ItemFile(Strict):
    """A file that belongs to an item."""

    path: str = Field(description="Relative to the benchmark's folder.")
    sha256: Digest

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("must be relative and stay inside the benchmark's folder")
        return value


class BenchmarkItem(Strict):
    """One thing to dub."""

    id: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*(/[A-Za-z0-9][A-Za-z0-9_.\-]*)*$",
        description="Also the name of a system's clip, without its suffix.",
    )
    source: ItemFile | None = Field(default=None, description="The clip to be dubbed.")
    reference: ItemFile | None = Field(default=None, description="The clip as it should become, where there is one.")
    voice: ItemFile | None = Field(default=None, description="Reference of the voice, where it is another file.")
    transcript: str | None = Field(default=None, description="What must be said.")
    language: str | None = Field(default=None, description="ISO 639-1, of the transcript.")
    source_language: str | None = None
    tags: Tags = Tags()
    facts: dict[str, Any] = Field(default_factory=dict, description="What a judge may need besides, JSON types.")

    @property
    def files(self) -> dict[str, ItemFile]:
        """Files by their role."""
        roles = {"source": self.source, "reference": self.reference, "voice": self.voice}
        return {role: file for role, file in roles.items() if file is not None}

    @property
    def digest(self) -> str:
        """Of what the item is, wherever its files lie."""
        plain = self.model_dump(mode="json") | {role: file.sha256 for role, file in self.files.items()}
        return content_key(plain)


class Benchmark(Strict):
    """Items, in one world."""

    format: Literal["dubflow.benchmark/1"] = FORMAT
    name: str = Field(min_length=1)
    world: Literal["embedded", "real"]
    items: tuple[BenchmarkItem, ...] = Field(min_length=1)

    @field_validator("items")
    @classmethod
    def _each_item_once(cls, items: tuple[BenchmarkItem, ...]) -> tuple[BenchmarkItem, ...]:
        twice = [one for one, count in Counter(item.id for item in items).items() if count > 1]
        if twice:
            raise ValueError(f"items stand twice: {', '.join(sorted(twice)[:5])}")
        return tuple(sorted(items, key=lambda item: item.id))

    @property
    def digest(self) -> str:
        """Of the world and the items; pins the benchmark in a protocol."""
        return content_key({"world": self.world, "items": {item.id: item.digest for item in self.items}})


@dataclass(frozen=True)
class Subject:
    """What a judge gets: the item, the system's clip, and where the item's files lie (``source``, ``reference``,
    ``voice``; those that it has)."""

    item: BenchmarkItem
    clip: Path
    files: Mapping[str, Path]


def item_file(path: Path, root: Path) -> ItemFile:
    """The file at ``path`` as an item names it, relative to the benchmark's folder ``root``.

    Raises:
        BadInput: ``media.missing`` and the like.
    """
    return ItemFile(path=Path(path).relative_to(root).as_posix(), sha256=sha256_file(path))


def write_benchmark(benchmark: Benchmark, path: Path) -> Path:
    """Write the file, whole or not at all."""
    write_json(path, benchmark.model_dump(mode="json"))
    return path


def read_benchmark(path: Path) -> Benchmark:
    """Read what :func:`write_benchmark` wrote.

    Raises:
        BadInput: ``judging.no_benchmark``, ``judging.unknown_format``, ``judging.bad_benchmark``.
    """
    path, hint = Path(path), "Make the benchmark again with this version."
    if not path.is_file():
        raise BadInput("judging.no_benchmark", f"There is no benchmark {path}.", "Name its JSON file.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput("judging.bad_benchmark", f"{path} is not JSON: {error}.", hint) from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise BadInput("judging.unknown_format", f"{path} is of format {found!r}; this dubflow reads {FORMAT}.", hint)
    try:
        return Benchmark.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInput("judging.bad_benchmark", f"{path}, {where}: {first['msg']}.", hint) from error
