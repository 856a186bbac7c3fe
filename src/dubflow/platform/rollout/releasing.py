"""What a rollout does to the registry: promotion at its end, and the way back; each may be done twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubflow.errors import BadInput
from dubflow.platform.rollout.policy import RolloutPolicy, Where
from dubflow.platform.rollout.records import Contest
from dubflow.registry.models import Registry
from dubflow.registry.promoting import Override, Rules, promote, rollback


@dataclass(frozen=True)
class Releases:
    """The registry, and what it asks of promotions."""

    registry: Registry
    rules: Rules

    @property
    def package_keys(self) -> Sequence[Path]:
        """One of which must have signed a package."""
        return self.rules.package_keys

    def contest(
        self,
        model: str,
        which: str | int,
        where: Where,
        policy: RolloutPolicy,
        *,
        by: str,
        verdict: Path | None = None,
        override: str = "",
        storage_uri: str | None = None,
    ) -> Contest:
        """The contest between a version and the champion, once the registry has said that it would take the promotion.

        Raises:
            BadInput: ``platform.no_champion``; what a promotion is refused for. WrongUse: as
                :func:`dubflow.registry.promoting.promote`.
        """
        state = self.registry.state(model)
        if state.champion is None:
            raise BadInput(
                "platform.no_champion",
                f"{model} has no champion to compare with.",
                "The first one is promoted without a rollout: dubflow models promote.",
            )
        entry = promote(
            self.registry, model, which, verdict, by=by, rules=self.rules,
            override=Override(override) if override else None, dry_run=True,
        )  # fmt: skip
        return Contest(
            model=model,
            where=where,
            candidate=entry.version,
            candidate_package=entry.package,
            champion=state.champion,
            champion_package=state.package(state.champion),
            policy=policy,
            verdict=None if verdict is None else verdict.absolute(),
            override=override,
            storage_uri=storage_uri,
        )

    def promote(self, contest: Contest, by: str) -> None:
        """Make the candidate champion, unless it is.

        Raises:
            as :func:`dubflow.registry.promoting.promote`.
        """
        state = self.registry.state(contest.model)
        if state.champion == contest.candidate:
            return
        promote(
            self.registry,
            contest.model,
            contest.candidate,
            contest.verdict,
            by=by,
            rules=self.rules,
            override=Override(contest.override) if contest.override else None,
            reason="its rollout passed at every stage",
            seen=contest.champion,
        )

    def rollback(self, contest: Contest, by: str, reason: str) -> None:
        """Take the candidate off, where it is champion.

        Raises:
            as :func:`dubflow.registry.promoting.rollback`.
        """
        if self.registry.state(contest.model).champion == contest.candidate:
            rollback(self.registry, contest.model, by=by, reason=reason, seen=contest.candidate)
