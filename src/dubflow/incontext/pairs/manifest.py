"""The pair manifest: clips that say the same in another language, to learn dubbing from.

On disk a folder with ``pairs.json`` (header) and ``pairs.jsonl`` (a pair a line, sorted by id). Paths are relative to
the folder, with ``/``. The reader refuses versions and fields it does not know. Rejected pairs stay in the file, with
the reasons; they are not trained on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from dubflow.atomic import write_json, write_text
from dubflow.config import Strict
from dubflow.corpora.manifest import Split
from dubflow.errors import BadInput

FORMAT = "dubflow.pairs/1"
HEADER, ROWS = "pairs.json", "pairs.jsonl"


def _stays_inside(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError("must be relative and stay inside the folder")
    return value


class PairFile(Strict):
    """A file of a pair."""

    path: Annotated[str, AfterValidator(_stays_inside)] = Field(description="Relative to the manifest's folder.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class PairRow(Strict):
    """One pair: the context clip is what comes in, the target clip is what is to come out."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*(/[A-Za-z0-9][A-Za-z0-9_.\-]*)*$")
    context: PairFile
    target: PairFile
    context_audio: PairFile | None = Field(None, description="Sound of the context where it is not the clip's own.")
    target_audio: PairFile | None = Field(None, description="Sound of the target where it is not the clip's own.")
    sound: PairFile | None = Field(
        None,
        description="Audio latents of both clips as the base made them (safetensors), for the audio autoencoder that "
        "the lineage names under `base.audio_vae`.",
    )
    mask: PairFile | None = Field(None, description="Clip that is white where the target's face is; a loss weight.")
    prompt: str = Field(description="What the model is told of the target.")
    context_prompt: str | None = Field(None, description="The same of the context, where known.")
    context_language: str | None = Field(None, description="ISO 639-1; None where unknown.")
    target_language: str | None = Field(None, description="ISO 639-1; None where unknown.")
    speaker: str | None = Field(None, description="Unique within the set; None where unknown.")
    split: Split | None = None
    lineage: dict[str, Any] = Field(
        default_factory=dict,
        description="From what it was made, down to the prompt. `roles` says what became of the clips: a target is "
        "generated; a context inpainted, or merged of two passes.",
    )
    qc: dict[str, float] = Field(default_factory=dict, description="Figures of the quality checks, by name.")
    rejected: tuple[str, ...] = Field((), description="Why it is not to be trained on; empty for a good pair.")

    @model_validator(mode="after")
    def _target_is_as_generated(self) -> Self:
        roles = self.lineage.get("roles")
        if isinstance(roles, dict) and roles.get("target") != "generated":
            raise ValueError(f"a clip that is {roles.get('target')} can be a context only; targets are as generated")
        return self

    def own_sound(self, audio_vae: str) -> PairFile | None:
        """The base's own latents of the sound, where they are of the audio autoencoder with this fingerprint."""
        base = self.lineage.get("base")
        return self.sound if isinstance(base, dict) and base.get("audio_vae") == audio_vae else None

    @property
    def files(self) -> tuple[PairFile, ...]:
        """All of its files."""
        named = (self.context, self.target, self.context_audio, self.target_audio, self.sound, self.mask)
        return tuple(file for file in named if file is not None)


class PairHeader(Strict):
    """What stands in ``pairs.json``."""

    format: Literal["dubflow.pairs/1"] = "dubflow.pairs/1"
    name: str
    world: Literal["embedded", "real"] = Field(description="Figures from the embedded world are always called so.")
    licence: str | None = Field(None, description="Terms of the material; None where unknown.")
    pairs: int = Field(0, ge=0)
    made_with: dict[str, Any] = Field(default_factory=dict, description="Settings, seed, versions.")


class PairManifest:
    """A header and its rows, in memory. Rows are sorted by id and ids are unique."""

    def __init__(self, header: PairHeader, rows: Iterable[PairRow], root: Path) -> None:
        """Raises:
        BadInput: ``incontext.duplicate_pair``.
        """
        self.rows: tuple[PairRow, ...] = tuple(sorted(rows, key=lambda row: row.id))
        self.header = header.model_copy(update={"pairs": len(self.rows)})
        self.root = Path(root)
        twice = [name for name, count in Counter(row.id for row in self.rows).items() if count > 1]
        if twice:
            raise BadInput("incontext.duplicate_pair", f"Pairs stand twice: {', '.join(twice[:5])}.", "Rename them.")

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[PairRow]:
        return iter(self.rows)

    @property
    def accepted(self) -> tuple[PairRow, ...]:
        """Pairs to train on."""
        return tuple(row for row in self.rows if not row.rejected)

    def path(self, file: PairFile) -> Path:
        """Where a file lies on this machine."""
        return self.root / file.path

    def write(self, folder: Path | None = None) -> Path:
        """Write rows, then the header: a folder with a header is complete. Returns the folder."""
        target = self.root if folder is None else Path(folder)
        lines = "".join(row.model_dump_json(exclude_defaults=True) + "\n" for row in self.rows)
        write_text(target / ROWS, lines)
        write_json(target / HEADER, self.header.model_dump(mode="json"))
        return target


def read_pairs(folder: Path) -> PairManifest:
    """Read a folder of pairs.

    Raises:
        BadInput: ``incontext.no_pairs``, ``incontext.bad_pairs`` naming line and field.
    """
    folder = Path(folder)
    if not (folder / HEADER).is_file():
        raise BadInput("incontext.no_pairs", f"{folder} has no {HEADER}.", "Name a folder of pairs.")
    try:
        content = json.loads((folder / HEADER).read_text(encoding="utf-8"))
        header = PairHeader.model_validate(content)
        lines = (folder / ROWS).read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise BadInput("incontext.bad_pairs", f"{folder}: {error}.", f"This dubflow reads {FORMAT}.") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            rows.append(PairRow.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "row"
            raise BadInput(
                "incontext.bad_pairs", f"{folder / ROWS}, line {number}, field {where}: {first['msg']}.", "Correct it."
            ) from error
    if len(rows) != header.pairs:
        raise BadInput(
            "incontext.bad_pairs", f"{folder} announces {header.pairs} pairs and lists {len(rows)}.", "Copy it again."
        )
    return PairManifest(header, rows, folder)
