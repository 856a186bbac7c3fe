"""TalkVid: records of talking-head clips from public videos (FreedomIntelligence/TalkVid; JSON, one record or a list).

A record has ``id``, ``start-time``, ``end-time``, ``info`` (``Person ID``, ``Language``, ``Video Link``) and figures of
the filter. There is no transcript: ``description`` tells what is seen. Clips are looked for as ``id.*`` and as the
project's downloader names them, ``VIDEOID/VIDEOID_NNN_start_end.mp4``; nothing is downloaded. The videos keep their
owners' terms, which the records do not state.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dubflow.corpora.gather import gather
from dubflow.corpora.listing import (
    VIDEO_SUFFIXES,
    Listed,
    Listing,
    MediaIndex,
    ReadOptions,
    clip_id,
    language_code,
    read_json,
)
from dubflow.corpora.result import ImportResult
from dubflow.errors import BadInput
from dubflow.progress import Progress

_VIDEO_ID = re.compile(r"[?&/](?:v=)?([A-Za-z0-9_-]{11})(?:[?&].*)?$")
_KEPT = ("fps", "height", "width", "start-time", "end-time", "dover_scores", "cotracker_ratio")


def read(root: Path, options: ReadOptions | None = None, report: Progress | None = None) -> ImportResult:
    """Read the JSON file ``root``, or every ``.json`` of the folder ``root``."""
    options = options or ReadOptions()
    root = Path(root)
    files = [root] if root.is_file() else sorted(root.glob("*.json"))
    if not files:
        raise BadInput(
            "corpora.talkvid_no_records", f"{root} has no .json file.", "Give the file of records or its folder."
        )
    media_root = options.media_root(root if root.is_dir() else root.parent)
    index = MediaIndex(media_root, VIDEO_SUFFIXES)
    listing = Listing()
    for file in files:
        for number, record in enumerate(_records(file), 1):
            _list_record(listing, index, record, f"{file.name}:{number}")
    return gather(media_root, listing, options, report)


def _records(file: Path) -> list[Any]:
    content = read_json(file)
    return content if isinstance(content, list) else [content]


def _list_record(listing: Listing, index: MediaIndex, record: Any, where: str) -> None:
    if not isinstance(record, dict) or not isinstance(record.get("info"), dict):
        listing.broken(where, "corpora.talkvid_bad_record", "It is not an object with `info`.")
        return
    info = record["info"]
    name = str(record.get("id") or "") or _downloaded_name(record)
    if name is None:
        listing.broken(where, "corpora.talkvid_bad_record", "It has neither `id` nor a video link with times.")
        return
    try:
        path = index.one(name) or _downloaded(index, record)
    except BadInput as error:
        listing.broken(f"{where} {name}", error.code, error.headline)
        return
    language = language_code(info.get("Language"))
    kept = {key: record[key] for key in _KEPT if key in record}
    tags = () if language is not None else ("language_unknown",)
    listing.clips.append(
        Listed(
            item=f"{where} {name}",
            id=clip_id(name),
            path=path,
            language=language,
            tags=tags,
            speaker=f"person-{info['Person ID']}" if info.get("Person ID") else None,
            source={"link": info.get("Video Link"), "language": info.get("Language"), **kept},
        )
    )


def _downloaded_name(record: dict[str, Any]) -> str | None:
    """The stem that the project's downloader gives, without its running number; None without a link and times."""
    match = _VIDEO_ID.search(str(record["info"].get("Video Link") or ""))
    start, end = record.get("start-time"), record.get("end-time")
    if match is None or not isinstance(start, int | float) or not isinstance(end, int | float):
        return None
    return f"{match.group(1)}_{start:.3f}_{end:.3f}"


def _downloaded(index: MediaIndex, record: dict[str, Any]) -> str | None:
    name = _downloaded_name(record)
    if name is None:
        return None
    video, start, end = name.rsplit("_", 2)
    pattern = re.compile(rf"{re.escape(video)}_\d+_{re.escape(start)}_{re.escape(end)}")
    return next((path.as_posix() for path in index.files if pattern.fullmatch(path.stem)), None)
