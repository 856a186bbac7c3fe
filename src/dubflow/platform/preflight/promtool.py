"""Rules and their tests by Prometheus' own tool: ``$DUBFLOW_PROMTOOL``, or ``promtool`` on PATH; else unchecked."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
_WORDS = {RULES: ("check", "rules"), TESTS: ("test", "rules")}


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
    for rule, files in ((RULES, rules), (TESTS, tests)):
        if not files:
            yield refused(rule, "infra/monitoring", "There is nothing to check.", "Write the rules and tests again.")
    jobs = [(RULES, path) for path in rules] + [(TESTS, path) for path in tests]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:  # a process each: a test takes seconds
        said = pool.map(lambda job: _complaint(program, _WORDS[job[0]], job[1], monitoring), jobs)
        for (rule, path), complaint in zip(jobs, said, strict=True):
            if complaint:
                where = f"infra/monitoring/{path.parent.name}/{path.name}"
                yield refused(rule, where, complaint, "Correct the rule or its test.")


def _complaint(program: str, words: Sequence[str], file: Path, folder: Path) -> str:
    try:
        found = subprocess.run(
            [program, *words, str(file)], capture_output=True, text=True, timeout=_WITHIN_S, check=False
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
