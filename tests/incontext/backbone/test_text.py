"""Prompts: the connectors' own answer, widths by version, the cache, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.backbone.memory import without_text_encoder
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.text import TextCache, encode_text, prompt_features
from dubflow.incontext.backbone.tokenizer import local_tokenizer

PROMPT = 'Anna is speaking French, saying: "Bonjour à tous, ça va ?"'


def test_features_are_those_of_the_connectors_forward(backbone: Backbone) -> None:
    tokenizer = backbone.tokenizer
    tokenizer.padding_side = "left"
    inputs = tokenizer([PROMPT], padding="max_length", max_length=backbone.text_tokens, return_tensors="pt")
    with torch.no_grad():
        states = backbone.text_encoder(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], output_hidden_states=True
        ).hidden_states
        video, audio, mask = backbone.connectors(torch.stack(states, -1).flatten(2, 3), inputs["attention_mask"])
    ours = encode_text(backbone, [PROMPT])
    assert torch.equal(ours.video, video)
    assert torch.equal(ours.audio, audio)
    assert torch.equal(ours.mask, mask.bool())


def test_widths_differ_from_2_3_on(backbone: Backbone) -> None:
    features = encode_text(backbone, [PROMPT])
    assert features.video.shape == (1, 256, backbone.video_text_width)
    assert features.audio.shape == (1, 256, backbone.audio_text_width)
    assert (backbone.video_text_width != backbone.audio_text_width) == (backbone.version != "2.0")


def test_a_prompts_features_do_not_depend_on_its_batch(backbone: Backbone) -> None:
    together = encode_text(backbone, [PROMPT, "hello"])
    alone = encode_text(backbone, ["hello"])
    torch.testing.assert_close(together.video[1:], alone.video)
    torch.testing.assert_close(together.audio[1:], alone.audio)


def test_prompts_are_padded_on_the_left(oldest: Backbone) -> None:
    mask = prompt_features(oldest, ["hello"]).mask[0]
    count = len(oldest.tokenizer("hello")["input_ids"])
    assert mask[-count:].all()
    assert not mask[:-count].any()


def test_cached_prompts_need_no_encoder(backbone: Backbone, tmp_path: Path) -> None:
    cache = TextCache(tmp_path, backbone)
    first = encode_text(backbone, [PROMPT], cache)
    bare = without_text_encoder(backbone)
    again = encode_text(bare, [PROMPT], TextCache(tmp_path, bare))
    assert torch.equal(first.video, again.video)
    assert torch.equal(first.audio, again.audio)
    with pytest.raises(WrongUse) as caught:
        encode_text(bare, ["another"], cache)
    assert caught.value.code == "incontext.no_text_encoder"


def test_other_weights_are_other_entries(oldest: Backbone, backbone: Backbone, tmp_path: Path) -> None:
    ours, theirs = TextCache(tmp_path, oldest).path(PROMPT), TextCache(tmp_path, backbone).path(PROMPT)
    assert (ours == theirs) == (backbone.version == "2.0")


def test_a_damaged_entry_is_made_again(oldest: Backbone, tmp_path: Path) -> None:
    cache = TextCache(tmp_path, oldest)
    first = encode_text(oldest, [PROMPT], cache)
    cache.path(PROMPT).write_bytes(b"short")
    assert torch.equal(encode_text(oldest, [PROMPT], cache).video, first.video)
    assert cache.get(PROMPT) is not None


def test_a_prompt_that_does_not_fit_is_refused_and_not_cut(oldest: Backbone) -> None:
    with pytest.raises(BadInput) as caught:
        encode_text(oldest, ["long " * 100])
    assert caught.value.code == "incontext.prompt_too_long"


def test_shorter_windows_read_shorter_prompts(oldest: Backbone) -> None:
    assert encode_text(replace(oldest, text_tokens=64), ["hello"]).video.shape[1] == 64


@pytest.mark.parametrize("text", ["Привет, мир", "Γειά σου", "Grüß Gott", "¿Qué tal?", "日本"])
def test_every_language_has_its_own_pieces(text: str) -> None:
    tokenizer = local_tokenizer(256)
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    assert tokenizer.unk_token_id not in tokenizer(text)["input_ids"]
