"""A rollout on a cluster: KServe runs the candidate as the InferenceService's canary and gives it a share.

``spec.canary`` (KServe 0.20) holds a predictor of its own and ``trafficPercent``; which version a predictor serves
stands in its annotations (:mod:`dubflow.platform.inference_services`). What the service had before stands in its own
annotations, so the way back needs nothing but the service itself. Every change is a merge patch that names the
``resourceVersion`` it was made for; who finds another champion there than the contest's refuses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dubflow.dubbing.engine import Engine
from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.platform.inference_services import (
    PACKAGE_NOTE,
    VERSION_NOTE,
    canary_entry,
    source_of,
    version_annotations,
)
from dubflow.platform.rollout.checks import GoldenPair, Requests
from dubflow.platform.rollout.golden import Hears, check_languages, compare_golden, golden_seeds
from dubflow.platform.rollout.kubernetes import ClusterSettings, Services
from dubflow.platform.rollout.records import Contest
from dubflow.platform.rollout.releasing import Releases
from dubflow.platform.rollout.traffic import Prometheus

CANDIDATE, BEFORE, BEFORE_PACKAGE, BEFORE_SOURCE, BEFORE_NAME = (
    f"dubflow.dev/{one}"
    for one in ("candidate", "previous-version", "previous-package", "previous-source", "previous-name")
)
MADE = (CANDIDATE, BEFORE, BEFORE_PACKAGE, BEFORE_SOURCE, BEFORE_NAME)
"""Notes of a rollout on the service itself, which KServe has to be told to keep out of its pods."""
OF_EXPORT = ("dubflow.dev/engine", "dubflow.dev/world")
"""What only whoever exported a version knows; of another version they would be a lie."""


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
            OurFault: ``serving.nothing_served``. BadInput: ``platform.other_version_answers``.
        """
        limit = contest.policy.dub_s
        found = self._services.get(contest.model)
        ours = self._engine(contest, contest.candidate, self._settings.candidate_grpc or endpoint(
            contest.model, f"v{contest.candidate}", self._settings.namespace))  # fmt: skip
        theirs = self._engine(contest, contest.champion, self._settings.champion_grpc or endpoint(
            contest.model, str(found["spec"]["predictor"].get("name", "")), self._settings.namespace))  # fmt: skip
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

    def _engine(self, contest: Contest, version: int, address: str) -> Engine[Any]:
        from dubflow.serving.remote import Fleet

        key = self._settings.triton_key.get_secret_value()
        answering = Fleet(address, key).one()
        serves = answering.told.installed.version
        if serves != version:
            raise BadInput(
                "platform.other_version_answers",
                f"At {address} version {serves} answers, not version {version}.",
                "See which pods are behind it; the contest is about version "
                f"{contest.candidate} against {contest.champion}.",
            )
        return answering.engine(key, contest.policy.dub_s)

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


def endpoint(model: str, name: str, namespace: str) -> str:
    """HOST:PORT of the Service that KServe makes for one predictor of a service; ``name`` is the predictor's."""
    return f"{model}-{name}-predictor.{namespace}.svc:80" if name else f"{model}-predictor.{namespace}.svc:80"


def share_patch(found: Mapping[str, Any], contest: Contest, percent: int) -> dict[str, Any] | None:
    """The merge patch by which the candidate gets its share; None where it has it.

    Raises:
        BadInput: ``platform.other_champion``, ``platform.rollout_conflict``. WrongUse: ``platform.no_storage_uri``.
    """
    notes, predictor = _notes(found), found["spec"]["predictor"]
    _is_champion(predictor, contest)
    source = _source(contest)
    others = [one for one in found["spec"].get("canary") or () if source_of(one["predictor"]) != source]
    if others or notes.get(CANDIDATE, _mark(contest)) != _mark(contest):
        raise BadInput(
            "platform.rollout_conflict",
            f"InferenceService {contest.model} has another candidate already ({notes.get(CANDIDATE, 'unnamed')}).",
            "Somebody else rolls out there: wait for that, or take it back.",
        )
    wanted = [canary_entry(predictor, contest.candidate, contest.candidate_package, source, percent)]
    if found["spec"].get("canary") == wanted and notes.get(CANDIDATE) == _mark(contest):
        return None
    return {"metadata": {"annotations": {CANDIDATE: _mark(contest)}}, "spec": {"canary": wanted}}


def promotion_patch(found: Mapping[str, Any], contest: Contest) -> dict[str, Any] | None:
    """The merge patch by which the candidate becomes the predictor; None where it is.

    It keeps the canary's name, so that its pods go on serving instead of being started again.

    Raises:
        BadInput: ``platform.other_champion``. WrongUse: ``platform.no_storage_uri``.
    """
    predictor = found["spec"]["predictor"]
    if _serves(predictor) == _version(contest.candidate, contest.candidate_package) and not found["spec"].get("canary"):
        return None
    _is_champion(predictor, contest)
    own = version_annotations(contest.candidate, contest.candidate_package, _source(contest))
    annotations = {
        VERSION_NOTE: own[VERSION_NOTE],
        PACKAGE_NOTE: own[PACKAGE_NOTE],
        CANDIDATE: None,
        BEFORE: str(contest.champion),
        BEFORE_PACKAGE: contest.champion_package or "",
        BEFORE_SOURCE: source_of(predictor),
        BEFORE_NAME: str(predictor.get("name", "")),
        **dict.fromkeys(OF_EXPORT),
    }
    changed = {"annotations": own, "name": f"v{contest.candidate}"}
    return {"metadata": {"annotations": annotations}, "spec": {"predictor": changed, "canary": None}}


def rollback_patch(found: Mapping[str, Any], contest: Contest) -> dict[str, Any] | None:
    """The merge patch by which the champion has everything again; None where it has.

    Raises:
        BadInput: ``platform.other_champion``.
    """
    notes, predictor = _notes(found), found["spec"]["predictor"]
    if _serves(predictor) != _version(contest.candidate, contest.candidate_package):
        mine = [one for one in found["spec"].get("canary") or () if source_of(one["predictor"]) == contest.storage_uri]
        if notes.get(CANDIDATE) != _mark(contest) and not mine:
            return None  # ours is not there any more
        return {"metadata": {"annotations": {CANDIDATE: None}}, "spec": {"canary": None}}
    if notes.get(BEFORE) != str(contest.champion) or not notes.get(BEFORE_SOURCE):
        raise _other(predictor, contest)
    own = version_annotations(contest.champion, contest.champion_package, notes[BEFORE_SOURCE])
    annotations = {
        VERSION_NOTE: own[VERSION_NOTE],
        PACKAGE_NOTE: own[PACKAGE_NOTE],
        **dict.fromkeys((*MADE, *OF_EXPORT)),
    }
    changed = {"annotations": own, "name": notes.get(BEFORE_NAME) or None}
    return {"metadata": {"annotations": annotations}, "spec": {"predictor": changed, "canary": None}}


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


def _mark(contest: Contest) -> str:
    return f"{contest.candidate}:{contest.candidate_package}"


def _source(contest: Contest) -> str:
    if contest.storage_uri is None:
        raise WrongUse(
            "platform.no_storage_uri",
            "It is not known where the candidate's export lies.",
            "Give --storage-uri s3://…: where `dubflow serve export` was put.",
        )
    return contest.storage_uri


def _version(version: int, package: str | None) -> tuple[str, str]:
    return str(version), package or ""


def _serves(predictor: Mapping[str, Any]) -> tuple[str, str]:
    """Version and package that a predictor's pods are told to serve; empty for the starter."""
    notes = predictor.get("annotations") or {}
    return str(notes.get(VERSION_NOTE, "")), str(notes.get(PACKAGE_NOTE, ""))


def _is_champion(predictor: Mapping[str, Any], contest: Contest) -> None:
    if _serves(predictor) != _version(contest.champion, contest.champion_package):
        raise _other(predictor, contest)


def _other(predictor: Mapping[str, Any], contest: Contest) -> BadInput:
    return BadInput(
        "platform.other_champion",
        f"The contest is against version {contest.champion}; InferenceService {contest.model} serves "
        f"{'version ' + _serves(predictor)[0] if _serves(predictor)[0] else 'the starter'}.",
        "Somebody changed it: dubflow rollout rollback, then begin anew.",
    )
