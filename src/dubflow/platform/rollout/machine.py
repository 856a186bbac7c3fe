"""The state machine of a rollout: start, 10 %, 50 %, all of it; hold where nobody knows, back where it is worse.

A decision is written down, then carried out, then written down as done. Carrying out is done again by whoever finds a
decision that is not known to be done: everything that a :class:`Place` does may be done twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Protocol

from dubflow.errors import BadInput, DubflowError, WrongUse
from dubflow.platform.rollout import checks
from dubflow.platform.rollout.checks import Check, GoldenPair, Requests
from dubflow.platform.rollout.records import Action, Contest, Decision, RolloutLog, Standing

_BACK_S = 90.0
"""A judgement in progress ends at its next dub, for which it is given this long."""


class Place(Protocol):
    """Where candidate and champion run: a server here, or a cluster. Everything may be done twice."""

    def set_share(self, contest: Contest, percent: int) -> None:
        """See that the candidate runs beside the champion and has this share of the traffic.

        Raises:
            DubflowError: it does not run, or somebody else changed what runs.
        """

    def golden(self, contest: Contest, dubs: int, look: int, stopped: Callable[[], bool]) -> Sequence[GoldenPair]:
        """Golden dubs by both versions as they run now, with other noise at each look.

        Raises:
            WrongUse: ``platform.rollout_stopped`` once ``stopped`` says so.
            DubflowError: where they cannot even be asked.
        """

    def requests(self, contest: Contest) -> tuple[Requests | None, Requests | None] | None:
        """What users' requests to candidate and champion came to; None where nobody is asked (locally, by choice)."""

    def promote(self, contest: Contest, by: str) -> None:
        """Give the candidate everything, and make it champion of the registry."""

    def rollback(self, contest: Contest, by: str, reason: str) -> None:
        """Give the champion everything, and end the candidate; where it is champion already, the one before."""


class Rollout:
    """One model's rollout.

    Args:
        say: is told what happens.
    """

    def __init__(self, log: RolloutLog, place: Place, say: Callable[[str], None] = lambda _: None) -> None:
        self.log, self._place, self._say = log, place, say

    def start(self, contest: Contest, by: str) -> Standing:
        """Begin with the first share, without judging yet; the same contest begun twice is one.

        Raises:
            WrongUse: ``platform.rollout_going_on``, ``platform.rollout_busy``. What the place raises.
        """
        with self.log.held():
            now = self.log.standing()
            if now.going_on and now.contest is not None:
                if now.contest != contest or now.phase != "running":
                    raise WrongUse(
                        "platform.rollout_going_on",
                        f"Version {now.contest.candidate} of {now.contest.model} is being rolled out "
                        f"({now.phase.replace('_', ' ')}, {now.percent} %).",
                        "End that one: dubflow rollout promote, or dubflow rollout rollback.",
                    )
                return self._carried_out(now, by)
            self.log.answered_back()  # of somebody who was killed while waiting for an earlier one
            told = f"version {contest.candidate} against {contest.champion}"
            now = self._decide(now, "start", by, contest.policy.stages[0], (told,), contest=contest)
            try:
                return self._carried_out(now, by)
            except DubflowError as error:
                # It never ran: that is the end of it, and the champion was not touched.
                self._back(now, by, (f"it could not be started: {error.headline} [{error.code}]",))
                raise

    def advance(self, by: str) -> Standing:
        """Judge the candidate once: go on to the next share, hold, or go back; after the last share promote.

        Raises:
            WrongUse: ``platform.no_rollout``, ``platform.rollout_busy``. What the place raises; the next call goes on.
        """
        with self.log.held():
            now = self.log.standing()
            contest = self._contest(now)
            now = self._carried_out(now, by)
            if now.phase != "running":
                return now
            look = now.looks + 1
            found = self._look(contest, now, look)
            reasons = tuple(one.reason for one in found)
            outcome = checks.outcome_of(found)
            policy = contest.policy
            if outcome == "hold" and look >= policy.most_looks:
                reasons = (*reasons, f"nobody knows after {look} looks, so the champion stays")
                outcome = "fail"
            if outcome == "fail":
                return self._back(now, by, reasons, found)
            if outcome == "hold":
                return self._done(self._decide(now, "hold", by, now.percent, reasons, found), by)
            later = [one for one in policy.stages if one > now.percent]
            action: Action = "advance" if later else "promote"
            now = self._decide(now, action, by, later[0] if later else 100, reasons, found)
            return self._carried_out(now, by)

    def run(self, by: str) -> Standing:
        """Judge and go on until the candidate is promoted, has gone back, or is held.

        Raises:
            as :meth:`advance`.
        """
        while True:
            before = self.log.standing()
            now = self.advance(by)
            if now.phase != "running" or now.percent == before.percent:
                return now

    def rollback(self, by: str, reason: str) -> Standing:
        """Back to the champion, at once and without judging; also after the promotion.

        Raises:
            WrongUse: ``platform.no_rollout``, ``platform.rollout_busy``. What the place raises; the next call goes on.
        """
        self.log.ask_back()
        try:
            held = self.log.held(_BACK_S)
            return self._held_back(held, by, reason)
        finally:
            self.log.answered_back()

    def resume(self, by: str) -> Standing:
        """Carry out what was decided and is not known to be done; nothing new is decided."""
        with self.log.held():
            return self._carried_out(self.log.standing(), by)

    def _held_back(self, held: AbstractContextManager[None], by: str, reason: str) -> Standing:
        with held:
            now = self.log.standing()
            if now.contest is None or now.phase == "rolled_back":
                raise _nothing()
            if now.phase == "rolling_back":
                return self._carried_out(now, by)
            return self._back(now, by, (reason or "asked for",))

    def _look(self, contest: Contest, now: Standing, look: int) -> tuple[Check, ...]:
        policy = contest.policy
        dubs = policy.dubs[policy.stages.index(now.percent)]
        self._say(f"{now.percent} %: {dubs} golden dubs by each version (look {look})")
        pairs = self._place.golden(contest, dubs, look, self.log.asked_back)
        found = [
            checks.answering(pairs),
            checks.quality(pairs, policy, look),
            checks.speed(pairs, policy, look),
        ]
        counted = self._place.requests(contest)
        if counted is None:
            told = "users' requests are not asked about: no user's job goes to the candidate before it is promoted"
            found.append(Check(name="requests", outcome="not_asked", reason=told))
        else:
            found += [checks.errors(*counted, policy, look), checks.latency(*counted, policy, look)]
        for one in found:
            self._say(f"{one.outcome}: {one.reason}")
        return tuple(found)

    def _back(self, now: Standing, by: str, reasons: Sequence[str], found: Sequence[Check] = ()) -> Standing:
        return self._carried_out(self._decide(now, "rollback", by, 0, reasons, found), by)

    def _carried_out(self, now: Standing, by: str) -> Standing:
        """Do what the last decision says; where nothing is to be done, see that it still is so."""
        contest = now.contest
        if contest is None:
            return now
        if now.phase == "running":
            self._place.set_share(contest, now.percent)
        elif now.phase == "promoting":
            try:
                self._place.promote(contest, by)
            except BadInput as error:
                # Refused for good, such as by a verdict that is stale: it cannot stay half way.
                return self._back(now, by, (f"the promotion was refused: {error.headline} [{error.code}]",))
        elif now.phase == "rolling_back":
            entries = self.log.entries()
            self._place.rollback(contest, by, "; ".join(entries[-1].reasons)[:500])
        return now if now.carried_out else self._done(now, by)

    def _done(self, now: Standing, by: str) -> Standing:
        return self._decide(now, "done", by, now.percent)

    def _decide(
        self,
        now: Standing,
        action: Action,
        by: str,
        percent: int,
        reasons: Sequence[str] = (),
        found: Sequence[Check] = (),
        contest: Contest | None = None,
    ) -> Standing:
        entry = Decision(
            number=now.number + 1,
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            by=by,
            action=action,
            percent=percent,
            reasons=tuple(reasons),
            checks=tuple(found),
            contest=contest,
            follows=now.digest,
        )
        self.log.append(entry)
        if action != "done":
            self._say(f"{action}: {percent} % of the traffic")
        return self.log.standing()

    def _contest(self, now: Standing) -> Contest:
        if now.contest is None or not now.going_on:
            raise _nothing()
        return now.contest


def _nothing() -> WrongUse:
    return WrongUse("platform.no_rollout", "Nothing is being rolled out here.", "Begin: dubflow rollout start MODEL.")
