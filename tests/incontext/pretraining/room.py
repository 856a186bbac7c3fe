"""A base so small that a step takes milliseconds, and the little that it is trained on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dubflow.atomic import write_text
from dubflow.incontext.pretraining.run import BasePreset, base_preset
from dubflow.progress import Progress, Silent

PRESET = """
incontext.backbone:
  transformer: {layers: 2, heads: 2, head_dim: 16, audio_head_dim: 16, double_precision: false}
  video_vae: {latent_channels: 8, base_channels: 8, depth: 1}
  audio_vae: {latent_channels: 2, mel_bins: 16, base_channels: 8, multipliers: [1, 1, 1], depth: 1}
  vocoder: {channels: 64, kernels: [3]}
  text:
    {width: 32, layers: 1, heads: 2, key_heads: 1, head_dim: 16, feed_forward: 64, tokens: 160, connector_layers: 1,
     connector_heads: 2, registers: 16}
incontext.pretraining.material:
  {size: 64, frames: 17, languages: [en, fr], voices_people: 4, voices_clips: 2, heads_people: 3, heads_clips: 1,
   switch_people: 3, held_out_voices: []}
incontext.pretraining.audio_vae: {steps: 3, batch_items: 2, checkpoint_every: 1, validate_every: 3, log_every: 1}
incontext.pretraining.vocoder:
  {steps: 3, batch_items: 2, frames: 24, resolutions: [256, 512], checkpoint_every: 1, validate_every: 3, log_every: 1}
incontext.pretraining.video_vae:
  {steps: 3, batch_items: 2, frames: 9, checkpoint_every: 1, validate_every: 3, validate_items: 1, log_every: 1}
incontext.pretraining.transformer:
  phases: [{steps: 1, parts: [voices]}, {steps: 3, parts: [heads, switches, voices]}]
  batch_items: 2
  checkpoint_every: 1
  validate_every: 4
  log_every: 1
"""


def preset_in(folder: Path) -> BasePreset:
    """The settings, from a preset written into ``folder``."""
    write_text(folder / "micro.yaml", PRESET)
    return base_preset(str(folder / "micro.yaml"))


@contextmanager
def unseen(title: str, total: int | None, unit: str) -> Iterator[Progress]:
    """A display that nobody looks at."""
    yield Silent()


class Stopping(Silent):
    """Ends the work by an error after so many steps."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def advance(self, items: int = 1, *, cached: bool = False) -> None:
        """One step more."""
        if not cached:
            self.left -= items
            if self.left < 0:
                raise KeyboardInterrupt


def stopping(part: str, after: int) -> Any:
    """A display under which the training of ``part`` ends early."""

    @contextmanager
    def reporting(title: str, total: int | None, unit: str) -> Iterator[Progress]:
        yield Stopping(after) if title == f"Training {part}" else Silent()

    return reporting
