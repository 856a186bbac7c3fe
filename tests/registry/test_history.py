"""The history: who may follow whom, and that nobody can rewrite it unnoticed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput, WrongUse
from dubflow.registry.history import START, Change, Entry, State, state_of

CHANGES = (
    {"by": "eve"},
    {"at": "2020"},
    {"reason": "x"},
    {"package": "f" * 64},
    {"override": True},
    {"verdict": "e" * 64},
)
CHANGE = Change(by="ann", at="2026-01-01T00:00:00+00:00")


def package(version: int) -> str:
    return f"{version:064x}"


def played(moves: list[tuple[str, int]]) -> tuple[list[Entry], list[int]]:
    """Entries of moves as far as they are allowed, and the stack of champions kept the simplest way."""
    entries: list[Entry] = []
    stack: list[int] = []
    registered: list[int] = []
    for kind, number in moves:
        state = state_of("m", entries)
        if kind == "register":
            registered.append(len(registered) + 1)
            entries.append(state.registered(registered[-1], package(registered[-1]), CHANGE))
        elif kind == "promote" and registered:
            version = registered[number % len(registered)]
            if stack and stack[-1] == version:
                with pytest.raises(WrongUse):
                    state.promoted(version, CHANGE)
                continue
            stack.append(version)
            entries.append(state.promoted(version, CHANGE))
        elif kind == "rollback":
            if len(stack) < 2:
                with pytest.raises(WrongUse):
                    state.rolled_back(CHANGE)
                continue
            stack.pop()
            entries.append(state.rolled_back(CHANGE))
    return entries, stack


MOVES = st.lists(st.tuples(st.sampled_from(["register", "promote", "rollback"]), st.integers(0, 9)), max_size=25)


@given(MOVES)
@settings(deadline=None, max_examples=80)
def test_champions_are_a_stack(moves: list[tuple[str, int]]) -> None:
    entries, stack = played(moves)
    state = state_of("m", entries)
    assert list(state.champions) == stack
    assert state.number == len(entries)
    assert state.champion == (stack[-1] if stack else None)
    assert state.previous == (stack[-2] if len(stack) > 1 else None)
    if state.challenger is not None:
        assert state.challenger == len(state.packages)  # the newest, until it is promoted
    if entries:
        last = entries[-1]
        assert (last.champion, last.previous, last.challenger) == (state.champion, state.previous, state.challenger)
    assert all(state.package(version) == package(version) for version, _ in state.packages)


@given(MOVES, st.data())
@settings(deadline=None, max_examples=80)
def test_a_history_that_was_rewritten_is_noticed(moves: list[tuple[str, int]], data: st.DataObject) -> None:
    """Any change of any entry but the last, any gap, any swap."""
    entries, _ = played([("register", 0), ("promote", 0), ("register", 0), *moves])
    place = data.draw(st.integers(0, len(entries) - 2))
    change = data.draw(
        st.sampled_from(
            [
                {"by": "eve"},
                {"at": "2020"},
                {"reason": "x"},
                {"package": "f" * 64},
                {"override": True},
                {"verdict": "e" * 64},
            ]
        )
    )
    rewritten = [*entries[:place], entries[place].model_copy(update=change), *entries[place + 1 :]]
    gap = entries[:place] + entries[place + 1 :]
    swapped = [*entries[:place], entries[place + 1], entries[place], *entries[place + 2 :]]
    for bad in (rewritten, gap, swapped):
        with pytest.raises(BadInput) as caught:
            state_of("m", bad)
        assert caught.value.code == "registry.history_damaged"


def test_rolling_back_twice_goes_two_models_back() -> None:
    entries, _ = played([("register", 0)] * 3 + [("promote", 0), ("promote", 1), ("promote", 2), ("rollback", 0)])
    assert entries[-1].champion == 2
    state = state_of("m", entries)
    assert state.rolled_back(CHANGE).champion == 1
    assert state.aliases == {"champion": 2, "previous": 1}


def test_an_entry_says_everything() -> None:
    state = state_of("m", [State("m").registered(1, package(1), CHANGE)])
    entry = state.promoted(1, Change(by="ann", at="now", reason="why", verdict="ab" * 32, override=True))
    assert entry.model_dump() == {
        "model": "m", "number": 2, "at": "now", "by": "ann", "action": "promote", "version": 1,
        "package": package(1), "before": None, "champion": 1, "previous": None, "challenger": None,
        "verdict": "ab" * 32, "reason": "why", "override": True, "follows": state.digest,
    }  # fmt: skip
    assert Entry.model_validate_json(entry.model_dump_json()) == entry
    assert State("m").digest == START


def test_nobody_promotes_what_was_not_registered() -> None:
    with pytest.raises(BadInput) as caught:
        State("m").promoted(7, CHANGE)
    assert caught.value.code == "registry.not_registered"
