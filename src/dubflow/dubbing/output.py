"""What an engine said and showed, put together into one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dubflow.dubbing.engine import SpokenSegment
from dubflow.dubbing.picture import write_picture
from dubflow.dubbing.planning import PlannedSegment
from dubflow.dubbing.stitching import Waveform
from dubflow.media.encode import replace_audio
from dubflow.media.probe import Probe


def sounds_of(segments: Sequence[PlannedSegment], spoken: Sequence[SpokenSegment]) -> list[tuple[int, Waveform]]:
    """First frame and sound of each segment; what an engine made in one piece is one piece again."""
    pieces: list[tuple[int, Waveform]] = []
    end = None
    for segment, said in zip(segments, spoken, strict=True):
        if said.covers is not None and end == said.covers[0]:
            pieces[-1] = (pieces[-1][0], np.concatenate([pieces[-1][1], said.waveform]))
        else:
            pieces.append((_first(segment, said), said.waveform))
        end = None if said.covers is None else said.covers[1]
    return pieces


def write_dub(
    facts: Probe,
    segments: Sequence[PlannedSegment],
    spoken: Sequence[SpokenSegment],
    sound: Waveform,
    rate: int,
    out: Path,
    language: str | None,
) -> tuple[str, ...]:
    """Write the clip with its new sound, and its new picture where there is one; what is to be said about it.

    Without a new picture the old one goes over packet for packet.
    """
    pictures = [
        (_first(segment, said), said.picture)
        for segment, said in zip(segments, spoken, strict=True)
        if said.picture is not None
    ]
    if not pictures:
        replace_audio(facts.path, sound, rate, out, language=language)
        return ()
    with TemporaryDirectory(dir=out.parent, prefix=".picture-") as folder:
        path = Path(folder) / "picture.mp4"
        notices = write_picture(facts, pictures, path).notices
        replace_audio(path, sound, rate, out, language=language)
    lost = any(stream.kind == "subtitle" for stream in facts.streams)
    return (*notices, *(("its subtitle tracks are left out",) if lost else ()))


def _first(segment: PlannedSegment, said: SpokenSegment) -> int:
    return segment.first if said.covers is None else said.covers[0]
