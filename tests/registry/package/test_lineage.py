"""The lineage is a graph that leads from every prompt and clip to one model."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dubflow.corpora.manifest import ClipRow, CorpusHeader, CorpusManifest
from dubflow.errors import BadInput
from dubflow.registry.package.lineage import Lineage, Node, corpus_nodes, prompt_digest, read_lineage

MODEL = Node(id="model", kind="model")


def row(number: int, transcript: str | None, licence: str | None = "CC0-1.0") -> ClipRow:
    return ClipRow(
        id=f"c{number}",
        path=f"c{number}.mp4",
        sha256=hashlib.sha256(str(number).encode()).hexdigest(),
        transcript=transcript,
        language="en",
        speaker="s",
        licence=licence,
        duration=1.0,
    )


def corpus(*rows: ClipRow, name: str = "grid") -> CorpusManifest:
    header = CorpusHeader(name=name, layout="grid", world="embedded", clips=len(rows))
    return CorpusManifest(header, rows, Path("corpus"))


def test_a_corpus_becomes_prompts_and_clips() -> None:
    clips = corpus(row(1, "Lay white."), row(2, "Lay white."), row(3, None))
    nodes, edges = corpus_nodes(clips, "model")
    lineage = Lineage(nodes=(MODEL, *nodes), edges=tuple(edges))
    assert lineage.counts() == {"clip": 3, "corpus": 1, "model": 1, "prompt": 1}
    assert lineage.contains(prompt_digest("Lay white."))
    assert all(lineage.contains(one.sha256) for one in clips.rows)
    assert not lineage.contains(prompt_digest("Lay white"))
    assert "Lay white" not in lineage.model_dump_json()  # people's words are not given away
    other = corpus_nodes(corpus(row(1, None), row(2, None)), "model")[0]
    assert other[-1].digest != nodes[-1].digest


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Node], list[tuple[str, str]]]:
    """Nodes in an order; every one but the model leads to some later one."""
    count = draw(st.integers(0, 12))
    ids = [f"n{number}" for number in range(count)] + ["model"]
    edges = []
    for place in range(count):
        targets = draw(st.lists(st.integers(place + 1, count), min_size=1, max_size=3))
        edges += [(ids[place], ids[target]) for target in targets]
    return [Node(id=one, kind="clip") for one in ids[:-1]] + [MODEL], draw(st.permutations(edges))


@given(graphs(), st.data())
@settings(deadline=None, max_examples=60)
def test_every_graph_that_leads_to_the_model_is_taken_and_no_other(
    graph: tuple[list[Node], list[tuple[str, str]]], data: st.DataObject
) -> None:
    nodes, edges = graph
    taken = Lineage(nodes=tuple(nodes), edges=tuple(edges))
    assert Lineage.model_validate_json(taken.model_dump_json()) == taken
    with pytest.raises(ValidationError):
        Lineage(nodes=(*nodes, Node(id="stray", kind="clip")), edges=tuple(edges))
    if len(nodes) > 1:
        one = data.draw(st.sampled_from(nodes[:-1])).id
        for back in ((one, one), ("model", one)):
            with pytest.raises(ValidationError):
                Lineage(nodes=tuple(nodes), edges=(*edges, back))
        gone = [edge for edge in edges if edge[0] != one]
        with pytest.raises(ValidationError):
            Lineage(nodes=tuple(nodes), edges=tuple(gone))


@pytest.mark.parametrize(
    ("nodes", "edges", "words"),
    [
        ((Node(id="run", kind="run"),), (), "one model"),
        ((MODEL, Node(id="other", kind="model")), (), "one model"),
        ((MODEL, MODEL), (), "stand twice"),
        ((MODEL,), (("nowhere", "model"),), "not both there"),
        (
            (MODEL, Node(id="a", kind="clip"), Node(id="b", kind="clip")),
            (("a", "b"), ("b", "a"), ("a", "model")),
            "nothing was made of",
        ),
    ],
)
def test_what_is_no_lineage_is_refused(
    nodes: tuple[Node, ...], edges: tuple[tuple[str, str], ...], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValidationError, match=words):
        Lineage(nodes=nodes, edges=edges)
    (tmp_path / "lineage.json").write_text("{}")
    with pytest.raises(BadInput) as caught:
        read_lineage(tmp_path / "lineage.json")
    assert caught.value.code == "registry.bad_lineage"


def test_two_corpora_of_one_name_stand_beside_each_other() -> None:
    """The same people heard and seen: equal names and texts, other clips."""
    heard, seen = corpus(row(1, "one"), row(2, "two")), corpus(row(3, "one"))
    nodes: list[Node] = [Node(id="model", kind="model")]
    edges: list[tuple[str, str]] = []
    for one in (heard, seen):
        more, links = corpus_nodes(one, "model")
        nodes += more
        edges += links
    lineage = Lineage(nodes=tuple(nodes), edges=tuple(edges))
    assert lineage.counts() == {"clip": 3, "corpus": 2, "model": 1, "prompt": 3}
