from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubflow.corpora.manifest import ClipRow, CorpusHeader, CorpusManifest
from dubflow.errors import BadInput
from dubflow.judging.phone_judge.facts import PHONE_SYMBOLS, TrainedVoice
from dubflow.judging.phone_judge.material import read_spoken, usable_phones, voices_in
from dubflow.media.digest import sha256_file
from dubflow.media.encode import write_audio
from dubflow.speech.intervals import Interval

ANN, BOB = {"variant": "f4", "pitch": 50, "rate": 160}, {"variant": "m5", "pitch": 22, "rate": 170}


def row(folder: Path, name: str, split: str, labels: list[str], voice: dict | None) -> ClipRow:
    path = folder / f"{name}.wav"
    write_audio(path, (0.1 * np.sin(np.arange(8_000) * 0.2)).astype(np.float32), 16_000)
    times = np.linspace(0, 0.5, len(labels) + 1)
    return ClipRow(
        id=name,
        path=path.name,
        sha256=sha256_file(path),
        transcript="something",
        language="en",
        speaker=name[0],
        licence="CC0-1.0",
        split=split,
        duration=0.5,
        sample_rate=16_000,
        phones=tuple(
            Interval(start=float(start), end=float(end), label=label)
            for start, end, label in zip(times[:-1], times[1:], labels, strict=True)
        ),
        source={} if voice is None else {"plan": {"people": [{"speaker": name[0], "voice": voice}]}},
    )


@pytest.fixture
def corpus(tmp_path: Path) -> CorpusManifest:
    rows = [
        row(tmp_path, "a1", "train", ["", "h", "aɪ", ""], ANN),
        row(tmp_path, "a2", "train", ["", "<unk>", ""], ANN),
        row(tmp_path, "b1", "test", ["", "aɪ", "", "s", ""], BOB),
        row(tmp_path, "b2", "test", ["", ""], BOB),
    ]
    header = CorpusHeader(name="four", layout="talkers", world="embedded", clips=4)
    return CorpusManifest(header, rows, tmp_path)


def test_clips_of_a_split_that_tell_their_phones(corpus: CorpusManifest) -> None:
    (train,) = read_spoken(corpus, "train", workers=1)
    (test,) = read_spoken(corpus, "test", workers=1)
    assert (train.id, train.phones, test.phones) == ("a1", ("h", "aɪ"), ("aɪ", "s"))
    assert train.samples.dtype == np.float32
    assert train.samples.size == 8_000
    assert np.abs(train.samples).max() == pytest.approx(0.1, abs=1e-3)
    assert [PHONE_SYMBOLS[one - 1] for one in test.classes] == ["aɪ", "s"]
    np.testing.assert_allclose(test.starts, [0.1, 0.3])
    np.testing.assert_allclose(test.ends, [0.2, 0.4])
    assert [usable_phones(one) for one in corpus] == [True, False, True, False]


def test_whose_voices_are_heard(corpus: CorpusManifest) -> None:
    assert voices_in(corpus, ("train", "val")) == (TrainedVoice(variant="f4", pitch=50),)
    assert [voice.variant for voice in voices_in(corpus, ("train", "test"))] == ["f4", "m5"]


def test_nothing_of_a_split(corpus: CorpusManifest) -> None:
    with pytest.raises(BadInput) as caught:
        read_spoken(corpus, "val")
    assert caught.value.code == "judging.nothing_to_judge"


@pytest.mark.parametrize("voice", [None, {"variant": "f4"}, {"variant": "f4", "pitch": "high"}])
def test_a_clip_of_nobody_is_not_trained_on(tmp_path: Path, voice: dict | None) -> None:
    header = CorpusHeader(name="one", layout="talkers", world="embedded", clips=1)
    one = CorpusManifest(header, [row(tmp_path, "c1", "train", ["s"], voice)], tmp_path)
    with pytest.raises(BadInput) as caught:
        voices_in(one, ("train",))
    assert caught.value.code == "judging.unknown_voice"
