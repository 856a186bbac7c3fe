"""Parameters come from the command line in the right kinds, and what is wrong is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubflow.errors import BadInput, WrongUse
from dubflow.platform.pipelines.definitions import Definition, code_digest, read_pipeline
from dubflow.platform.pipelines.records import new_id, read_record
from toy_pipeline import toy_definition


@pytest.fixture(scope="module")
def definition(tmp_path_factory: pytest.TempPathFactory) -> Definition:
    return toy_definition(tmp_path_factory.mktemp("toy"))


def test_words_become_values(definition: Definition) -> None:
    given = {"clip": "a b=c", "seconds": "1.5", "many": "[3, 4]", "deep": "no"}
    assert definition.arguments(given) == {"clip": "a b=c", "seconds": 1.5, "many": [3, 4], "deep": False}
    known = {one.name: one for one in definition.parameters}
    assert known["clip"].required
    assert (known["many"].default, known["deep"].default) == ([1, 2], True)
    assert type({one.name: one for one in read_pipeline("train-dubber").parameters}["seed"].default) is int


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"clip": "x", "secnds": "1"}, "platform.unknown_parameter"),
        ({"seconds": "1"}, "platform.missing_parameter"),
        ({"clip": "x", "seconds": "soon"}, "platform.bad_parameter"),
        ({"clip": "x", "many": "{}"}, "platform.bad_parameter"),
        ({"clip": "x", "many": "1,2"}, "platform.bad_parameter"),
        ({"clip": "x", "deep": "perhaps"}, "platform.bad_parameter"),
    ],
)
def test_what_is_wrong_is_said(definition: Definition, given: dict[str, str], code: str) -> None:
    with pytest.raises(WrongUse) as error:
        definition.arguments(given)
    assert error.value.code == code
    if "secnds" in given:
        assert "Did you mean seconds?" in error.value.hint


def test_there_is_no_such_pipeline_or_run(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="train-dubber"):
        read_pipeline("train-everything")
    for name in ("", "nothing", "../elsewhere"):
        with pytest.raises(BadInput, match="no_run"):
            read_record(tmp_path, name)


def test_ids_are_told_apart_and_code_is_named_by_content() -> None:
    assert len({new_id("toy") for _ in range(50)}) == 50
    assert code_digest() == code_digest()
