"""What steps find around them on this machine: one registry, and keys to sign with.

On a cluster secrets bring both. Here the database of DUBFLOW_HOME is the registry, and a pair of keys each for packages
and verdicts is made with the first run and lies beside the runs; whoever sets the variables has their own taken.
"""

from __future__ import annotations

import os
from pathlib import Path

from dubflow.atomic import atomic_dir
from dubflow.platform.steps.registry_words import registry_uri

KEYS = "keys"


def surroundings(home: Path) -> dict[str, str]:
    """Variables for the steps of runs below ``home``; those that are set already are not among them.

    Raises:
        WrongUse: ``install.missing_extra``, ``registry.bad_tracking_uri``.
    """
    wanted = {"DUBFLOW_MLFLOW_URI": registry_uri()}
    wanted |= _keys(home / KEYS)
    return {name: value for name, value in wanted.items() if not os.environ.get(name)}


def _keys(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        from dubflow.judging.gate.signing import generate_key as verdict_key
        from dubflow.registry.package.signing import generate_key as package_key

        with atomic_dir(folder) as part:  # a half of a pair would be worse than none
            package_key(part / "package.pem")
            verdict_key(part / "verdict.pem")
    return {
        "DUBFLOW_PACKAGE_KEY": str(folder / "package.pem"),
        "DUBFLOW_TRUSTED_KEYS": str(folder / "package.pem.pub"),
        "DUBFLOW_VERDICT_KEY": str(folder / "verdict.pem"),
        "DUBFLOW_VERDICT_KEYS": str(folder / "verdict.pem.pub"),
    }
