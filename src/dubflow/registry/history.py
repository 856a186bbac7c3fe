"""Who is champion, as an append-only history: what may follow what, without a database.

The aliases follow from the entries. A promotion puts a version on a stack whose top is ``champion`` and whose next is
``previous``; a rollback takes the top off, so rolling back twice goes two models back instead of to and fro. Each entry
names the digest of the one before it: an entry that was changed, or taken out of the middle, is noticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from dubflow.config import Strict
from dubflow.corpora.cache import content_key
from dubflow.errors import BadInput, WrongUse
from dubflow.judging.card.rows import Digest

Action = Literal["register", "promote", "rollback"]
Alias = Literal["champion", "challenger", "previous"]
ALIASES: tuple[Alias, ...] = ("champion", "challenger", "previous")
START = "0" * 64
"""What the first entry names as the one before it."""


class Entry(Strict):
    """One change of a model's aliases."""

    model: str
    number: int = Field(ge=1, description="Counts up by one; the database takes each number once.")
    at: str = Field(description="UTC, ISO 8601.")
    by: str = Field(min_length=1, description="Who did it.")
    action: Action
    version: int = Field(ge=1, description="That was registered, promoted, or rolled back to.")
    package: Digest = Field(description="Of that version.")
    before: int | None = Field(description="Champion until then.")
    champion: int | None
    previous: int | None
    challenger: int | None
    verdict: Digest | None = Field(None, description="That the promotion rests on.")
    reason: str = ""
    override: bool = Field(False, description="Whether somebody promoted it against or without the gate.")
    follows: Digest = Field(description="Digest of the entry before.")

    @property
    def digest(self) -> str:
        """Of everything in it."""
        return content_key(self.model_dump(mode="json"))


@dataclass(frozen=True)
class Change:
    """What somebody wants done, apart from what it is done to."""

    by: str
    at: str
    reason: str = ""
    verdict: str | None = None
    override: bool = False


@dataclass(frozen=True)
class State:
    """Where a model stands after some entries.

    Attributes:
        number: of the last entry; 0 before the first.
        champions: versions that were promoted and not rolled back, oldest first. packages: digest of each version.
    """

    model: str
    number: int = 0
    champions: tuple[int, ...] = ()
    challenger: int | None = None
    digest: str = START
    packages: tuple[tuple[int, str], ...] = ()

    @property
    def champion(self) -> int | None:
        """The version in use."""
        return self.champions[-1] if self.champions else None

    @property
    def previous(self) -> int | None:
        """The version a rollback goes to."""
        return self.champions[-2] if len(self.champions) > 1 else None

    @property
    def aliases(self) -> dict[Alias, int]:
        """Those that are set."""
        every: dict[Alias, int | None] = {
            "champion": self.champion,
            "challenger": self.challenger,
            "previous": self.previous,
        }
        return {alias: version for alias, version in every.items() if version is not None}

    def package(self, version: int) -> str | None:
        """Digest that ``version`` was registered with; None for a version that was not."""
        return dict(self.packages).get(version)

    def registered(self, version: int, package: str, change: Change) -> Entry:
        """The entry of a new version, which becomes the challenger."""
        return self._entry("register", version, package, self.champions, version, change)

    def promoted(self, version: int, change: Change) -> Entry:
        """The entry that makes ``version`` champion.

        Raises:
            BadInput: ``registry.not_registered``. WrongUse: ``registry.already_champion``.
        """
        package = self.package(version)
        if package is None:
            raise BadInput(
                "registry.not_registered",
                f"Version {version} of {self.model} was not registered by dubflow, so nobody knows what is in it.",
                "Register its package: dubflow models register.",
            )
        if version == self.champion:
            raise WrongUse("registry.already_champion", f"Version {version} of {self.model} is the champion already.")
        challenger = None if version == self.challenger else self.challenger
        return self._entry("promote", version, package, (*self.champions, version), challenger, change)

    def rolled_back(self, change: Change) -> Entry:
        """The entry that takes the champion off and puts the one before it back.

        Raises:
            WrongUse: ``registry.nothing_before``.
        """
        if self.previous is None:
            raise WrongUse(
                "registry.nothing_before",
                f"{self.model} has no champion before this one to go back to.",
                "See what there was: dubflow models history.",
            )
        package = self.package(self.previous) or START
        return self._entry("rollback", self.previous, package, self.champions[:-1], self.challenger, change)

    def _entry(
        self,
        action: Action,
        version: int,
        package: str,
        champions: tuple[int, ...],
        challenger: int | None,
        change: Change,
    ) -> Entry:
        return Entry(
            model=self.model,
            number=self.number + 1,
            at=change.at,
            by=change.by,
            action=action,
            version=version,
            package=package,
            before=self.champion,
            champion=champions[-1] if champions else None,
            previous=champions[-2] if len(champions) > 1 else None,
            challenger=challenger,
            verdict=change.verdict,
            reason=change.reason,
            override=change.override,
            follows=self.digest,
        )


def state_of(model: str, entries: Sequence[Entry]) -> State:
    """Where ``model`` stands after ``entries``, oldest first.

    Raises:
        BadInput: ``registry.history_damaged`` when an entry is missing, was changed or does not follow.
    """
    state = State(model)
    for entry in entries:
        state = _after(state, entry)
    return state


def _after(state: State, entry: Entry) -> State:
    if entry.number != state.number + 1 or entry.follows != state.digest or entry.before != state.champion:
        raise _damaged(state, entry)
    champions = state.champions
    packages = state.packages
    if entry.action == "register":
        packages = (*packages, (entry.version, entry.package))
    elif entry.action == "promote":
        champions = (*champions, entry.version)
    else:
        champions = champions[:-1]
    after = State(state.model, entry.number, champions, entry.challenger, entry.digest, packages)
    if (after.champion, after.previous) != (entry.champion, entry.previous):
        raise _damaged(state, entry)
    return after


def _damaged(state: State, entry: Entry) -> BadInput:
    return BadInput(
        "registry.history_damaged",
        f"The history of {state.model} is damaged: entry {entry.number} does not follow entry {state.number}.",
        "Entries were changed or removed in the database. Restore it from a copy; nothing is promoted until then.",
        number=entry.number,
    )
