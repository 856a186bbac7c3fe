"""What a rollout decided and why: an append-only file of entries, each of which names the digest of the one before.

The file is the truth: a decision is written down first and carried out after that, so whoever was killed in between
finds what is to be done by reading. A last line that was cut off by a kill was never a decision, and is dropped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from dubflow.config import Strict
from dubflow.corpora.cache import content_key
from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.locking import alone_in
from dubflow.platform.rollout.checks import Check
from dubflow.platform.rollout.policy import RolloutPolicy, Where
from dubflow.registry.history import START

FILE, ASKED_BACK = "rollout.jsonl", "rollback.asked"
_PATIENCE_S = 2.0

Action = Literal["start", "advance", "hold", "promote", "rollback", "done"]
Phase = Literal["none", "running", "promoting", "rolling_back", "promoted", "rolled_back"]


class Contest(Strict):
    """Who is to follow whom, and under which rules; fixed at the start."""

    model: str
    where: Where
    candidate: int = Field(ge=1, description="Version in the registry.")
    candidate_package: str
    champion: int = Field(ge=0)
    champion_package: str | None
    policy: RolloutPolicy = RolloutPolicy()
    verdict: Path | None = Field(None, description="Of the gate, for the promotion at the end.")
    override: str = Field("", description="Why the gate does not count; empty where it does.")
    storage_uri: str | None = Field(None, description="Of the candidate's export, for a cluster.")


class Decision(Strict):
    """One entry."""

    format: Literal["dubflow.rollout/1"] = "dubflow.rollout/1"
    number: int = Field(ge=1)
    at: str = Field(description="UTC, ISO 8601.")
    by: str = Field(min_length=1)
    action: Action
    percent: int = Field(ge=0, le=100, description="Of the traffic, that the candidate has from now on.")
    reasons: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    contest: Contest | None = Field(None, description="Of a start.")
    follows: str = Field(description="Digest of the entry before.")

    @property
    def digest(self) -> str:
        """Of everything in it."""
        return content_key(self.model_dump(mode="json"))


@dataclass(frozen=True)
class Standing:
    """Where a model's rollout stands after some entries.

    Attributes:
        looks: judgements so far in this rollout. carried_out: whether the last decision is known to have been done.
    """

    phase: Phase = "none"
    contest: Contest | None = None
    percent: int = 0
    looks: int = 0
    number: int = 0
    digest: str = START
    carried_out: bool = True

    @property
    def going_on(self) -> bool:
        """Whether a candidate is between start and end."""
        return self.phase in ("running", "promoting", "rolling_back")


class RolloutLog:
    """The entries of one model in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.file = self.folder / FILE

    @contextmanager
    def held(self, patience_s: float = _PATIENCE_S) -> Iterator[None]:
        """Nobody else decides meanwhile.

        Raises:
            WrongUse: ``platform.rollout_busy``.
        """
        busy = WrongUse(
            "platform.rollout_busy",
            f"Another process works on the rollout in {self.folder}.",
            "Wait for it, or take the candidate back, for which it stops: dubflow rollout rollback.",
        )
        with alone_in(self.folder, busy, patience_s):
            yield

    def ask_back(self) -> None:
        """Have whoever judges now stop at the next dub: somebody wants the candidate back."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / ASKED_BACK).touch()

    def asked_back(self) -> bool:
        """Whether somebody wants the candidate back who waits for us."""
        return (self.folder / ASKED_BACK).exists()

    def answered_back(self) -> None:
        """Nobody waits any more."""
        (self.folder / ASKED_BACK).unlink(missing_ok=True)

    def entries(self) -> tuple[Decision, ...]:
        """All of them, oldest first; checked to be whole.

        Raises:
            BadInput: ``platform.rollout_damaged``.
        """
        try:
            lines = self.file.read_bytes().split(b"\n")
        except FileNotFoundError:
            return ()
        found: list[Decision] = []
        for line in lines[:-1]:  # what follows the last newline was never written to its end
            try:
                one = Decision.model_validate(json.loads(line))
            except (ValueError, ValidationError) as error:
                raise self._damaged(f"line {len(found) + 1} does not read ({error})") from error
            follows = found[-1].digest if found else START
            if (one.number, one.follows) != (len(found) + 1, follows):
                raise self._damaged(f"entry {one.number} does not follow entry {len(found)}")
            found.append(one)
        return tuple(found)

    def standing(self) -> Standing:
        """Where it stands.

        Raises:
            BadInput: ``platform.rollout_damaged``.
        """
        return standing_of(self.entries())

    def append(self, entry: Decision) -> None:
        """Write ``entry`` to the disk, for good.

        Raises:
            OurFault: ``platform.rollout_not_written``.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        line = (json.dumps(entry.model_dump(mode="json"), ensure_ascii=False, sort_keys=True) + "\n").encode()
        try:
            handle = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                whole = os.pread(handle, os.fstat(handle).st_size, 0).rfind(b"\n") + 1
                os.ftruncate(handle, whole)  # what a killed writer left of a line
                os.lseek(handle, whole, os.SEEK_SET)
                os.write(handle, line)
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise OurFault(
                "platform.rollout_not_written", f"{self.file}: {error.strerror}.", "Nothing was decided; make room."
            ) from error

    def _damaged(self, how: str) -> BadInput:
        return BadInput(
            "platform.rollout_damaged",
            f"{self.file} is damaged: {how}.",
            "It was changed by hand. Restore it, or move it away; who serves is not touched by that.",
        )


def standing_of(entries: Sequence[Decision]) -> Standing:
    """Where a model stands after ``entries``."""
    now = Standing()
    for one in entries:
        contest, looks, phase, carried_out = now.contest, now.looks, now.phase, False
        if one.action == "start":
            contest, looks, phase = one.contest, 0, "running"
        elif one.action in ("advance", "hold"):
            looks += 1
        elif one.action == "promote":
            looks, phase = looks + bool(one.checks), "promoting"
        elif one.action == "rollback":
            looks, phase = looks + bool(one.checks), "rolling_back"
        else:
            phase = {"promoting": "promoted", "rolling_back": "rolled_back"}.get(phase, phase)  # type: ignore[assignment]
            carried_out = True
        now = Standing(phase, contest, one.percent, looks, one.number, one.digest, carried_out)
    return now
