"""Rules and their tests by Prometheus' own tool: ``$DUBFLOW_PROMTOOL``, or ``promtool`` on PATH; else unchecked."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from dubflow.errors import OurFault
from dubflow.platform.preflight.findings import Finding, Rule, refused, unchecked

RULES = Rule(
    "promtool.rules",
    "promtool accepts every rule below infra/monitoring/rules.",
    "Prometheus refuses the whole file, and the rules before it stay.",
)
TESTS = Rule(
    "promtool.tests",
    "Every test below infra/monitoring/tests passes: alerts fire, do not fire, and know missing data.",
    "An alert that cannot fire is found out at night.",
)
VARIABLE = "DUBFLOW_PROMTOOL"
_WITHIN_S = 120.0


def promtool() -> str | None:
    """The program; None where there is none."""
    return os.environ.get(VARIABLE) or shutil.which("promtool")


def check_promtool(monitoring: Path) -> Iterator[Finding]:
    """What promtool says of rules and tests below ``infra/monitoring``.

    Raises:
        OurFault: ``platform.promtool_failed`` where it cannot be run.
    """
    rules, tests = (sorted((monitoring / part).glob("*.y*ml")) for part in ("rules", "tests"))
    program = promtool()
    if program is None:
        told = f"promtool is not installed: {len(rules)} files of rules and {len(tests)} of tests were not run."
        hint = f"Install Debian's package prometheus, or name the program in {VARIABLE}."
        yield unchecked(RULES, "infra/monitoring", told, hint)
        return
    for rule, words, files in ((RULES, ("check", "rules"), rules), (TESTS, ("test", "rules"), tests)):
        if not files:
            yield refused(rule, "infra/monitoring", "There is nothing to check.", "Write the rules and tests again.")
        elif said := _complaint(program, words, files, monitoring):
            yield refused(rule, "infra/monitoring", said, "Correct the rule or its test.")


def _complaint(program: str, words: Sequence[str], files: Sequence[Path], folder: Path) -> str:
    try:
        found = subprocess.run(
            [program, *words, *map(str, files)], capture_output=True, text=True, timeout=_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OurFault(
            "platform.promtool_failed", f"promtool could not be run: {error}.", f"See {VARIABLE}."
        ) from error
    if not found.returncode:
        return ""
    lines = [line.strip() for line in (found.stdout + found.stderr).replace(f"{folder}/", "").splitlines()]
    telling = [line for line in lines if line and "SUCCESS" not in line]
    return " ".join(telling)[:600]
