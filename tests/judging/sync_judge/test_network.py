"""Both towers with random weights, and their training on spots."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dubflow.errors import BadInput
from dubflow.judging.sync_judge.encoder import SmallSync
from dubflow.judging.sync_judge.facts import SyncFacts, SyncSettings
from dubflow.judging.sync_judge.material import SyncClip
from dubflow.judging.sync_judge.measure import CONDITIONS, accuracy, conditions, moved
from dubflow.judging.sync_judge.network import SyncNetwork
from dubflow.judging.sync_judge.training import Batches, SyncTraining, losses, padded_curve, train
from dubflow.judging.syncnet import sync_score

SMALL = SyncSettings(
    dimensions=16, mouth_channels=(8, 8, 8, 8), mouth_width=16, sound_channels=(8, 8, 8), joined=32
)  # fmt: skip
FACTS = SyncFacts(settings=SMALL, voices=(), languages=(), steps=0)


CENTRED = SMALL.model_copy(update={"centred": True})


@pytest.fixture
def network() -> SyncNetwork:
    torch.manual_seed(0)
    return SyncNetwork(SMALL).eval()


@pytest.fixture
def centred() -> SyncNetwork:
    torch.manual_seed(0)
    return SyncNetwork(CENTRED).eval()


def test_embeddings_have_length_one_and_no_negative_parts(network: SyncNetwork, spots: list[SyncClip]) -> None:
    judge = SmallSync(FACTS, network, "0" * 64)
    video, audio = judge.embed(spots[0].crops, spots[0].waveform)
    assert video.shape == audio.shape == (56, 16)
    for vectors in (video, audio, judge.embed(spots[0].crops, np.zeros(999, np.float32))[1]):
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        assert (vectors >= 0).all()


def test_centred_embeddings_are_at_distance_one_where_nothing_moves_and_from_padding(
    centred: SyncNetwork, spots: list[SyncClip]
) -> None:
    judge = SmallSync(FACTS.model_copy(update={"settings": CENTRED}), centred, "0" * 64)
    one = spots[0]
    video, audio = judge.embed(one.crops, one.waveform)
    assert video.shape == audio.shape == (56, 19)
    assert np.allclose(np.linalg.norm(video, axis=1), 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(audio, axis=1), 1, atol=1e-5)
    silent = judge.score(one.crops, np.zeros_like(one.waveform))
    still = judge.score(np.repeat(one.crops[:1], 60, axis=0), one.waveform)
    for score in (silent, still):
        assert np.allclose(score.curve, 1, atol=1e-3)
        assert score.confidence < 1e-3
    assert abs(np.linalg.norm(video[:, None] - audio[None], axis=-1).mean() - 1) < 0.02
    assert judge.embed(one.crops[:4], one.waveform)[0].shape == (0, 19)


@pytest.mark.parametrize("kind", ["network", "centred"])
def test_a_batch_is_its_parts(kind: str, request: pytest.FixtureRequest) -> None:
    network: SyncNetwork = request.getfixturevalue(kind)
    mouths, sounds = torch.randn(3, 9, 48, 56), -torch.rand(3, 5, 80, 16)
    with torch.inference_mode():
        for tower, batch in ((network.see, mouths), (network.hear, sounds)):
            alone = torch.cat([tower(one[None]) for one in batch])
            assert torch.allclose(tower(batch), alone, atol=1e-5)


def test_a_window_depends_on_its_five_frames_alone(network: SyncNetwork) -> None:
    mouths = torch.randn(1, 12, 48, 56)
    other = mouths.clone()
    other[:, 8] += 1
    with torch.inference_mode():
        changed = (network.see(mouths) - network.see(other)).abs().sum(dim=-1)[0] > 1e-6
    assert changed.tolist() == [False] * 4 + [True] * 4


def test_training_sees_the_curve_that_judging_will(network: SyncNetwork) -> None:
    rng = np.random.default_rng(0)
    video, audio = (np.abs(rng.normal(size=(2, 40, 16))).astype(np.float32) for _ in range(2))
    curves = padded_curve(torch.from_numpy(video), torch.from_numpy(audio)).numpy()
    for clip in range(2):
        assert np.allclose(curves[clip], sync_score(video[clip], audio[clip]).curve, atol=1e-5)


def test_batches_are_the_same_for_the_same_number(spots: list[SyncClip]) -> None:
    settings = SyncTraining(clips=4, frames=40)
    ones, others = Batches(spots, settings)[3], Batches(spots, settings)[3]
    assert all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))
    assert not torch.equal(ones[0], Batches(spots, settings)[4][0])
    mouths, sounds, late = ones
    assert (mouths.shape, sounds.shape) == ((4, 40, 48, 56), (4, 36, 80, 16))
    assert late.abs().max() <= settings.farthest


def test_nothing_to_learn_from(spots: list[SyncClip]) -> None:
    with pytest.raises(BadInput) as caught:
        Batches(spots, SyncTraining(frames=61))
    assert caught.value.code == "judging.nothing_to_judge"


def test_a_sound_is_moved_by_whole_frames() -> None:
    sound = np.arange(6400, dtype=np.float32)
    assert (moved(sound, 3)[1920:] == sound[:-1920]).all()
    assert (moved(sound, -3)[:-1920] == sound[1920:]).all()
    assert not moved(sound, 3)[:1920].any()
    assert not moved(sound, -3)[-1920:].any()
    assert not moved(sound, -20).any()


@pytest.mark.slow
def test_the_losses_lead_to_the_shift_that_sounds_were_given(network: SyncNetwork, spots: list[SyncClip]) -> None:
    settings = SyncTraining(clips=4, frames=36)
    batches = (Batches(spots, settings)[number] for number in range(50))
    mouths, sounds, late = next(batch for batch in batches if batch[2].unique().numel() > 2)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    first = losses(network, mouths, sounds, late, settings)[1]
    for _ in range(70):
        loss, parts = losses(network, mouths, sounds, late, settings)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert parts["found"] == 1
    assert parts["shift"] < first["shift"] / 3
    assert parts["contrast"] < first["contrast"] - 0.5


def test_training_is_repeatable_and_keeps_the_best(spots: list[SyncClip]) -> None:
    settings = SyncTraining(steps=3, clips=2, frames=30, warm_up=0)
    figures = {1: 0.1, 2: 0.9, 3: 0.5}
    states: dict[int, dict[str, torch.Tensor]] = {}

    def check(step: int, model: SyncNetwork) -> float:
        states[step] = {name: value.clone() for name, value in model.state_dict().items()}
        return figures[step]

    said: list[str] = []
    best = train(spots, settings, SMALL, check=check, check_every=1, workers=0, say=said.append)
    last = train(spots, settings, SMALL, workers=0, say=said.append)
    assert said[-1].startswith("step 3/3")
    for model, step in ((best, 2), (last, 3)):
        assert all(torch.equal(value, states[step][name]) for name, value in model.state_dict().items())
    assert any(not torch.equal(states[2][name], states[3][name]) for name in states[2])


def test_how_good_a_judge_is(network: SyncNetwork, spots: list[SyncClip]) -> None:
    found = accuracy(SmallSync(FACTS, network, "0" * 64), spots[:2], (-3, 0))
    assert found.cases == 4
    assert found.exact <= found.within_one <= found.within_three
    with pytest.raises(BadInput) as caught:
        accuracy(SmallSync(FACTS, network, "0" * 64), [])
    assert caught.value.code == "judging.nothing_to_judge"
    scores = conditions(SmallSync(FACTS, network, "0" * 64), spots[:2])
    assert set(scores) == set(CONDITIONS) - {"other_words"}  # nobody has a second clip
    assert (scores["true"].less_confident, scores["true"].farther) == (0, 0)
