"""What every reader of a public layout is made of: a list of clips to look for, and the names used in them.

A layout only parses: it answers a :class:`Listing`. Looking for the files, probing and hashing them is the same for
every layout and lives in :mod:`dubflow.corpora.gather`, which keeps the account of everything that was listed.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dubflow.corpora.manifest import EventMark, Segment, Split
from dubflow.corpora.result import Problem
from dubflow.errors import BadInput
from dubflow.speech.intervals import Interval

# Picture first: where a clip lies beside its own sound track, the file that has both is the clip.
VIDEO_SUFFIXES = (".mp4", ".mpg", ".mkv", ".mov", ".avi", ".webm", ".m4v")
AUDIO_SUFFIXES = (".wav", ".flac", ".m4a", ".mp3", ".ogg", ".opus")
MEDIA_SUFFIXES = VIDEO_SUFFIXES + AUDIO_SUFFIXES
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")

_LANGUAGES = {
    "english": "en", "spanish": "es", "russian": "ru", "french": "fr", "german": "de", "italian": "it", "greek": "el",
    "chinese": "zh", "mandarin": "zh", "japanese": "ja", "korean": "ko", "portuguese": "pt", "arabic": "ar",
    "hindi": "hi", "polish": "pl", "dutch": "nl", "turkish": "tr", "ukrainian": "uk", "czech": "cs", "swedish": "sv",
    "thai": "th",
}  # fmt: skip
_CODES = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo "
    "es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka "
    "kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng "
    "nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su "
    "sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
ISO_639_1 = frozenset(_CODES.split())
"""The two-letter codes of languages."""


@dataclass(frozen=True)
class ReadOptions:
    """What a reader may be told besides the folder.

    Attributes:
        lists: split lists to apply, by split; entries outside them are left out.
        media: folder with the media where it does not lie below the root (HDTF, TalkVid).
        table: the table to read where a layout cannot know its name; relative to the root or absolute.
        language, licence, speaker: said for clips where the layout does not tell.
        workers: processes that probe and hash.
    """

    lists: Mapping[Split, Path] = field(default_factory=dict)
    media: Path | None = None
    table: Path | None = None
    language: str | None = None
    licence: str | None = None
    speaker: str | None = None
    workers: int | None = None

    def media_root(self, root: Path) -> Path:
        """Where media is looked for."""
        return Path(root) if self.media is None else Path(self.media)


@dataclass(frozen=True)
class Listed:
    """One clip that a layout speaks of.

    Attributes:
        item: how the layout names it; used in reports.
        id: clip id to be.
        path: its file relative to the media root, or None when no such file was seen.
        extras: other files that belong to it (a reference, a mask), by role; relative to the media root.
        sha256: digest that the layout states, if it does.
    """

    item: str
    id: str
    path: str | None
    transcript: str | None = None
    language: str | None = None
    speaker: str | None = None
    licence: str | None = None
    split: Split | None = None
    words: tuple[Interval, ...] = ()
    phones: tuple[Interval, ...] = ()
    segments: tuple[Segment, ...] = ()
    stresses: tuple[Literal[0, 1, 2], ...] = ()
    events: tuple[EventMark, ...] = ()
    tags: tuple[str, ...] = ()
    source: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, str] = field(default_factory=dict)
    sha256: str | None = None


@dataclass
class Listing:
    """Clips to look for, and what was listed but cannot even be looked for."""

    clips: list[Listed] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def broken(self, item: str, code: str, reason: str) -> None:
        """Account for a line that says nothing usable."""
        self.problems.append(Problem(item, "broken", code, reason))

    def left_out(self, item: str, code: str, reason: str) -> None:
        """Account for something that is there and that this import does not take."""
        self.problems.append(Problem(item, "left_out", code, reason))

    def missing(self, item: str, code: str, reason: str) -> None:
        """Account for something that is listed and not there."""
        self.problems.append(Problem(item, "missing", code, reason))


class MediaIndex:
    """Media files below a folder, by stem; built once, so that lists of names are looked up without walking again."""

    def __init__(self, root: Path, suffixes: Iterable[str] = MEDIA_SUFFIXES) -> None:
        self.root = Path(root)
        order = {suffix: rank for rank, suffix in enumerate(suffixes)}
        files = (path.relative_to(self.root) for path in walk(self.root) if path.suffix.lower() in order)
        self.files = sorted(files, key=lambda path: (order[path.suffix.lower()], path.as_posix()))
        self._by_stem: dict[str, list[Path]] = {}
        for path in self.files:
            self._by_stem.setdefault(path.stem, []).append(path)

    def find(self, stem: str, within: str | None = None) -> list[str]:
        """Files called ``stem`` (best kind first), only those with a folder ``within`` above them when it is given."""
        found = self._by_stem.get(stem, [])
        return [path.as_posix() for path in found if within is None or within in path.parts[:-1]]

    def one(self, stem: str, within: str | None = None) -> str | None:
        """The file called ``stem``: a video before its sound track.

        Raises:
            BadInput: ``corpora.ambiguous_name`` when different folders hold files of that name.
        """
        found = self.find(stem, within)
        videos = [path for path in found if path.lower().endswith(VIDEO_SUFFIXES)]
        candidates = videos or found
        if len({posixpath.dirname(path) for path in candidates}) > 1:
            raise BadInput(
                "corpora.ambiguous_name",
                f"{stem!r} names {len(candidates)} files: {', '.join(candidates[:3])}.",
                "Give the folder that holds the right one with --media.",
            )
        return candidates[0] if candidates else None


def walk(folder: Path) -> list[Path]:
    """Every file below ``folder`` in a stable order, hidden ones left aside; linked folders are followed once.

    Raises:
        BadInput: ``corpora.no_folder``.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput("corpora.no_folder", f"{folder} is not a folder.", "Give the folder that holds the corpus.")
    found: list[Path] = []
    _walk(folder, set(), found)
    return found


def _walk(folder: Path, seen: set[Path], found: list[Path]) -> None:
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            _walk(path, seen, found)
        else:
            found.append(path)


def inside(root: Path, named: str) -> str:
    """``named`` (a path in somebody's list) relative to ``root``, with ``/``.

    Raises:
        BadInput: ``corpora.path_escapes`` when it would leave ``root``, ``corpora.bad_path`` when it is no path.
    """
    if (
        not named.strip()
        or "\0" in named
        or any(len(part.encode("utf-8", "replace")) > 255 for part in named.split("/"))
    ):
        raise BadInput("corpora.bad_path", f"{named!r} is not a path.", "Correct the list.")
    text = named.strip().replace("\\", "/")
    if posixpath.isabs(text):
        base = Path(root).absolute().as_posix()
        text = posixpath.relpath(posixpath.normpath(text), base)
    text = posixpath.normpath(text)
    if text == ".." or text.startswith("../") or text == ".":
        raise BadInput(
            "corpora.path_escapes",
            f"{named!r} leads out of {root}.",
            "Lists may only name files inside the folder; rewrite the path or give another --root.",
        )
    return text


def clip_id(text: str) -> str:
    """``text`` with what a clip id cannot hold replaced: ``FrozenII@Anna_00`` becomes ``FrozenII-Anna_00``.

    Of a name in another alphabet too little stays to tell it from the next, so it ends with a digest of the whole name.
    """
    return "/".join(part for part in map(_id_part, text.split("/")) if part) or "clip"


def _id_part(name: str) -> str:
    part = re.sub(r"[^A-Za-z0-9_.\-]+", "-", name).lstrip("_.-")
    if name.isascii():
        return part
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{part.rstrip('-')}-{digest}" if part else digest


def language_code(name: object) -> str | None:
    """ISO 639-1 code of a language given by name or tag: ``English``, ``en-US`` and ``EN`` are ``en``; else None."""
    if not isinstance(name, str):
        return None
    text = name.strip().lower()
    code = re.split(r"[-_]", text)[0]
    if code in _LANGUAGES.values():
        return code
    return _LANGUAGES.get(text)


def read_text(path: Path, *, ends: Literal["as they are"] | None = None) -> str:
    """A text file in UTF-8, without byte order mark; ends of lines are made one kind unless they are wanted as is.

    Raises:
        BadInput: ``corpora.no_list``, ``corpora.bad_list``.
    """
    try:
        with open(path, encoding="utf-8-sig", newline=None if ends is None else "") as file:
            return file.read()
    except FileNotFoundError as error:
        raise BadInput("corpora.no_list", f"There is no file {path}.", "Check the name of the list.") from error
    except (UnicodeDecodeError, OSError) as error:
        raise BadInput("corpora.bad_list", f"{path} cannot be read as text: {error}.", "Lists are UTF-8.") from error


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Numbered non-empty lines of a text file, without white space around them.

    Raises:
        BadInput: as :func:`read_text`.
    """
    # Not splitlines: it also splits at U+2028 and others, which stand unescaped in JSON lines and in captions.
    lines = enumerate(read_text(path).split("\n"), 1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        BadInput: ``corpora.bad_json``, and as :func:`read_text`.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise BadInput(
            "corpora.bad_json", f"{path} is not JSON: {error}.", "A copy was cut short: copy it again."
        ) from error
