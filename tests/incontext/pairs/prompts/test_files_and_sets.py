"""Prompts in files, and sets without duplicates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.pairs.prompts.content import normalised, prompt_id
from dubflow.incontext.pairs.prompts.files import read_prompts, write_prompts
from dubflow.incontext.pairs.prompts.forms import parse, render
from dubflow.incontext.pairs.prompts.grammar import draw_prompts
from dubflow.incontext.pairs.prompts.sets import gathered
from dubflow.incontext.pairs.prompts.settings import GrammarSettings
from dubflow.incontext.pairs.prompts.structure import Prompt

DRAWN = draw_prompts(GrammarSettings.model_validate({}), 2, 6)


def test_lines_and_yaml_hold_the_same(tmp_path: Path) -> None:
    write_prompts(tmp_path / "a.jsonl", DRAWN)
    assert read_prompts(tmp_path / "a.jsonl") == DRAWN
    entries = [prompt.model_dump(mode="json") for prompt in DRAWN]
    for name, content in (("list.yaml", entries), ("named.yml", {"prompts": entries})):
        (tmp_path / name).write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        assert read_prompts(tmp_path / name) == DRAWN


def test_texts_stand_for_prompts(tmp_path: Path) -> None:
    texts = [render(DRAWN[0]), render(DRAWN[1], "compact")]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, texts)) + "\n\n", encoding="utf-8")
    assert read_prompts(tmp_path / "a.jsonl") == tuple(map(parse, texts))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", b"{}\n", "line 1"),
        ("a.jsonl", b'"a man. en: \\"one\\""\nnot json\n', "line 2"),
        ("a.jsonl", b'"no prompt"\n', "line 1"),
        ("a.jsonl", b"3\n", "line 1"),
        ("a.jsonl", b"\xff\xfe", "UTF-8"),
        ("a.jsonl", b"[" * 100_000, "line 1"),
        ("a.yaml", b"a: [", "YAML"),
        ("a.yaml", b"a: 1", "no list"),
        ("a.yaml", b"- {segments: [{language: en, text: one, colour: red}]}", "entry 1"),
    ],
)
def test_bad_files_name_the_place(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_prompts(tmp_path / name)
    assert caught.value.code == "incontext.bad_prompt_file"
    assert told in caught.value.headline


def test_unknown_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a")
    for name in ("a.csv", "missing.jsonl"):
        with pytest.raises(WrongUse) as caught:
            read_prompts(tmp_path / name)
        assert caught.value.code == "incontext.unknown_prompt_file"
    with pytest.raises(WrongUse):
        write_prompts(tmp_path / "a.txt", DRAWN)
    assert not (tmp_path / "a.txt").exists()


def _louder(prompt: Prompt) -> Prompt:
    """The same in capitals, with other stops, a little later."""
    content = prompt.model_dump()
    for segment in content["segments"]:
        segment["text"] = segment["text"].upper().rstrip(".?!") + " !"
        segment["start"], segment["end"] = round(segment["start"] + 0.1, 1), round(segment["end"] + 0.1, 1)
    return Prompt.model_validate(content | {"frames": None})


def test_the_same_content_stands_once() -> None:
    louder = tuple(_louder(prompt) for prompt in DRAWN)
    assert [prompt_id(one) for one in louder] == [prompt_id(one) for one in DRAWN]
    usable, report = gathered((*DRAWN, *louder, DRAWN[0]))
    assert usable == DRAWN
    assert (report.given, report.kept, report.duplicates) == (13, 6, 7)
    assert report.seconds == pytest.approx(6 * 249 / 25)
    assert sum(report.switches.values()) == sum(report.speakers.values()) == 6


def test_other_content_stands_apart() -> None:
    base = DRAWN[0]
    content = base.model_dump()
    first, second = content["segments"]
    others = [
        base.saying(0, "qualcosa", "it"),
        Prompt.model_validate(content | {"scene": "a lighthouse"}),
        Prompt.model_validate(content | {"speaker": base.speaker.model_dump() | {"kind": "robot"}}),
        Prompt.model_validate(content | {"segments": [first | {"translation": "x"}, second]}),
    ]
    assert len({prompt_id(one) for one in (base, *others)}) == 5


def test_what_no_pair_can_be_made_of_is_counted() -> None:
    one = Prompt.model_validate({"segments": [{"language": "en", "text": "one"}]})
    same = DRAWN[0].saying(0, "qualcosa", DRAWN[0].segments[1].language)
    content = DRAWN[1].model_dump()
    for segment in content["segments"]:
        segment["translation"] = None
    usable, report = gathered((one, one, same, Prompt.model_validate(content), DRAWN[2]))
    assert usable == (DRAWN[2],)
    assert report.refused == {"no language switch": 1, "no translation": 1, "one segment": 2}


def test_normalised_words() -> None:
    assert normalised("  Élan—VITAL, d'un «Œuvre»! ") == "élan vital d un œuvre"
    assert normalised("ΆΝΝΑ; Straße") == normalised("άννα straẞe")
    assert normalised("e\u0301té") == "été"
