"""GRID: six-word commands by 34 speakers (Cooke et al. 2006, https://doi.org/10.5281/zenodo.3625687; CC BY 4.0).

A file name spells its sentence: ``bbaf2n`` is *bin blue at f two now*. Clips lie in ``s1/``, ``s1/video/mpg_6000/`` or
in a flat folder; word times in ``.align`` files beside them or in ``align`` folders. The speaker is the folder ``sN``
above the clip; in a flat folder a table ``MANIFEST.tsv`` (columns ``file`` and ``speaker``) may name it.

Split lists are applied when given: lines ``s14/video/mpg_6000/srwt9p`` (LipNet-PyTorch's ``overlap_train.txt`` …) or
``s6/s6-bwba2a.wav|phones|23`` (ProDubber's ``Data/Grid_train.txt``; its phones are not taken: pauses of the alignment
were spelled out in them as the letters s and p).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from dubflow.corpora.align_file import read_align, spoken
from dubflow.corpora.gather import gather
from dubflow.corpora.listing import (
    MEDIA_SUFFIXES,
    Listed,
    Listing,
    MediaIndex,
    ReadOptions,
    read_lines,
    read_text,
    walk,
)
from dubflow.corpora.manifest import Split
from dubflow.corpora.result import ImportResult
from dubflow.errors import BadInput
from dubflow.progress import Progress
from dubflow.speech.intervals import Interval

LICENCE = "CC BY 4.0"

_WORDS: tuple[Mapping[str, str], ...] = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},  # GRID leaves out w, the only letter of three syllables
    dict(
        zip(
            "z123456789", ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], strict=True
        ),
    ),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
_SPEAKER = re.compile(r"s\d{1,2}")
_LIST_ENTRY = re.compile(r"(?P<speaker>s\d{1,2})/(?:[^|]*/)?(?:s\d{1,2}-)?(?P<code>[a-z0-9]{6})(?:\.\w+)?(?:\|.*)?")

Key = tuple[str | None, str]
"""Speaker (where known) and file-name code."""


def sentence(code: str) -> str | None:
    """The sentence that a file name spells, or None when it spells none."""
    if len(code) != len(_WORDS):
        return None
    words = [choices.get(letter) for choices, letter in zip(_WORDS, code, strict=True)]
    return " ".join(word for word in words if word) if all(words) else None


def read(root: Path, options: ReadOptions | None = None, report: Progress | None = None) -> ImportResult:
    """Read a folder of GRID clips."""
    options = options or ReadOptions()
    media_root = options.media_root(root)
    return gather(media_root, _listing(Path(root), media_root, options), options, report)


def _listing(root: Path, media_root: Path, options: ReadOptions) -> Listing:
    listing = Listing()
    speakers = _speaker_table(root)
    media = _media(media_root, speakers, listing)
    aligns = _alignments(root, speakers)
    wanted = _wanted(options.lists, listing)
    keys = sorted({*media, *aligns} if wanted is None else wanted, key=lambda key: (key[0] or "", key[1]))
    for key in keys:
        split = None if wanted is None else wanted[key]
        _list_clip(listing, key, media.get(key, []), aligns.get(key), root, split)
    if wanted is not None:
        for key in sorted(set(media) - set(wanted), key=str):
            listing.left_out(_name(key), "corpora.grid_not_in_lists", "The split lists do not name it.")
    return listing


def _name(key: Key) -> str:
    return key[1] if key[0] is None else f"{key[0]}/{key[1]}"


def _list_clip(
    listing: Listing, key: Key, files: list[str], align: Path | None, root: Path, split: Split | None
) -> None:
    speaker, code = key
    text = sentence(code)
    words: tuple[Interval, ...] = ()
    if text is None:
        listing.broken(_name(key), "corpora.grid_not_a_code", f"{code!r} does not spell a GRID sentence.")
        return
    if align is not None:
        try:
            words = tuple(spoken(read_align(align)))
        except BadInput as error:
            listing.broken(_name(key), error.code, error.headline)
            return
        said = " ".join(word.label for word in words)
        if said != text:
            listing.broken(
                _name(key), "corpora.grid_align_disagrees", f"The alignment says {said!r}, the name {text!r}."
            )
            return
    source = {
        "align": None if align is None else align.relative_to(root).as_posix(),
        **({"also": files[1:]} if len(files) > 1 else {}),
    }
    listing.clips.append(
        Listed(
            item=_name(key),
            id=_name(key),
            path=files[0] if files else None,
            transcript=text,
            language="en",
            speaker=speaker,
            licence=LICENCE,
            split=split,
            words=words,
            source=source,
        )
    )


def _media(media_root: Path, speakers: Mapping[str, str], listing: Listing) -> dict[Key, list[str]]:
    """Media files by speaker and code, video first; files that spell no sentence are left out."""
    found: dict[Key, list[str]] = {}
    for path in MediaIndex(media_root, MEDIA_SUFFIXES).files:
        code = path.stem.split("-")[-1]
        if sentence(code) is None:
            listing.left_out(
                path.as_posix(), "corpora.grid_not_a_code", f"{path.stem!r} does not spell a GRID sentence."
            )
        else:
            found.setdefault((_speaker(path.as_posix(), speakers), code), []).append(path.as_posix())
    return found


def _alignments(root: Path, speakers: Mapping[str, str]) -> dict[Key, Path]:
    found: dict[Key, Path] = {}
    for path in walk(root):
        if path.suffix.lower() == ".align":
            relative = path.relative_to(root).as_posix()
            # In a flat folder the table names clips, not alignments: the clip of the same stem speaks for both.
            found[(_speaker(relative, speakers), path.stem)] = path
    return found


def _speaker(path: str, table: Mapping[str, str]) -> str | None:
    parts = PurePosixPath(path).parts[:-1]
    folders = [part for part in parts if _SPEAKER.fullmatch(part)]
    return folders[-1] if folders else table.get(PurePosixPath(path).stem)


def _speaker_table(root: Path) -> dict[str, str]:
    """Speakers by stem from a ``MANIFEST.tsv`` beside the clips; empty when there is none."""
    table = Path(root) / "MANIFEST.tsv"
    if not table.is_file():
        return {}
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(table)), delimiter="\t"))
    except csv.Error as error:
        raise BadInput("corpora.bad_list", f"{table} is not a table: {error}.", "Remove or repair it.") from error
    named = ((row.get("file"), re.search(_SPEAKER, row.get("speaker") or "")) for row in rows)
    return {PurePosixPath(file).stem: match.group() for file, match in named if file and match}


def _wanted(lists: Mapping[Split, Path], listing: Listing) -> dict[Key, Split] | None:
    """What the split lists name, or None when none were given."""
    if not lists:
        return None
    wanted: dict[Key, Split] = {}
    for split, path in lists.items():
        for number, line in read_lines(path):
            match = _LIST_ENTRY.fullmatch(line)
            where = f"{Path(path).name}:{number}"
            if match is None:
                listing.broken(where, "corpora.grid_bad_list_line", f"{line!r} is not `speaker/…/code`.")
                continue
            key = (match["speaker"], match["code"])
            if key in wanted:
                listing.broken(where, "corpora.listed_twice", f"{_name(key)} stands in {wanted[key]} already.")
            else:
                wanted[key] = split
    return wanted
