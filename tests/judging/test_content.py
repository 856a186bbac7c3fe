from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.judging.content import character_error_rate, normalised, word_error_rate

pytest.importorskip("jiwer")
WORDS = st.lists(st.sampled_from(["a", "bin", "blue", "at", "it's"]), max_size=6).map(" ".join)
PAIRS = st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def cases(shared_data: Path) -> dict:
    return json.loads((shared_data / "expected_wer" / "jiwer_cases.json").read_text())


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_published_word_error_rates(cases: dict) -> None:
    known = cases["per_sentence_pairs"] + cases["empty_reference"]
    assert len(known) > 10
    for case in known:
        found = word_error_rate(listed(case["ref"]), listed(case["hyp"]), as_written=True)
        assert found.corpus == pytest.approx(case["wer"]), case
        for kind in ("insertions", "deletions"):
            assert kind not in case or getattr(found, kind) == case[kind]


def test_published_character_error_rates(cases: dict) -> None:
    assert cases["cer"]
    for case in cases["cer"]:
        found = character_error_rate(listed(case["ref"]), listed(case["hyp"]), as_written=True)
        assert found.corpus == pytest.approx(case["cer"]), case


def test_reference_and_hypothesis_have_their_places() -> None:
    assert word_error_rate(["x"], ["x x y y"]).corpus == 3
    assert word_error_rate(["x x y y"], ["x"]).corpus == 0.75


def test_the_two_aggregates_differ_where_utterances_differ_in_length() -> None:
    found = word_error_rate(["a b c d", "a"], ["a b c d", "b"])
    assert found.corpus == pytest.approx(1 / 5)
    assert found.mean == pytest.approx(1 / 2)
    assert found.utterances == (0, 1)


@given(PAIRS)
@settings(deadline=None, max_examples=60)
def test_laws(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = [a for a, _ in pairs], [b for _, b in pairs]
    assert word_error_rate(references, references).errors == 0
    found, turned = word_error_rate(references, hypotheses), word_error_rate(hypotheses, references)
    assert found.errors == turned.errors  # only the denominator depends on which is which
    assert (found.deletions - found.insertions) == (turned.insertions - turned.deletions)
    assert found.reference == sum(len(one.split()) for one in references)
    assert found.errors <= sum(max(len(a.split()), len(b.split())) for a, b in pairs)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Bin BLUE, at a. two — now!", "bin blue at a two now"),
        ("don't 'quote' dogs' it’s", "don't quote dogs it's"),
        ("Straße ÉTÉ e\u0301te\u0301", "strasse été été"),
        ("сад, дом; κόσμε·", "сад дом κόσμε"),
        ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth"),
        ("  ?! ", ""),
    ],
)
def test_normalisation(text: str, kept: str) -> None:
    assert normalised(text) == kept
    assert normalised(kept) == kept


@pytest.mark.parametrize(
    ("references", "hypotheses", "code"),
    [
        (["hello", "this"], ["hello"], "judging.unequal_lists"),
        ("hello", "hello", "judging.unequal_lists"),
        ([], [], "judging.nothing_to_judge"),
    ],
)
def test_bad_lists_are_refused(references: list[str], hypotheses: list[str], code: str) -> None:
    for rate in (word_error_rate, character_error_rate):
        with pytest.raises(BadInput) as caught:
            rate(references, hypotheses)
        assert caught.value.code == code
