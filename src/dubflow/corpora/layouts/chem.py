"""Chem: chemistry lectures by one speaker (Lip2Wav, Prajwal et al. 2020), in the lists of two dubbing projects.

The videos are public lectures; no licence is stated with the lists, so say what you know with ``--licence``.

- HPM (GalaxyCong/HPMDubbing, ``dataset.py``, ``preprocessor.py``): ``train.txt``, ``val.txt`` with lines
  ``name|speaker|{PH ON ES}|text``; clips lie as ``speaker/name.*`` below the raw folder.
- EmoDubber (GalaxyCong/EmoDubber, ``text_mel_datamodule.py``): Chem lines ``name|path/of.wav|phones|text``; its GRID
  lines ``path/of.wav|text|phones`` are taken too. The phones are theirs (no times) and are not kept.

Which of the two a line is shows in its second field: a media file name or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dubflow.corpora.gather import gather
from dubflow.corpora.listing import (
    MEDIA_SUFFIXES,
    VIDEO_SUFFIXES,
    Listed,
    Listing,
    MediaIndex,
    ReadOptions,
    clip_id,
    inside,
    read_lines,
)
from dubflow.corpora.manifest import Split
from dubflow.corpora.result import ImportResult
from dubflow.errors import BadInput
from dubflow.progress import Progress

SPEAKER = "chem"
_LIST_NAMES: Mapping[str, Split] = {"train.txt": "train", "val.txt": "val", "test.txt": "test"}


@dataclass(frozen=True)
class _Entry:
    """One line: a clip's name, its file where the line gives one, who speaks, and what."""

    name: str
    file: str | None
    speaker: str
    text: str
    format: str


def read(root: Path, options: ReadOptions | None = None, report: Progress | None = None) -> ImportResult:
    """Read the lists (``train.txt``, ``val.txt``, ``test.txt`` of ``root``, or those given) and find their clips."""
    options = options or ReadOptions()
    media_root = options.media_root(root)
    lists = options.lists or {
        split: Path(root) / name for name, split in _LIST_NAMES.items() if (Path(root) / name).is_file()
    }
    if not lists:
        raise BadInput(
            "corpora.chem_no_lists",
            f"{root} has none of {', '.join(_LIST_NAMES)}.",
            "Name the lists, e.g. --train-list FILE.",
        )
    listing = Listing()
    index = MediaIndex(media_root)
    for split, path in lists.items():
        for number, line in read_lines(path):
            _list_line(listing, index, line, f"{Path(path).name}:{number}", split)
    return gather(media_root, listing, options, report)


def _list_line(listing: Listing, index: MediaIndex, line: str, where: str, split: Split) -> None:
    entry = _entry(line)
    if entry is None:
        listing.broken(
            where, "corpora.chem_bad_line", "Neither `name|speaker|{phones}|text` nor `name|file|phones|text`."
        )
        return
    try:
        path = _file(index, entry)
    except BadInput as error:
        listing.broken(f"{where} {entry.name}", error.code, error.headline)
        return
    listing.clips.append(
        Listed(
            item=f"{where} {entry.name}",
            id=clip_id(entry.name),
            path=path,
            transcript=entry.text,
            language="en",
            speaker=entry.speaker,
            split=split,
            source={"list": where, "format": entry.format},
        )
    )


def _entry(line: str) -> _Entry | None:
    fields = [field.strip() for field in line.split("|")]
    if len(fields) == 4 and _is_media(fields[1]):
        name, file, _, text = fields
        return _Entry(name, file, SPEAKER, text, "emodubber")
    if len(fields) == 4 and fields[2].startswith("{") and fields[2].endswith("}"):
        name, speaker, _, text = fields
        return _Entry(name, None, speaker, text, "hpm")
    if len(fields) == 3 and _is_media(fields[0]):
        file, text, _ = fields
        path = PurePosixPath(file)
        return _Entry(f"{path.parent.name}/{path.stem}", file, path.parent.name or SPEAKER, text, "emodubber")
    return None


def _is_media(field: str) -> bool:
    return field.lower().endswith(MEDIA_SUFFIXES)


def _file(index: MediaIndex, entry: _Entry) -> str | None:
    """The clip's file: the video of the same name where there is one, else the sound that the line gives."""
    if entry.file is None:
        return index.one(entry.name, entry.speaker) or index.one(entry.name)
    named = inside(index.root, entry.file)
    stem = PurePosixPath(named)
    for suffix in VIDEO_SUFFIXES:
        video = stem.with_suffix(suffix).as_posix()
        if (index.root / video).is_file():
            return video
    videos = [path for path in index.find(stem.stem, stem.parent.name or None) if path.endswith(VIDEO_SUFFIXES)]
    return videos[0] if len(videos) == 1 else named
