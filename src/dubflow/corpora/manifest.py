"""The corpus manifest: what clips there are, what is said in them, by whom, and under which licence.

On disk a corpus is a folder with ``manifest.json`` (header, a few lines) and ``clips.jsonl`` (one clip a line, sorted
by id, so that a changed clip is a changed line). Paths are relative to the folder, with ``/``; a corpus can be moved.
The reader refuses versions and fields it does not know.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationError, field_validator, model_validator

from dubflow.atomic import atomic_file, write_json
from dubflow.config import Strict
from dubflow.errors import BadInput
from dubflow.speech.intervals import Interval

FORMAT = "dubflow.corpus/1"
HEADER, ROWS = "manifest.json", "clips.jsonl"

Split = Literal["train", "val", "test"]
Rate = Annotated[
    Fraction,
    BeforeValidator(lambda value: Fraction(value) if isinstance(value, str) else value),
    PlainSerializer(lambda value: f"{value.numerator}/{value.denominator}", return_type=str),
]
"""A frame rate, exact; ``"30000/1001"`` in files."""


class Segment(Strict):
    """A stretch of speech by one speaker in one language, in seconds of the clip."""

    start: float = Field(ge=0)
    end: float = Field(ge=0)
    speaker: str
    language: str
    text: str


class EventMark(Strict):
    """Something that is seen and heard besides speech: ``frame`` shows it first, its sound starts with that frame."""

    kind: str
    frame: int = Field(ge=0)
    time: float = Field(ge=0, description="Seconds; start of ``frame``.")


class ClipRow(Strict):
    """One clip of a corpus. Times are seconds from the clip's first frame (or sample, where there is no picture)."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*(/[A-Za-z0-9][A-Za-z0-9_.\-]*)*$")
    path: str = Field(description="Media file, relative to the manifest's folder.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    transcript: str | None = Field(description="What is said, as written; None where the corpus does not tell.")
    language: str | None = Field(description="ISO 639-1 code of the (first) language; None where unknown.")
    speaker: str | None = Field(description="Speaker id, unique within the corpus; None where unknown.")
    licence: str | None = Field(description="Licence of the material; None where unknown.")
    split: Split | None = None
    duration: float = Field(gt=0, description="Seconds.")
    frames: int | None = Field(default=None, gt=0, description="Frames as stored; None for audio alone.")
    fps: Rate | None = Field(default=None, description="Stored frame rate, exact; None for audio alone.")
    sample_rate: int | None = Field(default=None, gt=0, description="Stored rate in Hz; None for silent video.")
    words: tuple[Interval, ...] = Field(default=(), description="Word times where known.")
    phones: tuple[Interval, ...] = Field(default=(), description="Phone times where known; silence has the label ''.")
    stresses: tuple[Literal[0, 1, 2], ...] = Field(
        (), description="Where known, one for each of ``phones``: 0 none, 1 primary, 2 secondary stress."
    )
    segments: tuple[Segment, ...] = Field(default=(), description="Who speaks which language when, where several do.")
    events: tuple[EventMark, ...] = ()
    tags: tuple[str, ...] = Field(default=(), description="Difficulty and kind: no_face, profile, occluded, …")
    source: dict[str, Any] = Field(default_factory=dict, description="Reader-specific facts kept for lineage.")

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("must be relative and stay inside the corpus folder")
        return value

    @field_validator("source")
    @classmethod
    def _files_stay_inside(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Files that belong to the clip are named like the clip's own: ``files: {role: {path, sha256}}``."""
        files = value.get("files", {})
        if not isinstance(files, dict):
            raise ValueError("files must be an object")
        for role, file in files.items():
            if not isinstance(file, dict) or not all(isinstance(file.get(name), str) for name in ("path", "sha256")):
                raise ValueError(f"the file {role!r} must have a path and a sha256")
            cls._stays_inside(file["path"])
        return value

    @model_validator(mode="after")
    def _picture_is_whole(self) -> ClipRow:
        if (self.frames is None) != (self.fps is None):
            raise ValueError("frames and fps go together")
        return self

    @model_validator(mode="after")
    def _stresses_belong_to_phones(self) -> ClipRow:
        if self.stresses and len(self.stresses) != len(self.phones):
            raise ValueError(f"{len(self.stresses)} stresses for {len(self.phones)} phones")
        return self


class CorpusHeader(Strict):
    """What stands in ``manifest.json``."""

    format: Literal["dubflow.corpus/1"] = "dubflow.corpus/1"
    name: str
    layout: str = Field(description="The reader or generator that made it.")
    world: Literal["embedded", "real"] = Field(description="Figures from the embedded world are always called so.")
    clips: int = Field(ge=0)
    made_with: dict[str, Any] = Field(
        default_factory=dict, description="Settings, seed, versions: enough to remake it."
    )


class CorpusManifest:
    """A header and its rows, in memory. Rows are sorted by id and ids are unique."""

    def __init__(self, header: CorpusHeader, rows: Iterable[ClipRow], root: Path) -> None:
        self.rows: tuple[ClipRow, ...] = tuple(sorted(rows, key=lambda row: row.id))
        self.header = header.model_copy(update={"clips": len(self.rows)})
        self.root = Path(root)
        counts = Counter(row.id for row in self.rows)
        if len(counts) != len(self.rows):
            twice = [one for one, count in counts.items() if count > 1]
            raise BadInput(
                "corpora.duplicate_id", f"Clip ids stand twice: {', '.join(twice[:5])}.", "Ids must be unique."
            )

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[ClipRow]:
        return iter(self.rows)

    def media_path(self, row: ClipRow) -> Path:
        """Where the clip's file lies on this machine."""
        return self.root / row.path

    def write(self, folder: Path | None = None) -> Path:
        """Write header and rows; the header comes last, so a folder with a header is complete. Returns the folder."""
        target = self.root if folder is None else Path(folder)
        with atomic_file(target / ROWS) as part:
            part.write_text("".join(row.model_dump_json(exclude_defaults=True) + "\n" for row in self.rows), "utf-8")
        write_json(target / HEADER, self.header.model_dump(mode="json"))
        return target


def read_manifest(folder: Path) -> CorpusManifest:
    """Read a corpus folder.

    Raises:
        BadInput: ``corpora.no_manifest``, ``corpora.unknown_format``, ``corpora.bad_manifest``, ``corpora.bad_row``.
    """
    folder = Path(folder)
    if not (folder / HEADER).is_file():
        raise BadInput(
            "corpora.no_manifest",
            f"{folder} has no {HEADER}.",
            "Make a corpus with `dubflow talkers render` or `dubflow corpus import`.",
        )
    try:
        content = json.loads((folder / HEADER).read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.get("format") != FORMAT:
            raise BadInput(
                "corpora.unknown_format",
                f"{folder / HEADER} is of format {content.get('format')!r}; this dubflow reads {FORMAT}.",
                "Import the corpus again with this version.",
            )
        header = CorpusHeader.model_validate(content)
    except (ValueError, ValidationError) as error:
        raise BadInput("corpora.bad_manifest", f"{folder / HEADER} is not a corpus header: {error}.", "") from error
    if not (folder / ROWS).is_file():
        raise BadInput(
            "corpora.bad_manifest", f"{folder} has no {ROWS}.", "A copy was cut short: copy or import it again."
        )
    rows = []
    with open(folder / ROWS, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                rows.append(ClipRow.model_validate_json(line))
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"]))
                raise BadInput(
                    "corpora.bad_row",
                    f"{folder / ROWS}, line {number}, field {where or 'row'}: {first['msg']}.",
                    "Correct the line or import the corpus again.",
                ) from error
    if len(rows) != header.clips:
        raise BadInput(
            "corpora.bad_manifest",
            f"{folder} announces {header.clips} clips and lists {len(rows)}.",
            "A copy was cut short: copy or import it again.",
        )
    return CorpusManifest(header, rows, folder)
