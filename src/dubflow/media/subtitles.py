"""SubRip and WebVTT in and out, times exact to the millisecond that both formats have."""

from __future__ import annotations

import html
import math
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pysubs2

from dubflow.atomic import write_text
from dubflow.errors import BadInput, WrongUse
from dubflow.media.limits import MEBI, Limits
from dubflow.media.opening import open_regular

FORMATS = {".srt": "srt", ".vtt": "vtt"}
_MOST_BYTES = 16 * MEBI
_MOST_MS = 100 * 3600 * 1000 - 1  # both formats' hours are written with two digits

# The library keeps text in the notation of a third format, where these have a meaning; while it holds the text they are
# characters from a private area instead.
_GUARDED = {"{": "\ue000", "}": "\ue001", "\\": "\ue002"}
_GUARD = str.maketrans(_GUARDED)
_UNGUARD = str.maketrans({guard: character for character, guard in _GUARDED.items()})
_POSITION_TAG = re.compile(r"\{\\[^{}\n]*\}")
_VTT_TAG = re.compile(r"</?(?:[cibuv]|ruby|rt|lang|\d\d:)[^<>\n]*>")


@dataclass(frozen=True)
class Cue:
    """One subtitle.

    Attributes:
        start, end: seconds, whole milliseconds, ``0 <= start < end``. text: plain, lines separated by a line feed.
    """

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Subtitles:
    """A subtitle file as it was read.

    Attributes:
        cues: in the order of their starts. format: srt or vtt. encoding: how its bytes were read.
        notices: what the reader had to decide, one sentence each.
    """

    cues: tuple[Cue, ...]
    format: str
    encoding: str
    notices: tuple[str, ...]


def read_subtitles(path: str | Path) -> list[Cue]:
    """The cues of an SRT or WebVTT file; see :func:`read_subtitle_file` for what had to be decided while reading."""
    return list(read_subtitle_file(path).cues)


def read_subtitle_file(path: str | Path) -> Subtitles:
    """Read an SRT or WebVTT file; which of them it is, is told by content.

    Text is UTF-8 (with or without a mark), UTF-16 with a mark, or else Latin-1, with a notice. Styling is dropped, the
    text kept; cues without text are dropped; cues are sorted by start.

    Raises:
        BadInput: as :func:`dubflow.media.opening.open_regular` (16 MiB at most); ``media.not_subtitles``;
            ``media.bad_cue`` for a cue that does not end after it starts.
    """
    path = Path(path)
    with open_regular(path, Limits(bytes=_MOST_BYTES)) as file:
        text, encoding = _decoded(file.read(), path.name)
    form = "vtt" if text.startswith("WEBVTT") else "srt"
    events = _parsed(text, form, path.name)
    notices = ["it is not UTF-8; it was read as Latin-1"] if encoding == "latin-1" else []
    announced = text.count("-->")
    if len(events) != announced:
        notices.append(f"it has {announced} time lines, of which {len(events)} were readable")
    if not events and (announced or form == "srt"):
        raise BadInput(
            "media.not_subtitles",
            f"{path.name} has no readable subtitle.",
            "Write 00:00:01,000 --> 00:00:02,000 and text.",
        )
    cues = [_cue(event, form, path.name) for event in events if event.plaintext.strip()]
    return Subtitles(tuple(sorted(cues, key=lambda cue: (cue.start, cue.end))), form, encoding, tuple(notices))


def write_subtitles(path: str | Path, cues: Iterable[Cue]) -> None:
    """Write cues as SRT or WebVTT, by the name's ending; UTF-8, whole or not at all.

    Times are rounded to the nearest millisecond.

    Raises:
        WrongUse: ``media.unknown_output``, ``media.unwritable_cue``.
    """
    path = Path(path)
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise WrongUse("media.unknown_output", f"{path.name} does not end in .srt or .vtt.", "Name it so.")
    document = pysubs2.SSAFile()
    for cue in cues:
        finite = math.isfinite(cue.start) and math.isfinite(cue.end)
        start, end = (round(cue.start * 1000), round(cue.end * 1000)) if finite else (0, 0)
        if not 0 <= start < end <= _MOST_MS:
            raise WrongUse(
                "media.unwritable_cue",
                f"A cue runs from {cue.start} s to {cue.end} s.",
                "It must end after it starts, from 0 to 100 hours.",
            )
        event = pysubs2.SSAEvent(start=start, end=end)
        event.plaintext = _writable(cue.text, form).translate(_GUARD)
        document.append(event)
    write_text(path, document.to_string(form).translate(_UNGUARD))


def _decoded(data: bytes, name: str) -> tuple[str, str]:
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    if b"\0" in data and not marked:
        raise BadInput("media.not_subtitles", f"{name} is not a text.", "Give an SRT or WebVTT file.")
    # UTF-8 text almost never happens by chance, and Latin-1 reads anything: in this order the guess is safe.
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "latin-1"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return text.replace("\r\n", "\n").replace("\r", "\n"), encoding.removesuffix("-sig")
    raise BadInput("media.not_subtitles", f"{name} is not a text in a known encoding.", "Save it as UTF-8.")


def _parsed(text: str, form: str, name: str) -> list[pysubs2.SSAEvent]:
    guarded = _POSITION_TAG.sub("", text).translate(_GUARD)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return list(pysubs2.SSAFile.from_string(guarded, format_=form))
    except (pysubs2.exceptions.Pysubs2Error, ValueError, IndexError, OverflowError) as error:
        raise BadInput(
            "media.not_subtitles", f"{name} does not read as {form.upper()}: {error}.", "Check its time lines."
        ) from error


def _cue(event: pysubs2.SSAEvent, form: str, name: str) -> Cue:
    if not 0 <= event.start < event.end:
        raise BadInput(
            "media.bad_cue",
            f"{name} has a cue from {event.start / 1000:.3f} s to {event.end / 1000:.3f} s.",
            "A cue must end after it starts.",
            start=event.start / 1000,
            end=event.end / 1000,
        )
    text = event.plaintext.translate(_UNGUARD).strip("\n")
    if form == "vtt":
        text = html.unescape(_VTT_TAG.sub("", text))
    return Cue(event.start / 1000, event.end / 1000, text)


def _writable(text: str, form: str) -> str:
    """``text`` as it may stand in a file: without what would end or restart a cue, escaped where the format can."""
    lines = [line.strip() for line in text.splitlines()]
    if not lines or not all(lines) or "-->" in text:
        raise WrongUse(
            "media.unwritable_cue",
            f"The text {text[:40]!r} cannot stand in a subtitle file.",
            "A cue has text, without empty lines and without '-->'.",
        )
    joined = "\n".join(lines)
    return html.escape(joined, quote=False) if form == "vtt" else joined
