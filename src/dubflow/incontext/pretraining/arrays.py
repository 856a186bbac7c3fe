"""Material as arrays: every clip decoded once, read by memory map after that.

A folder with ``arrays.json`` (whose material, and which shard holds a clip) and shards of safetensors with
``<id>/frames`` uint8 ``[F, H, W, 3]`` and ``<id>/sound`` int16 ``[N]``. Pictures have 25 frames a second and sound
16,000 samples, both of the material's own and hence not resampled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.atomic import atomic_dir, write_json
from dubflow.corpora.tensorfile import TensorFile, write_tensors
from dubflow.incontext.pretraining.material import MaterialClip
from dubflow.media.decode import read_audio, read_clip
from dubflow.progress import Progress, Silent

SAMPLE_RATE = 16_000
FPS = 25
SAMPLES = SAMPLE_RATE // FPS
_INDEX = "arrays.json"
_FORMAT = "dubflow.base-arrays/1"
_SHARD_CLIPS = 64


@dataclass(frozen=True)
class ClipArrays:
    """A decoded clip: ``frames`` uint8 ``[F, H, W, 3]`` or None, ``sound`` int16 ``[640 F]``."""

    clip: MaterialClip
    frames: NDArray[np.uint8] | None
    sound: NDArray[np.int16]

    @property
    def length(self) -> int:
        """Frames, of which sound has 640 samples each."""
        return len(self.sound) // SAMPLES


class MaterialArrays:
    """The arrays of a material folder, in the material's order; picklable, every process opens the files itself."""

    def __init__(self, folder: Path, clips: Sequence[MaterialClip]) -> None:
        self.folder, self.clips = Path(folder), tuple(clips)
        self._shards: dict[str, str] = json.loads((self.folder / _INDEX).read_text(encoding="utf-8"))["shards"]
        self._open: dict[str, TensorFile] = {}

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, place: int) -> ClipArrays:
        clip = self.clips[place]
        shard = self._shards[clip.id]
        if shard not in self._open:
            self._open[shard] = TensorFile(self.folder / shard)
        held = self._open[shard]
        frames = None if clip.part == "voices" else held[f"{clip.id}/frames"]
        return ClipArrays(clip, frames, held[f"{clip.id}/sound"])

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Frames of every clip."""
        return tuple(self[place].length for place in range(len(self)))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_open"} | {"_open": {}}


def make_arrays(
    folder: Path, clips: Sequence[MaterialClip], frames: int, progress: Progress | None = None
) -> MaterialArrays:
    """Decode ``clips`` into ``folder``, unless they are there already.

    Args:
        frames: most frames of a clip of one sentence; clips of two are cut to 8k + 1.
    """
    key = _key(clips, frames)
    path = folder / key
    if not (path / _INDEX).is_file():
        _decode(path, clips, frames, progress or Silent())
    return MaterialArrays(path, clips)


def _key(clips: Sequence[MaterialClip], frames: int) -> str:
    told = [_FORMAT, frames, *((clip.id, clip.path.stat().st_size) for clip in clips)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _decode(path: Path, clips: Sequence[MaterialClip], frames: int, progress: Progress) -> None:
    shards: dict[str, str] = {}
    progress.expect(len(clips))
    with atomic_dir(path) as part:
        for number, group in enumerate(_shards_of(clips)):
            name = f"shard-{number:04d}.safetensors"
            arrays: dict[str, NDArray[Any]] = {}
            for clip in group:
                pictures, sound = _decoded(clip)
                length = most_frames(len(sound) // SAMPLES, frames if "|" not in clip.prompt else None)
                arrays[f"{clip.id}/sound"] = sound[: length * SAMPLES]
                if pictures is not None:
                    arrays[f"{clip.id}/frames"] = pictures[:length]
                shards[clip.id] = name
                progress.advance()
            write_tensors(part / name, arrays, {"format": _FORMAT})
        write_json(part / _INDEX, {"format": _FORMAT, "shards": shards})


def _shards_of(clips: Sequence[MaterialClip]) -> list[tuple[MaterialClip, ...]]:
    """Clips in groups for a shard; a shard holds clips of one part."""
    groups = []
    for part in dict.fromkeys(clip.part for clip in clips):
        own = [clip for clip in clips if clip.part == part]
        groups += [tuple(own[start : start + _SHARD_CLIPS]) for start in range(0, len(own), _SHARD_CLIPS)]
    return groups


def most_frames(frames: int, limit: int | None) -> int:
    """The largest 8k + 1 that is neither above ``frames`` nor above ``limit``."""
    most = frames if limit is None else min(frames, limit)
    return (most - 1) // 8 * 8 + 1


def _decoded(clip: MaterialClip) -> tuple[NDArray[np.uint8] | None, NDArray[np.int16]]:
    if clip.part == "voices":
        return None, _whole(read_audio(clip.path, SAMPLE_RATE))
    read = read_clip(clip.path, fps=FPS, sample_rate=SAMPLE_RATE)
    assert read.frames is not None
    assert read.waveform is not None
    sound = _whole(read.waveform)
    needed = len(read.frames) * SAMPLES
    return read.frames, np.pad(sound, (0, max(0, needed - len(sound))))[:needed]


def _whole(waveform: NDArray[np.float32]) -> NDArray[np.int16]:
    rounded: NDArray[np.int16] = np.round(waveform.clip(-1, 1) * 32767).astype(np.int16)
    return rounded
