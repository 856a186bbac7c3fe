"""GRID's ``.align`` files: a word a line, ``start end word``, without gaps from the clip's first frame to its last.

One unit is a thousandth of a video frame at 25 fps (1/25000 s): the 3-second, 75-frame clips of GRID end at 74500, half
a frame before the last frame ends. Silence is ``sil`` at the edges and ``sp`` between words; here it has the label
``''``. GRID audio-visual sentence corpus: Cooke, Barker, Cunningham, Shao (2006), https://doi.org/10.5281/zenodo.3625687.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dubflow.atomic import write_text
from dubflow.errors import BadInput
from dubflow.speech.intervals import Interval

UNITS_PER_FRAME = 1000
FRAMES_PER_SECOND = 25
UNITS_PER_SECOND = UNITS_PER_FRAME * FRAMES_PER_SECOND
SILENCES = frozenset({"sil", "sp"})


def read_align(path: Path) -> list[Interval]:
    """Read an ``.align`` file.

    Returns:
        Intervals in seconds, in order, silence included under the label ``''``.

    Raises:
        BadInput: ``corpora.no_align``, ``corpora.bad_align`` (naming the line), ``corpora.align_out_of_order``.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadInput("corpora.no_align", f"There is no alignment {path}.", "Check the corpus folder.") from error
    except UnicodeDecodeError as error:
        raise BadInput(
            "corpora.bad_align", f"{path} is not a text file.", "GRID .align files are plain text."
        ) from error
    intervals: list[Interval] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            interval = _interval(line, f"{path}, line {number}")
            if intervals and interval.start < intervals[-1].end:
                raise _out_of_order(f"{path}, line {number}: {line.strip()!r} starts before the line above ends.")
            intervals.append(interval)
    if not intervals:
        raise BadInput("corpora.bad_align", f"{path} has no lines.", "The file was cut short: copy it again.")
    return intervals


def _interval(line: str, where: str) -> Interval:
    fields = line.split()
    if len(fields) != 3 or not (fields[0].isdecimal() and fields[1].isdecimal()):
        raise BadInput(
            "corpora.bad_align",
            f"{where}: {line.strip()!r} is not `start end word`.",
            "Times are whole units of 1/25000 s.",
        )
    start, end = int(fields[0]), int(fields[1])
    if end < start:
        raise _out_of_order(f"{where}: {line.strip()!r} ends before it starts.")
    label = "" if fields[2] in SILENCES else fields[2]
    return Interval(start=start / UNITS_PER_SECOND, end=end / UNITS_PER_SECOND, label=label)


def spoken(intervals: Iterable[Interval]) -> list[Interval]:
    """Only the words: intervals whose label is not silence."""
    return [interval for interval in intervals if interval.label]


def write_align(path: Path, words: Iterable[Interval], frames: int) -> None:
    """Write words of a 25 fps clip of ``frames`` frames; gaps become ``sil`` at the edges and ``sp`` between words.

    Times are rounded to 1/25000 s; silence intervals (label ``''``) may be given or left out.

    Raises:
        BadInput: ``corpora.align_out_of_order`` when words overlap or leave the clip, ``corpora.bad_align`` for a word
            with white space in it or one that reads as silence.
    """
    lines: list[str] = []
    last = 0
    for word in spoken(words):
        if len(word.label.split()) != 1 or word.label in SILENCES:
            raise BadInput("corpora.bad_align", f"{word.label!r} cannot be a word of {path}.", "One word an interval.")
        start, end = round(word.start * UNITS_PER_SECOND), round(word.end * UNITS_PER_SECOND)
        if start < last or end < start:
            raise _out_of_order(f"{path}: {word.label!r} at {word.start:.3f} s overlaps the word before it.")
        if start > last:
            lines.append(f"{last} {start} {'sp' if lines else 'sil'}")
        lines.append(f"{start} {end} {word.label}")
        last = end
    total = frames * UNITS_PER_FRAME
    if last > total:
        raise _out_of_order(f"{path}: the last word ends at {last}, after the clip's end at {total}.")
    if last < total:
        lines.append(f"{last} {total} sil")
    write_text(path, "\n".join(lines) + "\n")


def _out_of_order(headline: str) -> BadInput:
    return BadInput("corpora.align_out_of_order", headline, "Words follow each other and stay inside the clip.")
