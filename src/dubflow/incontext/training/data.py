"""Stored latents as Lightning's data: which pairs make which batch, and loaders that know where they stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning
from torch.utils.data import DataLoader, Dataset

from dubflow.errors import BadInput
from dubflow.incontext.backbone.geometry import Geometry
from dubflow.incontext.training.examples import Example, batch_of, example_of
from dubflow.incontext.training.latents import LatentSet
from dubflow.incontext.training.settings import LoraTraining
from dubflow.training.plan import BatchPlan, PlannedBatches, spread
from dubflow.training.seeds import generators, seed_of

Asked = tuple[int, tuple[int, ...]]


class _Pairs(Dataset[Example]):
    """Answers a batch's number and places with the example; opens the cache in whatever process it is asked."""

    def __init__(self, latents: LatentSet, ids: Sequence[str], geometry: Geometry, settings: LoraTraining) -> None:
        self.latents, self.ids, self.geometry, self.settings = latents, ids, geometry, settings

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, asked: Asked) -> Example:
        number, places = asked
        return batch_of([self._one(place, seed_of(self.settings.seed, number, place), number) for place in places])

    def _one(self, place: int, seed: int, number: int = 0) -> Example:
        (source,) = generators([seed])
        return example_of(self.latents[self.ids[place]], self.geometry, self.settings, source, number)


class _Held(_Pairs):
    """The same, with noise that is the same at every validation."""

    def __getitem__(self, asked: Asked) -> Example:
        return batch_of([self._one(place, seed_of(self.settings.seed, "held", place)) for place in asked[1]])


class PairData(lightning.LightningDataModule):
    """Training and validation pairs of one cache.

    Attributes:
        train, held: ids of the splits train (and those without a split) and val.
    """

    def __init__(self, latents: LatentSet, geometry: Geometry, settings: LoraTraining, start: int = 0) -> None:
        """``start`` is the number of batches that an earlier run has done.

        Raises:
            BadInput: ``incontext.nothing_to_train_on`` with the reasons.
        """
        super().__init__()
        self.latents, self.geometry, self.settings, self.start = latents, geometry, settings, start
        self.train, self.held = latents.ids(("train", None)), latents.ids(("val",))
        if not self.train:
            reasons = sorted(set(latents.index.left_out.values()))
            raise BadInput(
                "incontext.nothing_to_train_on",
                f"{latents.root} has no pair to train on: {'; '.join(reasons[:5]) or 'no pair in split train'}.",
                "Give pairs of clips with picture and sound.",
            )

    def train_dataloader(self) -> DataLoader[Any]:
        """This process's batches, from where the run stopped to its end."""
        world, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        pairs = [self.latents.index.pairs[name] for name in self.train]
        tokens, items = [pair.tokens for pair in pairs], self.settings.batch_items
        shapes = [(*pair.shape, pair.audio_tokens) for pair in pairs]
        plan = BatchPlan(tokens, items, seed=self.settings.seed, kinds=shapes if items > 1 else None)
        total = self.settings.steps * self.settings.accumulate
        batches = PlannedBatches(plan, total, start=self.start, rank=rank, world=world)
        return self._loader(_Pairs(self.latents, self.train, self.geometry, self.settings), batches)

    def val_dataloader(self) -> DataLoader[Any]:
        """Pairs from all over the split val, the same at every validation."""
        batches: list[Asked] = [(0, (place,)) for place in spread(range(len(self.held)), self.settings.validate_pairs)]
        return self._loader(_Held(self.latents, self.held, self.geometry, self.settings), batches)

    def dubbed(self) -> tuple[str, ...]:
        """Pairs of the split val that are dubbed at every validation."""
        return tuple(spread(self.held, self.settings.validate_dubs))

    def _loader(self, pairs: _Pairs, batches: PlannedBatches | list[Asked]) -> DataLoader[Any]:
        workers = self.settings.loader_workers
        return DataLoader(pairs, batch_size=None, sampler=batches, num_workers=workers, persistent_workers=False)
