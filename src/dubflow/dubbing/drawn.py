"""What goes from DiFlowDubber's second step to its third; neither end needs the other's libraries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from dubflow.diflow.inference.items import DubbedSpeech, Ids
from dubflow.speech.codecs import Tokens


@dataclass(frozen=True, eq=False)
class DrawnSegment:
    """What the network says in a segment.

    Attributes:
        tokens: of the codec.
        frame_durations: frames of each phoneme ``[N]``.
        crowded: whether there were more phonemes than frames.
    """

    tokens: Tokens
    frame_durations: Ids
    crowded: bool

    @classmethod
    def of(cls, dubbed: DubbedSpeech) -> Self:
        """Without the attention maps, which nobody reads when a clip is dubbed."""
        return cls(dubbed.tokens, dubbed.frame_durations, dubbed.crowded)
