"""LJ Speech: 24 hours of one reader (Ito and Johnson 2017, https://keithito.com/LJ-Speech-Dataset; public domain).

``metadata.csv`` has lines ``id|text|normalised text`` without quoting; clips are ``wavs/id.wav``. The list often names
more than a copy holds, which the coverage says.
"""

from __future__ import annotations

from pathlib import Path

from dubflow.corpora.gather import gather
from dubflow.corpora.listing import (
    AUDIO_SUFFIXES,
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

LICENCE = "public domain"
SPEAKER = "LJ"


def read(root: Path, options: ReadOptions | None = None, report: Progress | None = None) -> ImportResult:
    """Read ``metadata.csv`` (or the table given) and find its clips."""
    options = options or ReadOptions()
    root = Path(root)
    listing = Listing()
    named: set[str] = set()
    index = MediaIndex(root, AUDIO_SUFFIXES)
    table = options.table or Path("metadata.csv")
    for number, line in read_lines(root / table):
        named.add(_list_line(listing, index, line, f"{Path(table).name}:{number}"))
    for stem in sorted({path.stem for path in index.files} - named):
        listing.left_out(stem, "corpora.ljspeech_not_in_table", "metadata.csv does not name it.")
    return gather(root, listing, options, report)


def _list_line(listing: Listing, index: MediaIndex, line: str, where: str) -> str:
    """List one line; returns the stem that it names, or an empty string."""
    fields = line.split("|")
    if len(fields) not in (2, 3) or not fields[0]:
        listing.broken(where, "corpora.ljspeech_bad_line", f"{line[:60]!r} is not `id|text|normalised text`.")
        return ""
    name, raw = fields[0], fields[1]
    try:
        inside(index.root, name)
    except BadInput as error:
        listing.broken(f"{where} {name}", error.code, error.headline)
        return ""
    # The same take may lie there as .wav, .flac and .mp3; .wav is the original.
    files = index.find(name)
    listing.clips.append(
        Listed(
            item=f"{where} {name}",
            id=clip_id(name),
            path=files[0] if files else None,
            transcript=fields[-1],
            language="en",
            speaker=SPEAKER,
            licence=LICENCE,
            source={"raw": raw, **({"also": files[1:]} if len(files) > 1 else {})},
        )
    )
    return name
