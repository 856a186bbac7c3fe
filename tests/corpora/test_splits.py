"""No speaker crosses splits, whatever the corpus; same seed, same splits."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.corpora.manifest import ClipRow, Segment
from dubflow.corpora.splits import SplitOptions, assign_splits, speakers_of, training_rows


def _clip(number: int, speaker: str | None, others: list[str] | None = None) -> ClipRow:
    segments = tuple(Segment(start=0, end=1, speaker=name, language="en", text="a") for name in others or [])
    return ClipRow(
        id=f"c{number}",
        path=f"c{number}.wav",
        sha256="0" * 64,
        transcript=None,
        language=None,
        speaker=speaker,
        licence=None,
        duration=1.0,
        segments=segments,
    )


_speakers = st.sampled_from([None, *"abcdefgh"])


@settings(deadline=None, max_examples=100)
@given(
    clips=st.lists(st.tuples(_speakers, st.lists(st.sampled_from("abcdefgh"), max_size=2)), min_size=1, max_size=40),
    val=st.floats(0, 0.5),
    test=st.floats(0, 0.4),
    seed=st.integers(0, 5),
)
def test_no_speaker_ever_crosses(clips: list[tuple[str | None, list[str]]], val: float, test: float, seed: int) -> None:
    rows = [_clip(number, speaker, others) for number, (speaker, others) in enumerate(clips)]
    options = SplitOptions(by="speaker", val=val, test=test, seed=seed)
    split = assign_splits(rows, options)
    assert [row.id for row in split] == [row.id for row in rows]
    splits = defaultdict(set)
    for row in split:
        assert row.split is not None
        for name in speakers_of(row):
            splits[name].add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    assert any(row.split == "train" for row in split)
    assert assign_splits(list(reversed(rows)), options) == list(reversed(split))


def test_shares_are_about_what_is_asked_for() -> None:
    rows = [_clip(number, f"s{number % 50}") for number in range(1000)]
    split = assign_splits(rows, SplitOptions(by="speaker", val=0.1, test=0.2))
    count = {name: sum(row.split == name for row in split) for name in ("train", "val", "test")}
    assert count == {"val": 100, "test": 200, "train": 700}


def test_another_seed_gives_another_order_and_the_layout_comes_first() -> None:
    rows = [_clip(number, f"s{number}") for number in range(30)]
    first, second = (assign_splits(rows, SplitOptions(by="speaker", seed=seed)) for seed in (0, 1))
    assert first != second
    stated = [row.model_copy(update={"split": "test"}) for row in rows]
    assert assign_splits(stated, SplitOptions()) == stated
    assert all(row.split is None for row in assign_splits(stated, SplitOptions(by="none")))


def test_training_rows_are_the_train_split_or_everything_where_there_are_no_splits() -> None:
    rows = [_clip(number, name) for number, name in enumerate("abcdefghij")]
    assert training_rows(rows) == rows
    split = assign_splits(rows, SplitOptions(val=0.2, test=0.2))
    assert {row.split for row in split} == {"train", "val", "test"}
    assert training_rows(split) == [row for row in split if row.split == "train"]
    assert training_rows([row for row in split if row.split != "train"]) == []
