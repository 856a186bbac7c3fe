"""Promotion and rollback: who may become champion, and back again.

A promotion rests on a verdict of the gate that says promote, is about these very bytes, and was made against the
champion in use. Somebody may override the gate, by name and with a reason, both of which stay in the history; nobody
overrides the checks of the bytes, of the signature, or of the licences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubflow.errors import BadInput, DubflowError, OurFault, WrongUse
from dubflow.judging.gate.signing import SignedVerdict, read_verdict, verify
from dubflow.judging.gate.verdict import Verdict
from dubflow.registry.history import Change, Entry, State
from dubflow.registry.licences import LicencePolicy, check_licences
from dubflow.registry.models import Registry, now
from dubflow.registry.versions import Version


@dataclass(frozen=True)
class Rules:
    """What this deployment asks of a promotion.

    Attributes:
        package_keys: public keys, one of which must have signed the package; none: the signature is not looked at.
        verdict_keys: public keys, one of which must have signed the verdict; none: it need not be signed.
        licences: what may be used; None: not asked. policies: names of the gate's policies that count; None: all.
    """

    package_keys: Sequence[Path] = ()
    verdict_keys: Sequence[Path] = ()
    licences: LicencePolicy | None = None
    policies: Sequence[str] | None = None


@dataclass(frozen=True)
class Override:
    """Somebody decides against or without the gate.

    Raises:
        WrongUse: ``registry.override_needs_reason`` when the reason is empty.
    """

    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise WrongUse(
                "registry.override_needs_reason",
                "An override needs a reason and a name, which are written down.",
                "Give both: --override --by NAME --reason WHY.",
            )


def promote(
    registry: Registry,
    model: str,
    which: str | int,
    verdict: Path | None,
    *,
    by: str,
    rules: Rules | None = None,
    override: Override | None = None,
    reason: str = "",
    seen: int | None = None,
    dry_run: bool = False,
) -> Entry:
    """Make a version champion; the one until then becomes previous.

    A promotion that was killed after it was written down is found by its verdict and not done twice.

    Args:
        which: number or alias. verdict: file of the gate's verdict; may be None only with ``override``.
        by: who does it. seen: champion that was looked at, None where it does not matter: a verdict is bound to the
            champion that it compares with anyhow.
        dry_run: check everything and change nothing; the entry says what would have been written.

    Raises:
        WrongUse: ``registry.needs_verdict``, ``registry.needs_name``, ``registry.already_champion``.
        BadInput: ``registry.verdict_refuses``, ``registry.verdict_of_other_bytes``, ``registry.stale_verdict``,
            ``registry.other_policy``, ``registry.lost_race``, ``registry.licence_refused``; those of
            :func:`dubflow.judging.gate.signing.verify`, :meth:`Registry.version` and :meth:`Registry.read_files`.
        OurFault: ``registry.unreachable``, ``registry.aliases_behind`` when it is done and MLflow does not yet know.
    """
    rules = rules or Rules()
    _named(by)
    if verdict is None and override is None:
        raise WrongUse(
            "registry.needs_verdict",
            f"{model} {which} is promoted by a verdict of the gate; none is named.",
            "Make one: dubflow gate. Or decide without it: --override --by NAME --reason WHY.",
        )
    state = registry.state(model)
    version = registry.version(model, which, state)
    signed = None if verdict is None else read_verdict(verdict)
    done = _done_already(registry, state, version, signed)
    if done is not None:
        return done
    registry.as_seen(state, seen)
    state.promoted(version.version, Change(by=by, at=now()))  # what can be refused before anything is read
    package = registry.read_files(version, rules.package_keys)
    if rules.licences is not None:
        check_licences(package.manifest.licences, rules.licences)
    if signed is not None:
        _is_about(signed.verdict, version)
        if override is None:
            check_verdict(signed, state, version, rules)
    if signed is not None and verdict is not None and not dry_run:
        _keep(registry, version, verdict, signed.verdict)
    change = Change(
        by=by,
        at=now(),
        reason=reason if override is None else override.reason,
        verdict=None if signed is None else signed.verdict.digest,
        override=override is not None,
    )
    if dry_run:
        return state.promoted(version.version, change)
    entry = registry.change(state, lambda latest: latest.promoted(version.version, change))
    _follow(registry, model)
    return entry


def rollback(
    registry: Registry, model: str, *, by: str, reason: str = "", seen: int | None = None, dry_run: bool = False
) -> Entry:
    """Put the champion before this one back. No verdict is asked: it was champion before, and there is no time.

    Args:
        seen: champion to get rid of; where two do so one after the other, the second is refused instead of going two
            models back. None: whichever it is now.

    Raises:
        WrongUse: ``registry.nothing_before``, ``registry.needs_name``.
        BadInput: ``registry.lost_race``, ``registry.no_version`` when MLflow has it no longer; as
            :meth:`Registry.state`.
        OurFault: ``registry.unreachable``, ``registry.aliases_behind``.
    """
    _named(by)
    state = registry.state(model)
    registry.as_seen(state, seen)
    change = Change(by=by, at=now(), reason=reason)
    wanted = state.rolled_back(change)
    registry.version(model, wanted.version, state)  # before anything is written: that it is still there
    if dry_run:
        return wanted
    entry = registry.change(state, lambda latest: latest.rolled_back(change))
    _follow(registry, model)
    return entry


def check_verdict(signed: SignedVerdict, state: State, version: Version, rules: Rules) -> Verdict:
    """Whether a verdict allows ``version`` to become champion in ``state``.

    Raises:
        BadInput: ``registry.verdict_refuses``, ``registry.verdict_of_other_bytes``, ``registry.stale_verdict``,
            ``registry.other_policy``; ``judging.not_signed``, ``judging.other_signer``, ``judging.bad_signature``.
    """
    verdict = _signed_by_one(signed, rules.verdict_keys)
    _is_about(verdict, version)
    if verdict.decision != "promote":
        raise BadInput(
            "registry.verdict_refuses",
            f"The gate does not say promote but {verdict.decision}: {verdict.headline}",
            "Make a better model, or decide against the gate: --override --by NAME --reason WHY.",
            decision=verdict.decision,
            reasons=[rule.reason for rule in verdict.rules if rule.outcome in ("refuse", "inconclusive")],
        )
    if rules.policies is not None and verdict.policy not in rules.policies:
        raise BadInput(
            "registry.other_policy",
            f"The verdict was made under the policy {verdict.policy!r}; here counts {', '.join(rules.policies)}.",
            "Run the gate again with that policy.",
        )
    champion = None if state.champion is None else state.package(state.champion)
    judged_against = None if verdict.champion is None else verdict.champion.package
    if champion is not None and judged_against != champion:
        against = "nothing" if verdict.champion is None else f"the package {(judged_against or 'of no digest')[:16]}…"
        raise BadInput(
            "registry.stale_verdict",
            f"The verdict compares with {against}; champion is version {state.champion} ({champion[:16]}…).",
            "Run the gate again, against the champion in use.",
            champion=state.champion,
        )
    return verdict


def _is_about(verdict: Verdict, version: Version) -> None:
    if verdict.challenger.package != version.package:
        raise BadInput(
            "registry.verdict_of_other_bytes",
            f"The verdict is about the package {(verdict.challenger.package or 'of no digest')[:16]}…; "
            f"{version.model} {version.version} is {(version.package or 'of no digest')[:16]}….",
            "Evaluate this very package and run the gate on its card.",
        )


def _signed_by_one(signed: SignedVerdict, keys: Sequence[Path]) -> Verdict:
    """The verdict, if one of ``keys`` signed it; without keys it need not be signed."""
    refusal: BadInput | None = None
    for key in keys:
        try:
            return verify(signed, key)
        except BadInput as error:
            # Of several keys the one that made the signature has the last word on it.
            if refusal is None or refusal.code == "judging.other_signer":
                refusal = error
    if refusal is not None:
        raise refusal
    return signed.verdict


def _done_already(registry: Registry, state: State, version: Version, signed: SignedVerdict | None) -> Entry | None:
    """The promotion by this very verdict, where the version is champion through it."""
    if signed is None or state.champion != version.version:
        return None
    last = [one for one in registry.history(state.model) if one.champion != one.before][-1]
    return last if last.action == "promote" and last.verdict == signed.verdict.digest else None


def _keep(registry: Registry, version: Version, path: Path, verdict: Verdict) -> None:
    """Put the verdict beside the version's files before the history names it."""
    with registry.reaching():
        if version.run is not None:
            registry.client.log_artifact(version.run, str(path), f"verdicts/{verdict.digest[:16]}")
        tags = {"dubflow.verdict": verdict.digest, "dubflow.verdict_says": verdict.headline[:500]}
        for name, value in tags.items():
            registry.client.set_model_version_tag(version.model, str(version.version), name, value)


def _follow(registry: Registry, model: str) -> None:
    try:
        registry.state(model, told=False)
    except DubflowError as error:
        raise OurFault(
            "registry.aliases_behind",
            f"It is done and written down, but MLflow's aliases do not know yet: {error.headline}",
            "Nothing needs to be done again: the next look at the model puts them right.",
            cause=error.code,
        ) from error


def _named(by: str) -> None:
    if not by.strip():
        raise WrongUse("registry.needs_name", "Nobody is named who does this.", "Give --by NAME.")
