"""Training of the phone recogniser: connectionist temporal classification, helped by the exact times of the phones.

The embedded world knows when each phone is spoken, so beside the CTC loss a second head, which is thrown away, learns
the phone of every frame; the network then finds its alignment at once. The weights that are kept are the running mean
of the steps' weights, taken where it errs least on the validation speakers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from dubflow.config import Strict
from dubflow.errors import BadInput
from dubflow.judging.phone_judge.augmentation import changed_picture, changed_sound, changed_speed, nothing_said
from dubflow.judging.phone_judge.facts import PHONE_SYMBOLS, PhoneNetworkSettings
from dubflow.judging.phone_judge.hearing import spectrogram
from dubflow.judging.phone_judge.material import SpokenClip
from dubflow.judging.phone_judge.network import BLANK, STRIDE, PhoneNetwork
from dubflow.judging.phone_judge.rates import phone_errors
from dubflow.judging.phone_judge.recogniser import heard_classes
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.progress import Progress, Silent
from dubflow.speech.durations import SAMPLES_PER_TOKEN


class PhoneTraining(Strict):
    """How long and how fast."""

    network: PhoneNetworkSettings = PhoneNetworkSettings()
    steps: int = Field(2400, gt=0, description="That the learning rate falls over.")
    until: int = Field(1500, gt=0, description="The step after which training ends, where it is below ``steps``.")
    clips: int = Field(16, gt=0, description="Clips of a step.")
    rate: float = Field(2e-3, gt=0, description="Highest learning rate of AdamW.")
    warmup: int = Field(200, gt=0, description="Steps until it is reached; it then falls as a cosine.")
    decay: float = Field(0.02, ge=0, description="Weight decay.")
    frames: float = Field(0.5, ge=0, description="Weight of the loss of single frames beside CTC's; falls to 0.")
    mean: float = Field(0.998, ge=0, lt=1, description="Of the running mean of the weights.")
    silent: float = Field(0.015, ge=0, lt=1, description="Share of clips that are replaced by silence or noise.")
    stretches: tuple[float, float] = Field((0.88, 1.14), description="Least and most stretch of the frequency axis.")
    check: int = Field(300, gt=0, description="Steps between looks at the validation speakers.")
    seed: int = Field(11, ge=0)


@dataclass(frozen=True)
class TrainedPhones:
    """The network that erred least, at which step, and how far the validation speakers' phones were missed then."""

    network: PhoneNetwork
    step: int
    error_rate: float


@dataclass(frozen=True)
class _Batch:
    """Spectrograms ``[B, 80, T]``, lengths ``[B]``, phones one behind the other and how many of each item, classes of
    frames ``[B, U]``."""

    spectrograms: Tensor
    lengths: Tensor
    phones: Tensor
    counts: Tensor
    frames: Tensor


def train_phones(
    clips: Sequence[SpokenClip],
    validation: Sequence[SpokenClip],
    settings: PhoneTraining,
    *,
    start: PhoneNetwork | None = None,
    keep: Callable[[TrainedPhones], None] = lambda found: None,
    progress: Progress | None = None,
) -> TrainedPhones:
    """Train a network on ``clips``; equal arguments give an equal network on one machine and number of threads.

    Args:
        validation: the clips that it is chosen by, of speakers that it is not trained on.
        start: a network of the same settings to go on from; by default random weights.
        keep: is given the best so far, whenever there is a better one.

    Raises:
        BadInput: ``judging.nothing_to_judge`` without clips.
    """
    if not clips or not validation:
        raise BadInput("judging.nothing_to_judge", "There is nothing to train on, or nothing to choose by.")
    report = progress or Silent()
    last = min(settings.until, settings.steps)
    report.expect(last)
    torch.manual_seed(settings.seed)
    network = PhoneNetwork(settings.network, len(PHONE_SYMBOLS) + 1)
    if start is not None:
        network.load_state_dict(start.state_dict())
    guide = nn.Linear(settings.network.width, len(PHONE_SYMBOLS) + 1)
    mean = deepcopy(network).eval()
    learnt = [*network.parameters(), *guide.parameters()]
    optimiser = torch.optim.AdamW(learnt, lr=settings.rate, betas=(0.9, 0.98), weight_decay=settings.decay)
    best = TrainedPhones(deepcopy(mean), 0, math.inf)
    losses: list[float] = []
    began = time.monotonic()
    for step, batch in enumerate(_batches(clips, settings), 1):
        done = step / settings.steps
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * min(step / settings.warmup, 0.5 + 0.5 * math.cos(math.pi * done))
        network.train()
        hidden, lengths = network.hidden(batch.spectrograms, batch.lengths)
        loss = _ctc(functional.log_softmax(network.head(hidden), dim=-1), lengths, batch)
        guided = functional.cross_entropy(guide(hidden).flatten(0, 1), batch.frames.flatten(), ignore_index=-1)
        optimiser.zero_grad()
        (loss + settings.frames * (1 - done) * guided).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learnt, 1.0)
        optimiser.step()
        _follow(mean, network, min(settings.mean, step / (step + 20)))
        losses.append(float(loss.detach()))
        report.advance()
        if step % settings.check == 0 or step == last:
            rate = phone_error_rate(mean, validation)
            spent = time.monotonic() - began
            report.note(f"step {step}: loss {np.mean(losses):.3f}, validation PER {rate:.3f}, {spent:.0f} s")
            losses.clear()
            if rate <= best.error_rate:
                best = TrainedPhones(deepcopy(mean), step, rate)
                keep(best)
    return best


def phone_error_rate(network: PhoneNetwork, clips: Sequence[SpokenClip]) -> float:
    """Errors over all phones of ``clips``."""
    heard = [[PHONE_SYMBOLS[one - 1] for one in heard_classes(network, clip.samples)] for clip in clips]
    return phone_errors([clip.phones for clip in clips], heard).corpus


def _ctc(told: Tensor, lengths: Tensor, batch: _Batch) -> Tensor:
    each = functional.ctc_loss(
        told.transpose(0, 1), batch.phones, lengths, batch.counts, blank=BLANK, reduction="none", zero_infinity=True
    )
    return (each / batch.counts.clamp_min(10)).mean()  # ten: noise without a phone must not weigh like a sentence


def _follow(mean: PhoneNetwork, network: PhoneNetwork, share: float) -> None:
    with torch.no_grad():
        for kept, new in zip(mean.parameters(), network.parameters(), strict=True):
            kept.lerp_(new, 1 - share)


def _batches(clips: Sequence[SpokenClip], settings: PhoneTraining) -> Iterator[_Batch]:
    """One a step, each prepared by another thread while the one before is learnt from."""
    with ThreadPoolExecutor(1) as beside:
        order = enumerate(_order(clips, settings), 1)
        ahead = [beside.submit(_batch, [clips[i] for i in chosen], settings, step) for step, chosen in [next(order)]]
        for step, chosen in order:
            ahead.append(beside.submit(_batch, [clips[i] for i in chosen], settings, step))
            yield ahead.pop(0).result()
        yield ahead.pop().result()


def _order(clips: Sequence[SpokenClip], settings: PhoneTraining) -> Iterator[list[int]]:
    """Indices of each step's clips: all clips once an epoch, those of about one length together."""
    rng = np.random.default_rng([settings.seed, 1])
    sizes = np.array([clip.waveform.size for clip in clips])
    given = 0
    while True:
        by_length = np.argsort(sizes * rng.uniform(0.85, 1.15, len(clips)), kind="stable")
        groups = [by_length[i : i + settings.clips] for i in range(0, len(clips), settings.clips)]
        for number in rng.permutation(len(groups)):
            if given == min(settings.until, settings.steps):
                return
            given += 1
            yield groups[number].tolist()


def _batch(clips: Sequence[SpokenClip], settings: PhoneTraining, step: int) -> _Batch:
    pictures, phones, frames = [], [], []
    for place, clip in enumerate(clips):
        rng = np.random.default_rng([settings.seed, 2, step, place])
        if rng.random() < settings.silent:
            picture = spectrogram(nothing_said(clip.waveform.size, rng))
            classes, truth = np.zeros(0, np.int64), np.full(-(-picture.shape[1] // STRIDE), BLANK)
        else:
            heard, speed = changed_speed(clip.samples, rng)
            picture = changed_picture(spectrogram(changed_sound(heard, rng)), rng, settings.stretches)
            classes, truth = clip.classes, _frame_classes(clip, speed, picture.shape[1])
        pictures.append(torch.from_numpy(picture.T.copy()))
        phones.append(torch.from_numpy(classes))
        frames.append(torch.from_numpy(truth))
    padded = nn.utils.rnn.pad_sequence(pictures, batch_first=True)
    return _Batch(
        spectrograms=padded.transpose(1, 2).contiguous(),
        lengths=torch.tensor([len(one) for one in pictures]),
        phones=torch.cat(phones),
        counts=torch.tensor([len(one) for one in phones]),
        frames=nn.utils.rnn.pad_sequence(frames, batch_first=True, padding_value=-1),
    )


def _frame_classes(clip: SpokenClip, speed: float, frames: int) -> NDArray[np.int64]:
    """The class that is spoken in the middle of each frame of 25 ms, the blank in silence: ``[U]``."""
    middles = (np.arange(0, frames, STRIDE) + 0.5) * SAMPLES_PER_TOKEN / SAMPLE_RATE * speed
    at = np.searchsorted(clip.starts, middles, side="right") - 1
    classes = clip.classes[np.maximum(at, 0)]
    truth: NDArray[np.int64] = np.where((at >= 0) & (middles < clip.ends[np.maximum(at, 0)]), classes, BLANK)
    return truth
