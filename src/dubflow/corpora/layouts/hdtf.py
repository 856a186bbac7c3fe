"""HDTF: talking faces from public videos, as tables (MRzzm/HDTF, Zhang et al. 2021; the annotations are CC BY 4.0).

Tables come in pairs of a prefix (``RD``, ``WDA``): ``*_annotion_time.txt`` has lines ``Name.mp4 00:20-01:35 …``, one
span a clip; ``*_video_url.txt`` where the video came from; ``*_crop_wh.txt`` the square crop of each clip
``Name_0.mp4`` as x, width, y, height; a few clips have none. The videos themselves are not part of it and are never
downloaded: clips are found when the folder with your own cut clips (named ``Name_0.mp4`` as in the tables) is given.
An uncut ``Name.mp4`` is reported as such.
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
    inside,
    read_lines,
)
from dubflow.corpora.result import ImportResult
from dubflow.errors import BadInput
from dubflow.progress import Progress

_TIMES = "_annotion_time.txt"
_SPAN = re.compile(r"(\d+):(\d\d)-(\d+):(\d\d)")


def read(root: Path, options: ReadOptions | None = None, report: Progress | None = None) -> ImportResult:
    """Read every pair of tables below ``root``; clips are looked for in ``options.media`` (or ``root``)."""
    options = options or ReadOptions()
    tables = sorted(Path(root).glob(f"*{_TIMES}"))
    if not tables:
        raise BadInput(
            "corpora.hdtf_no_tables", f"{root} has no *{_TIMES}.", "Give the folder HDTF_dataset of the project."
        )
    media_root = options.media_root(root)
    index = MediaIndex(media_root, VIDEO_SUFFIXES)
    listing = Listing()
    for table in tables:
        _list_table(listing, index, table)
    return gather(media_root, listing, options, report)


def _list_table(listing: Listing, index: MediaIndex, table: Path) -> None:
    prefix = table.name.removesuffix(_TIMES)
    urls = _columns(listing, table.with_name(f"{prefix}_video_url.txt"))
    crops = _columns(listing, table.with_name(f"{prefix}_crop_wh.txt"))
    annotated: set[str] = set()
    for number, line in read_lines(table):
        where = f"{table.name}:{number}"
        name, *spans = line.split()
        stem = _stem(name)
        annotated.add(stem)
        for part, text in enumerate(spans):
            _list_span(listing, index, f"{stem}_{part}", stem, text, where, urls, crops)
        if not spans:
            listing.broken(where, "corpora.hdtf_no_span", f"{name} has no time span.")
    for stem in sorted(set(urls) - annotated):
        listing.left_out(f"{prefix} {stem}", "corpora.hdtf_not_annotated", "It has an address and no time spans.")


def _list_span(
    listing: Listing,
    index: MediaIndex,
    clip: str,
    video: str,
    text: str,
    where: str,
    urls: dict[str, list[str]],
    crops: dict[str, list[str]],
) -> None:
    item = f"{where} {clip}"
    span = _seconds(text)
    if span is None:
        listing.broken(item, "corpora.hdtf_bad_span", f"{text!r} is not mm:ss-mm:ss with its end after its start.")
        return
    try:
        inside(index.root, clip)
        path, uncut = index.one(clip), index.one(video)
    except BadInput as error:
        listing.broken(item, error.code, error.headline)
        return
    if path is None and uncut is not None:
        listing.left_out(
            item, "corpora.hdtf_not_cut", f"{uncut} is the whole video: cut {text} out of it as {clip}.mp4."
        )
        return
    url = next(iter(urls.get(video, [])), None)
    source: dict[str, Any] = {"url": url, "span_s": list(span), "crop_xwyh": crops.get(clip)}
    # One person speaks in several videos of the WDA table (AmyKlobuchar0, AmyKlobuchar1); radio videos are numbered.
    speaker = video if video.startswith("Radio") else video.rstrip("0123456789")
    listing.clips.append(
        Listed(item=item, id=clip_id(clip), path=path, language="en", speaker=clip_id(speaker), source=source)
    )


def _columns(listing: Listing, table: Path) -> dict[str, list[str]]:
    """First column (without ``.mp4``) to the others."""
    if not table.is_file():
        listing.missing(table.name, "corpora.hdtf_table_missing", "The table is not there: its facts stay unknown.")
        return {}
    rows = (line.split() for _, line in read_lines(table))
    return {_stem(name): rest for name, *rest in rows}


def _stem(name: str) -> str:
    return name.removesuffix(".mp4")


def _seconds(text: str) -> tuple[int, int] | None:
    match = _SPAN.fullmatch(text)
    if match is None:
        return None
    first, second, third, fourth = (int(group) for group in match.groups())
    start, end = 60 * first + second, 60 * third + fourth
    return (start, end) if start < end else None
