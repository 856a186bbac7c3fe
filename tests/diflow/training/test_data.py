"""Which clips are learnt from and validated with, and that a loader goes on where a run stopped."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

from diflow.training.room import Room, clips_of, write_set
from dubflow.corpora.prepared import PreparedSet
from dubflow.diflow.flow.vocabulary import CODEC
from dubflow.diflow.training.data import PreparedData, usable


def data(room: Room, root: Path | None = None, start: int = 0, **changes: int) -> PreparedData:
    settings = room.task(**changes).settings
    return PreparedData(root or room.data, settings, pictures=False, vocabulary=CODEC, start=start)


def test_training_never_sees_a_clip_that_is_held_out(room: Room) -> None:
    prepared = data(room)
    seen = {clip for batch in prepared.train_dataloader() for clip in batch.clips}
    assert seen == set(prepared.train.clips)
    assert not seen & set(prepared.held.clips)


def test_a_loader_goes_on_with_the_batches_that_are_left_also_through_workers(room: Room) -> None:
    whole = [(batch.number, batch.clips) for batch in data(room, accumulate=2).train_dataloader()]
    assert [number for number, _ in whole] == list(range(24))
    rest = data(room, start=10, accumulate=2)
    assert [(batch.number, batch.clips) for batch in rest.train_dataloader()] == whole[10:]
    loader = data(room, start=20, accumulate=2, loader_workers=1).train_dataloader()
    assert [(batch.number, batch.clips) for batch in loader] == whole[20:]


def test_validation_takes_clips_from_all_over_the_split_and_always_the_same(room: Room, tmp_path: Path) -> None:
    root = write_set(tmp_path, room.codec_id, clips_of(room.speaker, 40))
    held = data(room, root, validate_clips=2)
    chosen = [clip for batch in held.val_dataloader() for clip in batch.clips]
    assert sorted(chosen) == ["c/37", "c/39"], "the first and the last of three"
    assert [clip for batch in held.val_dataloader() for clip in batch.clips] == chosen
    assert sorted(clip for batch in data(room, root, validate_clips=99).val_dataloader() for clip in batch.clips) == [
        "c/37", "c/38", "c/39",
    ]  # fmt: skip
    assert data(room, root, validate_aloud=1).aloud() == ("c/37",)


def test_clips_without_a_split_are_trained_on(room: Room, tmp_path: Path) -> None:
    clips = clips_of(room.speaker, 5)
    root = write_set(tmp_path, room.codec_id, {name: replace(clip, split=None) for name, clip in clips.items()})
    prepared = data(room, root)
    assert len(prepared.train.clips) == 5
    assert list(prepared.val_dataloader()) == []
    assert prepared.aloud() == ()


def test_a_set_goes_to_a_worker_without_its_open_files(room: Room) -> None:
    dataset = data(room).train_dataloader().dataset
    first = dataset[(0, (0, 1))]
    assert len(pickle.dumps(dataset)) < 20_000
    assert dataset[(0, (0, 1))].clips == first.clips


def test_lengths_are_those_of_the_index(room: Room) -> None:
    prepared = PreparedSet(room.data)
    found = usable(prepared, ("val",), pictures=True, longest_s=30)
    assert found.tokens == tuple(prepared.info(clip).tokens for clip in found.clips)
