"""Material as the transformer sees it: latents of finished autoencoders, encoded once for these very weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubflow.atomic import atomic_dir, write_json
from dubflow.corpora.tensorfile import TensorFile, write_tensors
from dubflow.incontext.backbone.audio import encode_audio
from dubflow.incontext.backbone.fingerprint import fingerprint
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.video import encode_video
from dubflow.incontext.pretraining.arrays import MaterialArrays
from dubflow.incontext.pretraining.material import MaterialClip
from dubflow.incontext.pretraining.settings import Part
from dubflow.progress import Progress, Silent

_INDEX = "latents.json"
_FILE = "latents.safetensors"
_FORMAT = "dubflow.base-latents/1"


@dataclass(frozen=True, eq=False)
class ClipLatent:
    """Normalised latents of a clip: ``video`` ``[C, F', H', W']`` or None, ``audio`` ``[T, D]``; float16 both."""

    clip: MaterialClip
    video: Tensor | None
    audio: Tensor


class MaterialLatents:
    """The latents of a material, in the material's order."""

    def __init__(self, folder: Path, clips: Sequence[MaterialClip]) -> None:
        self.clips = tuple(clips)
        self._path = Path(folder) / _FILE
        self._lengths: dict[str, int] = json.loads((Path(folder) / _INDEX).read_text(encoding="utf-8"))["lengths"]
        self._file: TensorFile | None = None

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, place: int) -> ClipLatent:
        if self._file is None:
            self._file = TensorFile(self._path)
        clip = self.clips[place]
        video = f"{clip.id}/video"
        return ClipLatent(
            clip,
            torch.from_numpy(np.array(self._file[video])) if video in self._file else None,
            torch.from_numpy(np.array(self._file[f"{clip.id}/audio"])),
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None}

    def length(self, place: int) -> int:
        """Audio tokens of a clip."""
        return self._lengths[self.clips[place].id]

    @property
    def shortest(self) -> int:
        """Audio tokens of the shortest clip."""
        return min(self._lengths.values())

    def places(self, part: Part, *, held: bool) -> list[int]:
        """Places of a part's clips, of people held out or of the others."""
        return [place for place, clip in enumerate(self.clips) if clip.part == part and clip.held == held]


def make_latents(
    folder: Path, arrays: MaterialArrays, backbone: Backbone, progress: Progress | None = None
) -> MaterialLatents:
    """Encode ``arrays`` by the autoencoders of ``backbone`` into ``folder``, unless that was done."""
    told = [_FORMAT, fingerprint(backbone.video_vae), fingerprint(backbone.audio_vae), arrays.folder.name]
    path = folder / hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
    if not (path / _INDEX).is_file():
        _encode(path, arrays, backbone, progress or Silent())
    return MaterialLatents(path, arrays.clips)


def _encode(path: Path, arrays: MaterialArrays, backbone: Backbone, progress: Progress) -> None:
    progress.expect(len(arrays))
    kept: dict[str, NDArray[Any]] = {}
    lengths: dict[str, int] = {}
    for place in range(len(arrays)):
        clip = arrays[place]
        sound = clip.sound.astype(np.float32) / 32767
        tokens = encode_audio(backbone, sound, clip.length)
        kept[f"{clip.clip.id}/audio"] = tokens.cpu().numpy().astype(np.float16)
        if clip.frames is not None:
            latents = encode_video(backbone, np.ascontiguousarray(clip.frames))
            kept[f"{clip.clip.id}/video"] = latents.cpu().numpy().astype(np.float16)
        lengths[clip.clip.id] = clip.length
        progress.advance()
    with atomic_dir(path) as part:
        write_tensors(part / _FILE, kept, {"format": _FORMAT})
        write_json(part / _INDEX, {"format": _FORMAT, "lengths": lengths})
