"""``dubflow preflight``: what can be known about a cluster's manifests without a cluster."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubflow.cli.output import Json, emit, print_table
from dubflow.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.platform.preflight.check import Report
    from dubflow.platform.preflight.findings import Rule


class RendererName(StrEnum):
    """Who renders overlays."""

    AUTO = "auto"
    KUBECTL = "kubectl"
    BUILT_IN = "built-in"


def preflight(
    overlay: Annotated[str, typer.Option(help="prod, dev, gpu, or all of them.")] = "all",
    images: Annotated[
        Path | None, typer.Option(help="A release's images with their digests, as `images` of a kustomization.")
    ] = None,
    scrape: Annotated[
        list[str] | None, typer.Option(help="Fresh metrics, a file or a URL; looked at before the saved ones.")
    ] = None,
    renderer: Annotated[RendererName, typer.Option(help="auto: kubectl where it is installed.")] = RendererName.AUTO,
    root: Annotated[Path | None, typer.Option(help="Of a checkout; by default this one.")] = None,
    rules: Annotated[bool, typer.Option("--rules", help="List what is asked, and check nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Check manifests, images, rules and versions without a cluster; exit code 3 where anything is refused.

    What could not be looked at is told as unchecked, and is not the same as fine.
    """
    from dubflow.cli.main import app
    from dubflow.platform.preflight.check import all_rules, project_root
    from dubflow.platform.preflight.check import preflight as check

    if rules:
        known = all_rules()
        answer = {"rules": [{"name": one.name, "asks": one.asks, "why": one.why} for one in known]}
        emit(answer, as_json, lambda console: _print_rules(console, known))
        return
    report = check(
        (root or project_root()).absolute(),
        () if overlay == "all" else (overlay,),
        program=typer.main.get_command(app),
        by=renderer.value,
        images=images,
        scrapes=scrape or (),
    )
    emit(report.as_dict(), as_json, lambda console: _print_report(console, report))
    if not report.fine:
        raise typer.Exit(ExitCode.BAD_INPUT)


def _print_report(console: Console, report: Report) -> None:
    for severity in ("refused", "warning", "unchecked"):
        found = [one for one in report.told if one.finding.severity == severity]
        rows = [
            (one.finding.rule, ",".join(one.overlays), _place(one.finding.where, one.finding.line),
             f"{one.finding.message} {one.finding.hint}")
            for one in found
        ]  # fmt: skip
        if rows:
            print_table(console, f"{severity.capitalize()} ({len(rows)})", ("rule", "overlay", "where", "what"), rows)
            console.print()
    shown = ", ".join(f"{name} ({count} resources)" for name, count in report.resources.items()) or "none"
    tally = report.count
    console.print(
        f"Overlays: {shown}, rendered by {report.rendered_by or 'nobody'}, in {report.seconds:.1f} s.\n"
        f"{tally['refused']} refused, {tally['warning']} warnings, {tally['unchecked']} unchecked.",
        markup=False,
        highlight=False,
    )


def _place(where: str, line: int | None) -> str:
    return f"{where}:{line}" if line else where


def _print_rules(console: Console, rules: tuple[Rule, ...]) -> None:
    print_table(console, f"{len(rules)} rules", ("rule", "what is asked"), [(one.name, one.asks) for one in rules])
