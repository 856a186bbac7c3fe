"""Prepared sets as Lightning's data: which clips can be learnt from, and loaders that know where they stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from torch.utils.data import DataLoader, Dataset

from dubflow.corpora.manifest import Split
from dubflow.corpora.prepared import PreparedSet
from dubflow.diflow.flow.vocabulary import Vocabulary
from dubflow.diflow.training.batches import DubbingBatch, SpeechBatch, dubbing_batch, speech_batch
from dubflow.diflow.training.settings import TrainSettings
from dubflow.errors import BadInput
from dubflow.speech.durations import TOKEN_RATE
from dubflow.training.plan import BatchPlan, PlannedBatches

_SPEECH = ("phones", "stress", "token_durations", "prosody", "content", "acoustic", "speaker")
_PICTURE = ("lip", "face", "frame_durations")
_WHY = {
    "phones": "no phones (no transcript, or a language that is not aligned here)",
    "stress": "no phones (no transcript, or a language that is not aligned here)",
    "token_durations": "no phone times",
    "frame_durations": "no phone times",
    "lip": "no face",
    "face": "no face",
}


@dataclass(frozen=True)
class Usable:
    """The clips of a split that have what a stage needs.

    Attributes:
        clips: ids, in the order of the index.
        tokens: L of each.
        left_out: how many clips were left out, by reason.
    """

    clips: tuple[str, ...]
    tokens: tuple[int, ...]
    left_out: Mapping[str, int]


def usable(prepared: PreparedSet, splits: Sequence[Split | None], *, pictures: bool, longest_s: float) -> Usable:
    """Which clips of ``splits`` can be learnt from."""
    needed = _SPEECH + (_PICTURE if pictures else ())
    kept: list[str] = []
    reasons: Counter[str] = Counter()
    for clip in prepared:
        info = prepared.info(clip)
        if info.split not in splits:
            continue
        why = _refusal(prepared, clip, needed, longest_s)
        if why:
            reasons[why] += 1
        else:
            kept.append(clip)
    return Usable(tuple(kept), tuple(prepared.info(clip).tokens for clip in kept), dict(reasons))


def _refusal(prepared: PreparedSet, clip: str, needed: Sequence[str], longest_s: float) -> str:
    if prepared.info(clip).tokens > longest_s * TOKEN_RATE:
        return f"longer than {longest_s:g} s"
    present = prepared[clip].keys()
    missing = next((name for name in needed if name not in present), None)
    return "" if missing is None else _WHY.get(missing, "no codec tokens (prepare --codec)")


class _Clips(Dataset[SpeechBatch | DubbingBatch]):
    """Answers a batch's number and clips with the batch; opens the set in whatever process it is asked."""

    def __init__(self, root: Path, clips: Sequence[str], collate: Callable[..., Any], vocabulary: Vocabulary) -> None:
        self.root, self.clips, self.collate, self.vocabulary = root, clips, collate, vocabulary
        self._prepared: PreparedSet | None = None

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, asked: tuple[int, tuple[int, ...]]) -> SpeechBatch | DubbingBatch:
        """The batch ``asked`` for by number and places."""
        if self._prepared is None:
            self._prepared = PreparedSet(self.root)
        number, places = asked
        rows = [(place, self.clips[place], self._prepared[self.clips[place]]) for place in places]
        batch: SpeechBatch | DubbingBatch = self.collate(rows, vocabulary=self.vocabulary, number=number)
        return batch

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_prepared": None}


class PreparedData(lightning.LightningDataModule):
    """Training and validation batches of one prepared set.

    Attributes:
        train, held: clips of the splits train (and those without a split) and val.
    """

    def __init__(
        self, root: Path, settings: TrainSettings, *, pictures: bool, vocabulary: Vocabulary, start: int = 0
    ) -> None:
        """``start`` is the number of batches that an earlier run has done.

        Raises:
            BadInput: ``diflow.nothing_to_train_on`` with the reasons; those of :class:`PreparedSet`.
        """
        super().__init__()
        self.root, self.settings, self.pictures, self.vocabulary, self.start = (
            root,
            settings,
            pictures,
            vocabulary,
            start,
        )
        prepared = PreparedSet(root)
        self.train = usable(prepared, ("train", None), pictures=pictures, longest_s=settings.longest_s)
        self.held = usable(prepared, ("val",), pictures=pictures, longest_s=settings.longest_s)
        if not self.train.clips:
            reasons = (
                ", ".join(f"{count} {why}" for why, count in self.train.left_out.items()) or "no clip in split train"
            )
            raise BadInput(
                "diflow.nothing_to_train_on",
                f"{root} has no clip to train {'stage 2' if pictures else 'stage 1'} on: {reasons}.",
                "Prepare a corpus with transcripts and --codec" + (", and faces." if pictures else "."),
            )

    def _loader(
        self, clips: Sequence[str], batches: PlannedBatches | list[tuple[int, tuple[int, ...]]]
    ) -> DataLoader[Any]:
        collate = dubbing_batch if self.pictures else speech_batch
        return DataLoader(
            _Clips(self.root, clips, collate, self.vocabulary),
            batch_size=None,
            sampler=batches,
            num_workers=self.settings.loader_workers,
            persistent_workers=False,
        )

    def train_dataloader(self) -> DataLoader[Any]:
        """This process's batches, from where the run stopped to its end."""
        world, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        plan = BatchPlan(
            self.train.tokens, self.settings.batch_items, self.settings.batch_tokens, seed=self.settings.seed
        )
        total = self.settings.steps * self.settings.accumulate
        return self._loader(self.train.clips, PlannedBatches(plan, total, start=self.start, rank=rank, world=world))

    def val_dataloader(self) -> DataLoader[Any]:
        """Clips from all over the split val, the same at every validation."""
        chosen = sorted(self._spread(self.settings.validate_clips), key=lambda place: (self.held.tokens[place], place))
        size = self.settings.batch_items
        return self._loader(
            self.held.clips, [(0, tuple(chosen[first : first + size])) for first in range(0, len(chosen), size)]
        )

    def aloud(self) -> tuple[str, ...]:
        """Clips of the split val that are spoken at every validation."""
        return tuple(self.held.clips[place] for place in self._spread(self.settings.validate_aloud))

    def _spread(self, count: int) -> list[int]:
        """Places all over the split, so that many speakers are among them."""
        held = len(self.held.clips)
        return np.linspace(0, held - 1, min(count, held)).round().astype(int).tolist() if held else []
