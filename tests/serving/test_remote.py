"""Tritons of other machines: who is there, which one a job gets, and what a state folder then says."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubflow.errors import OurFault, WrongUse
from dubflow.serving.following import Follower, followed
from dubflow.serving.remote import Answering, Fleet, resolved, split_address
from dubflow.serving.repository import Installed
from dubflow.serving.state import Health, now, read_state, update_state
from dubflow.serving.telling import BESIDE, Told

NOBODY = "127.0.0.1:1"


def told(version: int, *, fine: bool | None = True, **beside: str) -> Told:
    installed = Installed(
        version=version, package=f"{version:064x}", engine=f"e-{version}", world="embedded", languages=("en",),
        folder=Path("/elsewhere/model"),
    )  # fmt: skip
    health = None if fine is None else Health(fine=fine, at=now(), seconds=0.1, reason="" if fine else "mute")
    return Told(installed=installed, health=health, beside=beside)


class Servers(Fleet):
    """A fleet whose servers tell what a test wants."""

    def __init__(self, *versions: Told) -> None:
        super().__init__("dubflow-triton:9000", "k" * 16)
        object.__setattr__(self, "there", list(versions))

    def answering(self) -> tuple[Answering, ...]:
        there: list[Told] = self.__dict__["there"]
        return tuple(Answering(f"10.0.0.{number}:9000", one) for number, one in enumerate(there))


def becomes(follower: Follower, *versions: Told) -> tuple[int | None, int | None]:
    """What the state names once these serve."""
    follower.fleet.__dict__["there"][:] = versions
    state = follower.look()
    return tuple(None if one is None else one.version for one in (state.current, state.previous))  # type: ignore[return-value]


def test_the_state_says_what_the_servers_serve(tmp_path: Path) -> None:
    follower = Follower(tmp_path, Servers(), "dubber")
    assert becomes(follower) == (None, None)
    state = read_state(tmp_path)
    assert (state.mode, state.model, state.grpc) == ("triton", "dubber", "dubflow-triton:9000")
    assert state.health is not None
    assert not state.health.fine
    assert becomes(follower, told(3), told(3)) == (3, None)
    state = read_state(tmp_path)
    assert state.current is not None
    assert (state.current.engine, state.current.package) == ("e-3", f"{3:064x}")
    assert state.health is not None
    assert state.health.fine
    assert state.counts.switches == 1


def test_a_canary_is_named_beside_the_one_that_most_serve_until_it_is_most(tmp_path: Path) -> None:
    follower = Follower(tmp_path, Servers(), "dubber")
    assert becomes(follower, told(3), told(3), told(4)) == (3, 4)
    assert becomes(follower, told(3), told(4)) == (3, 4), "as many: who was current stays"
    assert becomes(follower, told(3), told(4), told(4)) == (4, 3)
    assert becomes(follower, told(4)) == (4, None)
    assert read_state(tmp_path).counts.switches == 2


def test_where_nobody_answers_the_last_that_was_known_stays_and_is_not_well(tmp_path: Path) -> None:
    follower = Follower(tmp_path, Servers(), "dubber")
    becomes(follower, told(3))
    since = read_state(tmp_path).current
    assert becomes(follower) == (3, None)
    health = read_state(tmp_path).health
    assert health is not None
    assert not health.fine
    assert "nobody answers" in health.reason
    assert becomes(follower, told(3)) == (3, None)
    assert read_state(tmp_path).current == since, "it was never switched"


def test_one_server_that_is_not_well_is_the_health_of_all(tmp_path: Path) -> None:
    follower = Follower(tmp_path, Servers(), "dubber")
    becomes(follower, told(3), told(3, fine=False), told(3, fine=None), told(4))
    health = read_state(tmp_path).health
    assert health is not None
    assert (health.fine, health.reason) == (False, "mute")


def test_what_lies_beside_a_model_comes_with_it_and_goes_with_it(tmp_path: Path) -> None:
    (name,) = BESIDE
    follower = Follower(tmp_path, Servers(), "dubber")
    becomes(follower, told(3, **{name: "{}"}))
    served = read_state(tmp_path).current
    assert served is not None
    assert (served.folder / name).read_text() == "{}"
    becomes(follower, told(4))
    assert not served.folder.exists()


def test_another_starter_of_the_same_number_is_another_model(tmp_path: Path) -> None:
    """As when the image is upgraded: version 0 and no package, before and after."""
    follower = Follower(tmp_path, Servers(), "dubber")
    old, new = (told(0).model_copy(update={"installed": told(0).installed.model_copy(update=changes)})
                for changes in ({"package": None, "engine": "old"}, {"package": None, "engine": "new/1"}))  # fmt: skip
    becomes(follower, old)
    becomes(follower, new)
    served = read_state(tmp_path).current
    assert served is not None
    assert served.engine == "new/1"
    assert becomes(follower, old, old, new) == (0, None)
    served = read_state(tmp_path).current
    assert served is not None
    assert served.engine == "old"


def test_a_folder_of_another_model_or_server_is_begun_anew(tmp_path: Path) -> None:
    becomes(Follower(tmp_path, Servers(), "dubber"), told(3))
    becomes(Follower(tmp_path, Servers(), "other"))
    assert read_state(tmp_path).model == "other"
    assert read_state(tmp_path).current is None


@given(st.lists(st.integers(1, 3), min_size=1, max_size=9))
def test_the_current_version_is_one_that_no_other_outnumbers(
    tmp_path_factory: pytest.TempPathFactory, versions: list[int]
) -> None:
    follower = Follower(tmp_path_factory.mktemp("state"), Servers(), "dubber")
    current, previous = becomes(follower, *map(told, versions))
    counts = Counter(versions)
    assert current is not None
    assert counts[current] == max(counts.values())
    assert (previous is None) == (len(counts) == 1)
    assert previous != current


def test_a_follower_that_cannot_write_goes_on(tmp_path: Path) -> None:
    said: list[str] = []
    follower = Follower(tmp_path, Servers(), "dubber", said.append)
    becomes(follower, told(3))
    said.clear()
    (tmp_path / "serving.json").write_text("{")
    with followed(follower, every_s=0.01):
        while len(said) < 2:
            time.sleep(0.005)
    assert all("not known" in one for one in said)


def test_where_nobody_listens_nobody_answers() -> None:
    fleet = Fleet(NOBODY, "k" * 16)
    assert fleet.endpoints() == (NOBODY,)
    assert fleet.answering() == ()
    with pytest.raises(OurFault, match="None of the 1 servers") as caught:
        fleet.one()
    assert caught.value.code == "serving.nothing_served"
    assert Fleet("no-such-host.invalid:9000", "k").endpoints() == ()


def test_each_server_is_as_likely_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet("all:9000", "k", lambda host, port: [f"{host}-{n}:{port}" for n in range(4)])
    monkeypatch.setattr("dubflow.serving.remote.ask", lambda endpoint, key: told(int(endpoint[4])))
    counts = Counter(fleet.one().endpoint for _ in range(800))
    # Four times 200 expected; six standard deviations of a binomial are 73.
    assert all(abs(counts[f"all-{n}:9000"] - 200) < 75 for n in range(4))


def test_one_that_does_not_answer_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(endpoint: str, key: str) -> Told:
        if not endpoint.startswith("all-2"):
            raise OurFault("serving.unavailable", "It is gone.")
        return told(2)

    monkeypatch.setattr("dubflow.serving.remote.ask", asked)
    fleet = Fleet("all:9000", "k", lambda host, port: [f"{host}-{n}:{port}" for n in range(4)])
    assert {fleet.one().endpoint for _ in range(20)} == {"all-2:9000"}
    assert [one.endpoint for one in fleet.answering()] == ["all-2:9000"]


@pytest.mark.parametrize("wrong", ["triton", "triton:", ":9000", "triton:http", "triton:0", "triton:70000"])
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(WrongUse, match="HOST:PORT"):
        split_address(wrong)


def test_addresses_are_written_as_clients_want_them() -> None:
    assert split_address("[::1]:9000") == ("::1", 9000)
    assert resolved("::1", 9000) in (("[::1]:9000",), ())
    assert resolved("127.0.0.1", 9000) == ("127.0.0.1:9000",)


def test_changes_of_others_are_kept(tmp_path: Path) -> None:
    follower = Follower(tmp_path, Servers(), "dubber")
    becomes(follower, told(3))
    update_state(tmp_path, lambda state: state.noted("somebody was here"))
    becomes(follower, told(3))
    assert len(read_state(tmp_path).notices) == 1
