"""Whether lips and sound go together, by the small judge, as evaluations ask it.

It is never asked about a voice that it knows: an item whose voice (``facts["voice"]``, variant and pitch) stands in its
list has no figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput, WrongUse
from dubflow.judging.card.functions import Answer, Measured, Unmeasured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.card.rows import JudgePin, Metric
from dubflow.judging.catalogue import listing
from dubflow.judging.offline.looking import Nobody, Seen, look_at_both
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.judging.sync_judge.crops import SAMPLES_PER_FRAME, mouth_crops
from dubflow.judging.sync_judge.facts import PACKAGED, SyncFacts, read_sync_facts, sync_pin
from dubflow.media.decode import read_audio

if TYPE_CHECKING:
    from dubflow.judging.sync_judge.encoder import SmallSync

_NAMES = ("lse_c_small", "lse_d_small", "av_offset_small")
_KNOWN = Unmeasured("The judge was trained on, or chosen by, this very voice.", "item")


@dataclass(eq=False)
class SmallSyncJudge:
    """Implements ``card.functions.MetricFunction``.

    Args:
        folder: of a stored judge; by default the one that comes with the package.
    """

    folder: Path = PACKAGED
    judge: str = "small-sync"
    metrics: tuple[Metric, ...] = ()
    _facts: SyncFacts | None = field(default=None, repr=False)
    _encoder: SmallSync | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.metrics = tuple(listing(name).metric(self.judge) for name in _NAMES)

    @property
    def pin(self) -> JudgePin:
        """Digest of the judge, and what finds the mouths."""
        return sync_pin(self.folder)

    def missing(self) -> str | None:
        """Which package is not installed, or that no judge lies in the folder."""
        try:
            sync_pin(self.folder)
        except (WrongUse, BadInput) as error:
            return str(error)
        return None

    def prepare(self) -> None:
        """Load the network."""
        from dubflow.judging.sync_judge.encoder import SmallSync

        self._encoder = SmallSync.open(self.folder)

    def score(self, subject: Subject) -> Mapping[str, Answer]:
        """An answer for each metric; a dub without a face is the clip's doing where its source has one."""
        if self._knows(subject.item):
            return dict.fromkeys(_NAMES, _KNOWN)
        both = look_at_both(subject.clip, subject.files.get("source"))
        if isinstance(both, Nobody):
            return dict.fromkeys(_NAMES, Unmeasured(both.reason, "item" if both.in_source else "clip"))
        if self._encoder is None:
            self.prepare()
        assert self._encoder is not None
        found = self._encoder.score(*_while_seen(both[0]))
        figures = (found.confidence, found.distance, float(found.offset))
        return {name: Measured(figure) for name, figure in zip(_NAMES, figures, strict=True)}

    def when_failed(self, item: BenchmarkItem) -> Mapping[str, Answer]:
        """What the item has nothing to measure of."""
        return dict.fromkeys(_NAMES, _KNOWN) if self._knows(item) else {}

    def _knows(self, item: BenchmarkItem) -> bool:
        if self._facts is None:
            self._facts = read_sync_facts(self.folder)
        voice = item.facts.get("voice")
        return isinstance(voice, Mapping) and self._facts.knows_voice(voice)


def _while_seen(clip: Seen) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Mouths and sound from the first frame that shows the face to the last."""
    there = np.flatnonzero(clip.track.found)
    first, last = int(there[0]), int(there[-1]) + 1
    sound = read_audio(clip.path, SAMPLE_RATE)
    return mouth_crops(clip.frames, clip.track)[first:last], sound[first * SAMPLES_PER_FRAME : last * SAMPLES_PER_FRAME]
