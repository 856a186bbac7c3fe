"""Talking to a model over HTTP: what is sent, what is tried again, and what ends it."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from dubflow.errors import OurFault, WrongUse
from dubflow.incontext.pairs.chat import KEY, ChatSettings, HttpChat, Message
from incontext.pairs.chat_server import Answer, ChatService, chat_service

HELLO = [Message("system", "Be brief."), Message("user", "Hello")]


def _settings(service: ChatService, **changes: Any) -> ChatSettings:
    return ChatSettings.model_validate(
        {"url": service.url, "model": "small", "pause_s": 0.0, "timeout_s": 10} | changes
    )


def test_what_is_sent_and_what_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "sesame")
    frames = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)
    with chat_service([Answer('{"a": 1}')]) as service, HttpChat(_settings(service)) as chat:
        assert chat.ask([*HELLO, Message("user", "Look", frames)]) == '{"a": 1}'
        assert chat.id == "chat-small"
    assert service.paths == ["/v1/chat/completions"]
    assert service.keys == ["Bearer sesame"]
    sent = service.asked[0]
    assert sent["model"] == "small"
    assert sent["response_format"] == {"type": "json_object"}
    assert sent["messages"][:2] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
    ]
    text, *pictures = sent["messages"][2]["content"]
    assert text == {"type": "text", "text": "Look"}
    import cv2

    for frame, picture in zip(frames, pictures, strict=True):
        coded = base64.b64decode(picture["image_url"]["url"].removeprefix("data:image/png;base64,"))
        decoded = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR)
        assert np.array_equal(decoded[..., ::-1], frame)


def test_no_key_is_sent_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    with chat_service([Answer("{}")]) as service, HttpChat(_settings(service)) as chat:
        chat.ask(HELLO)
    assert service.keys == [None]


@pytest.mark.parametrize(
    "fault",
    [
        Answer(status=503),
        Answer(status=429, headers=(("Retry-After", "0"),)),
        Answer(body=b"<html>"),
        Answer(body=b'{"choices": []}'),
        Answer(body=b'{"choices": [{"message": {"content": null}}]}'),
        Answer("x" * 5000),
    ],
    ids=["503", "429", "no json", "no choice", "no text", "too long"],
)
def test_faults_of_the_service_are_tried_again(fault: Answer) -> None:
    answers = [fault, fault, Answer("fine")]
    with chat_service(answers) as service, HttpChat(_settings(service, most_bytes=2048)) as chat:
        assert chat.ask(HELLO) == "fine"
        assert chat.calls == 3
    with chat_service([fault]) as service, HttpChat(_settings(service, most_bytes=2048, tries=2)) as chat:
        with pytest.raises(OurFault) as caught:
            chat.ask(HELLO)
        assert caught.value.code == "incontext.chat_failed"
        assert len(service.asked) == 2


def test_nobody_answers() -> None:
    with chat_service([Answer("gone soon")]) as service:
        settings = _settings(service, tries=2)
    with HttpChat(settings) as chat, pytest.raises(OurFault) as caught:
        chat.ask(HELLO)
    assert caught.value.code == "incontext.chat_failed"


@pytest.mark.parametrize("status", [400, 401, 404, 302])
def test_faults_of_ours_are_not_tried_again(status: int) -> None:
    answer = Answer(status=status, headers=(("Location", "http://127.0.0.1:9/v1"),))
    with chat_service([answer]) as service, HttpChat(_settings(service), key="secret") as chat:
        with pytest.raises(WrongUse) as caught:
            chat.ask(HELLO)
        assert caught.value.code == "incontext.chat_refused"
        assert "secret" not in json.dumps(caught.value.as_dict())
        assert len(service.asked) == 1


def test_the_budget_counts_every_request() -> None:
    with chat_service([Answer(status=500), Answer("one"), Answer("two")]) as service:
        with HttpChat(_settings(service, most_calls=3)) as chat:
            assert [chat.ask(HELLO), chat.ask(HELLO)] == ["one", "two"]
            with pytest.raises(WrongUse) as caught:
                chat.ask(HELLO)
        assert caught.value.code == "incontext.chat_budget"
        assert len(service.asked) == 3


@pytest.mark.parametrize(
    "url",
    [
        "http://models.example/v1",
        "ftp://127.0.0.1/v1",
        "https://me:secret@models.example/v1",
        "https://a.b/v1?key=x",
        "v1",
    ],
)
def test_addresses_that_would_give_the_key_away(url: str) -> None:
    with pytest.raises(ValidationError):
        ChatSettings.model_validate({"url": url, "model": "small"})


def test_somebody_has_to_be_named() -> None:
    for named in ({}, {"url": "https://models.example/v1"}):
        with pytest.raises(WrongUse) as caught:
            HttpChat(ChatSettings.model_validate(named))
        assert caught.value.code == "incontext.no_chat"
