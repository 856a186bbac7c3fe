"""Looking at clips over a real loopback service."""

from __future__ import annotations

import numpy as np
import pytest

from dubflow.errors import OurFault
from dubflow.incontext.pairs.chat import ChatSettings, HttpChat
from dubflow.incontext.pairs.quality.scene import ChatScene
from incontext.pairs.chat_server import Answer, chat_service

FRAMES = np.zeros((3, 8, 8, 3), np.uint8)


def _agreement(*answers: Answer) -> tuple[float | None, list[dict[str, object]]]:
    with chat_service(answers) as service:
        settings = ChatSettings.model_validate({"url": service.url, "model": "eyes", "pause_s": 0.0, "tries": 2})
        with HttpChat(settings) as chat:
            scene = ChatScene(chat)
            assert scene.id == "scene-1-chat-eyes"
            return scene.agreement(FRAMES, 'a hall with "lamps"'), service.asked


def test_an_answer_is_a_number() -> None:
    found, asked = _agreement(Answer('{"agreement": 0.8, "why": "A hall, dim."}'))
    assert found == 0.8
    content = asked[0]["messages"][1]["content"]  # type: ignore[index]
    assert content[0]["text"] == 'To be shown: "a hall with \\"lamps\\""'
    assert [part["type"] for part in content[1:]] == ["image_url"] * 3


@pytest.mark.parametrize(
    "text",
    ["yes", '{"agreement": 1.2}', '{"agreement": NaN}', '{"agreement": "high"}', '{"agreement": 1, "x": 1}', "[]"],
)
def test_anything_else_is_asked_once_more_and_then_nothing(text: str) -> None:
    found, asked = _agreement(Answer(text))
    assert found is None
    assert len(asked) == 2
    found, asked = _agreement(Answer(text), Answer('{"agreement": 0}'))
    assert found == 0.0
    assert len(asked) == 2


def test_a_service_that_is_away_is_no_verdict() -> None:
    with pytest.raises(OurFault) as caught:
        _agreement(Answer(status=500))
    assert caught.value.code == "incontext.chat_failed"
