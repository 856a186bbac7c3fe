"""``dubflow synthesize prompts``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dubflow.incontext.pairs.prompts.files import read_prompts
from dubflow.incontext.pairs.prompts.grammar import draw_prompts
from dubflow.incontext.pairs.prompts.settings import GrammarSettings
from incontext.pairs.chat_server import Answer as Said
from incontext.pairs.chat_server import chat_service
from verbs import Answer

WORDS = ("synthesize", "prompts")


def test_the_grammar_writes_a_file_that_pairs_are_made_of(tmp_path: Path, answer: Answer) -> None:
    out = tmp_path / "prompts.jsonl"
    words = (*WORDS, "--out", out, "--preset", "paper", "--count", "12", "--seed", "3")
    dry = answer(*words, "--dry-run")
    assert not out.exists()
    done = answer(*words)
    assert dry == done | {"written": False}
    assert done["prompts"]["kept"] == 12
    assert read_prompts(out) == draw_prompts(GrammarSettings.model_validate({}), 3, 12)


def test_a_model_writes_what_it_can(tmp_path: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFLOW_CHAT_KEY", "sesame")
    good = draw_prompts(GrammarSettings.model_validate({}), 1, 2)
    listed = [*(one.model_dump(mode="json") for one in good), {"segments": []}]
    out, chat = tmp_path / "prompts.jsonl", tmp_path / "chat.yaml"
    with chat_service([Said(json.dumps({"prompts": listed}))]) as service:
        chat.write_text(f"incontext.chat: {{url: '{service.url}', model: writer, most_calls: 3, pause_s: 0}}\n")
        words = (*WORDS, "--out", out, "--preset", "paper", "--count", "5", "--chat", chat)
        assert answer(*words, "--dry-run")["prompts"]["kept"] == 0
        assert service.asked == []
        done: dict[str, Any] = answer(*words)
    assert service.keys == ["Bearer sesame"] * 3
    assert read_prompts(out) == good
    assert done["prompts"]["kept"] == 2
    assert (done["model"]["ended"], done["model"]["calls"]) == ("budget", 3)
    assert done["model"]["refused"] == {"not a valid prompt": 3}
    assert "sesame" not in json.dumps(done) + out.read_text()


def test_what_cannot_be_written(tmp_path: Path, answer: Answer) -> None:
    told = answer(*WORDS, "--out", tmp_path / "prompts.txt", "--count", "1", exit_code=2)
    assert told["error"]["code"] == "incontext.unknown_prompt_file"
    chat = tmp_path / "chat.yaml"
    chat.write_text("incontext.chat: {}\n")
    told = answer(*WORDS, "--out", tmp_path / "a.jsonl", "--count", "1", "--chat", chat, exit_code=2)
    assert told["error"]["code"] == "incontext.no_chat"
