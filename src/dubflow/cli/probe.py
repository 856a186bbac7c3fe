"""``dubflow probe``: what is in a media file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubflow.cli.output import Json, emit, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.media.probe import StreamInfo

COLUMNS = ("#", "stream", "codec", "rate", "counted", "seconds", "shape", "notes")


def probe(
    file: Annotated[Path, typer.Argument(help="A video, sound or picture file.")],
    as_json: Json = False,
) -> None:
    """Streams, exact rates, counts and duration of FILE; refuses what must be refused, with the reason."""
    from dubflow.media.probe import probe as probe_file

    result = probe_file(file)

    def human(console: Console) -> None:
        length = "a still picture" if result.duration is None else f"{float(result.duration):.3f} s"
        console.print(f"{file}: {result.container_name}, {length}, {result.size} bytes", markup=False, highlight=False)
        chosen = {result.default_video, result.default_audio}
        print_table(console, "", COLUMNS, [_row(stream, stream.index in chosen) for stream in result.streams])

    emit(result.as_dict(), as_json, human)


def _row(stream: StreamInfo, chosen: bool) -> tuple[object, ...]:
    rate, counted, shape, notes = "", f"{stream.packets} packets", "", ["read by default"] if chosen else []
    if stream.video is not None:
        video = stream.video
        rate = f"{video.rate} fps" + (" (mean)" if video.variable_rate else "") if video.rate else ""
        counted = f"{video.frames} frames"
        shape = f"{video.width}x{video.height} {video.pixel_format}"
        if video.rotation:
            notes.append(f"turned {video.rotation} degrees")
        if video.variable_rate:
            notes.append("variable rate")
        if video.reordered:
            notes.append("B-frames")
    if stream.audio is not None:
        rate = f"{stream.audio.sample_rate} Hz"
        counted = counted if stream.audio.samples is None else f"{stream.audio.samples} samples"
        shape = stream.audio.layout
    if stream.language:
        notes.append(stream.language)
    if stream.start:
        notes.append(f"starts at {float(stream.start):.3f} s")
    seconds = None if stream.duration is None else float(stream.duration)
    return stream.index, stream.kind, stream.codec or "unknown", rate, counted, seconds, shape, ", ".join(notes)
