"""A rollout on a cluster: KServe runs the candidate as the InferenceService's canary and gives it a share.

``spec.canary`` (KServe 0.20) holds a predictor of its own and ``trafficPercent``. What the service had before stands
in its annotations, so the way back needs nothing but the service itself. Every change is a merge patch that names the
``resourceVersion`` it was made for; who finds another champion there than the contest's refuses.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from dubflow.dubbing.engine import Engine
from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.platform.rollout.checks import GoldenPair, Requests
from dubflow.platform.rollout.golden import Hears, check_languages, compare_golden, golden_seeds
from dubflow.platform.rollout.kubernetes import ClusterSettings, Services
from dubflow.platform.rollout.records import Contest
from dubflow.platform.rollout.releasing import Releases
from dubflow.platform.rollout.traffic import Prometheus
from dubflow.registry.package.facts import DiflowFacts
from dubflow.registry.package.manifest import PackageManifest
from dubflow.serving.repository import FRONT, no_engine

VERSION, PACKAGE, ENGINE = "dubflow.dev/version", "dubflow.dev/package", "dubflow.dev/engine"
CANDIDATE, BEFORE, BEFORE_PACKAGE, BEFORE_URI = (
    f"dubflow.dev/{one}" for one in ("candidate", "previous-version", "previous-package", "previous-storage-uri")
)
CONTAINER = "kserve-container"
"""As KServe names it."""


class ClusterPlace:
    """The InferenceService of the model's name.

    Args:
        judge: opens whoever hears phones. sleep: between looks at the pods.
    """

    def __init__(
        self,
        services: Services,
        releases: Releases,
        settings: ClusterSettings,
        judge: Callable[[], Hears],
        say: Callable[[str], None] = lambda _: None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._services, self._releases, self._settings = services, releases, settings
        self._judge, self._say, self._sleep = judge, say, sleep

    def set_share(self, contest: Contest, percent: int) -> None:
        """See :class:`~dubflow.platform.rollout.machine.Place`; ends once the service says that it is ready.

        Raises:
            BadInput: ``platform.other_champion``, ``platform.rollout_conflict``, ``platform.no_service``.
            WrongUse: ``platform.no_storage_uri``. OurFault: ``platform.candidate_not_ready``, those of
                :class:`Services`.
        """
        self._services.change(contest.model, lambda found: share_patch(found, contest, percent))
        self._await_ready(contest.model)

    def golden(
        self, contest: Contest, dubs: int, look: int, stopped: Callable[[], bool] = lambda: False
    ) -> Sequence[GoldenPair]:
        """See :class:`~dubflow.platform.rollout.machine.Place`; the golden clip lies in the serving image.

        Raises:
            WrongUse: ``platform.no_endpoint``.
        """
        limit = contest.policy.dub_s
        ours = self._engine(contest, contest.candidate, self._settings.candidate_grpc, "CANDIDATE_GRPC")
        theirs = self._engine(contest, contest.champion, self._settings.champion_grpc, "CHAMPION_GRPC")
        check_languages(ours.languages, theirs.languages)
        seeds = golden_seeds(dubs, look)
        return list(compare_golden(ours, theirs, seeds, self._judge(), within_s=limit, stopped=stopped))

    def requests(self, contest: Contest) -> tuple[Requests | None, Requests | None] | None:
        """See :class:`~dubflow.platform.rollout.machine.Place`: without Prometheus nobody knows, and that holds.

        Raises:
            OurFault: ``platform.no_prometheus``.
        """
        if self._settings.prometheus is None:
            return None, None
        prometheus = Prometheus(self._settings.prometheus, labels=f',namespace="{self._settings.namespace}"')
        try:
            traffic = contest.policy.traffic
            return prometheus.requests(contest.candidate, traffic), prometheus.requests(contest.champion, traffic)
        finally:
            prometheus.close()

    def promote(self, contest: Contest, by: str) -> None:
        """See :class:`~dubflow.platform.rollout.machine.Place`; the registry first, which may still refuse."""
        self._releases.promote(contest, by)
        self._services.change(contest.model, lambda found: promotion_patch(found, contest))
        self._await_ready(contest.model)

    def rollback(self, contest: Contest, by: str, reason: str) -> None:
        """See :class:`~dubflow.platform.rollout.machine.Place`; the service first, for it is what users meet."""
        self._services.change(contest.model, lambda found: rollback_patch(found, contest))
        self._releases.rollback(contest, by, reason)

    def _engine(self, contest: Contest, version: int, grpc: str | None, name: str) -> Engine[Any]:
        from dubflow.serving.triton_engine import TritonEngine

        if grpc is None:
            raise WrongUse(
                "platform.no_endpoint",
                f"It is not known where version {version} alone answers.",
                f"Set DUBFLOW_ROLLOUT_{name}=HOST:PORT (of its predictor's service).",
            )
        world, languages = _facts(self._manifest(contest.model, version))
        return TritonEngine(
            grpc,
            self._settings.triton_key,
            model=FRONT,
            version=version,
            engine_id=f"{contest.model}-{version}",
            world=world,
            languages=languages,
            deadline_s=contest.policy.dub_s,
        )

    def _manifest(self, model: str, version: int) -> PackageManifest:
        registry = self._releases.registry
        return registry.read_files(registry.version(model, version), self._releases.package_keys).manifest

    def _await_ready(self, name: str) -> None:
        until = time.monotonic() + self._settings.ready_s
        while not ready(found := self._services.get(name)):
            if time.monotonic() > until:
                told = "; ".join(one.get("message", "") for one in _conditions(found) if one.get("status") != "True")
                raise OurFault(
                    "platform.candidate_not_ready",
                    f"InferenceService {name} is not ready after {self._settings.ready_s:g} s: {told or 'no reason'}",
                    "See its pods; run the command again once they run, or take the candidate back.",
                )
            self._sleep(self._settings.poll_s)


def share_patch(found: Mapping[str, Any], contest: Contest, percent: int) -> dict[str, Any] | None:
    """The merge patch by which the candidate gets its share; None where it has it.

    Raises:
        BadInput: ``platform.other_champion``, ``platform.rollout_conflict``. WrongUse: ``platform.no_storage_uri``.
    """
    notes = _notes(found)
    _is_champion(notes, contest)
    others = [one for one in found["spec"].get("canary") or () if _uri(one["predictor"]) != contest.storage_uri]
    if others or notes.get(CANDIDATE, _mark(contest)) != _mark(contest):
        raise BadInput(
            "platform.rollout_conflict",
            f"InferenceService {contest.model} has another candidate already ({notes.get(CANDIDATE, 'unnamed')}).",
            "Somebody else rolls out there: wait for that, or take it back.",
        )
    wanted = [canary(found["spec"]["predictor"], contest, percent)]
    if found["spec"].get("canary") == wanted and notes.get(CANDIDATE) == _mark(contest):
        return None
    return {"metadata": {"annotations": {CANDIDATE: _mark(contest)}}, "spec": {"canary": wanted}}


def canary(predictor: Mapping[str, Any], contest: Contest, percent: int) -> dict[str, Any]:
    """The champion's predictor with the candidate's files, and its share.

    Raises:
        WrongUse: ``platform.no_storage_uri``.
    """
    if contest.storage_uri is None:
        raise WrongUse(
            "platform.no_storage_uri",
            "It is not known where the candidate's export lies.",
            "Give --storage-uri: where `dubflow serve export` was put.",
        )
    made = copy.deepcopy(dict(predictor))
    made["model"]["storageUri"] = contest.storage_uri
    made["model"].setdefault("name", CONTAINER)  # which the canary's schema asks for, unlike the predictor's
    return {"predictor": made, "trafficPercent": percent}


def promotion_patch(found: Mapping[str, Any], contest: Contest) -> dict[str, Any] | None:
    """The merge patch by which the candidate becomes the predictor; None where it is.

    Raises:
        BadInput: ``platform.other_champion``. WrongUse: ``platform.no_storage_uri``.
    """
    notes = _notes(found)
    if notes.get(VERSION) == str(contest.candidate) and not found["spec"].get("canary"):
        return None
    _is_champion(notes, contest)
    made = copy.deepcopy(dict(found["spec"]["predictor"]))
    made["model"]["storageUri"] = canary(made, contest, 100)["predictor"]["model"]["storageUri"]
    annotations = {
        VERSION: str(contest.candidate),
        PACKAGE: contest.candidate_package,
        ENGINE: None,  # an id that only the export knows; the champion's would be a lie
        CANDIDATE: None,
        BEFORE: str(contest.champion),
        BEFORE_PACKAGE: contest.champion_package or "",
        BEFORE_URI: _uri(found["spec"]["predictor"]),
    }
    return {"metadata": {"annotations": annotations}, "spec": {"predictor": made, "canary": None}}


def rollback_patch(found: Mapping[str, Any], contest: Contest) -> dict[str, Any] | None:
    """The merge patch by which the champion has everything again; None where it has.

    Raises:
        BadInput: ``platform.other_champion``.
    """
    notes = _notes(found)
    if notes.get(VERSION) != str(contest.candidate):
        if not found["spec"].get("canary") and CANDIDATE not in notes:
            return None
        if notes.get(CANDIDATE, _mark(contest)) != _mark(contest):
            return None  # another rollout's candidate: ours is not there any more
        return {"metadata": {"annotations": {CANDIDATE: None}}, "spec": {"canary": None}}
    if notes.get(BEFORE) != str(contest.champion) or not notes.get(BEFORE_URI):
        raise _other(notes, contest)
    made = copy.deepcopy(dict(found["spec"]["predictor"]))
    made["model"]["storageUri"] = notes[BEFORE_URI]
    annotations = {
        VERSION: str(contest.champion),
        PACKAGE: contest.champion_package or "",
        **dict.fromkeys((ENGINE, CANDIDATE, BEFORE, BEFORE_PACKAGE, BEFORE_URI)),
    }
    return {"metadata": {"annotations": annotations}, "spec": {"predictor": made, "canary": None}}


def ready(found: Mapping[str, Any]) -> bool:
    """Whether the service says that it is ready, of the very form that it has now."""
    generation = found["metadata"].get("generation")
    seen = found.get("status", {}).get("observedGeneration", generation)
    states = {one.get("type"): one.get("status") for one in _conditions(found)}
    return seen == generation and states.get("Ready") == "True"


def _conditions(found: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return found.get("status", {}).get("conditions") or ()


def _notes(found: Mapping[str, Any]) -> Mapping[str, str]:
    return found["metadata"].get("annotations") or {}


def _uri(predictor: Mapping[str, Any]) -> str:
    return str(predictor["model"].get("storageUri", ""))


def _mark(contest: Contest) -> str:
    return f"{contest.candidate}:{contest.candidate_package}"


def _is_champion(notes: Mapping[str, str], contest: Contest) -> None:
    if (notes.get(VERSION), notes.get(PACKAGE)) != (str(contest.champion), contest.champion_package or ""):
        raise _other(notes, contest)


def _other(notes: Mapping[str, str], contest: Contest) -> BadInput:
    return BadInput(
        "platform.other_champion",
        f"The contest is against version {contest.champion}; InferenceService {contest.model} serves version "
        f"{notes.get(VERSION, 'unknown')}.",
        "Somebody changed it: dubflow rollout rollback, then begin anew.",
    )


def _facts(manifest: PackageManifest) -> tuple[Literal["embedded", "real"], tuple[str, ...]]:
    facts = manifest.facts
    if not isinstance(facts, DiflowFacts):
        raise no_engine(manifest.name)
    return facts.world, tuple(facts.languages)
