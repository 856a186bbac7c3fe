"""A benchmark of a corpus: which clips are to be dubbed, with which words, in whose voice.

Nothing is dropped silently: whatever was named or chosen and became no item stands in the coverage with its reason.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pydantic import Field

from dubflow.config import Strict
from dubflow.corpora.importing import COVERAGE
from dubflow.corpora.listing import read_json, read_lines, read_text
from dubflow.corpora.manifest import HEADER, ClipRow, CorpusManifest, Split, read_manifest
from dubflow.corpora.result import Coverage, Problem
from dubflow.errors import BadInput, WrongUse
from dubflow.judging.card.clip_items import Task, lender_of, own_text_item, translation_item
from dubflow.judging.card.items import Benchmark, BenchmarkItem

Setting = Literal["1.0", "2.0"]
Texts: TypeAlias = Mapping[str, Mapping[str, str]]
"""What is to be said: by clip id, by language (ISO 639-1)."""

_COLUMNS: Final = ("clip", "language", "text")


class Choice(Strict):
    """Which clips of a corpus, and how they are to be dubbed. Empty means all."""

    tasks: tuple[Task, ...] = Field(("own_text", "translation"), description="Translations need texts.")
    setting: Setting = Field("2.0", description="Own text: voice of another clip (2.0) or of the clip itself (1.0).")
    splits: tuple[Split, ...] = Field((), description="Only clips of these.")
    languages: tuple[str, ...] = Field((), description="Only clips that speak one of these.")
    speakers: tuple[str, ...] = Field((), description="Only clips of these speakers.")
    tags: tuple[str, ...] = Field((), description="Only clips with one of these tags.")
    names: tuple[str, ...] = Field((), description="Only these clips, by id; one that is not there is accounted for.")
    into: tuple[str, ...] = Field((), description="Only translations into these languages.")
    items: int | None = Field(default=None, ge=1, description="At most so many, spread over speakers.")
    seed: int = Field(default=0, ge=0, description="Which items where there are more, and which clip lends its voice.")


@dataclass(frozen=True)
class FromCorpus:
    """The benchmark, and the account of everything that was asked for: found, missing, left out and why."""

    benchmark: Benchmark
    coverage: Coverage


def benchmark_of(
    manifest: CorpusManifest,
    choice: Choice | None = None,
    *,
    name: str | None = None,
    texts: Texts | None = None,
    root: Path | None = None,
) -> FromCorpus:
    """Items of an imported corpus; the same corpus and choice give the same benchmark.

    Args:
        name: of the benchmark; by default the corpus's. texts: what to say, for translations, and for clips whose own
            words the corpus does not tell. root: folder that the benchmark's paths are relative to, the corpus's own or
            one above it.

    Raises:
        BadInput: ``judging.no_items`` when nothing of the corpus can be dubbed; its facts say what was missing.
        WrongUse: ``judging.benchmark_elsewhere`` for a ``root`` that does not hold the corpus.
    """
    choice, texts = choice or Choice(), texts or {}
    prefix = _prefix(manifest, root)
    coverage = Coverage()
    rows = _chosen(manifest, choice, coverage)
    lenders = _lenders(manifest, choice.seed)
    items: list[BenchmarkItem] = []
    for row in rows:
        if "own_text" in choice.tasks:
            items += _own_text(row, choice, texts, lenders, prefix, coverage)
        if "translation" in choice.tasks:
            items += _translations(row, choice, texts, prefix, coverage)
    coverage.found = len(items)
    coverage.listed = len(items) + len(coverage.problems)
    kept = _spread(items, choice)
    if not kept:
        raise BadInput(
            "judging.no_items",
            f"Nothing of {manifest.root} can be dubbed: {_summary(coverage) or 'no clip was chosen'}.",
            "Choose other clips, add the media, or give texts.",
            **{key: value for key, value in coverage.as_dict().items() if key != "problems"},
        )
    benchmark = Benchmark(name=name or manifest.header.name, world=manifest.header.world, items=tuple(kept))
    return FromCorpus(benchmark, coverage)


def make_benchmark(
    corpus: Path,
    choice: Choice | None = None,
    *,
    name: str | None = None,
    texts: Texts | None = None,
    root: Path | None = None,
) -> FromCorpus:
    """:func:`benchmark_of` the corpus in a folder.

    Raises:
        BadInput: as :func:`benchmark_of`, and as :func:`~dubflow.corpora.manifest.read_manifest`; ``judging.no_items``
            also where an import found none of the clips that its lists name.
    """
    corpus = Path(corpus)
    absent = listed_missing(corpus)
    if absent and not (corpus / HEADER).is_file():
        told = ", ".join(f"{count} {code}" for code, count in absent.items())
        raise BadInput(
            "judging.no_items",
            f"The lists of {corpus} name clips and the import found none of them: {told}.",
            f"Add the media and import again; {corpus / COVERAGE} lists every clip.",
            by_code=absent,
        )
    return benchmark_of(read_manifest(corpus), choice, name=name, texts=texts, root=root)


def listed_missing(corpus: Path) -> dict[str, int]:
    """What the import of a corpus folder listed and did not find, by the reason's code; empty where it says nothing.

    Raises:
        BadInput: ``corpora.bad_json``.
    """
    account = Path(corpus) / COVERAGE
    if not account.is_file():
        return {}
    content = read_json(account)
    problems = content.get("problems", []) if isinstance(content, dict) else []
    codes = (str(one.get("code")) for one in problems if isinstance(one, dict))
    return dict(sorted(Counter(codes).items()))


def read_texts(path: Path) -> dict[str, dict[str, str]]:
    """A table of texts: tab-separated with the columns ``clip``, ``language``, ``text``.

    Raises:
        BadInput: ``judging.bad_texts``, ``corpora.no_list``, ``corpora.bad_list``.
    """
    hint = "Columns clip, language, text, separated by tabs; each clip and language once."
    table = csv.DictReader(io.StringIO(read_text(path)), delimiter="\t", quoting=csv.QUOTE_NONE)
    if not table.fieldnames or not set(_COLUMNS) <= set(table.fieldnames):
        raise BadInput("judging.bad_texts", f"{path} has not the columns {', '.join(_COLUMNS)}.", hint)
    texts: dict[str, dict[str, str]] = defaultdict(dict)
    for number, row in enumerate(table, 2):
        clip, language, text = ((row[column] or "").strip() for column in _COLUMNS)
        if not (clip and language and text) or language in texts[clip]:
            raise BadInput(
                "judging.bad_texts", f"{path}, line {number}: a cell is empty, or the text comes twice.", hint
            )
        texts[clip][language] = text
    return dict(texts)


def read_names(path: Path) -> tuple[str, ...]:
    """Clip ids of a list file, one a line.

    Raises:
        BadInput: ``corpora.no_list``, ``corpora.bad_list``.
    """
    return tuple(dict.fromkeys(line for _, line in read_lines(path)))


def _prefix(manifest: CorpusManifest, root: Path | None) -> str:
    """What stands before the corpus's own paths, for a benchmark in ``root``."""
    if root is None:
        return ""
    corpus, above = manifest.root.resolve(), Path(root).resolve()
    if not corpus.is_relative_to(above):
        raise WrongUse(
            "judging.benchmark_elsewhere",
            f"A benchmark in {root} cannot name the files of {manifest.root}.",
            "Write it into the corpus's folder or one above it.",
        )
    relative = corpus.relative_to(above).as_posix()
    return "" if relative == "." else f"{relative}/"


def _chosen(manifest: CorpusManifest, choice: Choice, coverage: Coverage) -> list[ClipRow]:
    """Rows that the choice means and whose media is there."""
    rows = list(manifest)
    if choice.names:
        known = {row.id: row for row in rows}
        rows = [known[name] for name in choice.names if name in known]
        for name in choice.names:
            if name not in known:
                _miss(coverage, name, "missing", "judging.not_in_corpus", "The corpus has no such clip.")
    rows = [row for row in rows if _is_meant(row, choice)]
    for row in rows:
        if not manifest.media_path(row).is_file():
            _miss(coverage, row.id, "missing", "judging.no_media", f"There is no file {row.path}.")
    return [row for row in rows if manifest.media_path(row).is_file()]


def _is_meant(row: ClipRow, choice: Choice) -> bool:
    return (
        (not choice.splits or row.split in choice.splits)
        and (not choice.languages or row.language in choice.languages)
        and (not choice.speakers or row.speaker in choice.speakers)
        and (not choice.tags or not set(choice.tags).isdisjoint(row.tags))
    )


def _own_text(
    row: ClipRow,
    choice: Choice,
    texts: Texts,
    lenders: Mapping[str, Sequence[ClipRow]],
    prefix: str,
    coverage: Coverage,
) -> list[BenchmarkItem]:
    text = row.transcript or texts.get(row.id, {}).get(row.language or "")
    if not text:
        _miss(coverage, row.id, "left_out", "judging.no_transcript", "Nothing says what is spoken in it.")
        return []
    voice = row if choice.setting == "1.0" else lender_of(row, lenders.get(row.speaker or "", ()))
    if voice is None:
        reason = "No other clip has this speaker alone." if row.speaker else "Nobody knows who speaks in it."
        _miss(coverage, row.id, "left_out", "judging.no_other_clip", reason)
        return []
    return [own_text_item(row, voice, text, prefix=prefix)]


def _translations(row: ClipRow, choice: Choice, texts: Texts, prefix: str, coverage: Coverage) -> list[BenchmarkItem]:
    wanted = [
        language
        for language in sorted(texts.get(row.id, {}))
        if language != row.language and (not choice.into or language in choice.into)
    ]
    if not wanted and texts and "own_text" not in choice.tasks:
        _miss(coverage, row.id, "left_out", "judging.no_translation", "The table has no translation of it.")
    return [translation_item(row, language, texts[row.id][language], prefix=prefix) for language in wanted]


def _lenders(manifest: CorpusManifest, seed: int) -> dict[str, list[ClipRow]]:
    """Clips by speaker whose media is there, in an order that depends on the seed and their ids alone."""
    found: dict[str, list[ClipRow]] = defaultdict(list)
    for row in manifest:
        if row.speaker is not None and manifest.media_path(row).is_file():
            found[row.speaker].append(row)
    return {speaker: sorted(rows, key=lambda row: _order(seed, row.id)) for speaker, rows in found.items()}


def _spread(items: Sequence[BenchmarkItem], choice: Choice) -> list[BenchmarkItem]:
    """At most the items asked for: the first of every speaker, then the second of every speaker, …"""
    if choice.items is None or len(items) <= choice.items:
        return list(items)
    by_speaker: dict[str, list[BenchmarkItem]] = defaultdict(list)
    for item in sorted(items, key=lambda item: _order(choice.seed, item.id)):
        by_speaker[item.tags.speaker].append(item)
    ranked = [
        (rank, _order(choice.seed, who), item) for who, own in by_speaker.items() for rank, item in enumerate(own)
    ]
    return [item for _, _, item in sorted(ranked, key=lambda one: one[:2])[: choice.items]]


def _order(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()


def _miss(coverage: Coverage, item: str, kind: Literal["missing", "left_out"], code: str, reason: str) -> None:
    coverage.problems.append(Problem(item, kind, code, reason))


def _summary(coverage: Coverage) -> str:
    """``3 judging.no_media, 1 judging.no_transcript``."""
    return ", ".join(f"{count} {code}" for code, count in coverage.as_dict()["by_code"].items())
