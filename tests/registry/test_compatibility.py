"""Parts that do not belong together are told apart by their facts, every disagreement by name."""

from __future__ import annotations

from typing import Any

import pytest

from dubflow.errors import BadInput
from dubflow.registry.compatibility import (
    CodecFacts,
    check_diflow,
    check_incontext,
    diflow_mismatches,
    incontext_mismatches,
)
from dubflow.registry.package.facts import AdapterFacts, BaseFacts, IncontextFacts, TextEncoderFacts, VocoderFacts
from registry.packages import facts

# LTX-2's own figures.
BASE = BaseFacts(
    id="ltx-2", version="2.0", config="ab" * 32, layers=48, video_width=4096, audio_width=2048, text_width=3840,
    text_layers=49, mel_bins=64, mel_rate=16000, mel_hop=160, rope="split", world="real",
)  # fmt: skip
ADAPTER = AdapterFacts(
    base="ltx-2", base_version="2.0", base_config="ab" * 32, rank=128, layers=48, video_width=4096, audio_width=2048,
    modules=("attn1.to_q", "audio_attn1.to_q"), text_encoder="gemma-3-12b", rope="split", positions="same",
    av_mask="isolated", world="real",
)  # fmt: skip
TEXT = TextEncoderFacts(id="gemma-3-12b", width=3840, layers=49)
VOCODER = VocoderFacts(id="ltx-2-vocoder", mel_bins=64, mel_rate=16000, mel_hop=160, sample_rate=24000)
CODEC = CodecFacts("world-1-abc", 1024, {"prosody": 1, "content": 2, "acoustic": 3}, 8)


def test_parts_that_belong_together_do() -> None:
    check_incontext(BASE, ADAPTER, TEXT, VOCODER)
    kept = IncontextFacts(languages=("en",), adapter=ADAPTER, base=BASE, text_encoder=TEXT, vocoder=VOCODER)
    assert kept.world == "real"
    assert IncontextFacts.model_validate_json(kept.model_dump_json()) == kept
    # A newer vocoder that gives 48 kHz from the same mel is fine; so is a shallower adapter.
    check_incontext(BASE, ADAPTER, TEXT, VOCODER.model_copy(update={"sample_rate": 48000}))
    check_incontext(BASE, ADAPTER.model_copy(update={"layers": 30, "base_config": None}), TEXT, VOCODER)


@pytest.mark.parametrize(
    ("part", "change", "parts", "about"),
    [
        ("base", {"id": "ltx-3"}, "adapter on base", "id"),
        ("base", {"version": "2.3"}, "adapter on base", "version"),
        ("base", {"layers": 28}, "adapter on base", "number of blocks"),
        ("base", {"video_width": 64}, "adapter on base", "width of the video side"),
        ("base", {"audio_width": 64}, "adapter on base", "width of the audio side"),
        ("base", {"rope": "interleaved"}, "adapter on base", "kind of positions"),
        ("base", {"config": "cd" * 32}, "adapter on base", "digest of the configuration"),
        ("base", {"world": "embedded"}, "adapter on base", "world"),
        ("base", {"text_width": 64}, "text encoder into base", "width of hidden states"),
        ("base", {"mel_bins": 80}, "base into vocoder", "mel bins"),
        ("text", {"id": "gemma-4-12b"}, "adapter with text encoder", "id"),
        ("text", {"layers": 27}, "text encoder into base", "number of hidden states"),
        ("vocoder", {"mel_rate": 24000}, "base into vocoder", "sample rate of the mel (Hz)"),
        ("vocoder", {"mel_hop": 256}, "base into vocoder", "hop of the mel (samples)"),
    ],
)
def test_every_disagreement_of_an_adapter_is_found_alone(
    part: str, change: dict[str, Any], parts: str, about: str
) -> None:
    given: dict[str, Any] = {"base": BASE, "text": TEXT, "vocoder": VOCODER}
    given[part] = given[part].model_copy(update=change)
    (found,) = incontext_mismatches(given["base"], ADAPTER, given["text"], given["vocoder"])
    assert (found.parts, found.about) == (parts, about)
    with pytest.raises(BadInput) as caught:
        check_incontext(given["base"], ADAPTER, given["text"], given["vocoder"])
    assert caught.value.code == "registry.incompatible"
    assert about in caught.value.headline


@pytest.mark.parametrize(
    ("change", "about"),
    [
        ({"codec": "facodec-1-abc"}, "id"),
        ({"codes": 512}, "entries of a book"),
        ({"books": {"prosody": 1, "content": 1, "acoustic": 3}}, "books"),
        ({"speaker": 256}, "speaker vector"),
    ],
)
def test_a_model_and_a_strange_codec_do_not_speak(change: dict[str, Any], about: str) -> None:
    check_diflow(facts(), CODEC)
    (found,) = diflow_mismatches(facts(**change), CODEC)
    assert found.about == about
    with pytest.raises(BadInput):
        check_diflow(facts(**change), CODEC)


def test_a_codec_that_does_not_say_its_speaker_vector_is_not_guessed_at() -> None:
    check_diflow(facts(speaker=256), CodecFacts(CODEC.id, CODEC.codes, CODEC.books, None))


@pytest.mark.parametrize(
    ("change", "about"),
    [
        ({"stage": "dubber"}, "stage"),
        ({"codec": "other"}, "codec"),
        ({"width": 32}, "width"),
        ({"symbols": 10}, "number of phonemes"),
        ({"extractors": {"phonemes": "2"}}, "phonemes"),
    ],
)
def test_a_teacher_of_another_school_is_none(change: dict[str, Any], about: str) -> None:
    check_diflow(facts(), CODEC, facts(stage="tts"))
    (found,) = diflow_mismatches(facts(), CODEC, facts(**{"stage": "tts"} | change))
    assert found.about == about


def test_all_disagreements_are_named_at_once() -> None:
    strange = BASE.model_copy(update={"version": "2.5", "mel_bins": 80, "text_layers": 1})
    with pytest.raises(BadInput) as caught:
        check_incontext(strange, ADAPTER, TEXT, VOCODER)
    assert len(caught.value.details["mismatches"]) == 3
