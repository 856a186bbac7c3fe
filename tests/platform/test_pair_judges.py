"""Quality control by the packaged judges, on pairs of the embedded world that are good, copied, and a stranger's."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubflow.config import load_preset
from dubflow.errors import WrongUse
from dubflow.incontext.pairs.quality.settings import QualitySettings
from dubflow.incontext.pairs.quality.verdicts import reason_of
from dubflow.platform.pair_judges import WordSpeech, pair_quality, quality_by
from incontext.pairs.chat_server import Answer, chat_service
from incontext.pairs.talker_halves import made_pair, spoken_half

SETTINGS = load_preset("tiny", QualitySettings.section, QualitySettings)


class _Told:
    """A recogniser that hears what it is told to, in two languages."""

    id = "told"
    languages = ("en", "fr")

    def __init__(self, text: str) -> None:
        self.text, self.asked = text, list[str | None]()

    def hear(self, waveform: object, language: str | None = None) -> str:
        self.asked.append(language)
        return self.text


def test_words_are_counted_in_their_language() -> None:
    import numpy as np

    told = _Told("pose bleu")
    judge, silence = WordSpeech(told), np.zeros(16_000, np.float32)
    assert judge.error(silence, "Pose bleu.", "fr") == 0.0
    assert judge.error(silence, "pose rouge", "fr") == 0.5
    assert told.asked == ["fr", "fr"]
    assert judge.error(silence, "бин", "ru") is None
    assert judge.error(silence, "…", "fr") is None
    assert judge.id == "told"


@pytest.mark.slow
def test_good_pairs_pass_and_bad_ones_are_refused_for_what_is_wrong() -> None:
    control = pair_quality(SETTINGS)
    target, context = spoken_half(1, "bbaf2n", "en"), spoken_half(1, "bbaf2n", "it")
    other = spoken_half(1, "sgwt9p", "it")
    stranger = spoken_half(2, "bbaf2n", "it")
    pairs = [
        made_pair(target, context, other),
        made_pair(target, target, other, said=context),
        made_pair(target, stranger, other),
        made_pair(target, other, other, said=context),
    ]
    found = [control.measure(pair) for pair in pairs]
    good, copied, another, salad = control.verdicts([one.figures for one in found])
    assert good == ()
    assert {reason_of(one) for one in copied} == {"wrong_words", "old_words", "same_lips"}
    assert {reason_of(one) for one in another} == {"other_voice", "other_face"}
    assert {reason_of(one) for one in salad} >= {"wrong_words"}
    first, second = found[0].figures, found[2].figures
    assert first["voice_pair"] > second["voice_pair"] + 0.1
    assert first["face_pair"] > second["face_pair"] + 0.1
    assert found[1].figures["lmd"] == pytest.approx(0, abs=1e-6)
    # Nothing is remembered from pair to pair.
    assert control.measure(pairs[0]) == found[0]


@pytest.mark.slow
def test_a_file_names_who_looks(tmp_path: Path) -> None:
    pair = made_pair(*(spoken_half(1, "bbaf2n", language) for language in ("en", "it", "it")))
    shown = type(pair)(**{name: getattr(pair, name) for name in pair.__dataclass_fields__} | {"shown": "a hall"})
    with chat_service([Answer('{"agreement": 0.25}')]) as service:
        judges = tmp_path / "judges.yaml"
        judges.write_text(f"judges: {{}}\nincontext.chat: {{url: '{service.url}', model: eyes}}\n")
        limits = QualitySettings.model_validate({"limits": {"scene": {"bound": 0.5}}})
        control = quality_by(limits, str(judges))
        figures = control.measure(shown).figures
        assert figures["scene"] == 0.25
        assert control.verdicts([figures]) == [("other_scene: scene 0.25 is below 0.5",)]
    assert quality_by(limits).measures != control.measures


def test_files_that_are_not_there() -> None:
    with pytest.raises(WrongUse):
        quality_by(SETTINGS, "missing.yaml")
