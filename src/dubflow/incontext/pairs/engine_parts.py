"""What the data engine is put together from: values that pass between its steps, and Protocols for the steps.

A switching clip shows one person who speaks one language, is silent, and speaks another. Each of its halves becomes the
target of one pair; the context of that pair is the same half, re-spoken in the other half's language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dubflow.errors import WrongUse
from dubflow.incontext.inference.sampling import ClipLatents
from dubflow.incontext.pairs.prompts.structure import Prompt

Frames = NDArray[np.uint8]
Waveform = NDArray[np.float32]
Half = Literal[0, 1]
ContextRole = Literal["inpainted", "merged"]
HALVES: tuple[Half, Half] = (0, 1)


@dataclass(frozen=True, eq=False)
class SwitchingClip:
    """What a base made of a prompt.

    Attributes:
        frames: ``[F, H, W, 3]`` at 25 a second, F = 8k + 1. waveform: mono ``[N]`` from the first frame on.
        lineage: seed, sampler settings, fingerprint of the base.
        latents: what was decoded, a batch of one; None for a clip that no base made.
    """

    frames: Frames
    waveform: Waveform
    sample_rate: int
    lineage: Mapping[str, Any] = field(default_factory=dict)
    latents: ClipLatents | None = None


@dataclass(frozen=True)
class Span:
    """Frames ``start`` to ``stop`` of a clip."""

    start: int
    stop: int

    @property
    def frames(self) -> int:
        """How many."""
        return self.stop - self.start


@dataclass(frozen=True)
class Split:
    """Where a switching clip is cut: two halves of 8k + 1 frames each that share no frame.

    Attributes:
        figures: of the cut (the silence's bounds, distance from where the prompt has the switch), for lineage.
    """

    first: Span
    second: Span
    figures: Mapping[str, float] = field(default_factory=dict)

    def of(self, half: Half) -> Span:
        """Frames of one half."""
        return (self.first, self.second)[half]


class ClipMaker(Protocol):
    """Makes switching clips."""

    @property
    def id(self) -> str:
        """Names how clips are made, the base apart; a part of the identity of what comes of them."""

    def make(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> Sequence[SwitchingClip]:
        """One clip a prompt, of ``prompt.clip_frames`` frames; an item hangs on its own prompt and seed alone."""


class Splitter(Protocol):
    """Finds where a clip is cut."""

    @property
    def id(self) -> str:
        """Names how clips are cut; a part of the identity of what comes of them."""

    def split(self, prompt: Prompt, clip: SwitchingClip) -> Split:
        """Cut in the middle of the silence.

        Raises:
            BadInput: with a typed reason where it cannot be cut; the engine tries another seed.
        """


@dataclass(frozen=True, eq=False)
class GeneratedHalf:
    """A half as the base generated it, untouched: its lips follow its sound. The only kind that may be a target.

    Attributes:
        frames: ``[F, H, W, 3]`` at 25 a second, F = 8k + 1. waveform: mono, as long to the sample.
        tokens: the audio latents that it was decoded from, normalised ``[T, D]``; None where they are not known.
    """

    frames: Frames
    waveform: Waveform
    sample_rate: int
    tokens: Tensor | None = None
    role: ClassVar[Literal["generated"]] = "generated"


@dataclass(frozen=True, eq=False)
class ContextHalf:
    """A half re-spoken, for a context alone.

    Attributes:
        role: inpainted, sound and lips of one pass; merged, the sound of one and the lips of another.
        tokens: as a generated half's.
    """

    frames: Frames
    waveform: Waveform
    sample_rate: int
    role: ContextRole
    tokens: Tensor | None = None


@dataclass(frozen=True, eq=False)
class MadePair:
    """A pair as quality control sees it; its clips are of one length.

    Attributes:
        target: the untouched half. context: what the adapter will get. other: the clip's other half, untouched, which
            speaks the context's language with the same voice; of its own length.
        shown: what the prompt says is to be seen, in words; empty where nobody looks for it.
    """

    target: GeneratedHalf
    context: ContextHalf
    other: GeneratedHalf
    target_said: str
    target_language: str
    context_said: str
    context_language: str
    shown: str = ""

    def __post_init__(self) -> None:
        # Sound and lips of a merged clip do not belong together: learnt as a target, they would teach just that.
        roles = (self.target.role, self.context.role)
        if roles[0] != "generated" or roles[1] not in ("inpainted", "merged"):
            raise WrongUse(
                "incontext.pair_roles",
                f"A pair goes from a re-spoken half to one as it was generated, not from {roles[1]} to {roles[0]}.",
                "Merged and inpainted clips are context only.",
            )


@dataclass(frozen=True)
class Measured:
    """What quality control finds of one pair: figures by name, and reasons against it that need no comparison."""

    figures: Mapping[str, float]
    reasons: tuple[str, ...] = ()


class QualityControl(Protocol):
    """Judges pairs. Figures are taken pair by pair, in shards; verdicts once all pairs of a run are known."""

    @property
    def measures(self) -> str:
        """Names checks and judges: what figures hang on, limits apart; a part of the identity of what is made."""

    @property
    def id(self) -> str:
        """Names checks, judges and limits; a part of the manifest's header."""

    def measure(self, pair: MadePair) -> Measured:
        """Figures of one pair."""

    def verdicts(self, figures: Sequence[Mapping[str, float]]) -> list[tuple[str, ...]]:
        """Reasons against each of the pairs of a run, by thresholds or percentiles."""
