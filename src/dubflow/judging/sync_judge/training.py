r"""Trains the small judge: sound and mouth of one moment near each other, all other moments and clips far.

Two losses, each over distances so that LSE-C and LSE-D mean something afterwards. With windows :math:`v_{b,i}`,
:math:`a_{b,i}` of clips b, contrast (InfoNCE, van den Oord et al., 2018) both ways over all windows of a batch,

.. math:: -\log \frac{\exp(-s\,\lVert v_{b,i} - a_{b,i} \rVert)}{\sum_{c,j} \exp(-s\,\lVert v_{b,i} - a_{c,j} \rVert)},

and over a clip's own curve of mean distances at 31 shifts, padded with zeros as the judge will do it, the cross-entropy
of the shift that its sound was given.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy, pad
from torch.utils.data import DataLoader, Dataset

from dubflow.config import Strict
from dubflow.errors import BadInput
from dubflow.judging.phone_judge.augmentation import changed_picture, changed_sound
from dubflow.judging.sync_judge.augment import changed_mouths
from dubflow.judging.sync_judge.crops import SAMPLES_PER_FRAME, heard, seen
from dubflow.judging.sync_judge.facts import SyncSettings
from dubflow.judging.sync_judge.material import SyncClip
from dubflow.judging.sync_judge.network import SyncNetwork
from dubflow.judging.syncnet import FARTHEST

STRETCHES = (0.85, 1.18)
"""Least and most by which the frequency axis of a sound is stretched: other throats."""


class SyncTraining(Strict):
    """How it is trained."""

    steps: int = Field(90, ge=1)
    clips: int = Field(12, ge=2, description="Of a batch.")
    frames: int = Field(50, ge=2 * FARTHEST, description="Of each clip, from anywhere in it.")
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    warm_up: int = Field(20, ge=0, description="Steps.")
    farthest: int = Field(10, ge=0, le=FARTHEST, description="Frames by which the sound of half of the clips is moved.")
    curve_sharpness: float = Field(40.0, gt=0, description="Turns mean distances of a clip into logits.")
    seed: int = 5


class Batches(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Batch ``index`` of a training: mouths ``[B, F, 48, 56]``, sounds ``[B, V, 80, 16]``, shifts ``[B]`` in frames by
    which the sound is late. The same for the same index, whoever asks.

    Raises:
        BadInput: ``judging.nothing_to_judge`` where no clip is long enough.
    """

    def __init__(self, material: Sequence[SyncClip], settings: SyncTraining) -> None:
        self._material = [clip for clip in material if len(clip.crops) >= settings.frames]
        self._settings = settings
        if not self._material:
            raise BadInput(
                "judging.nothing_to_judge",
                f"No clip to train on has {settings.frames} frames with a face.",
                "Give longer clips.",
            )

    def __len__(self) -> int:
        return self._settings.steps

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        settings = self._settings
        rng = np.random.default_rng([settings.seed, index])
        again = len(self._material) < settings.clips
        chosen = rng.choice(len(self._material), settings.clips, replace=again)
        parts = [self._part(self._material[one], rng) for one in chosen]
        mouths, sounds, shifts = zip(*parts, strict=True)
        return torch.from_numpy(np.stack(mouths)), torch.from_numpy(np.stack(sounds)), torch.tensor(shifts)

    def _part(self, clip: SyncClip, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
        frames = self._settings.frames
        first = int(rng.integers(0, len(clip.crops) - frames + 1))
        late = int(rng.integers(-self._settings.farthest, self._settings.farthest + 1)) if rng.random() < 0.5 else 0
        start = (first - late) * SAMPLES_PER_FRAME
        # What lies before or behind the clip's sound is silence, as in a dub that is moved.
        before = max(0, -start)
        sound = np.pad(clip.waveform, (before, frames * SAMPLES_PER_FRAME + abs(start)))[start + before :]
        sound = changed_sound(sound[: frames * SAMPLES_PER_FRAME], rng)
        mouths, windows = seen(changed_mouths(clip.crops[first : first + frames], rng)), heard(sound, frames)
        side_by_side = windows.transpose(1, 0, 2).reshape(windows.shape[1], -1)
        changed = changed_picture(side_by_side, rng, STRETCHES).reshape(windows.shape[1], len(windows), -1)
        return mouths, np.ascontiguousarray(changed.transpose(1, 0, 2)), late


def train(
    material: Sequence[SyncClip],
    settings: SyncTraining,
    network: SyncSettings,
    *,
    check: Callable[[int, SyncNetwork], float] | None = None,
    check_every: int = 45,
    workers: int = 1,
    say: Callable[[str], None] = print,
) -> SyncNetwork:
    """A network trained on ``material``; with ``check``, that of the step where its figure was highest.

    Raises:
        BadInput: ``judging.nothing_to_judge`` where no clip is long enough.
    """
    torch.manual_seed(settings.seed)
    model = SyncNetwork(network)
    optimiser = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, settings))
    batches = DataLoader(Batches(material, settings), batch_size=None, num_workers=workers)
    best, kept, began = -math.inf, model.state_dict(), time.monotonic()
    for step, (mouths, sounds, late) in enumerate(batches, 1):
        loss, parts = losses(model, mouths, sounds, late, settings)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 20 == 0 or step == settings.steps:
            figures = ", ".join(f"{name} {value:.3f}" for name, value in parts.items())
            say(f"step {step}/{settings.steps}, {time.monotonic() - began:.0f} s: {figures}")
        if check is not None and (step % check_every == 0 or step == settings.steps):
            model.eval()
            with torch.inference_mode():
                figure = check(step, model)
            model.train()
            if figure >= best:
                best, kept = figure, {name: value.clone() for name, value in model.state_dict().items()}
    if check is not None:
        model.load_state_dict(kept)
    return model.eval()


def losses(
    model: SyncNetwork, mouths: Tensor, sounds: Tensor, late: Tensor, settings: SyncTraining
) -> tuple[Tensor, dict[str, float]]:
    """The sum to be made smaller, and its parts with the share of clips whose shift was found."""
    video, audio = model.see(mouths), model.hear(sounds)
    curve = padded_curve(video, audio)
    wanted = late + FARTHEST
    shift = cross_entropy(-settings.curve_sharpness * curve, wanted)
    contrast = torch.stack([_contrast(video, audio, late, model), _contrast(audio, video, -late, model)]).mean()
    found = (curve.argmin(dim=1) == wanted).float().mean()
    return shift + contrast, {"shift": shift.item(), "contrast": contrast.item(), "found": found.item()}


def padded_curve(video: Tensor, audio: Tensor) -> Tensor:
    """Mean distances ``[B, 31]`` of ``[B, V, D]`` each, as ``syncnet.sync_score`` has them."""
    windows = video.shape[1]
    padded = pad(audio, (0, 0, FARTHEST, FARTHEST))
    shifts = [_distance(video, padded[:, k : k + windows]).mean(dim=1) for k in range(2 * FARTHEST + 1)]
    return torch.stack(shifts, dim=1)


def _contrast(ones: Tensor, others: Tensor, late: Tensor, model: SyncNetwork) -> Tensor:
    """Each window of ``ones`` against all of ``others`` ``[B, V, D]``, its own being ``late`` windows later."""
    clips, windows = ones.shape[:2]
    cosine = ones.flatten(0, 1) @ others.flatten(0, 1).T
    logits = -model.sharpness.exp() * (2.0 - 2.0 * cosine).clamp_min(1e-6).sqrt()
    own = torch.arange(windows)[None] + late[:, None]
    there = ((own >= 0) & (own < windows)).flatten()
    target = (own + windows * torch.arange(clips)[:, None]).flatten()
    return cross_entropy(logits[there], target[there])


def _distance(ones: Tensor, others: Tensor) -> Tensor:
    return (ones - others).square().sum(dim=-1).clamp_min(1e-6).sqrt()


def _rate(step: int, settings: SyncTraining) -> float:
    if step < settings.warm_up:
        return (step + 1) / settings.warm_up
    done = (step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))
