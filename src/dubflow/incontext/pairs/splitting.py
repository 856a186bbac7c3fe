"""A switching clip is cut in the middle of its silence, into halves of 8k + 1 frames (Sec. A.1; facts C1, 15).

The silence is heard, not believed: the base may switch a little earlier or later than the prompt says. Of the silences
between speech the one nearest to the prompt's is taken. The first half ends at the cut, the second begins there; what
is too much for 8k + 1 frames is left out at the clip's ends, and only if nobody speaks there: the cut moves within the
silence rather than that a word is lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Self

from pydantic import Field, model_validator

from dubflow.config import Strict
from dubflow.errors import BadInput
from dubflow.incontext.pairs.engine_parts import Span, Split, SwitchingClip
from dubflow.incontext.pairs.prompts.structure import FRAME_RATE, Prompt
from dubflow.speech.activity import LevelActivity, Stretch, VoiceActivity


class SplitSettings(Strict):
    """How clips are cut."""

    section: ClassVar[str] = "incontext.splitting"

    half_frames: int | None = Field(
        None, description="Length of every half, 8k + 1 frames; None for as long as the clip allows."
    )
    least_frames: int = Field(17, ge=9, description="Shortest half, in frames.")
    least_silence_s: float = Field(0.24, gt=0, description="Shortest silence that is no closure within a word.")
    margin_s: float = Field(0.06, ge=0, description="Silence that stays on either side of the cut.")
    lost_s: float = Field(
        0.06, ge=0, description="Speech at either end of the clip that may be lost to whole latents: within a phone."
    )
    farthest_s: float = Field(1.0, gt=0, description="From the prompt's switch to the middle of the silence, at most.")

    @model_validator(mode="after")
    def _whole_latents(self) -> Self:
        for frames in (self.half_frames, self.least_frames):
            if frames is not None and (frames < 9 or (frames - 1) % 8):
                raise ValueError(f"{frames} frames are not 8k + 1")
        if 2 * self.margin_s >= self.least_silence_s:
            raise ValueError("margin_s: both margins together fit into the shortest silence")
        return self


class SilenceSplitter:
    """Implements :class:`~dubflow.incontext.pairs.engine_parts.Splitter`."""

    def __init__(self, settings: SplitSettings | None = None, activity: VoiceActivity | None = None) -> None:
        self._settings = settings or SplitSettings.model_validate({})
        self._activity = activity or LevelActivity()

    @property
    def id(self) -> str:
        """Who listens, and the settings."""
        told = "-".join(f"{value:g}" if value is not None else "free" for value in self._settings.model_dump().values())
        return f"silence-1-{self._activity.id}-{told}"

    def split(self, prompt: Prompt, clip: SwitchingClip) -> Split:
        """Where ``clip`` is cut.

        Raises:
            BadInput: ``incontext.nobody_speaks``; ``incontext.no_silence`` where speech runs through, or stands on one
                side alone; ``incontext.switch_elsewhere``; ``incontext.half_too_short``; ``incontext.speech_cut`` where
                no cut within the silence leaves both halves whole.
        """
        speech = self._activity.stretches(clip.waveform, clip.sample_rate)
        frames = len(clip.frames)
        wanted = prompt.switch_s if prompt.switch_s is not None else frames / FRAME_RATE / 2
        silence = self._silence(speech, wanted)
        first, second = self._halves(frames, speech, silence)
        cut = first.stop / FRAME_RATE
        figures = {"silence_start_s": silence.start, "silence_end_s": silence.end, "cut_s": cut, "wanted_s": wanted}
        return Split(first, second, figures | {"offset_s": cut - wanted})

    def _silence(self, speech: Sequence[Stretch], wanted: float) -> Stretch:
        if not speech:
            raise BadInput("incontext.nobody_speaks", "Nobody speaks in the clip.", "Try another seed.")
        least = self._settings.least_silence_s
        gaps = [Stretch(a.end, b.start) for a, b in pairwise(speech) if b.start - a.end >= least - 1e-9]
        if not gaps:
            raise BadInput(
                "incontext.no_silence",
                f"Between {speech[0].start:.2f} and {speech[-1].end:.2f} s nobody is silent for {least:.2f} s.",
                "Try another seed, or a longer pause.",
                speech=[[round(one.start, 2), round(one.end, 2)] for one in speech],
            )
        nearest = min(gaps, key=lambda gap: abs(_middle(gap) - wanted))
        if abs(_middle(nearest) - wanted) > self._settings.farthest_s:
            raise BadInput(
                "incontext.switch_elsewhere",
                f"The nearest silence lies at {_middle(nearest):.2f} s, the prompt's switch at {wanted:.2f} s.",
                "Try another seed.",
            )
        return nearest

    def _halves(self, frames: int, speech: Sequence[Stretch], silence: Stretch) -> tuple[Span, Span]:
        settings, middle = self._settings, _middle(silence) * FRAME_RATE
        low = math.ceil((silence.start + settings.margin_s) * FRAME_RATE - 1e-9)
        high = math.floor((silence.end - settings.margin_s) * FRAME_RATE + 1e-9)
        # Nearest to the middle first; of two equally near the earlier.
        cuts = sorted(range(low, high + 1), key=lambda cut: (abs(cut - middle), cut)) or [round(middle)]
        short = True
        for cut in cuts:
            lengths = self._length(cut), self._length(frames - cut)
            if None in lengths:
                continue
            short = False
            first, second = Span(cut - (lengths[0] or 0), cut), Span(cut, cut + (lengths[1] or 0))
            early = first.start / FRAME_RATE - speech[0].start
            late = speech[-1].end - second.stop / FRAME_RATE
            if max(early, late) <= settings.lost_s + 1e-9:
                return first, second
        if short:
            needed = settings.half_frames or settings.least_frames
            raise BadInput(
                "incontext.half_too_short",
                f"A cut at {middle / FRAME_RATE:.2f} s of {frames / FRAME_RATE:.2f} s leaves no {needed} a side.",
                "Make longer clips, or ask for shorter halves.",
            )
        raise BadInput(
            "incontext.speech_cut",
            f"No cut between {silence.start:.2f} and {silence.end:.2f} s leaves both halves whole at 8k + 1 frames.",
            "Leave silence at the clip's ends.",
        )

    def _length(self, room: int) -> int | None:
        """Frames of a half that has ``room`` for it; None where it is too short."""
        wanted = self._settings.half_frames
        if wanted is not None:
            return wanted if room >= wanted else None
        length = (room - 1) // 8 * 8 + 1
        return length if length >= self._settings.least_frames else None


def _middle(stretch: Stretch) -> float:
    return (stretch.start + stretch.end) / 2
