"""One InferenceService through Kubernetes' HTTP API: read, and changed only as it was when it was read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.platform.inference_services import GROUP, PLURAL, VERSION

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TRIES = 5
_ANSWER_S = 15.0


class ClusterSettings(BaseSettings):
    """What the environment may set, under the prefix ``DUBFLOW_ROLLOUT_``."""

    model_config = SettingsConfigDict(env_prefix="DUBFLOW_ROLLOUT_", extra="ignore", frozen=True)

    api: str | None = Field(
        None, description="Kubernetes' API, such as http://127.0.0.1:8001 of `kubectl proxy`; in a pod, its own."
    )
    namespace: str = Field("dubflow", description="Of the InferenceService.")
    prometheus: str | None = Field(None, description="Address of Prometheus' HTTP API.")
    champion_grpc: str | None = Field(
        None, description="HOST:PORT where only the champion's Triton answers; by default its predictor's service."
    )
    candidate_grpc: str | None = Field(None, description="The same of the candidate.")
    triton_key: SecretStr = Field(SecretStr(""), description="That Triton asks for, as its pods' secret has it.")
    ready_s: float = Field(600.0, gt=0, description="How long a candidate's pods may take to be ready.")
    poll_s: float = Field(5.0, gt=0, description="How often they are looked at.")


class Services:
    """The InferenceServices of one namespace."""

    def __init__(self, address: str, namespace: str, *, token: str = "", verify: str | bool = True) -> None:
        import httpx

        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._root = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"
        self._http = httpx.Client(base_url=address, headers=headers, timeout=_ANSWER_S, trust_env=False, verify=verify)

    def get(self, name: str) -> dict[str, Any]:
        """The service as it is now.

        Raises:
            BadInput: ``platform.no_service``. OurFault: ``platform.cluster_refused``.
        """
        return self._asked(name, "GET", None)

    def change(self, name: str, make: Callable[[Mapping[str, Any]], dict[str, Any] | None]) -> dict[str, Any]:
        """Merge what ``make`` makes of the service into it; asked again where somebody was quicker.

        Args:
            make: the merge patch (RFC 7396), None where nothing is to be changed; may refuse by raising.

        Raises:
            OurFault: ``platform.cluster_busy`` where somebody is quicker again and again. As :meth:`get`.
        """
        for _ in range(_TRIES):
            found = self.get(name)
            patch = make(found)
            if patch is None:
                return found
            metadata = {**patch.get("metadata", {}), "resourceVersion": found["metadata"]["resourceVersion"]}
            changed = self._asked(name, "PATCH", {**patch, "metadata": metadata}, conflict=True)
            if changed:
                return changed
        raise OurFault(
            "platform.cluster_busy", f"InferenceService {name} does not stop changing.", "See who changes it."
        )

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def _asked(self, name: str, method: str, body: Any, *, conflict: bool = False) -> dict[str, Any]:
        """The answer; empty where it was a conflict that the caller knows what to do with."""
        import httpx

        headers = {"Content-Type": "application/merge-patch+json"} if body is not None else {}
        try:
            answer = self._http.request(method, f"{self._root}/{name}", json=body, headers=headers)
            content: Any = answer.json() if answer.content else {}
        except (httpx.HTTPError, ValueError) as error:
            raise _refused(name, str(error) or type(error).__name__) from error
        if answer.status_code == httpx.codes.CONFLICT and conflict:
            return {}
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise BadInput("platform.no_service", f"The cluster has no InferenceService {name}.", "Deploy it first.")
        if answer.is_error:
            raise _refused(name, f"{answer.status_code} {content.get('message', '')}".strip())
        return dict(content)


def services_of(settings: ClusterSettings) -> Services:
    """The cluster that the settings name, or the one that this pod is in.

    Raises:
        WrongUse: ``platform.no_cluster_address``.
    """
    if settings.api:
        return Services(settings.api, settings.namespace)
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise WrongUse(
            "platform.no_cluster_address",
            "This is no pod, and no address of a cluster is set.",
            "Run `kubectl proxy` and set DUBFLOW_ROLLOUT_API=http://127.0.0.1:8001.",
        )
    address = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    token = (_ACCOUNT / "token").read_text(encoding="utf-8").strip()
    return Services(address, settings.namespace, token=token, verify=str(_ACCOUNT / "ca.crt"))


def _refused(name: str, why: str) -> OurFault:
    return OurFault(
        "platform.cluster_refused",
        f"InferenceService {name}: {' '.join(why.split())[:300]}",
        "See that the cluster answers and what this account may do.",
    )
