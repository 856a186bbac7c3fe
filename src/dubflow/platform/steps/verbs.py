"""A verb of ``dubflow`` as a step runs it: in a process of its own, the very words that a person types.

What goes wrong in it comes back as the same typed error. An error of ours is tried again with growing pauses; one of
the user's is not, and what was found wrong is remembered for the length of the run, so that a scheduler that starts a
failed step once more gets the same answer at once.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from dubflow.atomic import write_json
from dubflow.errors import DubflowError, OurFault, WrongUse, restored
from dubflow.parallel import end_with_parent
from dubflow.platform.steps.following import follow_runner
from dubflow.platform.steps.refusals import RUN, recall_refusal, remember_refusal
from dubflow.platform.training_command import LAUNCHER_ENVIRONMENT

ERROR = "error.json"
MARK = "»"


class RetrySettings(BaseSettings):
    """How often a step repeats what failed by our doing; from the environment, prefix ``DUBFLOW_STEP_``."""

    model_config = SettingsConfigDict(env_prefix="DUBFLOW_STEP_", extra="ignore", frozen=True)

    retries: int = Field(2, ge=0, le=10, description="Repetitions after an error of ours.")
    first_pause_s: float = Field(5.0, ge=0, description="Pause before the first; each later one is four times as long.")


def run_verb(
    *words: str,
    launcher: Sequence[str] = (),
    fine: Sequence[int] = (0,),
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Run ``dubflow WORDS --json`` and return its answer.

    Args:
        words: the verb and its options.
        launcher: command that starts several processes of it, such as torchrun's; by default one is started.
        fine: exit codes with which an answer counts.
        sleep: waits before a repetition.

    Raises:
        WrongUse, BadInput, OurFault: what the verb raised; ``platform.step_ended`` when it ended without an answer
            (killed, out of memory).
    """
    if (known := recall_refusal(words)) is not None:
        _leave(known)
        raise known
    settings = RetrySettings()
    pause = settings.first_pause_s
    for left in range(settings.retries, -1, -1):
        try:
            return _run(words, launcher, fine)
        except DubflowError as error:
            if not error.retryable:
                remember_refusal(words, error)
            if not error.retryable or not left:
                _leave(error)
                raise
            _say(f"{error} Trying again in {pause:g} s ({left} left).")
            sleep(pause)
            pause *= 4
    raise AssertionError("unreachable")  # the last round returns or raises


def command_of(words: Sequence[str], launcher: Sequence[str] = ()) -> list[str]:
    """What is executed for a verb: the program itself, or a launcher that starts it several times."""
    started = list(launcher) if launcher else [sys.executable]
    return [*started, "-m", "dubflow", *words, "--json"]


def _run(words: Sequence[str], launcher: Sequence[str], fine: Sequence[int]) -> dict[str, Any]:
    _say(f"dubflow {shlex.join(words)}")
    # A session of its own would outlive us; this way the system ends it when we are gone.
    with subprocess.Popen(
        command_of(words, launcher),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=os.environ | (LAUNCHER_ENVIRONMENT if launcher else {}),
        preexec_fn=end_with_parent,
    ) as process:
        assert process.stdout is not None  # both were asked for
        assert process.stderr is not None
        telling = threading.Thread(target=_pass_on, args=(process.stderr,))
        telling.start()
        answer = _answer(process.stdout.read())
        telling.join()
    code = process.returncode
    if answer is not None and "error" in answer:
        raise restored(answer["error"], answer["error"].get("exit_code", code))
    if answer is not None and code in fine:
        return answer
    how = f"by signal {-code}" if code < 0 else f"with code {code}"
    raise OurFault(
        "platform.step_ended",
        f"`dubflow {shlex.join(words[:2])}` ended {how} without an answer.",
        "A signal usually means that memory ran out; what was finished is kept.",
    )


def _pass_on(lines: TextIO) -> None:
    for line in lines:
        _say(line.rstrip("\n"))


def _leave(error: DubflowError) -> None:
    """Leave the error with the run on this machine, for whoever asks why it failed."""
    if os.environ.get(RUN):
        write_json(Path(os.environ[RUN]) / ERROR, error.as_dict() | {"exit_code": int(error.exit_code)})


def last_error(run: Path) -> DubflowError | None:
    """The error that a step of the run in this folder left; None where none did."""
    try:
        content = json.loads((run / ERROR).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return restored(content, content["exit_code"])


def _say(line: str) -> None:
    """A line for whoever follows the run; the mark tells it from what KFP says around it."""
    sys.stderr.write(f"{MARK} {line}\n")
    sys.stderr.flush()


def _answer(text: str) -> dict[str, Any] | None:
    """The JSON document on standard output.

    Of several processes, the first alone answers, but each tells what it raised; and where all were started again
    after one was lost, what they told before is past. So the last answer counts; without one, an error of the user's
    (the others then only lost a partner), or else the first error.
    """
    found: list[dict[str, Any]] = []
    end = 0
    while (start := text.find("{", end)) >= 0:
        try:
            document, end = json.JSONDecoder().raw_decode(text, start)
        except ValueError:
            end = start + 1
            continue
        found.append(document)
    answers = [one for one in found if "error" not in one]
    if answers or not found:
        return answers[-1] if answers else None
    return next((one for one in found if one["error"].get("users_doing")), found[0])


def begin(workspace: str) -> Path:
    """Begin a step: it ends with its runner, and keeps unfinished work in the folder ``workspace``, which is made.

    Raises:
        WrongUse: ``platform.no_workspace``.
    """
    follow_runner()
    if not workspace:
        raise WrongUse("platform.no_workspace", "The pipeline's parameter workspace is empty.", "Name a folder.")
    os.environ["DUBFLOW_WORKSPACE"] = workspace
    folder = Path(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
