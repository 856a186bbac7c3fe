"""Small packages, made as real ones are: two tensors, a card, a lineage; and verdicts about them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dubflow.atomic import write_json
from dubflow.corpora.tensorfile import write_tensors
from dubflow.judging.card.rows import ScoreCard
from dubflow.judging.gate.decide import judge
from dubflow.judging.gate.signing import SignedVerdict, sign, write_verdict
from dubflow.judging.gate.verdict import Verdict
from dubflow.media.digest import sha256_file
from dubflow.registry.package.build import Contents, pack
from dubflow.registry.package.facts import DiflowFacts
from dubflow.registry.package.lineage import Lineage, Node
from dubflow.registry.package.manifest import CONFIG, PACKAGE, WEIGHTS, PartLicence, digest_of
from dubflow.registry.package.opening import ModelPackage
from judging.gate.systems import policy, system

MODEL = "small"
FREE = (PartLicence(part="weights", licence="Apache-2.0"), PartLicence(part="corpus grid", licence="CC-BY-4.0"))
BARRED = (*FREE, PartLicence(part="corpus lectures", licence="CC-BY-NC-4.0"))


def facts(**changes: Any) -> DiflowFacts:
    """Facts of a small model."""
    fields: dict[str, Any] = {
        "stage": "dubber",
        "world": "embedded",
        "languages": ("en", "de"),
        "preset": "tiny",
        "steps": 3,
        "parameters": 20,
        "precision": ("F32",),
        "codec": "world-1-abc",
        "codes": 1024,
        "books": {"prosody": 1, "content": 2, "acoustic": 3},
        "speaker": 8,
        "width": 16,
        "symbols": 160,
        "extractors": {"phonemes": "1", "lip": "embedded-lip-1"},
    }
    return DiflowFacts.model_validate(fields | changes)


def contents(
    folder: Path, seed: int = 0, licences: Sequence[PartLicence] = FREE, name: str = MODEL, **changes: Any
) -> Contents:
    """What goes into a small package; ``seed`` draws its weights. Its sources are written into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    arrays = {"a": rng.normal(size=(3, 4)).astype(np.float32), "b": rng.normal(size=8).astype(np.float32)}
    write_tensors(folder / WEIGHTS, arrays, {"format": "pt"})
    write_json(folder / CONFIG, {"width": 16})
    write_json(folder / "world.json", {"id": "world-1-abc"})
    weights = sha256_file(folder / WEIGHTS)
    nodes = (Node(id="model", kind="model", digest=weights), Node(id="run", kind="run", name="tiny"))
    return Contents(
        name=name,
        facts=facts(**changes),
        licences=licences,
        lineage=Lineage(nodes=nodes, edges=(("run", "model"),)),
        card="# A small model\n",
        files={WEIGHTS: folder / WEIGHTS, CONFIG: folder / CONFIG, "codec/world.json": folder / "world.json"},
    )


def packed(folder: Path, key: Path | None = None, seed: int = 0, **changes: Any) -> ModelPackage:
    """A small package in ``folder/package``."""
    return pack(contents(folder / "sources", seed, **changes), folder / "package", key)


def relist(folder: Path, change: Any) -> None:
    """Change ``package.json`` as somebody would who knows how its digest is made; ``change`` gets its content."""
    content = json.loads((folder / PACKAGE).read_text(encoding="utf-8"))
    change(content)
    content["digest"] = digest_of(content)
    write_json(folder / PACKAGE, content)


def listed(folder: Path, name: str) -> dict[str, Any]:
    """The line of the list for a file that lies there."""
    path = folder / name
    return {"path": name, "sha256": sha256_file(path), "bytes": path.stat().st_size}


def card(package: ModelPackage, wer: float, seed: int) -> ScoreCard:
    """A score card by simulation (embedded world) of a package whose word error rate is ``wer``."""
    return system(wer=wer, seed=seed, name=f"{package.name} {package.digest[:6]}", package=package.digest)


def verdict_of(challenger: ScoreCard, champion: ScoreCard | None) -> Verdict:
    """What the gate really says of two cards."""
    return judge(challenger, champion, policy(), made_at="2026-01-01T00:00:00+00:00")


def written(verdict: Verdict, path: Path, key: Path | None = None) -> Path:
    """The verdict in a file, signed where a key is given."""
    return write_verdict(SignedVerdict(verdict=verdict) if key is None else sign(verdict, key), path)
