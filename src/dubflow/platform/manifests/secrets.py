"""Secrets for a cluster to try things out on: passwords and keys made up once, in the place of a real store.

What has to be in the store is read from the overlay itself: every ExternalSecret names it. A name for which nothing is
known here is an error, so that a new secret is never forgotten.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dubflow.dubbing.provenance.certificates import open_signer
from dubflow.errors import BadInput
from dubflow.judging.gate.signing import generate_key as verdict_key
from dubflow.registry.package.signing import generate_key as package_key

VAULT = "dubflow-vault"
MLFLOW = "http://dubflow-mlflow.dubflow.svc:5000"
_POSTGRES = "dubflow-postgres.dubflow.svc:5432"


def wanted(resources: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Names of the store's secrets, and of the values in each, that the ExternalSecrets of an overlay ask for."""
    found: dict[str, set[str]] = {}
    for one in resources:
        if one.get("kind") == "ExternalSecret":
            for asked in one["spec"].get("data", ()):
                found.setdefault(asked["remoteRef"]["key"], set()).add(asked["remoteRef"]["property"])
    return found


def made_up() -> dict[str, dict[str, str]]:
    """Values of every secret of the overlay ``dev``; others with each call.

    Raises:
        WrongUse: ``install.missing_extra``.
    """
    password = secrets.token_urlsafe(24)
    jobs, runs = (f"postgresql+psycopg://dubflow:{password}@{_POSTGRES}/{name}" for name in ("gateway", "mlflow"))
    access = {"AWS_ACCESS_KEY_ID": secrets.token_hex(10), "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(30)}
    return {
        "dubflow-postgres": {"password": password},
        "dubflow-gateway": {
            "DUBFLOW_GATEWAY_DATABASE": jobs,
            "DUBFLOW_GATEWAY_WEBHOOK_SECRET": secrets.token_urlsafe(32),
            "DUBFLOW_REGISTRY_JOURNAL": runs,
        },
        "dubflow-mlflow": {"MLFLOW_BACKEND_STORE_URI": runs, **access},
        "dubflow-services": {"mlflow_uri": MLFLOW, "registry_journal": runs},
        "dubflow-storage": access,
        "dubflow-backup": access,
        "dubflow-storage-identities": {"s3.json": _identities(access)},
        "dubflow-triton": {"key": secrets.token_urlsafe(32)},
        **_keys(),
    }


def manifests(values: Mapping[str, Mapping[str, str]], asked: Mapping[str, set[str]]) -> list[dict[str, Any]]:
    """Secrets of the namespace ``dubflow-vault``, as they are applied.

    Raises:
        BadInput: ``platform.unknown_secret`` for what is asked for and has no value here.
    """
    lacking = [f"{name}/{key}" for name, keys in asked.items() for key in keys if key not in values.get(name, {})]
    if lacking:
        raise BadInput(
            "platform.unknown_secret",
            f"No value is known for {', '.join(sorted(lacking))}.",
            "Put it into dubflow.platform.manifests.secrets, or into the store by hand.",
        )
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": VAULT},
            "type": "Opaque",
            "stringData": {key: values[name][key] for key in sorted(asked[name])},
        }
        for name in sorted(asked)
    ]


def _identities(access: Mapping[str, str]) -> str:
    keys = {"accessKey": access["AWS_ACCESS_KEY_ID"], "secretKey": access["AWS_SECRET_ACCESS_KEY"]}
    return json.dumps({"identities": [{"name": "dubflow", "credentials": [keys], "actions": ["Admin"]}]})


def _keys() -> dict[str, dict[str, str]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package_key(folder / "package.pem")
        verdict_key(folder / "verdict.pem")
        signer = open_signer(folder / "provenance")
        private, public = ("package.pem", "verdict.pem"), ("package.pem.pub", "verdict.pem.pub")
        return {
            "dubflow-signing": {one: (folder / one).read_text(encoding="ascii") for one in private},
            "dubflow-trusted-keys": {one: (folder / one).read_text(encoding="ascii") for one in public},
            "dubflow-provenance": {
                "key.pem": signer.key.read_text(encoding="ascii"),
                "chain.pem": signer.chain.read_text(encoding="ascii"),
            },
        }
