"""What serving promises under faults: runs the chaos tests and prints promise, what was done, figure.

python benchmarks/serving_chaos.py [--soak 500] [--only WORD]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_SERVICE = "tests/chaos/test_real_service.py::test_"
_KILLED = "_loses_and_doubles_no_job"
TESTS = {
    f"{_SERVICE}a_killed_stub{_KILLED}": ("each job once", "SIGKILL of the denoiser's process while it dubs"),
    f"{_SERVICE}a_killed_server{_KILLED}": ("each job once", "SIGKILL of Triton while it dubs"),
    f"{_SERVICE}a_killed_worker{_KILLED}": ("each job once", "SIGKILL of the worker while it dubs"),
    f"{_SERVICE}a_killed_gateway{_KILLED}": ("each job once", "SIGKILL of the gateway, another job sent at once"),
    "tests/chaos/test_full_disk.py": ("507, nothing half-written", "four uploads to a disk of 6 MiB"),
    "tests/chaos/test_locked_database.py": ("503 meanwhile, no job lost", "database held by another process for 30 s"),
    "tests/chaos/test_registry_away.py": ("what is served goes on", "MLflow's database moved away and back"),
    "tests/chaos/test_overload.py::test_four": ("429 or 503, the accepted done", "4 times the queue, 4 tenants"),
    "tests/chaos/test_overload.py::test_when": ("503 to all, the accepted done", "4 times the queue, no worker"),
    "tests/chaos/test_slow_clients.py": ("nobody waits for them", "100 endless heads, 6 uploads, 20 unread results"),
    "tests/gateway/test_app_malformed.py::test_500": ("well, flat memory", "500 malformed requests"),
    f"{_SERVICE}many": ("flat memory, descriptors, /dev/shm", "soak of short jobs, all through Triton"),
}  # fmt: skip
"""By test (the beginning of its id): what is promised, what is done."""


def main() -> int:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--soak", type=int, default=500, help="jobs of the soak")
    parser.add_argument("--only", default="", help="only tests with this in their id")
    given = parser.parse_args()
    wanted = {test: told for test, told in TESTS.items() if given.only in test}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        environment = {**os.environ, "DUBFLOW_SOAK_JOBS": str(given.soak), "OMP_NUM_THREADS": "1"}
        files = sorted({test.partition("::")[0] for test in wanted})
        names = " or ".join(sorted({_name(test) for test in wanted}))
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:xdist",
            "-o",
            "junit_family=legacy",
            f"--junitxml={report}",
            *files,
            "-k",
            names,
        ]
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        if not report.exists():
            return code or 1
        cases = list(ElementTree.parse(report).iter("testcase"))
    print("\n| promise | what was done | figure |\n|---|---|---|")
    for test, (promise, done) in wanted.items():
        print(f"| {promise} | {done} | {_figure(cases, test)} |")
    return code


def _name(test: str) -> str:
    """What tells its tests from others, for pytest's ``-k``."""
    return test.partition("::")[2] or Path(test).stem


def _figure(cases: list[ElementTree.Element], test: str) -> str:
    """What the test said, or how it ended."""
    file, _, name = test.partition("::")
    module = file.removesuffix(".py").replace("/", ".")
    for case in cases:
        if case.get("classname") != module or not case.get("name", "").startswith(name):
            continue
        for kind in ("failure", "error", "skipped"):
            found = case.find(kind)
            if found is not None:
                return f"{kind.upper()}: {(found.get('message') or '').splitlines()[0][:120]}"
        return next(one.get("value", "") for one in case.iter("property") if one.get("name") == "figure")
    return "did not run"


if __name__ == "__main__":
    sys.exit(main())
