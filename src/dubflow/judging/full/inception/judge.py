"""FID, as evaluations ask it: every frame of every dub against every frame of the true clips.

Frames are at 25 a second, scaled to 299 pixels bilinearly and without a filter against aliasing, as pytorch-fid does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dubflow.judging.card.functions import Answer
from dubflow.judging.card.items import Subject
from dubflow.judging.card.rows import JudgePin, Metric
from dubflow.judging.catalogue import listing
from dubflow.judging.full.distances import SETTINGS, distance_of_clips
from dubflow.judging.full.weights import load_into, named, read_state, weights_pin, why_no_device, why_no_weights
from dubflow.media.decode import stream_frames
from dubflow.speech.durations import FRAME_RATE

if TYPE_CHECKING:
    from torch import Tensor

    from dubflow.judging.full.inception.network import FidInception

KIND = "inception"
VERSION = "inception-2015-12-05"
_NAME = "fid"
_BATCH = 16


class InceptionFeatures:
    """Features of pictures.

    Args:
        weights: the published state dict (``pt_inception-2015-12-05``).
        device: of torch.

    Raises:
        BadInput: see :func:`dubflow.judging.full.weights.read_state` and :func:`load_into` there.
    """

    def __init__(self, weights: Path, device: str = "cpu") -> None:
        from dubflow.judging.full.inception.network import FidInception

        self._device = device
        network = FidInception()
        load_into(network, read_state(weights), what="FID's Inception v3")
        self._network: FidInception = network.to(device)

    def of_clip(self, path: Path) -> NDArray[np.float32]:
        """``[F, 2048]`` of the frames of a clip, in bounded memory.

        Raises:
            BadInput: as :func:`dubflow.media.decode.stream_frames`.
        """
        return np.concatenate([self.of_frames(chunk) for chunk in stream_frames(path, fps=FRAME_RATE)])

    def of_frames(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``[F, 2048]`` of RGB frames ``[F, H, W, 3]``."""
        import torch

        found = []
        with torch.inference_mode():
            for start in range(0, len(frames), _BATCH):
                pictures = as_seen(torch.from_numpy(frames[start : start + _BATCH]).to(self._device))
                found.append(self._network(pictures).cpu().numpy())
        return np.concatenate(found)


def as_seen(frames: Tensor) -> Tensor:
    """uint8 ``[N, H, W, 3]`` as the network sees it: ``[N, 3, 299, 299]`` in -1..1."""
    from torch.nn.functional import interpolate

    from dubflow.judging.full.inception.network import SIDE

    pictures = frames.permute(0, 3, 1, 2).float() / 255
    return 2 * interpolate(pictures, size=(SIDE, SIDE), mode="bilinear", align_corners=False) - 1


@dataclass(eq=False)
class FidJudge:
    """Implements ``card.functions.SetFunction``.

    Args:
        weights: Inception's state dict.
        device: of torch.
    """

    weights: Path | None
    device: str = "cpu"
    judge: str = KIND
    metrics: tuple[Metric, ...] = ()
    _features: InceptionFeatures | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.metrics = (listing(_NAME).metric(self.judge),)

    @property
    def pin(self) -> JudgePin:
        """Weights, what is compared with what, device.

        Raises:
            WrongUse: ``judging.weights_not_named``. BadInput: ``media.missing`` and the like.
        """
        settings = {**SETTINGS, "frames": f"all, whole, {FRAME_RATE} a second", "device": self.device}
        return weights_pin(named(self.weights, KIND), VERSION, settings)

    def missing(self) -> str | None:
        """Why its weights are not there."""
        return why_no_weights(self.weights, KIND, "inception") or why_no_device(self.device)

    def prepare(self) -> None:
        """Load the network."""
        if self._features is None:
            self._features = InceptionFeatures(named(self.weights, KIND), self.device)

    def score_set(self, subjects: Sequence[Subject]) -> Mapping[str, Answer]:
        """The distance, with its interval."""
        self.prepare()
        assert self._features is not None
        return {_NAME: distance_of_clips(subjects, self._features.of_clip)}
