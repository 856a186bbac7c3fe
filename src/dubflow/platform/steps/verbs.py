"""A verb of ``dubflow`` as a step runs it: in a process of its own, the very words that a person types.

What goes wrong in it comes back as the same typed error. An error of ours is tried again with growing pauses; one of
the user's is not, and what was found wrong is remembered for the length of the run, so that a scheduler that starts a
failed step once more gets the same answer at once.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from dubflow.errors import BadInput, DubflowError, OurFault, WrongUse
from dubflow.parallel import end_with_parent
from dubflow.platform.steps.refusals import recall_refusal, remember_refusal


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
        raise known
    settings = RetrySettings()
    pause = settings.first_pause_s
    for left in range(settings.retries, -1, -1):
        try:
            return _run(words, launcher, fine)
        except DubflowError as error:
            if not error.retryable:
                remember_refusal(words, error)
                raise
            if not left:
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
    command = command_of(words, launcher)
    _say(f"$ dubflow {shlex.join(words)}")
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, preexec_fn=end_with_parent)
    answer = _answer(done.stdout)
    if answer is not None and "error" in answer:
        raise error_of(answer["error"], done.returncode)
    if answer is not None and done.returncode in fine:
        return answer
    how = f"by signal {-done.returncode}" if done.returncode < 0 else f"with code {done.returncode}"
    raise OurFault(
        "platform.step_ended",
        f"`dubflow {shlex.join(words[:2])}` ended {how} without an answer.",
        "A signal usually means that memory ran out; what was finished is kept.",
    )


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _answer(text: str) -> dict[str, Any] | None:
    """The one JSON document on standard output; of several processes the first one writes it."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        found, _ = json.JSONDecoder().raw_decode(text[start:])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def error_of(content: dict[str, Any], exit_code: int) -> DubflowError:
    """The error that ``--json`` printed, as an exception again; the exit code says whose doing it was."""
    kinds: dict[int, type[DubflowError]] = {int(kind.exit_code): kind for kind in (WrongUse, BadInput)}
    kind = kinds.get(exit_code, OurFault)
    details = content.get("details") or {}
    return kind(str(content.get("code")), str(content.get("headline")), str(content.get("hint", "")), **details)


def workspace_of(workspace: str) -> Path:
    """The folder in which steps keep unfinished work; made if need be.

    Raises:
        WrongUse: ``platform.no_workspace``.
    """
    if not workspace:
        raise WrongUse("platform.no_workspace", "The pipeline's parameter workspace is empty.", "Name a folder.")
    folder = Path(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
