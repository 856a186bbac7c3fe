"""``dubflow gate``: may the challenger replace the champion?"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubflow.cli.output import Json, emit, print_table
from dubflow.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.judging.gate.verdict import Verdict


def gate(
    challenger: Annotated[Path, typer.Option(help="Folder of the candidate's score card.")],
    champion: Annotated[str, typer.Option(help="Folder of the score card of what is in use, or none.")],
    out: Annotated[Path, typer.Option(help="File of the verdict (JSON).")],
    policy: Annotated[str, typer.Option(help="A shipped policy or a YAML file.")] = "release",
    key: Annotated[Path | None, typer.Option(help="Private Ed25519 key (PEM) that signs the verdict.")] = None,
    require_promote: Annotated[bool, typer.Option("--require-promote", help="Exit code 3 unless promoted.")] = False,
    as_json: Json = False,
) -> None:
    """Compare two score cards by a policy: promote, refuse or inconclusive.

    Every rule has its figure and its reason; the verdict names the package and both cards by digest. A refusal is an
    answer and no error: the exit code is 0 unless --require-promote is given.
    """
    from dubflow.judging.card.files import read_card
    from dubflow.judging.gate.decide import judge
    from dubflow.judging.gate.policy import load_policy
    from dubflow.judging.gate.signing import SignedVerdict, sign, write_verdict

    rules = load_policy(policy)
    cards = read_card(challenger), None if champion == "none" else read_card(Path(champion))
    verdict = judge(*cards, rules, made_at=datetime.now(UTC).isoformat(timespec="seconds"))
    signed = SignedVerdict(verdict=verdict) if key is None else sign(verdict, key)
    write_verdict(signed, out)
    answer = {"out": str(out), "digest": verdict.digest, **signed.model_dump(mode="json")}
    emit(answer, as_json, lambda console: _print(console, verdict, out, signed.signature is not None))
    if require_promote and verdict.decision != "promote":
        raise typer.Exit(ExitCode.BAD_INPUT)


def _print(console: Console, verdict: Verdict, out: Path, signed: bool) -> None:
    console.print(verdict.headline, markup=False, highlight=False)
    rows = [(rule.outcome.replace("_", " "), rule.rule, rule.reason) for rule in verdict.rules]
    print_table(console, f"Rules of the policy {verdict.policy}", ("outcome", "rule", "reason"), rows)
    console.print(f"Verdict: {out}" + (" (signed)" if signed else ""), markup=False, highlight=False)
