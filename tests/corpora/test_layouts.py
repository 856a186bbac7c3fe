"""Every reader accounts for everything that its layout lists, and finds what is there."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.samples import row_of, sound, video
from dubflow.corpora.layouts import LAYOUTS
from dubflow.corpora.layouts.grid import sentence
from dubflow.corpora.layouts.ltx import said
from dubflow.corpora.listing import ReadOptions
from dubflow.corpora.manifest import CorpusHeader, CorpusManifest
from dubflow.corpora.result import ImportResult
from dubflow.errors import BadInput


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _chem(root: Path) -> ReadOptions:
    video(root / "hany" / "hany-001.mp4", 1)
    sound(root / "hany" / "hany-001.wav", 1)
    sound(root / "wav" / "x.wav", 2)
    (root / "hany" / "hany-003.mp4").write_bytes(b"not a video")
    _write(
        root / "train.txt",
        "hany-001|hany|{HH AH0}|hello\nhany-002|hany|{W}|missing one\nhany-003|hany|{B}|broken one\nnonsense line\n",
    )
    _write(root / "val.txt", "x|wav/x.wav|HH AH|words\ny|../../etc/passwd.wav|P|escaping\n")
    return ReadOptions()


def _grid(root: Path) -> ReadOptions:
    video(root / "s1" / "bbaf2n.mp4", 1, frames=75)
    _write(root / "s1" / "align" / "bbaf2n.align", "0 1000 sil\n1000 2000 bin\n2000 3000 blue\n3000 4000 at\n"
           "4000 5000 f\n5000 6000 two\n6000 7000 now\n7000 75000 sil\n")  # fmt: skip
    video(root / "s2" / "video" / "mpg_6000" / "swwp2s.mp4", 2)
    _write(root / "s2" / "align" / "swwp2s.align", "0 100 sil\n100 200 wrong\n")
    _write(root / "s3" / "align" / "lbax4n.align", "0 100 sil\n")
    video(root / "s3" / "holiday.mp4", 3)
    (root / "s4").mkdir()
    (root / "s4" / "pwij3p.mpg").write_bytes(b"\0" * 100)
    return ReadOptions()


def _hdtf(root: Path) -> ReadOptions:
    _write(root / "RD_annotion_time.txt", "Radio1.mp4 00:20-01:35 02:00-02:10\nRadio2.mp4 01:00-00:10\nRadio3.mp4\n")
    _write(root / "RD_video_url.txt", "Radio1 https://example.org/watch?v=a\nRadio9 https://example.org/watch?v=b\n")
    _write(root / "RD_crop_wh.txt", "Radio1_0.mp4 483 390 0 390\n")
    _write(root / "WDA_annotion_time.txt", "Ann0.mp4 00:00-00:10\nAnn1.mp4 00:00-00:10\n")
    mine = root.parent / "mine"
    video(mine / "Radio1_0.mp4", 1)
    video(mine / "Ann0.mp4", 2)
    return ReadOptions(media=mine)


def _libritts(root: Path) -> ReadOptions:
    chapter = root / "dev-clean" / "84" / "121123"
    for name in ("84_121123_000001_000000", "84_121123_000002_000000", "85_121123_000003_000000"):
        sound(chapter / f"{name}.wav", 1)
    _write(chapter / "84_121123_000001_000000.normalized.txt", "Go.\n")
    _write(chapter / "84_121123_000001_000000.original.txt", "Go!\n")
    _write(chapter / "84_121123_000009_000000.normalized.txt", "Gone.\n")
    return ReadOptions()


def _ljspeech(root: Path) -> ReadOptions:
    sound(root / "wavs" / "LJ001-0001.wav", 1)
    sound(root / "wavs" / "LJ999-0001.wav", 2)
    _write(root / "metadata.csv", 'LJ001-0001|In 1455,|In fourteen fifty-five,\nLJ001-0002|"quote|"quote\nbad\n'
           "../LJ001-0003|a|a\n")  # fmt: skip
    return ReadOptions()


def _ltx(root: Path) -> ReadOptions:
    for index, name in enumerate(("t1.mp4", "r1.mp4", "m1.mp4", "t2.mp4")):
        video(root / name, index)
    records = [
        {"caption": "A cat.", "video": "t1.mp4", "reference_video": "r1.mp4", "video_mask": "m1.mp4", "note": "kept"},
        {"caption": "A dog.", "media_path": "t2.mp4", "reference_path": "absent.mp4"},
        {"caption": "No file."},
        {"caption": "Out.", "media_path": "/etc/passwd"},
        {"caption": "Two names.", "media_path": "t1.mp4", "video": "t2.mp4"},
        {"caption": "Still.", "media_path": "p.png"},
        "not an object",
    ]
    _write(root / "table.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    return ReadOptions()


def _justdubit(root: Path) -> ReadOptions:
    video(root / "target_001.mp4", 1)
    video(root / "reference_001.mp4", 2)
    caption = 'The woman is speaking French, saying: "Bonjour à tous"'
    records = [
        {"caption": caption, "media_path": "target_001.mp4", "reference_path": "reference_001.mp4"},
        {"caption": caption, "media_path": "target_002.mp4", "reference_path": "reference_001.mp4"},
    ]
    _write(root / "dataset.json", json.dumps(records))
    return ReadOptions()


def _talkers(root: Path) -> ReadOptions:
    for index in range(3):
        sound(root / "media" / f"c{index}.wav", index)
    rows = [row_of(root, f"media/c{index}.wav", f"c{index}") for index in range(3)]
    CorpusManifest(CorpusHeader(name="t", layout="talkers", world="embedded", clips=3), rows, root).write()
    sound(root / "media" / "c1.wav", 9)
    (root / "media" / "c2.wav").unlink()
    return ReadOptions()


def _talkvid(root: Path) -> ReadOptions:
    video(root / "clips" / "abc-scene1.mp4", 1)
    video(root / "clips" / "AAAAAAAAAAA" / "AAAAAAAAAAA_007_10.500_25.300.mp4", 2)
    link = "https://www.youtube.com/watch?v=AAAAAAAAAAA"
    records = [
        {"id": "abc-scene1", "fps": 24.0, "info": {"Person ID": "5", "Language": "English", "Video Link": link}},
        {"start-time": 10.5, "end-time": 25.3, "info": {"Video Link": link, "Language": "Klingon"}},
        {"id": "gone", "info": {"Language": "English"}},
        {"info": {}},
        ["no record"],
    ]
    _write(root / "filtered_video_clips.json", json.dumps(records))
    return ReadOptions()


SAMPLES: Mapping[str, Callable[[Path], ReadOptions]] = {
    "chem": _chem, "grid": _grid, "hdtf": _hdtf, "justdubit": _justdubit, "libritts": _libritts,
    "ljspeech": _ljspeech, "ltx": _ltx, "talkers": _talkers, "talkvid": _talkvid,
}  # fmt: skip

EXPECTED: Mapping[str, dict[str, int]] = {
    "chem": {"chem_bad_line": 1, "file_missing": 1, "path_escapes": 1, "media": 1},
    "grid": {"grid_not_a_code": 1, "grid_align_disagrees": 2, "media": 1},
    "hdtf": {"file_missing": 2, "hdtf_bad_span": 1, "hdtf_no_span": 1, "hdtf_not_annotated": 1, "hdtf_not_cut": 1,
             "hdtf_table_missing": 2},
    "justdubit": {"file_missing": 1},
    "libritts": {"libritts_name_disagrees": 1, "libritts_no_text": 1, "file_missing": 1},
    "ljspeech": {"file_missing": 1, "ljspeech_bad_line": 1, "path_escapes": 1, "ljspeech_not_in_table": 1},
    "ltx": {"file_missing": 1, "ltx_bad_record": 3, "ltx_image": 1, "path_escapes": 1},
    "talkers": {"file_changed": 1, "file_missing": 1},
    "talkvid": {"file_missing": 1, "talkvid_bad_record": 2},
}  # fmt: skip
FOUND = {"chem": 2, "grid": 1, "hdtf": 1, "justdubit": 1, "libritts": 1, "ljspeech": 1, "ltx": 1, "talkers": 1,
         "talkvid": 2}  # fmt: skip


def _read(layout: str, tmp_path: Path) -> ImportResult:
    root = tmp_path / layout
    root.mkdir()
    return LAYOUTS[layout](root, SAMPLES[layout](root))


def test_every_layout_has_a_sample() -> None:
    assert set(SAMPLES) == set(LAYOUTS) == set(EXPECTED) == set(FOUND)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_listed_is_found_and_missing_and_broken_and_left_out(layout: str, tmp_path: Path) -> None:
    result = _read(layout, tmp_path)
    account = result.coverage
    kinds = [account.count(kind) for kind in ("missing", "broken", "left_out")]
    assert account.listed == account.found + sum(kinds)
    assert account.found == len(result.rows) == FOUND[layout]
    assert all(problem.item and problem.reason for problem in account.problems)
    codes = [problem.code.split(".") for problem in account.problems]
    by_code = {}
    for room, name in codes:
        short = name if room == "corpora" else room
        by_code[short] = by_code.get(short, 0) + 1
    assert by_code == EXPECTED[layout]
    for row in result.rows:
        assert result.root is not None
        assert (result.root / row.path).is_file()
        assert row.duration > 0


def test_grid_codes_spell_sentences() -> None:
    assert sentence("bbaf2n") == "bin blue at f two now"
    assert sentence("lwbsza") == "lay white by s zero again"
    assert sentence("swwp2s") == "set white with p two soon"
    for wrong in ("", "bbaf2", "bbaw2n", "xbaf2n", "bbaf0n", "bbaf2nn"):
        assert sentence(wrong) is None


def test_grid_row_knows_words_speaker_and_licence(tmp_path: Path) -> None:
    (row,) = _read("grid", tmp_path).rows
    assert (row.id, row.speaker, row.licence, row.language) == ("s1/bbaf2n", "s1", "CC BY 4.0", "en")
    assert [word.label for word in row.words] == ["bin", "blue", "at", "f", "two", "now"]
    assert (row.frames, row.fps, row.sample_rate) == (75, Fraction(25), 16000)


def test_grid_names_agree_with_every_real_file(shared_data: Path) -> None:
    for folder in ("grid_lipnet", "grid_s1_aligned"):
        result = LAYOUTS["grid"](shared_data / folder)
        assert result.coverage.problems == []
        with open(shared_data / folder / "MANIFEST.tsv", encoding="utf-8", newline="") as lines:
            listed = {row["file"]: row for row in csv.DictReader(lines, delimiter="\t") if row["file"].endswith(".mpg")}
        assert len(result.rows) == len(listed)
        for row in result.rows:
            fact = listed[row.path]
            assert (row.transcript, row.sha256) == (fact["transcript"], fact["sha256"])
            assert f"GRID {row.speaker}" == fact["speaker"].split(" (")[0]
            assert (row.frames, row.fps) == (75, Fraction(25))


def test_grid_split_lists_decide_what_is_taken(shared_data: Path, tmp_path: Path) -> None:
    listed = tmp_path / "s1"
    listed.mkdir()
    for code in ("bbaf2n", "bbal6n", "lgaf7a"):
        source = shared_data / ("grid_lipnet" if code == "bbaf2n" else "grid_s1_aligned")
        shutil.copy(source / f"{code}.mpg", listed)
    train = _write(tmp_path / "train.txt", "s1/video/mpg_6000/bbaf2n\ns1/s1-bbal6n.wav|bˈɪn |23\nrubbish\n")
    val = _write(tmp_path / "val.txt", "s1/video/mpg_6000/bbaf2n\ns2/video/mpg_6000/swwp2s\n")
    result = LAYOUTS["grid"](tmp_path, ReadOptions(lists={"train": train, "val": val}))
    assert {row.id: row.split for row in result.rows} == {"s1/bbaf2n": "train", "s1/bbal6n": "train"}
    assert {(problem.kind, problem.code) for problem in result.coverage.problems} == {
        ("broken", "corpora.grid_bad_list_line"),
        ("broken", "corpora.listed_twice"),
        ("left_out", "corpora.grid_not_in_lists"),
        ("missing", "corpora.file_missing"),
    }
    assert result.coverage.listed == 6


def test_real_grid_lists_are_read_whole(shared_data: Path, tmp_path: Path) -> None:
    lists = shared_data / "metadata_grid"
    options = ReadOptions(lists={"train": lists / "unseen_train.txt", "val": lists / "unseen_val.txt"})
    coverage = LAYOUTS["grid"](tmp_path, options).coverage
    assert coverage.listed == 28837 + 3986
    assert coverage.as_dict()["by_code"] == {"corpora.file_missing": 28837 + 3986}


def test_real_hdtf_tables_list_every_span(shared_data: Path) -> None:
    coverage = LAYOUTS["hdtf"](shared_data / "metadata_hdtf").coverage
    assert coverage.as_dict()["by_code"] == {"corpora.file_missing": 66 + 195, "corpora.hdtf_not_annotated": 1}


def test_hdtf_keeps_span_address_and_crop(tmp_path: Path) -> None:
    (row,) = _read("hdtf", tmp_path).rows
    assert row.source["span_s"] == [20, 95]
    assert row.source["url"].endswith("v=a")
    assert row.source["crop_xwyh"] == ["483", "390", "0", "390"]
    assert row.speaker == "Radio1"
    assert row.licence is None


def test_real_ljspeech_is_found_and_what_is_listed_beyond_is_missing(shared_data: Path, tmp_path: Path) -> None:
    root = tmp_path / "lj"
    shutil.copytree(shared_data / "speech_ljspeech" / "wavs", root / "wavs")
    real = (shared_data / "speech_ljspeech" / "metadata.csv").read_text(encoding="utf-8")
    _write(root / "metadata.csv", real + "LJ050-0278|As a result|As a result\n")
    result = LAYOUTS["ljspeech"](root)
    assert (result.coverage.listed, result.coverage.found) == (9, 8)
    assert result.coverage.problems[0].kind == "missing"
    first = result.rows[0]
    assert first.path == "wavs/LJ001-0001.wav"
    assert (first.sample_rate, first.frames, first.licence) == (22050, None, "public domain")
    assert first.duration == pytest.approx(9.655, abs=1e-3)
    assert first.transcript is not None
    assert first.transcript.startswith("Printing, in the only sense")


def test_real_talkvid_record_is_understood(shared_data: Path, tmp_path: Path) -> None:
    record = json.loads((shared_data / "metadata_talkvid" / "example.json").read_text(encoding="utf-8"))
    _write(tmp_path / "records.json", json.dumps([record]))
    video(tmp_path / f"{record['id']}.mp4", 1)
    (row,) = LAYOUTS["talkvid"](tmp_path).rows
    assert (row.language, row.speaker, row.transcript) == ("en", "person-597", None)
    assert row.source["end-time"] == pytest.approx(5.1416667)


def test_chem_reads_both_lists(tmp_path: Path) -> None:
    by_id = {row.id: row for row in _read("chem", tmp_path).rows}
    assert by_id["hany-001"].path == "hany/hany-001.mp4"
    assert (by_id["hany-001"].split, by_id["hany-001"].transcript) == ("train", "hello")
    assert (by_id["x"].path, by_id["x"].split, by_id["x"].speaker) == ("wav/x.wav", "val", "chem")


def test_libritts_takes_normalised_text_and_the_split_of_its_subset(tmp_path: Path) -> None:
    (row,) = _read("libritts", tmp_path).rows
    assert (row.transcript, row.speaker, row.split) == ("Go.", "84", "val")
    assert row.source == {"subset": "dev-clean", "original": "Go!"}


def test_pairs_keep_reference_and_mask_with_their_digests(tmp_path: Path) -> None:
    (row,) = _read("ltx", tmp_path).rows
    assert {role: file["path"] for role, file in row.source["files"].items()} == {
        "reference_video": "r1.mp4",
        "video_mask": "m1.mp4",
    }
    assert row.source["note"] == "kept"
    (pair,) = _read("justdubit", tmp_path).rows
    assert (pair.language, pair.transcript) == ("fr", "Bonjour à tous")
    assert pair.source["files"]["reference_video"]["sha256"] != pair.sha256


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])
def test_ltx_tables_of_all_three_kinds_say_the_same(tmp_path: Path, suffix: str) -> None:
    video(tmp_path / "a.mp4", 1)
    record = {"caption": 'He says, "a, b"', "media_path": "a.mp4"}
    with open(tmp_path / f"t.{suffix}", "w", encoding="utf-8", newline="") as file:
        if suffix == "csv":
            writer = csv.DictWriter(file, list(record))
            writer.writeheader()
            writer.writerow(record)
        else:
            file.write(json.dumps([record]) if suffix == "json" else json.dumps(record) + "\n")
    (row,) = LAYOUTS["ltx"](tmp_path).rows
    assert row.source["caption"] == record["caption"]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("The woman is speaking English, saying: 'Hello, world!'", ("en", "Hello, world!")),
        ('[A man] is speaking Italian, saying: "Dov\'è?"', ("it", "Dov'è?")),
        ("A cat plays.", (None, None)),
        ("He is speaking Klingon, saying: 'Qapla'", (None, "Qapla")),
    ],
)
def test_captions_give_language_and_words(caption: str, expected: tuple[str | None, str | None]) -> None:
    assert said(caption) == expected


@pytest.mark.parametrize(
    ("layout", "files", "code"),
    [
        ("chem", {}, "corpora.chem_no_lists"),
        ("hdtf", {}, "corpora.hdtf_no_tables"),
        ("ljspeech", {}, "corpora.no_list"),
        ("ltx", {}, "corpora.ltx_no_table"),
        ("ltx", {"a.csv": "", "b.json": ""}, "corpora.ltx_which_table"),
        ("ltx", {"a.json": "{"}, "corpora.bad_json"),
        ("ltx", {"a.jsonl": "{"}, "corpora.ltx_bad_table"),
        ("ltx", {"a.json": "{}"}, "corpora.ltx_bad_table"),
        ("justdubit", {}, "corpora.no_list"),
        ("talkers", {}, "corpora.no_manifest"),
        ("talkvid", {}, "corpora.talkvid_no_records"),
        ("talkvid", {"a.json": "[{"}, "corpora.bad_json"),
    ],
)
def test_folders_of_another_layout_are_refused_by_code(
    tmp_path: Path, layout: str, files: dict[str, str], code: str
) -> None:
    for name, text in files.items():
        _write(tmp_path / name, text)
    with pytest.raises(BadInput) as caught:
        LAYOUTS[layout](tmp_path)
    assert caught.value.code == code


_LISTS = {
    "chem": "train.txt",
    "hdtf": "RD_annotion_time.txt",
    "justdubit": "dataset.json",
    "ljspeech": "metadata.csv",
    "ltx": "a.csv",
    "talkvid": "a.json",
}
_PIECES = (
    "a", "s1/bbaf2n", "x.wav", "|", "{P}", "../", "/", "00:10-00:20", ".mp4", ",", '"', "{", "}", "[", "]", ":", "é",
    "media_path", "caption", "null", "1e999", "\0", "\ufeff", " ", "\n",
)  # fmt: skip
_pieces = st.sampled_from(_PIECES)


@settings(deadline=None, max_examples=30)
@given(text=st.lists(_pieces, max_size=40).map("".join), layout=st.sampled_from(sorted(_LISTS)))
def test_whatever_stands_in_a_list_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, text: str, layout: str
) -> None:
    root = tmp_path_factory.mktemp("lists")
    _write(root / _LISTS[layout], text)
    try:
        coverage = LAYOUTS[layout](root).coverage
    except BadInput:
        return
    assert coverage.found == 0
    assert coverage.listed == len(coverage.problems)


_field = st.sampled_from(["id", "info", "Language", "Video Link", "Person ID", "start-time", "end-time", "media_path",
                          "video", "caption", "mask_path", "audio"])  # fmt: skip
_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.just("../x.mp4"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_field, inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(records=st.lists(st.dictionaries(_field, _json, max_size=5) | _json, max_size=4))
@pytest.mark.parametrize("layout", ["justdubit", "talkvid"])
def test_whatever_stands_in_a_record_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, records: list[object], layout: str
) -> None:
    root = tmp_path_factory.mktemp("records")
    _write(root / "dataset.json", json.dumps(records))
    coverage = LAYOUTS[layout](root).coverage
    assert coverage.listed == len(records) == len(coverage.problems)


@pytest.mark.parametrize("layout", sorted(_LISTS))
def test_lists_that_are_no_text_are_refused(layout: str, tmp_path: Path) -> None:
    (tmp_path / _LISTS[layout]).write_bytes(b"\xff\xfe\x00\x01" * 50)
    with pytest.raises(BadInput, match=r"corpora\.bad_list"):
        LAYOUTS[layout](tmp_path)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_folder_that_is_not_there_is_refused(layout: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        LAYOUTS[layout](tmp_path / "nowhere")
