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

    from dubflow.judging.card.rows import ScoreCard
    from dubflow.judging.gate.signing import SignedVerdict


def gate(
    challenger: Annotated[Path, typer.Option(help="Folder of the candidate's score card.")],
    champion: Annotated[str, typer.Option(help="Folder of the score card of what is in use, or none.")],
    out: Annotated[Path, typer.Option(help="File of the verdict (JSON).")],
    policy: Annotated[str, typer.Option(help="A shipped policy or a YAML file.")] = "release",
    key: Annotated[Path | None, typer.Option(help="Private Ed25519 key (PEM) that signs the verdict.")] = None,
    page: Annotated[Path | None, typer.Option(help="Folder of an evidence page to be written (HTML).")] = None,
    require_promote: Annotated[bool, typer.Option("--require-promote", help="Exit code 3 unless promoted.")] = False,
    as_json: Json = False,
) -> None:
    """Compare two score cards by a policy: promote, refuse or inconclusive.

    Every rule has its figure and its reason; the verdict names the package and both cards by digest. A refusal is an
    answer and no error: the exit code is 0 unless --require-promote is given. With --page the evidence is written as
    one HTML file with the worst clips beside it, playable without a network.
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
    written = None if page is None else _write_page(page, cards, (challenger, champion), signed)
    answer = {"out": str(out), "page": None if written is None else str(written), "digest": verdict.digest}
    emit(answer | signed.model_dump(mode="json"), as_json, lambda console: _print(console, signed, out, written))
    if require_promote and verdict.decision != "promote":
        raise typer.Exit(ExitCode.BAD_INPUT)


def _write_page(
    out: Path, cards: tuple[ScoreCard, ScoreCard | None], folders: tuple[Path, str], signed: SignedVerdict
) -> Path:
    from dubflow.judging.page.from_cards import page_of_cards
    from dubflow.progress import reporting

    champion = None if cards[1] is None else Path(folders[1])
    with reporting("evidence page", None, "clips") as progress:
        return page_of_cards(out, cards, (folders[0], champion), signed, progress=progress)


def _print(console: Console, signed: SignedVerdict, out: Path, page: Path | None) -> None:
    from dubflow.judging.gate.signing import fingerprint

    verdict = signed.verdict
    console.print(verdict.headline, markup=False, highlight=False)
    rows = [(rule.outcome.replace("_", " "), rule.rule, rule.reason) for rule in verdict.rules]
    print_table(console, f"Rules of the policy {verdict.policy}", ("outcome", "rule", "reason"), rows)
    by = "" if signed.signature is None else f", signed by the key {fingerprint(signed.signature)}"
    for line in [f"Verdict: {out}{by}", *([f"Page: {page}"] if page is not None else [])]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
