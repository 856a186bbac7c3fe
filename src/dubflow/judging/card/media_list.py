"""Which files a card's figures are of: ``media.json`` beside the card, so that a page can show and play them.

Files inside the card's folder are named relative to it, others by their absolute path; a card that was moved keeps its
own clips. Nothing here is part of the card's digest: the card pins files by their content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from dubflow.atomic import write_json
from dubflow.config import Strict
from dubflow.errors import BadInput
from dubflow.judging.card.items import Benchmark

FORMAT: Literal["dubflow.media/1"] = "dubflow.media/1"
MEDIA = "media.json"
_AGAIN = "Evaluate again with this version."


@dataclass(frozen=True)
class CardMedia:
    """Files and texts of one clip of a card.

    Attributes:
        source: what was to be dubbed. reference: as it should have become. clip: what the system made of it. All None
            where there is none; a file that was there may be gone by now.
        text: what should be said. heard: what a judge understood, empty where none wrote it down. Both are untrusted.
    """

    source: Path | None = None
    reference: Path | None = None
    clip: Path | None = None
    text: str = ""
    heard: str = ""


class _Entry(Strict):
    source: str | None = None
    reference: str | None = None
    clip: str | None = None
    text: str = ""
    heard: str = ""


class _MediaList(Strict):
    format: Literal["dubflow.media/1"] = FORMAT
    clips: dict[str, _Entry]


def write_media(
    folder: Path,
    benchmark: Benchmark,
    root: Path,
    clips: Mapping[str, Path],
    heard: Mapping[str, str] | None = None,
) -> Path:
    """Write the list into the card's ``folder`` and return its path.

    Args:
        root: folder that the benchmark's paths are relative to. clips: the system's clip of each item that has one.
        heard: what was understood, of the clips that somebody listened to.
    """
    folder, said = Path(folder), heard or {}
    entries = {}
    for item in benchmark.items:
        files = {role: _named(Path(root) / file.path, folder) for role, file in item.files.items()}
        clip = clips.get(item.id)
        entries[item.id] = _Entry(
            source=files.get("source"),
            reference=files.get("reference"),
            clip=None if clip is None else _named(clip, folder),
            text=item.transcript or "",
            heard=said.get(item.id, ""),
        )
    write_json(folder / MEDIA, _MediaList(clips=entries).model_dump(mode="json"))
    return folder / MEDIA


def read_media(folder: Path) -> dict[str, CardMedia]:
    """What :func:`write_media` wrote, by clip id; empty for a card that has no list.

    Raises:
        BadInput: ``judging.unknown_format``, ``judging.bad_media_list``.
    """
    path = Path(folder) / MEDIA
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput("judging.bad_media_list", f"{path} is not JSON: {error}.", _AGAIN) from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise BadInput("judging.unknown_format", f"{path} is of format {found!r}; this dubflow reads {FORMAT}.", _AGAIN)
    try:
        entries = _MediaList.model_validate(content).clips
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInput("judging.bad_media_list", f"{path}, {where}: {first['msg']}.", _AGAIN) from error
    return {name: _media(Path(folder), entry) for name, entry in entries.items()}


def _media(folder: Path, entry: _Entry) -> CardMedia:
    files = {role: getattr(entry, role) for role in ("source", "reference", "clip")}
    # An absolute path stays what it is when it is joined to a folder.
    paths = {role: None if name is None else folder / name for role, name in files.items()}
    return CardMedia(**paths, text=entry.text, heard=entry.heard)


def _named(path: Path, folder: Path) -> str:
    absolute, home = Path(path).absolute(), folder.absolute()
    return absolute.relative_to(home).as_posix() if absolute.is_relative_to(home) else absolute.as_posix()
