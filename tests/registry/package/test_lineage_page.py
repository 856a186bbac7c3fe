"""The drawing shows every node once, in the order of the work, and nothing in it runs."""

from __future__ import annotations

import re
from collections import Counter

from hypothesis import given, settings

from dubflow.registry.package.lineage import Lineage, Node, corpus_nodes
from dubflow.registry.package.lineage_page import boxes, lineage_page
from registry.package.test_lineage import corpus, graphs, row

MODEL = Node(id="model", kind="model", digest="a" * 64)


def of_a_corpus(clips: int, name: str = "grid") -> Lineage:
    rows = [row(number, f"Sentence {number % 3}.") for number in range(clips)]
    nodes, edges = corpus_nodes(corpus(*rows, name=name), "run")
    run = Node(id="run", kind="run", name="tiny")
    return Lineage(nodes=(MODEL, run, *nodes), edges=(("run", "model"), *edges))


@given(graphs())
@settings(deadline=None, max_examples=100)
def test_every_node_stands_in_one_box_left_of_what_was_made_of_it(
    graph: tuple[list[Node], list[tuple[str, str]]],
) -> None:
    nodes, edges = graph
    lineage = Lineage(nodes=tuple(nodes), edges=tuple(edges))
    drawn = boxes(lineage)
    place = {node.id: number for number, box in enumerate(drawn) for node in box.nodes}
    assert Counter(place) == Counter({node.id: place[node.id] for node in nodes})
    assert sum(len(box.nodes) for box in drawn) == len(nodes)
    assert (drawn[0].nodes[0].kind, drawn[0].column) == ("model", 0)
    for source, target in edges:
        assert place[target] in drawn[place[source]].into
        assert drawn[place[source]].column > drawn[place[target]].column


def test_clips_of_a_corpus_are_one_box_and_all_stand_in_the_table() -> None:
    lineage = of_a_corpus(40)
    assert [box.lines[0] for box in boxes(lineage)] == ["model", "run", "corpus", "40 clips", "3 prompts"]
    page = lineage_page("small", lineage)
    assert page == lineage_page("small", lineage)
    for node in lineage.nodes:
        assert node.digest is None or node.digest in page
    assert len(re.findall("<rect", page)) == len(boxes(lineage))


def test_names_are_text_and_nothing_is_loaded() -> None:
    page = lineage_page("<b>small</b>", of_a_corpus(2, name="<script>alert(1)</script>"))
    assert "<script" not in page
    assert "<b>" not in page
    assert not re.search(r"(src|href)=", page)
    assert "default-src &#x27;none&#x27;" in page
