"""``dubflow doctor``: what is installed, what is missing, and which package brings it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from dubflow.cli.output import Json, emit, print_table
from dubflow.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console


def doctor(as_json: Json = False) -> None:
    """Check this machine; exit code 3 when something that the embedded world needs is missing."""
    from dubflow.platform.doctor import examine

    findings = examine()
    broken = [finding for finding in findings if finding.state == "missing"]

    def human(console: Console) -> None:
        marks = {"fine": "ok", "optional": "optional", "missing": "MISSING"}
        rows = [(finding.what, marks[finding.state], finding.detail, finding.remedy) for finding in findings]
        print_table(console, "", ("what", "state", "found", "what to do"), rows)
        console.print(
            f"\n{len(broken)} thing(s) missing." if broken else "\nEverything the embedded world needs is here."
        )

    emit({"fine": not broken, "findings": [vars(finding) for finding in findings]}, as_json, human)
    if broken:
        raise typer.Exit(ExitCode.BAD_INPUT)
