"""One clip as the page shows it: a playable copy, a spectrogram, the loudness, and the mouth.

Copies are named by the digest of their bytes, so no name of a file reaches the page and equal clips lie there once.
What no browser plays everywhere (another codec, another pixel format) is encoded again, and the page says so.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dubflow.atomic import atomic_file
from dubflow.errors import BadInput
from dubflow.faces.landmarks import Landmarker
from dubflow.faces.mouth import mouth_opening
from dubflow.judging.page.picture import spectrogram
from dubflow.judging.page.plots import envelope
from dubflow.media.decode import DEFAULT_FPS, DEFAULT_SAMPLE_RATE, read_clip, stream_audio, stream_frames
from dubflow.media.encode import write_audio, write_clip
from dubflow.media.probe import Probe, probe

MEDIA = "media"
SHOWN_SECONDS = 30
"""How much of a clip its drawings cover; the copy plays in full."""
_ENVELOPE_POINTS = 240
_PICTURES = {"h264", "vp9", "av1"}
_SOUNDS = {"aac", "mp3", "opus", "flac"}


@dataclass(frozen=True)
class ClipMedia:
    """Files of one benchmark clip: what was dubbed, what each system made of it, and what should be said.

    Attributes:
        source, champion, challenger: clips with picture or sound alone; None where there is none.
        text: what the dub says; untrusted, shown as text.
    """

    source: Path | None = None
    champion: Path | None = None
    challenger: Path | None = None
    text: str = ""


@dataclass(frozen=True, eq=False)
class Exhibit:
    """What the page shows of one file.

    Attributes:
        address: of the copy, relative to the page. kind: which player it needs. seconds: that the drawings cover.
        spectrogram: PNG; None without sound. envelope: ``[T]`` loudness in 0..1 over ``seconds``; empty without sound.
        mouth: ``[F]`` opening in eye distances over ``seconds``, NaN without a face; None where not measured.
        notes: what a viewer must know, one sentence each.
    """

    address: str
    kind: Literal["video", "audio"]
    seconds: float
    spectrogram: bytes | None
    envelope: NDArray[np.float64]
    mouth: NDArray[np.float64] | None
    notes: tuple[str, ...]


class Unshowable(Exception):
    """Why a file has no place on the page: shown in its place, so its text is for the page's reader."""


def exhibit(path: Path, folder: Path, landmarker: Landmarker | None) -> Exhibit:
    """Copy ``path`` into ``folder``/media and draw what is in it.

    Args:
        landmarker: finds the mouth; None leaves its curve out.

    Raises:
        Unshowable: the file is missing or damaged; a page about bad clips must still be written.
    """
    try:
        return _exhibit(path, folder, landmarker)
    except BadInput as error:
        # The reader of a page needs no path of the machine that made it.
        raise Unshowable(f"{error.headline.replace(str(path), path.name)} [{error.code}]") from error


def _exhibit(path: Path, folder: Path, landmarker: Landmarker | None) -> Exhibit:
    found = probe(path)
    if found.video is None and found.audio is None:
        raise Unshowable("The file holds neither picture nor sound.")
    notes: list[str] = []
    copy = _copy(path, found, folder / MEDIA, notes)
    waveform = _waveform(path) if found.audio is not None else np.zeros(0, np.float32)
    mouth = None
    frames = 0
    if found.video is not None and landmarker is not None:
        mouth, frames = _mouth(path, landmarker, notes)
    seconds = max(len(waveform) / DEFAULT_SAMPLE_RATE, frames / float(DEFAULT_FPS))
    if found.duration is not None and found.duration > SHOWN_SECONDS:
        notes.append(f"The drawings cover the first {SHOWN_SECONDS} s.")
    if not len(waveform):
        notes.append("No sound.")
    return Exhibit(
        address=f"{MEDIA}/{copy.name}",
        kind="audio" if found.video is None else "video",
        seconds=seconds,
        spectrogram=spectrogram(_filled(waveform, seconds)) if len(waveform) else None,
        envelope=envelope(_filled(waveform, seconds), DEFAULT_SAMPLE_RATE, max(0.02, seconds / _ENVELOPE_POINTS)),
        mouth=None if mouth is None else _stretched(mouth, frames, seconds),
        notes=tuple(notes),
    )


def _copy(path: Path, found: Probe, folder: Path, notes: list[str]) -> Path:
    suffix = _browser_suffix(found)
    if suffix is not None:
        target = folder / f"{found.sha256[:32]}{suffix}"
        with atomic_file(target) as part:
            shutil.copyfile(path, part)
        return target
    clip = read_clip(path, fps=None, video=found.video is not None, audio=found.audio is not None)
    target = folder / f"{found.sha256[:32]}-web.mp4"
    if clip.frames is None:
        target = target.with_suffix(".wav")
        assert clip.waveform is not None  # one of the two was found
        write_audio(target, clip.waveform, clip.sample_rate)
    else:
        even = clip.frames[:, : clip.frames.shape[1] // 2 * 2, : clip.frames.shape[2] // 2 * 2]
        write_clip(target, even, clip.fps, clip.waveform, clip.sample_rate)
    notes.append("Encoded again for the browser; the figures are of the original.")
    return target


def _browser_suffix(found: Probe) -> str | None:
    """How to name a copy that any current browser plays; None for a file that must be encoded again."""
    video, audio = found.video, found.audio
    if video is None:
        return ".wav" if found.container == "wav" and audio is not None and audio.codec == "pcm_s16le" else None
    picture_fine = (
        video.codec in _PICTURES and video.video is not None and video.video.pixel_format in {"yuv420p", "yuvj420p"}
    )
    sound_fine = audio is None or audio.codec in _SOUNDS
    return ".mp4" if found.container == "mov" and picture_fine and sound_fine else None


def _waveform(path: Path) -> NDArray[np.float32]:
    most, chunks, held = SHOWN_SECONDS * DEFAULT_SAMPLE_RATE, [], 0
    for chunk in stream_audio(path):
        chunks.append(chunk)
        held += len(chunk)
        if held >= most:
            break
    return np.concatenate(chunks)[:most] if chunks else np.zeros(0, np.float32)


def _mouth(path: Path, landmarker: Landmarker, notes: list[str]) -> tuple[NDArray[np.float64], int]:
    """Opening of the main face's mouth ``[F]`` and F; all NaN where no face was found."""
    tracks = landmarker.landmarks(_frames(path))
    if not tracks.tracks:
        notes.append("No face was found.")
        return np.full(tracks.frame_count, np.nan), tracks.frame_count
    return mouth_opening(tracks.main.landmarks).astype(np.float64), tracks.frame_count


def _frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    left = int(SHOWN_SECONDS * DEFAULT_FPS)
    for chunk in stream_frames(path):
        yield from chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return


def _filled(waveform: NDArray[np.float32], seconds: float) -> NDArray[np.float32]:
    """With silence up to ``seconds``, so that drawings of picture and sound share one axis."""
    return np.pad(waveform, (0, max(0, round(seconds * DEFAULT_SAMPLE_RATE) - len(waveform))))


def _stretched(mouth: NDArray[np.float64], frames: int, seconds: float) -> NDArray[np.float64]:
    """With absence up to ``seconds``."""
    return np.pad(mouth, (0, max(0, round(seconds * float(DEFAULT_FPS)) - frames)), constant_values=np.nan)


def sweep_copies(folder: Path, linked: Collection[str]) -> None:
    """Remove copies of an earlier page from ``folder``/media that no address of ``linked`` names any more."""
    for old in sorted((folder / MEDIA).glob("*")):
        stem = old.stem.removesuffix("-web")
        ours = len(stem) == 32 and set(stem) <= set("0123456789abcdef") and old.suffix in {".mp4", ".wav"}
        if ours and old.is_file() and f"{MEDIA}/{old.name}" not in linked:
            old.unlink()
