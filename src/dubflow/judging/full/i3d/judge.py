"""FVD, as evaluations ask it: stretches of 16 frames of the dubs against those of the true clips.

Unterthiner et al., 2018: logits of I3D, 400 numbers a stretch. Frames are whole, at 25 a second, scaled to 224 pixels
bilinearly; a clip is cut into stretches from its first frame on, and what is left at its end is left out.

The weights are DeepMind's in the layout of pytorch-i3d. Peers mostly use StyleGAN-V's copy, a TorchScript archive that
runs code of its own when loaded and is refused here for that; same paper, but no claim that figures are equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
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

    from dubflow.judging.full.i3d.network import I3d

KIND = "i3d"
VERSION = "pytorch-i3d-rgb-imagenet"
_NAME = "fvd"
STRETCH = 16


class I3dFeatures:
    """Features of stretches of frames.

    Args:
        weights: the published state dict (``rgb_imagenet.pt``).
        device: of torch.

    Raises:
        BadInput: see :func:`dubflow.judging.full.weights.read_state` and :func:`load_into` there.
    """

    def __init__(self, weights: Path, device: str = "cpu") -> None:
        from dubflow.judging.full.i3d.network import I3d

        self._device = device
        network = I3d()
        load_into(network, read_state(weights), what="I3D of 400 classes")
        self._network: I3d = network.to(device)

    def of_clip(self, path: Path) -> NDArray[np.float32]:
        """``[stretches, 400]`` of a clip, in bounded memory.

        Raises:
            BadInput: ``judging.too_short`` below 16 frames; as :func:`dubflow.media.decode.stream_frames`.
        """
        found, waiting = [], None
        for chunk in stream_frames(path, fps=FRAME_RATE):
            frames = chunk if waiting is None else np.concatenate([waiting, chunk])
            whole = len(frames) // STRETCH * STRETCH
            found += [self.of_frames(frames[start : start + STRETCH]) for start in range(0, whole, STRETCH)]
            waiting = frames[whole:]
        if not found:
            raise BadInput(
                "judging.too_short",
                f"{path.name} has fewer than the {STRETCH} frames that FVD looks at.",
                "Judge sets of longer clips.",
            )
        return np.stack(found)

    def of_frames(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``[400]`` of a stretch of RGB frames ``[F, H, W, 3]``."""
        import torch

        with torch.inference_mode():
            logits: NDArray[np.float32] = (
                self._network(as_seen(torch.from_numpy(frames).to(self._device)))[0].cpu().numpy()
            )
        return logits


def as_seen(frames: Tensor) -> Tensor:
    """uint8 ``[F, H, W, 3]`` as the network sees it: ``[1, 3, F, 224, 224]`` in -1..1."""
    from torch.nn.functional import interpolate

    from dubflow.judging.full.i3d.network import SIDE

    pictures = frames.permute(0, 3, 1, 2).float() / 255
    scaled = 2 * interpolate(pictures, size=(SIDE, SIDE), mode="bilinear", align_corners=False) - 1
    return scaled.transpose(0, 1)[None]


@dataclass(eq=False)
class FvdJudge:
    """Implements ``card.functions.SetFunction``.

    Args:
        weights: I3D's state dict (``rgb_imagenet.pt``).
        device: of torch.
    """

    weights: Path | None
    device: str = "cpu"
    judge: str = KIND
    metrics: tuple[Metric, ...] = ()
    _features: I3dFeatures | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.metrics = (listing(_NAME).metric(self.judge),)

    @property
    def pin(self) -> JudgePin:
        """Weights, what is compared with what, device.

        Raises:
            WrongUse: ``judging.weights_not_named``. BadInput: ``media.missing`` and the like.
        """
        settings = {**SETTINGS, "frames": f"whole, {FRAME_RATE} a second", "stretch": STRETCH, "device": self.device}
        return weights_pin(named(self.weights, KIND), VERSION, settings)

    def missing(self) -> str | None:
        """Why its weights are not there."""
        return why_no_weights(self.weights, KIND, "i3d") or why_no_device(self.device)

    def prepare(self) -> None:
        """Load the network."""
        if self._features is None:
            self._features = I3dFeatures(named(self.weights, KIND), self.device)

    def score_set(self, subjects: Sequence[Subject]) -> Mapping[str, Answer]:
        """The distance, with its interval."""
        self.prepare()
        assert self._features is not None
        return {_NAME: distance_of_clips(subjects, self._features.of_clip)}
