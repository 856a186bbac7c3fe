"""How long a backup and a restore take, and what they copy: registry and jobs of a chosen size, destroyed in between.

    python benchmarks/restore.py [--packages 4] [--megabytes 64] [--jobs 1000]
    python benchmarks/restore.py --postgres

The first makes signed packages of that size and queued jobs on SQLite and in folders, copies them, copies them again
after one package more (what a nightly backup costs), removes everything, restores, and reads every champion with its
signature. The second runs the test that does so on a real Postgres and an S3 server, and prints its figures.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from dubflow.dubbing.request import SegmentText
from dubflow.gateway.database import Database
from dubflow.gateway.jobs.request import JobRequest, StockVoice
from dubflow.gateway.jobs.store import JobStore
from dubflow.gateway.settings import load_settings
from dubflow.gateway.tables import migrate
from dubflow.platform.backup.creating import create_backup
from dubflow.platform.backup.manifest import BackupManifest, read_backup
from dubflow.platform.backup.proving import prove_registry
from dubflow.platform.backup.restoring import restore_backup
from dubflow.platform.backup.settings import PARTS, sources
from dubflow.registry.models import open_registry
from dubflow.registry.package.diflow import build_package
from dubflow.registry.package.signing import generate_key
from dubflow.registry.promoting import Override, promote
from dubflow.registry.registering import register
from dubflow.storage import Objects

MODEL, WHO = "dubber", "benchmark"
TEST = "tests/platform/backup/test_postgres.py::test_destroyed_and_restored"


def tell(text: str) -> None:
    """A line while it goes on."""
    sys.stderr.write(text + "\n")


def add_package(room: Path, number: int, megabytes: float, public: Path) -> None:
    """Register the starter with a file of random bytes beside its weights, and make it champion."""
    from dubflow.diflow.stored import CARD, CODEC, find_model

    model = room / f"model-{number}"
    shutil.copytree(find_model("starter"), model)
    with (model / CARD).open("a", encoding="utf-8") as card:
        card.write(f"\nCopy {number}.\n")
    ballast = np.random.default_rng(number).integers(0, 2**32, int(megabytes * 2**18), dtype=np.uint32)
    from dubflow.corpora.tensorfile import write_tensors

    write_tensors(model / CODEC / "ballast.safetensors", {"ballast": ballast.view(np.int32)}, {"format": "pt"})
    package = build_package(model, room / f"package-{number}", public.with_suffix(""), name=MODEL)
    registry = open_registry(note=tell)
    version = register(registry, package.folder, by=WHO, trusted_keys=[public]).version
    promote(registry, MODEL, version, None, by=WHO, override=Override("for a benchmark"))
    shutil.rmtree(model)
    shutil.rmtree(room / f"package-{number}")


def add_jobs(count: int) -> None:
    """Queued jobs."""
    database = Database(load_settings().database_url)
    migrate(database)
    store = JobStore(database)
    for number in range(count):
        request = JobRequest(
            clip="uploads/clip", segments=(SegmentText(text=f"sentence {number}"),), language="en",
            voice=StockVoice(name="linden"),
        )  # fmt: skip
        store.submit("acme", request, clip_s=60.0)
    database.close()


def point(home: Path) -> None:
    """All settings below ``home``."""
    for name in [name for name in os.environ if name.startswith("DUBFLOW_")]:
        del os.environ[name]
    os.environ |= {"DUBFLOW_HOME": str(home), "DUBFLOW_GATEWAY_STATE": str(home / "serve")}
    (home / "serve").mkdir(parents=True, exist_ok=True)


def backed_up(store: Objects, later_s: float) -> tuple[BackupManifest, float]:
    """A backup and its seconds."""
    began = time.monotonic()
    made = create_backup(store, sources(), PARTS, clock=lambda: datetime.now(UTC) + timedelta(seconds=later_s))
    return made, time.monotonic() - began


def measure(packages: int, megabytes: float, jobs: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="dubflow-restore-") as folder:
        room = Path(folder)
        public = generate_key(room / "key")
        point(room / "first")
        tell("filling")
        for number in range(packages):
            add_package(room, number, megabytes, public)
        add_jobs(jobs)
        store = Objects((room / "backups").as_uri())
        first, first_s = backed_up(store, 0)
        add_package(room, packages, megabytes, public)
        second, second_s = backed_up(store, 1)
        shutil.rmtree(room / "first")
        point(room / "second")
        began = time.monotonic()
        done = restore_backup(store, read_backup(store, "newest"), sources(), PARTS)
        restored = time.monotonic() - began
        (proof,) = prove_registry(open_registry(note=tell), done.models, [public])
        proven = time.monotonic() - began
        assert proof.signed_by is not None
        mega = 2**20
        rows = [
            (
                f"first backup: {packages} packages, {jobs:,} jobs",
                first_s,
                first.bytes / mega,
                first.copied_bytes / mega,
            ),
            ("second backup, one package more", second_s, second.bytes / mega, second.copied_bytes / mega),
            ("restore, every byte held to its digest twice", restored, done.bytes / mega, done.bytes / mega),
            ("… and the champion read with its signature", proven, 0, 0),
        ]  # fmt: skip
        sys.stdout.write("| | seconds | MB in it | MB copied |\n|---|---|---|---|\n")
        for what, seconds, held, copied in rows:
            sizes = f"{held:.0f} | {copied:.0f}" if held else " | "
            sys.stdout.write(f"| {what} | {seconds:.1f} | {sizes} |\n")


def postgres() -> None:
    """Run the test and print what it measured."""
    root = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory(prefix="dubflow-restore-") as folder:
        report = Path(folder) / "report.xml"
        words = ["-q", TEST, "-o", "junit_family=xunit1", f"--junitxml={report}"]
        subprocess.run([sys.executable, "-m", "pytest", *words], cwd=root, check=True, stdout=sys.stderr)
        found = dict(re.findall(r'name="(backup_s|restore_s)" value="([^"]+)"', report.read_text("utf-8")))
    sys.stdout.write(f"Postgres and S3: backup {found['backup_s']} s, restore {found['restore_s']} s\n")


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=4)
    parser.add_argument("--megabytes", type=float, default=64.0, help="that each package has beside the starter")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--postgres", action="store_true")
    given = parser.parse_args()
    if given.postgres:
        postgres()
    else:
        measure(given.packages, given.megabytes, given.jobs)


if __name__ == "__main__":
    main()
