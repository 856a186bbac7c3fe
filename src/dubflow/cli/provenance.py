"""``dubflow provenance``: where a file comes from, by its signed manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubflow.cli.output import Json, emit, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.dubbing.provenance.facts import Provenance


def provenance(
    file: Annotated[Path, typer.Argument(help="A dubbed clip, or its sound.")],
    trust: Annotated[
        Path | None, typer.Option(help="Certificates (PEM) of whom you trust; without, only changes are found.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Verify FILE's C2PA manifest and print what it says: by which model, from what, in whose voice, signed by whom.

    Exit code 3 when there is none, when anything was changed after it was signed, or when --trust does not cover it.
    """
    from dubflow.dubbing.provenance.reading import read_provenance

    found = read_provenance(file, trust)
    emit(found.model_dump(mode="json"), as_json, lambda console: _print(console, file, found))


def _print(console: Console, file: Path, found: Provenance) -> None:
    signer = found.signer
    belief = "trusted" if signer.trusted else "whether to trust it was not asked: --trust"
    rows: list[tuple[object, ...]] = [
        ("whole", "nothing was changed after it was signed"),
        ("signed by", f"{signer.name} ({signer.organisation}), {signer.algorithm}; {belief}"),
        ("made by", found.generator),
        ("actions", ", ".join(found.actions)),
        ("added", ", ".join(one.rpartition("/")[2] for one in found.source_types)),
        ("made from", "; ".join(f"{one.relationship}, {_carried(one.signed)}" for one in found.ingredients)),
        ("may not be used for", ", ".join(name for name, use in found.uses.items() if use == "notAllowed")),
    ]
    facts = found.facts
    if facts is not None:
        rows += [
            ("engine", f"{facts.engine} ({facts.world} world)"),
            ("model package", facts.package or "none"),
            ("language", facts.language),
            ("voice", _voice(facts.voice.kind, facts.voice.name, facts.voice.consent)),
            ("source clip", facts.clip_sha256),
            ("request", facts.request),
            ("job", facts.job or "none: without a server"),
        ]
    print_table(console, str(file), ("what", "says"), rows)


def _carried(signed: bool) -> str:
    return "with a manifest of its own" if signed else "without a manifest"


def _voice(kind: str, name: str | None, consent: str | None) -> str:
    return {
        "stock": f"synthetic stock voice {name}",
        "consent": f"cloned under the consent {consent}",
        "unrecorded": "cloned; nobody recorded a consent",
    }[kind]
