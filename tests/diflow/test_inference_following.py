"""Items of a batch that somebody drops on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from dubflow.diflow.flow.samplers import SamplerSettings
from dubflow.diflow.inference.clips import dub_clips, dub_followed
from dubflow.diflow.inference.items import SilentClip
from dubflow.diflow.inference.settings import InferenceSettings
from dubflow.diflow.nets.dubber import DubberNetwork
from dubflow.diflow.nets.settings import TINY

SETTINGS = InferenceSettings(sampler=SamplerSettings(steps=4), batch_items=2)


@dataclass
class Follower:
    """Drops ``unwanted`` once it has heard of ``after`` steps."""

    unwanted: frozenset[int] = frozenset()
    after: int = 0
    heard: list[tuple[tuple[int, ...], float]] = field(default_factory=list)

    def stopped(self, item: int) -> bool:
        return item in self.unwanted and len(self.heard) >= self.after

    def step(self, items: Sequence[int], share: float) -> None:
        self.heard.append((tuple(items), share))


@pytest.fixture(scope="module")
def network() -> DubberNetwork:
    torch.manual_seed(1)
    return DubberNetwork(TINY).eval()


@pytest.fixture(scope="module")
def clips() -> list[SilentClip]:
    rng = np.random.default_rng(0)
    return [
        SilentClip(
            phonemes=np.array([1, 5, 9, 1]),
            stress=np.zeros(4, np.int64),
            lips=rng.normal(size=(frames, TINY.lip_features)).astype(np.float32),
            face=rng.normal(size=(frames, TINY.face_features)).astype(np.float32),
            speaker=rng.normal(size=TINY.speaker).astype(np.float32),
            seed=number,
        )
        for number, frames in enumerate((10, 10, 11))
    ]


def test_who_is_followed_says_the_same(network: DubberNetwork, clips: list[SilentClip]) -> None:
    follower = Follower()
    followed = dub_followed(network, clips, SETTINGS, follower)
    alone = dub_clips(network, clips, SETTINGS)
    for one, other in zip(followed, alone, strict=True):
        assert one is not None
        assert np.array_equal(one.tokens.acoustic, other.tokens.acoustic)
    # Two batches, each told before its first step and after every one.
    assert follower.heard == [(batch, step / 4) for batch in ((0, 1), (2,)) for step in range(5)]


def test_a_batch_ends_when_nobody_wants_it_and_the_next_begins(network: DubberNetwork, clips: list[SilentClip]) -> None:
    follower = Follower(frozenset({0, 1}), after=2)
    followed = dub_followed(network, clips, SETTINGS, follower)
    assert [one is None for one in followed] == [True, True, False]
    assert [items for items, _ in follower.heard] == [(0, 1)] * 2 + [(2,)] * 5


def test_one_who_is_dropped_leaves_its_batch_alone(network: DubberNetwork, clips: list[SilentClip]) -> None:
    whole = dub_clips(network, clips, SETTINGS)
    followed = dub_followed(network, clips, SETTINGS, Follower(frozenset({1}), after=2))
    assert followed[1] is None
    assert followed[0] is not None
    assert np.array_equal(followed[0].tokens.acoustic, whole[0].tokens.acoustic)


def test_who_was_dropped_beforehand_is_not_begun(network: DubberNetwork, clips: list[SilentClip]) -> None:
    follower = Follower(frozenset({0, 1, 2}))
    assert dub_followed(network, clips, SETTINGS, follower) == [None, None, None]
    assert follower.heard == []
