"""Tables of references: the same items from either kind, and every mistake named with its line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.judging.card.references import COLUMNS, read_references
from dubflow.media.digest import sha256_file
from dubflow.media.encode import write_audio

ROWS = (
    {"id": "a/1", "source": "clips/a.wav", "reference": "clips/b.wav", "voice": "clips/c.wav",
     "transcript": 'bonjour, "toi"\nla', "language": "French", "source_language": "en-US", "speaker": "anna",
     "length": "short", "difficulty": "profile"},
    {"id": "a/2", "transcript": "hola", "language": "es"},
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("references")
    (root / "clips").mkdir()
    for place, name in enumerate("abc"):
        write_audio(root / "clips" / f"{name}.wav", np.full(160, 0.1 * place, np.float32), 16_000)
    return root


def as_csv(path: Path, rows: tuple[dict[str, str], ...] = ROWS, columns: tuple[str, ...] = COLUMNS) -> Path:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())
    return path


def as_lines(path: Path, rows: tuple[dict[str, str], ...] = ROWS) -> Path:
    path.write_text("\n\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def test_both_kinds_of_tables_give_the_same_items(place: Path) -> None:
    first, second = (read_references(table) for table in (as_csv(place / "t.csv"), as_lines(place / "t.jsonl")))
    assert first == second
    whole, short = first.items
    assert (first.name, first.world) == ("t", "real")
    assert whole.source is not None
    assert (whole.source.path, whole.source.sha256) == ("clips/a.wav", sha256_file(place / "clips/a.wav"))
    assert {role: file.path[-5] for role, file in whole.files.items()} == {
        "source": "a", "reference": "b", "voice": "c",
    }  # fmt: skip
    assert (whole.transcript, whole.language, whole.source_language) == ('bonjour, "toi"\nla', "fr", "en")
    assert whole.tags.model_dump() == {
        "language_pair": "en-fr", "speaker": "anna", "length": "short", "difficulty": "profile",
    }  # fmt: skip
    assert (short.files, short.tags.language_pair, short.language) == ({}, "", "es")


@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_any_text_comes_through(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    texts = [text.encode("utf-8", "ignore").decode().replace("\x00", "") for text in texts]
    rows = tuple({"id": f"i{number}", "transcript": text} for number, text in enumerate(texts))
    root = tmp_path_factory.mktemp("texts")
    for table in (as_csv(root / "t.csv", rows), as_lines(root / "t.jsonl", rows)):
        found = {item.id: item.transcript for item in read_references(table).items}
        assert found == {f"i{number}": text.strip() or None for number, text in enumerate(texts)}


def test_the_world_is_the_column_s_or_the_caller_s(place: Path) -> None:
    embedded = tuple(row | {"world": "embedded"} for row in ROWS)
    assert read_references(as_lines(place / "w.jsonl", embedded)).world == "embedded"
    assert read_references(place / "w.jsonl", world="real", name="ours").world == "real"
    assert read_references(as_csv(place / "w.csv"), world="embedded").world == "embedded"
    with pytest.raises(BadInput, match="line 3: its clips are of another world"):
        read_references(as_lines(place / "w.jsonl", (ROWS[0], embedded[1])))
    with pytest.raises(BadInput, match="line 1: the world is one of"):
        read_references(as_lines(place / "w.jsonl", (ROWS[0] | {"world": "moon"},)))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id,beauty\na,1\n", "line 1: unknown columns: 'beauty'"),
        ("id,id\na,b\n", "line 1: columns stand twice: id"),
        ("source\nclips/a.wav\n", "line 1: there is no column id"),
        ("id,language\na,en\n\na,fr\n", "line 4: a stands in line 2 already"),
        ('id,transcript\na,"one\ntwo"\nb,x,y\n', "line 4: it has 3 cells, the header 2"),
        ("id,language\na,en\nb\n", "line 3: it has 1 cells"),
        ('id,transcript\na,"one\n', "line 2: unexpected end of data"),
        ("id,language\na,klingon\n", "line 2: 'klingon' is no language"),
        ("id,source\na,clips/z.wav\n", "line 2: source: "),
        ("id,source\na,../z.wav\n", "line 2: source: '../z.wav' leads out"),
        ("id,voice\na,/etc/passwd\n", "line 2: voice: '/etc/passwd' leads out"),
        ("id,language\n,en\n", "line 2: it has no id"),
        ("id\n../a\n", "line 2: id: "),
        ("id\n", "has no rows"),
        ("", "has no rows"),
    ],
)
def test_what_is_wrong_in_csv_is_named_with_its_line(place: Path, text: str, problem: str) -> None:
    (place / "bad.csv").write_text(text)
    refused(place / "bad.csv", problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"id": "a"}\n{"id": "b",}\n', "line 2: it is not JSON"),
        ('{"id": "a"}\n\n["b"]\n', "line 3: it is no object"),
        ('{"id": "a", "id": "b"}\n', "line 1: it is not JSON: id stands twice"),
        ('{"id": "a", "transcript": 7}\n', "line 1: values are texts, and transcript is none"),
        ('{"id": "a", "beauty": "b"}\n', "line 1: unknown columns"),
        ('{"id": null}\n', "line 1: it has no id"),
        ("[" * 100_000, "line 1: it is not JSON"),
    ],
)
def test_what_is_wrong_in_json_lines_is_named_with_its_line(place: Path, text: str, problem: str) -> None:
    (place / "bad.jsonl").write_text(text)
    refused(place / "bad.jsonl", problem)


def test_what_is_no_table_is_refused(place: Path) -> None:
    with pytest.raises(BadInput) as missing:
        read_references(place / "nowhere.csv")
    assert missing.value.code == "judging.no_references"
    (place / "t.txt").write_text("id\n")
    refused(place / "t.txt", "neither .csv nor .jsonl")
    for name in ("l.csv", "l.jsonl"):
        (place / name).write_bytes("id\nå\n".encode("latin-1"))
        refused(place / name, "cannot be read as text")


def refused(table: Path, problem: str) -> None:
    with pytest.raises(BadInput) as error:
        read_references(table)
    assert error.value.code == "judging.bad_references"
    assert problem in error.value.headline
