"""How frames and seconds become latents and tokens.

A video latent covers 32 x 32 pixels and 8 frames; the first frame has a latent of its own, so clips have 8k + 1 frames.
A token is one latent. Audio has 25 tokens a second: mel frames of 10 ms, four to a latent (LTX-2, patchifiers).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from dubflow.errors import BadInput
from dubflow.incontext.backbone.configs import HOP, SAMPLE_RATE, SPATIAL, TEMPORAL


@dataclass(frozen=True)
class Geometry:
    """Sizes that every part of a backbone agrees on."""

    video_channels: int = 128
    """Numbers of a video token."""
    audio_latent_channels: int = 8
    mel_bins: int = 64
    spatial: int = SPATIAL
    """Pixels a latent, in both directions."""
    temporal: int = TEMPORAL
    """Frames a latent, after the first."""
    sample_rate: int = SAMPLE_RATE
    """Of the audio that is encoded, Hz."""
    hop: int = HOP
    """Samples a mel frame."""
    audio_temporal: int = 4
    """Mel frames, and mel bins, an audio latent."""

    @property
    def audio_channels(self) -> int:
        """Numbers of an audio token: latent channels times latent bins."""
        return self.audio_latent_channels * self.mel_bins // self.audio_temporal

    @property
    def smallest_side(self) -> int:
        """Pixels a side has at least: the decoder of 2.0 reflects edges, which takes two latents."""
        return 2 * self.spatial

    @property
    def audio_rate(self) -> Fraction:
        """Audio tokens a second."""
        return Fraction(self.sample_rate, self.hop * self.audio_temporal)

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Latent frames, rows and columns of a clip.

        Raises:
            BadInput: ``incontext.bad_clip_size`` unless frames are 8k + 1 and both sides multiples of 32 from 64 on.
        """
        sides = (height, width)
        if frames < 1 or (frames - 1) % self.temporal or any(side % self.spatial for side in sides):
            self._refuse(frames, height, width)
        if min(sides) < self.smallest_side:
            self._refuse(frames, height, width)
        return (frames - 1) // self.temporal + 1, height // self.spatial, width // self.spatial

    def clip_shape(self, latent_frames: int, rows: int, columns: int) -> tuple[int, int, int]:
        """Frames, height and width that latents stand for; the inverse of :meth:`latent_shape`."""
        return (latent_frames - 1) * self.temporal + 1, rows * self.spatial, columns * self.spatial

    def video_tokens(self, frames: int, height: int, width: int) -> int:
        """Tokens of a clip: 3,520 at 640 x 352 x 121, 8,160 at 960 x 544 x 121."""
        latent_frames, rows, columns = self.latent_shape(frames, height, width)
        return latent_frames * rows * columns

    def audio_tokens(self, seconds: float | Fraction) -> int:
        """Audio tokens of a clip, rounded to the nearest."""
        return max(1, round(Fraction(seconds) * self.audio_rate))

    def snap_frames(self, frames: int, *, up: bool = True) -> int:
        """The nearest 8k + 1 that is not below (``up``) or not above ``frames``; at least 1."""
        steps = -(-(frames - 1) // self.temporal) if up else (frames - 1) // self.temporal
        return max(0, steps) * self.temporal + 1

    def snap_side(self, pixels: int, *, up: bool = True) -> int:
        """The nearest multiple of 32 that is not below (``up``) or not above ``pixels``; at least 64."""
        steps = -(-pixels // self.spatial) if up else pixels // self.spatial
        return max(self.smallest_side, steps * self.spatial)

    def _refuse(self, frames: int, height: int, width: int) -> None:
        raise BadInput(
            "incontext.bad_clip_size",
            f"A clip of {frames} frames of {width} x {height} does not divide into latents.",
            f"Frames must be {self.temporal}k + 1, sides multiples of {self.spatial} from {self.smallest_side} on.",
            frames=frames,
            height=height,
            width=width,
        )
