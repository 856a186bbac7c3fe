"""The laws of the embedded codec: lengths, ranges, determinism, and that each stream holds what its name says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput, WrongUse
from dubflow.progress import Silent
from dubflow.speech.codecs import BOOK_SIZE, Tokens
from dubflow.speech.codecs.world.analysis import Features, analyse
from dubflow.speech.codecs.world.fitting import Recording, WorldSettings, fit_recordings
from dubflow.speech.codecs.world.losses import measure_losses
from dubflow.speech.codecs.world.normalisation import active, gate, measure_traits, shape_of
from dubflow.speech.espeak import EspeakSynthesizer
from dubflow.speech.voices import Voice
from speech.codecs.world_speech import TEXTS, VOICES, World, speak


@pytest.mark.slow
@settings(deadline=None, max_examples=12)
@given(samples=st.integers(1, 6000), seed=st.integers(0, 99))
def test_a_token_time_for_every_200_samples_begun_and_200_samples_back(world: World, samples: int, seed: int) -> None:
    waveform = np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)
    tokens = world.codec.encode(waveform)
    assert len(tokens) == -(-samples // 200)
    assert tokens.speaker.shape == (world.codec.speaker_size,)
    sound = world.codec.decode(tokens)
    assert sound.shape == (200 * len(tokens),)
    assert sound.dtype == np.float32
    assert np.abs(sound).max() <= 1


def test_tokens_use_their_books_and_stay_inside(world: World) -> None:
    tokens = [world.codec.encode_features(one.features) for one in world.speech]
    for name in Tokens.BOOKS:
        codes = np.concatenate([getattr(one, name) for one in tokens], axis=1)
        assert codes.min() >= 0
        assert codes.max() < BOOK_SIZE
        assert all(len(np.unique(book)) > 300 for book in codes)


def test_same_sound_same_tokens_same_sound_whatever_came_between(world: World) -> None:
    first, other = world.said(0, 0).waveform, world.said(3, 1).waveform
    tokens = world.codec.encode(first)
    sound = world.codec.decode(tokens)
    world.codec.decode(world.codec.encode(other))
    assert world.codec.encode(first) == tokens
    assert np.array_equal(world.codec.decode(tokens), sound)


def test_same_seed_same_codec_other_seed_other_codec(world: World) -> None:
    recordings = [Recording(one.voice.variant, one.features) for one in world.speech[:12]]
    quick = WorldSettings(classes=4, rank=2, iterations=1)
    ids = [fit_recordings(recordings, seed=seed, settings=quick, progress=Silent()).id for seed in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].startswith("world-1-")


def test_what_was_decoded_is_encoded_to_nearly_the_same(world: World) -> None:
    drift = []
    for one in world.speech[::5]:
        once = world.codec.decode_features(world.codec.encode_features(one.features))
        twice = world.codec.decode_features(world.codec.encode_features(once))
        spoken = active(one.features)
        loss, again = (envelope_distance(a, b)[spoken].mean() for a, b in ((one.features, once), (once, twice)))
        assert (once.voiced == twice.voiced).mean() > 0.99
        drift.append(again / loss)
    assert np.mean(drift) < 0.8


def test_acoustic_books_add_what_prosody_and_content_leave(world: World) -> None:
    full, short = measure_losses(world.codec, [one.features for one in world.speech])
    assert (full.stage, short.stage) == ("all six books", "prosody and content")
    assert full.mcd_db < 0.8 * short.mcd_db
    assert full.level_db < short.level_db
    assert full.pitch_cents == short.pitch_cents < 20
    assert full.voicing == 0


def test_sound_survives_the_whole_way(world: World) -> None:
    for one in world.speech[::7]:
        heard = analyse(world.codec.decode(world.codec.encode(one.waveform)))
        spoken = active(one.features)
        assert np.corrcoef(heard.cepstrum[spoken, 1], one.features.cepstrum[spoken, 1])[0, 1] > 0.9
        both = heard.voiced & one.features.voiced
        assert np.median(np.abs(1200 * np.log2(heard.hz[both] / one.features.hz[both]))) < 30


def test_donor_prosody_moves_the_pitch_and_leaves_the_words(world: World, synthesizer: EspeakSynthesizer) -> None:
    # One voice says a sentence flatly and lively; the lively melody goes onto the flat words.
    flat, lively = (speak(synthesizer, TEXTS[1], Voice(variant="m3", pitch_range=r)) for r in (10, 95))
    own, donor = (world.codec.encode(one.waveform) for one in (flat, lively))
    length = min(len(own), len(donor))
    own, donor = crop(own, length), crop(donor, length)
    swapped = replace(own, prosody=donor.prosody, speaker=own.speaker)
    sound = world.codec.decode(swapped)
    heard, before, wanted = analyse(sound), analyse(world.codec.decode(own)), analyse(world.codec.decode(donor))
    assert contour_match(heard, wanted) > 0.8
    assert contour_match(heard, wanted) > contour_match(heard, before) + 0.1
    assert np.array_equal(swapped.content, own.content)
    spoken = active(before) & active(heard)
    moved = envelope_distance(heard, before)[spoken].mean()
    apart = envelope_distance(heard, heard_backwards(before))[spoken].mean()
    assert moved < 0.5 * apart


@pytest.mark.parametrize("source", range(len(VOICES)))
def test_another_speaker_vector_moves_pitch_and_envelope_to_that_voice(world: World, source: int) -> None:
    target = (source + 1) % len(VOICES)
    own, other, goal = world.said(source, 0), world.said(target, 1), world.said(target, 0)
    tokens = world.codec.encode(own.waveform)
    speaker = world.codec.encode(other.waveform).speaker
    heard = analyse(world.codec.decode(replace(tokens, speaker=speaker)))
    assert measure_traits(heard).pitch == pytest.approx(measure_traits(other.features).pitch, abs=0.06)
    home, place, there = (mean_shape(one) for one in (own.features, heard, goal.features))
    assert np.linalg.norm(place - there) < 0.8 * np.linalg.norm(home - there)


def test_the_own_speaker_vector_of_another_sentence_changes_little(world: World) -> None:
    kept, moved = [], []
    for voice in range(len(VOICES)):
        own = world.said(voice, 0)
        tokens = world.codec.encode_features(own.features)
        for donor, distances in ((voice, kept), ((voice + 1) % len(VOICES), moved)):
            speaker = world.codec.encode_features(world.said(donor, 2).features).speaker
            turned = world.codec.decode_features(replace(tokens, speaker=speaker))
            distances.append(envelope_distance(turned, own.features)[active(own.features)].mean())
    assert np.mean(kept) < 0.6 * np.mean(moved)


def test_silence_stays_silence(world: World) -> None:
    sound = world.codec.decode(world.codec.encode(np.zeros(16_000, np.float32)))
    assert np.sqrt(np.mean(sound**2)) < 1e-3
    spoken = world.said(1, 0).waveform
    tokens = world.codec.encode(np.concatenate([spoken, np.zeros(8_000, np.float32)]))
    assert np.sqrt(np.mean(world.codec.decode(tokens)[-6_000:] ** 2)) < 1e-3


def test_a_linear_probe_finds_the_speaker_less_in_content_than_in_raw_cepstra(world: World) -> None:
    """Least squares on every spoken frame, trained on three sentences and asked about the fourth."""
    raw, content = [], []
    for one in world.speech:
        spoken = active(one.features)
        tokens = world.codec.encode_features(one.features)
        raw.append(one.features.cepstrum[spoken, 1:25])
        content.append(world.codec.model.content.decode(tokens.content)[spoken])
    assert speaker_rate(content) < 0.75 * speaker_rate(raw)


def test_normalised_voices_lie_closer_together(world: World) -> None:
    voices, usual = world.codec.model.voices, world.codec.model.usual_aperiodicity
    raw, normalised = [], []
    for one in world.speech:
        shape = shape_of(one.features, one.features.voiced, usual)
        weight = gate(one.features.cepstrum[:, 0] - measure_traits(one.features).level)
        rest = voices.remove(shape, weight, voices.estimate(shape, weight))
        raw.append(np.average(shape, axis=0, weights=weight))
        normalised.append(np.average(rest, axis=0, weights=weight))
    assert np.var(normalised, axis=0).sum() < 0.2 * np.var(raw, axis=0).sum()


@pytest.mark.parametrize(
    "waveform",
    [np.zeros((2, 100), np.float32), np.zeros(0, np.float32), np.array([np.nan], np.float32), np.zeros(9, np.int16)],
)
def test_refuses_what_is_no_waveform(world: World, waveform: np.ndarray) -> None:
    with pytest.raises(BadInput) as caught:
        world.codec.encode(waveform)
    assert caught.value.code == "speech.bad_waveform"


def test_refuses_another_codecs_speaker_vector(world: World) -> None:
    tokens = world.codec.encode(np.zeros(400, np.float32))
    with pytest.raises(BadInput) as caught:
        world.codec.decode(replace(tokens, speaker=np.zeros(256, np.float32)))
    assert caught.value.code == "speech.bad_tokens"


@settings(deadline=None, max_examples=15)
@given(scale=st.floats(0, 1e6), seed=st.integers(0, 999))
def test_any_tokens_and_any_speaker_vector_give_sound_in_range(world: World, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = {name: rng.integers(0, BOOK_SIZE, (books, 20)) for name, books in Tokens.BOOKS.items()}
    speaker = (scale * rng.normal(size=world.codec.speaker_size)).astype(np.float32)
    sound = world.codec.decode(Tokens(**codes, speaker=speaker))
    assert sound.shape == (4000,)
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() <= 1


def test_an_utterance_of_no_tokens_is_no_sound(world: World) -> None:
    empty = crop(world.codec.encode(np.zeros(400, np.float32)), 0)
    assert world.codec.decode(empty).shape == (0,)


def test_refuses_to_fit_on_too_little(world: World) -> None:
    with pytest.raises(BadInput) as caught:
        fit_recordings([Recording("a", world.said(0, 0).features)], seed=0, progress=Silent())
    assert caught.value.code == "speech.too_little_speech"
    assert not isinstance(caught.value, WrongUse)


def crop(tokens: Tokens, length: int) -> Tokens:
    return Tokens(**{name: getattr(tokens, name)[:, :length] for name in Tokens.BOOKS}, speaker=tokens.speaker)


def envelope_distance(first: Features, second: Features) -> np.ndarray:
    return np.linalg.norm((first.cepstrum - second.cepstrum)[:, 1:], axis=1)


def heard_backwards(features: Features) -> Features:
    return Features(features.hz[::-1], features.cepstrum[::-1], features.aperiodicity[::-1])


def contour_match(first: Features, second: Features) -> float:
    both = first.voiced & second.voiced
    return float(np.corrcoef(np.log(first.hz[both]), np.log(second.hz[both]))[0, 1])


def mean_shape(features: Features) -> np.ndarray:
    mean: np.ndarray = features.cepstrum[active(features), 1:].mean(0)
    return mean


def speaker_rate(frames: list[np.ndarray]) -> float:
    """Share of held-out frames given to the right one of the voices; ``frames`` is voices by texts."""
    numbers = np.arange(len(frames))
    held = numbers % len(TEXTS) == len(TEXTS) - 1

    def pairs(wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = np.concatenate([frames[i] for i in wanted])
        y = np.concatenate([np.full(len(frames[i]), i // len(TEXTS)) for i in wanted])
        return np.column_stack([x, np.ones(len(x))]), y

    (train, known), (test, asked) = pairs(numbers[~held]), pairs(numbers[held])
    weights = np.linalg.lstsq(train, np.eye(len(VOICES))[known], rcond=None)[0]
    return float(((test @ weights).argmax(1) == asked).mean())


@settings(deadline=None, max_examples=200)
@given(pitches=st.lists(st.sampled_from([0.0, 61.0, 88.0, 150.0, 290.0, 508.0, 599.0]), min_size=1, max_size=6))
def test_traits_are_finite_however_few_and_far_apart_the_voiced_frames_are(pitches: list[float]) -> None:
    """A whisper has a voiced frame here and there, by accident: 88 and 508 Hz have nothing near their middle."""
    features = Features(
        hz=np.array(pitches), cepstrum=np.zeros((len(pitches), 40)), aperiodicity=np.zeros(len(pitches))
    )
    vector = measure_traits(features).as_vector()
    assert np.isfinite(vector).all()
