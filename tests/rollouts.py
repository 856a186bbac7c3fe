"""Contests, and a place whose golden dubs and requests a test decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dubflow.errors import DubflowError, OurFault, WrongUse
from dubflow.platform.rollout.checks import GoldenPair, Requests
from dubflow.platform.rollout.policy import RolloutPolicy
from dubflow.platform.rollout.records import Contest

PHONES = 20


def contest(**changes: Any) -> Contest:
    facts: dict[str, Any] = {
        "model": "dubber", "where": "local", "candidate": 2, "candidate_package": "b" * 64, "champion": 1,
        "champion_package": "a" * 64, "policy": RolloutPolicy(rounds=500), "override": "for a test",
    }  # fmt: skip
    return Contest.model_validate(facts | changes)


def pairs(count: int, *, worse: float = 0.0, slower: float = 1.0, seed: int = 0) -> list[GoldenPair]:
    """Dubs whose champion has a third of its phones wrong, and whose candidate has ``worse`` more of them wrong."""
    rng = np.random.default_rng(seed)
    base = rng.binomial(PHONES, 0.3, count)
    more = rng.binomial(PHONES, abs(worse), count) * np.sign(worse).astype(int)
    seconds = rng.uniform(0.9, 1.1, (2, count))
    return [
        GoldenPair(
            seed=number,
            phones=PHONES,
            candidate_errors=int(max(0, base[number] + more[number])),
            champion_errors=int(base[number]),
            candidate_s=float(seconds[0, number] * slower),
            champion_s=float(seconds[1, number]),
        )
        for number in range(count)
    ]


def counted(served: float, failed: float = 0.0) -> Requests:
    """Requests of ten minutes, a second each."""
    return Requests(served, failed, tuple((60.0 * minute, served / 10, served / 10) for minute in range(10)))


class Stage:
    """Keeps in mind who has how much, and can be told to fail.

    Attributes:
        answers: what the next looks find; the last one again and again. fails: raised by the next change, once.
        fails_at: the change that the registry does not answer at, once.
    """

    def __init__(self, *answers: Sequence[GoldenPair]) -> None:
        self.answers = list(answers) or [pairs(24)]
        self.counted: tuple[Requests | None, Requests | None] | None = None
        self.share, self.champion = 0, 1
        self.fails: DubflowError | None = None
        self.fails_at = ""
        self.calls: list[str] = []

    def set_share(self, contest: Contest, percent: int) -> None:
        self._change(f"share {percent}")
        self.share = percent

    def golden(
        self, contest: Contest, dubs: int, look: int, stopped: Callable[[], bool] = lambda: False
    ) -> Sequence[GoldenPair]:
        self.calls.append(f"golden {dubs}")
        if stopped():
            raise WrongUse("platform.rollout_stopped", "stopped")
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def requests(self, contest: Contest) -> tuple[Requests | None, Requests | None] | None:
        return self.counted

    def promote(self, contest: Contest, by: str) -> None:
        self._change("promote")
        self.share, self.champion = 100, contest.candidate

    def rollback(self, contest: Contest, by: str, reason: str) -> None:
        self._change("rollback")
        self.share, self.champion = 0, contest.champion

    def _change(self, what: str) -> None:
        self.calls.append(what)
        if self.fails_at and what.startswith(self.fails_at):
            self.fails_at = ""
            raise OurFault("registry.unreachable", "It does not answer.")
        if self.fails is not None:
            fails, self.fails = self.fails, None
            raise fails
