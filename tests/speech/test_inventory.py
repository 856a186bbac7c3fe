from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from dubflow.errors import BadInput
from dubflow.speech.inventory import (
    IDS,
    PAD,
    PAD_ID,
    PHONES,
    PLOSIVES,
    SILENCE_ID,
    SYMBOLS,
    UNKNOWN,
    UNKNOWN_ID,
    decode,
    encode,
    normalised,
    split_ipa,
    unknown_symbols,
)

GOLDEN = Path(__file__).with_name("golden_inventory.txt")


def test_ids_never_change() -> None:
    rows = [line.split("\t") for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    assert [int(number) for number, _ in rows] == list(range(len(rows)))
    assert [symbol for _, symbol in rows] == list(SYMBOLS[: len(rows)]), "models were trained with these ids"
    assert len(rows) == len(SYMBOLS), "write the new symbols to the end of golden_inventory.txt"


def test_special_ids() -> None:
    assert (PAD_ID, SILENCE_ID, UNKNOWN_ID) == (0, 1, 2)
    assert (SYMBOLS[0], SYMBOLS[1], SYMBOLS[2]) == (PAD, "", UNKNOWN)
    assert set(SYMBOLS) == PHONES | {PAD, "", UNKNOWN}


def test_symbols_are_distinct_and_composed_alike() -> None:
    assert len(set(SYMBOLS)) == len(SYMBOLS) == len(IDS)
    for symbol in PHONES:
        assert symbol == unicodedata.normalize("NFD", symbol) or symbol in ("ç", "ø"), symbol
        assert "g" not in symbol, "IPA's own letter is ɡ"
        assert not set(symbol) & set("ˈˌ ͡"), symbol


def test_encode_and_decode_are_inverse() -> None:
    assert decode(encode(SYMBOLS)) == list(SYMBOLS)


def test_unknown_symbols_are_refused_or_mapped_with_a_report() -> None:
    with pytest.raises(BadInput) as caught:
        encode(["a", "ꙮ", "b", "ꙮ", "★"])
    assert caught.value.details["symbols"] == ["ꙮ", "★"]
    assert unknown_symbols(["a", "ꙮ", "b"]) == ["ꙮ"]
    assert encode(["a", "ꙮ"], unknown="map").tolist() == [IDS["a"], UNKNOWN_ID]
    for wrong in (-1, len(SYMBOLS)):
        with pytest.raises(BadInput):
            decode([wrong])


@pytest.mark.parametrize(
    ("ipa", "expected"),
    [
        ("tʃˈaɪnə", [("tʃ", 0), ("aɪ", 1), ("n", 0), ("ə", 0)]),
        ("t͡ʃˈaɪ", [("tʃ", 0), ("aɪ", 1)]),
        ("ˌɛlɪmˈɛnt", [("ɛ", 2), ("l", 0), ("ɪ", 0), ("m", 0), ("ɛ", 1), ("n", 0), ("t", 0)]),
        ("ˈstɹiːt", [("s", 0), ("t", 0), ("ɹ", 0), ("iː", 1), ("t", 0)]),
        ("dʲˈenʲ", [("dʲ", 0), ("e", 1), ("nʲ", 0)]),
        ("bɔ̃ vˈɛ̃", [("b", 0), ("ɔ̃", 0), ("v", 0), ("ɛ̃", 1)]),
        ("bˈʌtn̩", [("b", 0), ("ʌ", 1), ("t", 0), ("n̩", 0)]),
        ("", []),
    ],
)  # fmt: skip
def test_ipa_strings_are_split_into_the_longest_symbols(ipa: str, expected: list[tuple[str, int]]) -> None:
    assert split_ipa(ipa) == expected


def test_strings_of_symbols_split_back() -> None:
    for symbol in PHONES:
        assert split_ipa(symbol) == [(symbol, 0)]


def test_ipa_outside_the_inventory_is_refused() -> None:
    with pytest.raises(BadInput) as caught:
        split_ipa("aʘb")
    assert caught.value.details["symbols"] == ["ʘ"]


@pytest.mark.parametrize(
    ("name", "language", "expected"),
    [
        ("ˈuː", "en", (["uː"], 1)),
        ("ˌa", "it", (["a"], 2)),
        ("e-", "fr", (["e"], 0)),
        ("y", "ru", (["ɨ"], 0)),
        ("y", "fr", (["y"], 0)),
        ("ˈja", "ru", (["j", "a"], 1)),
        ("ʲ", "ru", (["ʲ"], 0)),
        ("ɡ̃", "it", (["ɡ"], 0)),
        ("ˈɑ̃", "fr", (["ɑ̃"], 1)),
        ("(en)", "ru", ([], 0)),
        ("", "de", ([], 0)),
        ("ʘ", "en", (["ʘ"], 0)),
    ],
)
def test_espeak_names_become_symbols(name: str, language: str, expected: tuple[list[str], int]) -> None:
    assert normalised(name, language) == expected


def test_plosives_are_stops_and_affricates() -> None:
    assert {"p", "b", "t", "d", "k", "ɡ", "tʃ", "dʒ", "ts", "pf", "tʲ", "ʔ"} <= PLOSIVES
    assert not PLOSIVES & {"s", "m", "f", "ð", "ɾ", "r", "a"}
