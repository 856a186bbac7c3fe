"""Lineage: a graph from prompts and clips, through corpus, preparation and training, to the model.

Edges point from what was used to what was made of it. People's words do not stand in it: a prompt is known by the
SHA-256 of its text, so that one can ask whether a sentence or a clip went into a model without the model telling any.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from dubflow.config import Strict
from dubflow.corpora.manifest import CorpusManifest
from dubflow.errors import BadInput
from dubflow.judging.card.rows import Digest

FORMAT: Literal["dubflow.lineage/1"] = "dubflow.lineage/1"

NodeKind = Literal["prompt", "clip", "pair", "corpus", "prepared", "codec", "teacher", "base", "run", "model"]


class Node(Strict):
    """Something that was used or made."""

    id: str = Field(min_length=1)
    kind: NodeKind
    digest: Digest | None = Field(None, description="SHA-256 of its content, where it is known.")
    name: str = ""
    licence: str | None = None


class Lineage(Strict):
    """What stands in ``lineage.json`` of a package."""

    format: Literal["dubflow.lineage/1"] = FORMAT
    nodes: tuple[Node, ...] = Field(min_length=1)
    edges: tuple[tuple[str, str], ...] = Field((), description="From what was used to what was made of it.")
    record: dict[str, Any] = Field(default_factory=dict, description="What the training wrote down, as it wrote it.")

    @model_validator(mode="after")
    def _leads_to_one_model(self) -> Lineage:
        twice = [one for one, count in Counter(node.id for node in self.nodes).items() if count > 1]
        if twice:
            raise ValueError(f"nodes stand twice: {', '.join(twice[:3])}")
        models = [node.id for node in self.nodes if node.kind == "model"]
        if len(models) != 1:
            raise ValueError(f"a lineage leads to one model, not to {len(models)}")
        used = _backwards(self.edges, {node.id for node in self.nodes}, models[0])
        stray = [node.id for node in self.nodes if node.id not in used]
        if stray:
            raise ValueError(f"nothing was made of: {', '.join(stray[:3])}")
        return self

    @property
    def model(self) -> Node:
        """What it all leads to."""
        return next(node for node in self.nodes if node.kind == "model")

    def of(self, kind: NodeKind) -> tuple[Node, ...]:
        """All nodes of a kind."""
        return tuple(node for node in self.nodes if node.kind == kind)

    def counts(self) -> dict[str, int]:
        """How many nodes of each kind."""
        return dict(sorted(Counter(node.kind for node in self.nodes).items()))

    def contains(self, digest: str) -> bool:
        """Whether something of that content (a clip's file, a prompt's text) went into the model."""
        return any(node.digest == digest for node in self.nodes)


def corpus_nodes(corpus: CorpusManifest, into: str) -> tuple[list[Node], list[tuple[str, str]]]:
    """Prompts and clips of ``corpus``, and itself, leading to the node ``into``.

    The corpus is known by the digest of its clips' digests, the prompt of a clip by that of its transcript (UTF-8).
    """
    name = corpus.header.name
    rows = [[row.id, row.sha256] for row in corpus.rows]
    digest_of_all = _sha256(json.dumps(rows))
    mark = f"{name}@{digest_of_all[:8]}"  # two corpora may have one name: the same people heard, and seen
    itself = Node(id=f"corpus:{mark}", kind="corpus", digest=digest_of_all, name=name)
    prompts: dict[str, Node] = {}
    clips: list[Node] = []
    edges = [(itself.id, into)]
    for row in corpus.rows:
        clip = Node(id=f"clip:{mark}/{row.id}", kind="clip", digest=row.sha256, name=row.id, licence=row.licence)
        clips.append(clip)
        edges.append((clip.id, itself.id))
        if row.transcript:
            digest = prompt_digest(row.transcript)
            prompt = prompts.setdefault(digest, Node(id=f"prompt:{mark}/{digest[:16]}", kind="prompt", digest=digest))
            edges.append((prompt.id, clip.id))
    return [*prompts.values(), *clips, itself], edges


def prompt_digest(text: str) -> str:
    """By which a lineage knows a prompt or a transcript."""
    return _sha256(text)


def read_lineage(path: Path) -> Lineage:
    """Read ``lineage.json`` of a package.

    Raises:
        BadInput: ``registry.bad_lineage``.
    """
    try:
        return Lineage.model_validate(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError, RecursionError) as error:
        raise BadInput("registry.bad_lineage", f"{path} is not a lineage: {error}.", "Pack the model again.") from error


def _backwards(edges: Iterable[tuple[str, str]], known: set[str], model: str) -> set[str]:
    """What ``model`` was made of, itself included; refuses ends that are not there, and circles."""
    sources: dict[str, list[str]] = {}
    targets: Counter[str] = Counter()
    for source, target in edges:
        if source not in known or target not in known:
            raise ValueError(f"an edge leads from {source} to {target}, which are not both there")
        sources.setdefault(target, []).append(source)
        targets[source] += 1
    if targets[model]:
        raise ValueError("the model is where the graph ends")
    # Kahn's order from the end: what is in a circle is never freed and so reported as leading nowhere.
    reached, free = {model}, [model]
    while free:
        for source in sources.get(free.pop(), ()):
            targets[source] -= 1
            if not targets[source]:
                reached.add(source)
                free.append(source)
    return reached


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
