"""``dubflow serve``: what would be started, what runs, and what is refused before anything is."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from dubflow.errors import WrongUse
from dubflow.gateway.settings import load_settings
from dubflow.locking import alone_in
from dubflow.platform import serving_stack
from dubflow.platform.serving_status import follow
from dubflow.serving.options import ServeOptions
from dubflow.serving.state import ServingState, write_state
from verbs import Answer

HELD = WrongUse("a.held", "It is held.")


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DUBFLOW_TRUSTED_KEYS", "DUBFLOW_LICENCES", "DUBFLOW_GATEWAY_STATE", "DUBFLOW_MLFLOW_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DUBFLOW_HOME", str(tmp_path / "home"))


def test_what_would_be_started_is_said_and_nothing_is(answer: Answer, tmp_path: Path) -> None:
    told = answer("serve", "up", "--dry-run", "--port", 0, "--workers", 3)
    assert told["dry_run"]
    assert not told["already_up"]
    assert told["mode"] in ("triton", "in_process")
    assert bool(told["why"]) is (told["mode"] == "in_process")
    assert told["options"]["model"] == "starter"
    assert told["workers"] == 3
    assert told["port"] > 0
    assert not (tmp_path / "home" / "serve").exists()


def test_the_gateway_is_told_whose_verdicts_count(answer: Answer, tmp_path: Path) -> None:
    told = answer("serve", "up", "--dry-run", "--port", 0, "--verdict-key", tmp_path / "gate.pub")
    options = ServeOptions.model_validate(told["options"])
    assert options.verdict_keys == (tmp_path / "gate.pub",)
    environment = serving_stack._gateway_environment(options)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        assert load_settings().verdict_keys == options.verdict_keys
    assert load_settings().model == "dubber", "as pipelines and guides name it"


def test_in_process_says_why(answer: Answer) -> None:
    told = answer("serve", "up", "--dry-run", "--mode", "in-process", "--port", 0)
    assert (told["mode"], told["why"]) == ("in_process", "it was asked for")


def test_where_triton_cannot_run_that_is_said_or_refused(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_stack, "why_not", lambda: "this is another machine")
    told = answer("serve", "up", "--dry-run", "--port", 0)
    assert (told["mode"], told["why"]) == ("in_process", "this is another machine")
    refused = answer("serve", "up", "--dry-run", "--mode", "triton", exit_code=2)
    assert refused["error"]["code"] == "serving.no_triton"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--model", "starter", "--name", "dubber"), "cli.wrong_use"),
        (("--registry", "sqlite:///x.db"), "cli.wrong_use"),
        (("--name", "dubber"), "platform.no_trusted_key"),
        (("--preset", "nobody"), "config.unknown_preset"),
    ],
)
def test_what_contradicts_itself_is_refused(answer: Answer, words: tuple[str, ...], code: str) -> None:
    assert answer("serve", "up", "--dry-run", *words, exit_code=2)["error"]["code"] == code


def test_a_port_that_is_taken_is_refused(answer: Answer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = answer("serve", "up", "--dry-run", "--port", taken.getsockname()[1], exit_code=2)
    assert refused["error"]["code"] == "platform.port_busy"


def test_a_folder_whose_server_runs_gets_no_second_one(answer: Answer, tmp_path: Path) -> None:
    with alone_in(tmp_path / "serve", HELD):
        refused = answer("serve", "up", "--no-gateway", "--state", tmp_path / "serve", exit_code=2)
    assert refused["error"]["code"] == "platform.already_up"


def test_nothing_runs_where_nothing_was_started(answer: Answer, tmp_path: Path) -> None:
    told = answer("serve", "status", "--state", tmp_path / "none", exit_code=3)
    assert (told["fine"], told["up"], told["state"]) == (False, False, None)
    assert answer("serve", "down", "--state", tmp_path / "none")["was_up"] is False
    assert answer("serve", "logs", "--state", tmp_path / "none", exit_code=3)["error"]["code"] == "platform.no_log"
    assert not (tmp_path / "none").exists(), "looking makes no folder"


def test_what_a_killed_supervisor_left_is_not_believed_and_cleared_away(answer: Answer, tmp_path: Path) -> None:
    folder = tmp_path / "serve"
    write_state(folder, ServingState(mode="triton", model="dubber"))
    (folder / serving_stack.SUPERVISOR).write_text('{"pid": 1, "started": "1", "since": "long ago"}')
    told = answer("serve", "status", "--state", folder, exit_code=3)
    assert (told["up"], told["pid"]) == (False, None)
    assert told["state"]["model"] == "dubber"
    assert answer("serve", "down", "--state", folder)["was_up"] is False
    assert not (folder / serving_stack.SUPERVISOR).exists()


def test_logs_are_shown_by_process(answer: Answer, tmp_path: Path) -> None:
    logs = tmp_path / "serve" / "logs"
    logs.mkdir(parents=True)
    (logs / "keeper.log").write_text("".join(f"line {number}\n" for number in range(50)))
    (tmp_path / "serve" / "triton.log").write_text("I am Triton\n")
    told = answer("serve", "logs", "--state", tmp_path / "serve", "--lines", 2)["logs"]
    assert told == {"keeper": ["line 48", "line 49"], "triton": ["I am Triton"]}
    one = answer("serve", "logs", "--state", tmp_path / "serve", "--of", "triton")["logs"]
    assert list(one) == ["triton"]
    refused = answer("serve", "logs", "--state", tmp_path / "serve", "--of", "nobody", exit_code=3)
    assert refused["error"]["code"] == "platform.no_log"
    assert answer("serve", "logs", "--follow", exit_code=2)["error"]["code"] == "cli.wrong_use"


def test_new_lines_are_followed_also_when_a_log_begins_anew(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("old\n")
    steps = iter(["one\nha", "lf\n"])

    def going() -> bool:
        step = next(steps, None)
        if step is not None:
            with log.open("a") as file:
                file.write(step)
            return True
        if log.stat().st_size > 5:
            log.write_text("new\n")
            return True
        return bool(next(last, None))

    last = iter([True])
    assert list(follow({"a": log}, going)) == [("a", "one"), ("a", "half"), ("a", "new")]
