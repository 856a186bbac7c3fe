"""Benchmarks of imported corpora: what is chosen becomes an item or stands in the account."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.corpora.importing import COVERAGE, import_corpus
from dubflow.corpora.listing import ReadOptions
from dubflow.corpora.manifest import ClipRow, CorpusHeader, CorpusManifest, Segment, read_manifest
from dubflow.errors import BadInput, WrongUse
from dubflow.judging.card.clip_items import difficulty_of, lender_of, length_class
from dubflow.judging.card.evaluate import find_clips
from dubflow.judging.card.from_corpus import (
    Choice,
    benchmark_of,
    listed_missing,
    make_benchmark,
    read_names,
    read_texts,
)
from dubflow.media.digest import sha256_file


def _row(name: str, **fields: object) -> ClipRow:
    speaker = name.split("/")[0]
    usual: dict[str, object] = {
        "id": name,
        "path": f"media/{name}.mp4",
        "sha256": hashlib.sha256(name.encode()).hexdigest(),
        "transcript": f"words of {name}",
        "language": "en",
        "speaker": speaker,
        "licence": "CC0-1.0",
        "duration": 3.5,
        "split": "test",
    }
    return ClipRow.model_validate(usual | fields)


@pytest.fixture
def corpus(tmp_path: Path) -> CorpusManifest:
    """Five clips of two speakers and an unknown one; each file holds its own name."""
    rows = [
        _row("a/1", tags=("plain",)),
        _row("a/2", tags=("profile", "x"), duration=2.5, split="train"),
        _row("a/3", language="fr", duration=4.5),
        _row("b/1", tags=("occluded",)),
        _row("c/1", speaker=None, transcript=None),
    ]
    whole = []
    for row in rows:
        path = tmp_path / "corpus" / row.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(row.id.encode())
        whole.append(row.model_copy(update={"sha256": sha256_file(path)}))
    header = CorpusHeader(name="small", layout="grid", world="real", clips=len(whole))
    manifest = CorpusManifest(header, whole, tmp_path / "corpus")
    manifest.write()
    return read_manifest(tmp_path / "corpus")


TEXTS = {"a/1": {"fr": "bonjour", "de": "hallo"}, "a/3": {"en": "hello"}, "c/1": {"fr": "salut"}}


def test_everything_chosen_is_an_item_or_accounted_for(corpus: CorpusManifest) -> None:
    made = benchmark_of(corpus, texts=TEXTS)
    assert [item.id for item in made.benchmark.items] == [
        "a/1",
        "a/1_en-de",
        "a/1_en-fr",
        "a/2",
        "a/3",
        "a/3_fr-en",
        "c/1_en-fr",
    ]
    assert {one.item: one.code for one in made.coverage.problems} == {
        "b/1": "judging.no_other_clip",
        "c/1": "judging.no_transcript",
    }
    assert made.coverage.listed == made.coverage.found + len(made.coverage.problems)
    assert made.benchmark.world == "real"
    assert made.benchmark.name == "small"


def test_own_text_in_setting_two_takes_another_clip_of_the_language_and_speaker(corpus: CorpusManifest) -> None:
    items = {item.id: item for item in benchmark_of(corpus).benchmark.items}
    assert items["a/1"].facts == {"task": "own_text", "setting": "2.0", "voice_clip": "a/2"}
    assert items["a/2"].facts["voice_clip"] == "a/1"
    assert items["a/3"].facts["voice_clip"] in ("a/1", "a/2")  # nothing else of that speaker is in French
    for item in items.values():
        assert item.source == item.reference
        assert item.voice != item.source


def test_setting_one_is_an_oracle_and_says_so(corpus: CorpusManifest) -> None:
    made = benchmark_of(corpus, Choice(setting="1.0"))
    assert {item.id for item in made.benchmark.items} == {"a/1", "a/2", "a/3", "b/1"}
    for item in made.benchmark.items:
        assert item.voice == item.source
        assert item.facts["oracle"] is True
        assert item.facts["setting"] == "1.0"
    assert made.benchmark.digest != benchmark_of(corpus).benchmark.digest


def test_translations_have_no_reference_and_their_own_clip_for_the_voice(corpus: CorpusManifest) -> None:
    made = benchmark_of(corpus, Choice(tasks=("translation",), into=("fr",)), texts=TEXTS)
    assert [(item.id, item.transcript, item.tags.language_pair) for item in made.benchmark.items] == [
        ("a/1_en-fr", "bonjour", "en-fr"),
        ("c/1_en-fr", "salut", "en-fr"),
    ]
    for item in made.benchmark.items:
        assert item.reference is None
        assert item.voice == item.source
    assert {one.item for one in made.coverage.problems} == {"a/2", "a/3", "b/1"}


def test_a_table_tells_what_a_corpus_does_not(corpus: CorpusManifest) -> None:
    made = benchmark_of(corpus, Choice(setting="1.0"), texts={"c/1": {"en": "what is said"}})
    assert {item.id: item.transcript for item in made.benchmark.items}["c/1"] == "what is said"


def test_tags_say_pair_speaker_length_and_difficulty(corpus: CorpusManifest) -> None:
    items = {item.id: item.tags for item in benchmark_of(corpus, Choice(setting="1.0"), texts=TEXTS).benchmark.items}
    assert (items["a/1"].length, items["a/2"].length, items["a/3"].length) == ("medium", "short", "long")
    assert (items["a/1"].difficulty, items["a/2"].difficulty, items["b/1"].difficulty) == (
        "standard",
        "profile",
        "occluded",
    )
    assert (items["a/3"].language_pair, items["a/3_fr-en"].language_pair) == ("fr-fr", "fr-en")
    assert items["b/1"].speaker == "b"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"splits": ("train",)}, {"a/2"}),
        ({"languages": ("fr",)}, {"a/3"}),
        ({"speakers": ("b",)}, {"b/1"}),
        ({"tags": ("x", "occluded")}, {"a/2", "b/1"}),
        ({"names": ("b/1", "a/1")}, {"a/1", "b/1"}),
    ],
)
def test_clips_are_chosen_by_what_is_known_of_them(corpus: CorpusManifest, choice: dict, expected: set[str]) -> None:
    made = benchmark_of(corpus, Choice(setting="1.0", tasks=("own_text",), **choice))
    assert {item.id for item in made.benchmark.items} == expected


def test_missing_media_and_unknown_names_are_counted(corpus: CorpusManifest) -> None:
    (corpus.root / "media/a/2.mp4").unlink()
    made = benchmark_of(corpus, Choice(names=("a/1", "a/2", "a/9"), setting="2.0"))
    assert {(one.item, one.kind, one.code) for one in made.coverage.problems} == {
        ("a/2", "missing", "judging.no_media"),
        ("a/9", "missing", "judging.not_in_corpus"),
    }
    # The voice is not taken from a clip that is not there.
    assert made.benchmark.items[0].facts["voice_clip"] == "a/3"


def test_nothing_to_dub_is_refused_with_its_counts(corpus: CorpusManifest) -> None:
    with pytest.raises(BadInput) as caught:
        benchmark_of(corpus, Choice(names=("c/1",)))
    assert caught.value.code == "judging.no_items"
    assert caught.value.details["by_code"] == {"judging.no_transcript": 1}


def test_the_same_choice_is_the_same_benchmark_and_few_items_are_spread_over_speakers(corpus: CorpusManifest) -> None:
    two = Choice(setting="1.0", items=2)
    digests = {benchmark_of(corpus, two).benchmark.digest for _ in range(3)}
    assert len(digests) == 1
    for seed in range(6):
        made = benchmark_of(corpus, two.model_copy(update={"seed": seed})).benchmark
        assert {item.tags.speaker for item in made.items} == {"a", "b"}
    seeds = {benchmark_of(corpus, Choice(setting="1.0", items=2, seed=seed)).benchmark.digest for seed in range(8)}
    assert len(seeds) > 1


def test_paths_are_relative_to_where_the_benchmark_lies(corpus: CorpusManifest, tmp_path: Path) -> None:
    beside = benchmark_of(corpus).benchmark
    above = benchmark_of(corpus, root=tmp_path).benchmark
    assert above.digest == beside.digest
    for item in above.items:
        assert (tmp_path / item.source.path).read_bytes() == item.id.encode()
    with pytest.raises(WrongUse) as caught:
        benchmark_of(corpus, root=tmp_path / "elsewhere")
    assert caught.value.code == "judging.benchmark_elsewhere"


def test_clips_of_both_tasks_are_found_by_their_items(corpus: CorpusManifest, tmp_path: Path) -> None:
    benchmark = benchmark_of(corpus, Choice(setting="1.0"), texts=TEXTS).benchmark
    for item in benchmark.items:
        path = tmp_path / "clips" / f"{item.id}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert set(find_clips(benchmark, tmp_path / "clips")) == {item.id for item in benchmark.items}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["en", "fr"]), st.booleans()), min_size=1, max_size=8))
def test_a_lender_is_another_recording_of_the_speaker_alone(clips: list[tuple[str, str, bool]]) -> None:
    rows = [
        _row(
            f"{speaker}/{number}",
            language=language,
            sha256=f"{number:064x}",
            segments=(Segment(start=0, end=1, speaker="somebody", language="en", text="x"),) if two else (),
        )
        for number, (speaker, language, two) in enumerate(clips)
    ]
    for row in rows:
        own = [one for one in rows if one.speaker == row.speaker]
        fit = [one for one in own if one.id != row.id and not one.segments]
        lender = lender_of(row, own)
        if not fit:
            assert lender is None
            continue
        assert lender in fit
        if any(one.language == row.language for one in fit):
            assert lender.language == row.language
        assert lender == lender_of(row, own)


def test_a_copy_of_the_clip_under_another_name_lends_no_voice() -> None:
    first, copy = _row("a/1", sha256="1" * 64), _row("a/2", sha256="1" * 64)
    assert lender_of(first, [first, copy]) is None


def test_classes_of_length_and_difficulty() -> None:
    assert [length_class(seconds) for seconds in (0.5, 2.99, 3.0, 3.99, 4.0)] == [
        "short",
        "short",
        "medium",
        "medium",
        "long",
    ]
    assert difficulty_of(["plain", "free"]) == "standard"
    assert difficulty_of(["low_light", "profile"]) == "profile"
    assert difficulty_of(["non_human", "cat"]) == "non_human"


def test_tables_of_texts_are_read_and_bad_ones_refused(tmp_path: Path) -> None:
    table = tmp_path / "texts.tsv"
    table.write_text('clip\tlanguage\ttext\na/1\tfr\tIl dit "oui".\na/1\tde\tEr sagt ja.\n', "utf-8")
    assert read_texts(table) == {"a/1": {"fr": 'Il dit "oui".', "de": "Er sagt ja."}}
    for text in (
        "clip\ttext\na\tb\n",
        "clip\tlanguage\ttext\na/1\tfr\n",
        "clip\tlanguage\ttext\na\tfr\tx\na\tfr\ty\n",
        "",
    ):
        table.write_text(text, "utf-8")
        with pytest.raises(BadInput) as caught:
            read_texts(table)
        assert caught.value.code == "judging.bad_texts"
    names = tmp_path / "names.txt"
    names.write_text("a/1\n\n b/2 \na/1\n", "utf-8")
    assert read_names(names) == ("a/1", "b/2")


def test_real_grid_clips_become_a_benchmark(shared_data: Path, tmp_path: Path) -> None:
    import_corpus("grid", shared_data / "grid_s1_aligned", tmp_path / "grid")
    made = make_benchmark(tmp_path / "grid")
    assert len(made.benchmark.items) == 12
    assert made.benchmark.world == "real"
    assert made.coverage.problems == []
    for item in made.benchmark.items:
        assert item.tags.language_pair == "en-en"
        assert item.facts["voice_clip"] != item.id
        for file in item.files.values():
            assert sha256_file(tmp_path / "grid" / file.path) == file.sha256


@pytest.mark.parametrize(
    ("layout", "folder", "listed"), [("hdtf", "metadata_hdtf", 262), ("talkvid", "metadata_talkvid/example.json", 1)]
)
def test_lists_without_their_media_are_answered_with_what_is_missing(
    shared_data: Path, tmp_path: Path, layout: str, folder: str, listed: int
) -> None:
    root, media = tmp_path / "lists", tmp_path / "media"
    media.mkdir()
    (shutil.copytree if (shared_data / folder).is_dir() else _copy)(shared_data / folder, root / Path(folder).name)
    with pytest.raises(BadInput) as caught:
        import_corpus(layout, root / Path(folder).name, tmp_path / "imported", options=ReadOptions(media=media))
    assert caught.value.code == "corpora.nothing_found"
    absent = listed_missing(tmp_path / "imported")
    assert sum(absent.values()) >= listed
    with pytest.raises(BadInput) as caught:
        make_benchmark(tmp_path / "imported")
    assert caught.value.code == "judging.no_items"
    assert caught.value.details["by_code"] == absent
    assert (tmp_path / "imported" / COVERAGE).is_file()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True)
    shutil.copy(source, target)
