"""A good and a bad version are rolled out on a server with the real Triton: what is decided, and how long it takes.

    python benchmarks/rollout.py [--dubs 24] [--noise 0.3]

Champion is the embedded world's starter. The good candidate is the same network in another package; the bad one has
noise of ``--noise`` times their spread on its weights: it still speaks, and passes the check before loading. Then the
good one is rolled out again and taken back after its promotion.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from dubflow.diflow.stored import CARD, WEIGHTS, find_model
from dubflow.platform.rollout.opening import Asked, open_rollout
from dubflow.platform.rollout.policy import RolloutPolicy
from dubflow.platform.rollout.records import Standing
from dubflow.registry.models import open_registry
from dubflow.registry.package.diflow import build_package
from dubflow.registry.package.signing import generate_key
from dubflow.registry.promoting import Override, promote
from dubflow.registry.registering import register
from dubflow.serving.state import read_state
from serving_common import machine, options_of, server, tell

NAME, WHO, WHY = "dubber", "benchmark", "for a benchmark"


def package(room: Path, number: int, noise: float, key: Path) -> Path:
    """A package of the starter with another card, and perhaps worse weights."""
    model = room / f"model-{number}"
    shutil.copytree(find_model("starter"), model)
    with (model / CARD).open("a", encoding="utf-8") as card:
        card.write(f"\nCopy {number}.\n")
    if noise:
        with safe_open(model / WEIGHTS, "np") as file:
            about = file.metadata()
        rng, weights = np.random.default_rng(number), load_file(model / WEIGHTS)
        for name, weight in sorted(weights.items()):
            wide = weight.astype(np.float32)
            weights[name] = (wide + noise * wide.std() * rng.standard_normal(wide.shape)).astype(weight.dtype)
        save_file(weights, model / WEIGHTS, about)
    return build_package(model, room / f"package-{number}", key, name=NAME).folder


def timed(what: str, do: Callable[[], Standing], rows: list[tuple[str, float, str]]) -> Standing:
    """Do it, and write down how long it took and where it ended."""
    began = time.monotonic()
    now = do()
    rows.append((what, time.monotonic() - began, f"{now.phase.replace('_', ' ')}, {now.percent} %"))
    tell(f"{what}: {rows[-1][1]:.1f} s, {rows[-1][2]}")
    return now


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dubs", type=int, default=24, help="golden dubs of each version at each stage")
    parser.add_argument("--noise", type=float, default=0.3)
    given = parser.parse_args()
    policy, rows = RolloutPolicy(dubs=(given.dubs, given.dubs)), []
    with tempfile.TemporaryDirectory(prefix="dubflow-rollout-") as folder:
        room = Path(folder)
        key = room / "key"
        public, uri = generate_key(key), f"sqlite:///{room}/mlflow.db"
        registry = open_registry(uri, tell)
        for number, noise in ((1, 0.0), (2, given.noise), (3, 0.0)):
            made = register(registry, package(room, number, noise, key), by=WHO, trusted_keys=[public])
            if number == 1:
                promote(registry, NAME, made.version, None, by=WHO, override=Override(WHY))
        directory = room / "serve"
        with server(directory, options_of(model=None, name=NAME, registry=uri, trusted_keys=(public,)), gateway=False):
            opened = open_rollout(Asked("local", directory), tell)

            def contest(version: int):  # type: ignore[no-untyped-def]
                return opened.releases.contest(NAME, version, "local", policy, by=WHO, override=WHY)

            rollout = opened.rollout
            timed("bad version: loaded beside the champion", lambda: rollout.start(contest(2), WHO), rows)
            timed("bad version: judged, and taken back", lambda: rollout.run(WHO), rows)
            timed("good version: loaded beside the champion", lambda: rollout.start(contest(3), WHO), rows)
            timed("good version: judged twice, promoted, serves", lambda: rollout.run(WHO), rows)
            current = read_state(directory).current
            assert current is not None
            assert current.version == 3
            timed("good version: taken back after all, champion serves", lambda: rollout.rollback(WHO, WHY), rows)
            current = read_state(directory).current
            assert current is not None
            assert current.version == 1
            for entry in rollout.log.entries():
                for one in entry.checks:
                    tell(f"{entry.action} {one.name}: {one.outcome}: {one.reason}")
    sys.stdout.write(f"{machine()}\n\n| | seconds | then |\n|---|---|---|\n")
    for what, seconds, then in rows:
        sys.stdout.write(f"| {what} | {seconds:.1f} | {then} |\n")


if __name__ == "__main__":
    main()
