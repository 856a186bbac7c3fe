"""``python -m dubflow.serving.keeper --state DIR``: the watcher and the watchdog of one server, until SIGTERM.

It holds nothing that is not in the folder: killed at any moment and started again it goes on.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from dubflow.errors import DubflowError, ExitCode
from dubflow.serving.backend import Backend, InProcess
from dubflow.serving.export import FILE as EXPORT
from dubflow.serving.options import ServeOptions, read_options
from dubflow.serving.source import FolderSource, RegistrySource, Source
from dubflow.serving.state import ServingState, now, read_state
from dubflow.serving.watchdog import Watchdog
from dubflow.serving.watcher import Watcher


def source_of(options: ServeOptions) -> Source:
    """Where the version comes from that should serve.

    Raises:
        WrongUse, BadInput: what the registry's settings, the policy or the model's name are refused for.
    """
    from dubflow.registry.licences import load_licence_policy

    policy = None if options.licences is None else load_licence_policy(options.licences)
    if options.name is not None:
        from dubflow.registry.models import open_registry

        return RegistrySource(open_registry(options.registry, say), options.name, options.trusted_keys, policy)
    return FolderSource(_folder_of(options.model or "starter"), options.trusted_keys, policy)


def _folder_of(model: str) -> Path:
    from dubflow.diflow.facts import find_model

    return Path(model) if (Path(model) / EXPORT).is_file() else find_model(model)


def backend_of(directory: Path, state: ServingState, options: ServeOptions) -> Backend:
    """What serves, by the mode of the state."""
    if state.mode == "in_process":
        return InProcess()
    from dubflow.serving.triton_backend import TritonBackend

    return TritonBackend(directory, options.tuning.triton)


def keep(directory: Path, stop: threading.Event) -> None:
    """Watch until told to stop.

    Raises:
        BadInput: ``serving.no_state``, ``serving.no_options``; what the options are refused for.
    """
    options = read_options(directory)
    state = read_state(directory)
    settings = options.tuning.watch
    watcher = Watcher(directory, source_of(options), backend_of(directory, state, options), settings, say=say)
    watchdog = Watchdog(directory, watcher, settings, say=say)
    guard = threading.Thread(target=_repeat, args=(watchdog.look, settings.look_s, stop), name="watchdog", daemon=True)

    def follow() -> None:
        if watcher.recovered != (read_state(directory).server,):
            watcher.recover()
            if not guard.is_alive():
                guard.start()
        watcher.look()

    _repeat(follow, settings.poll_s, stop)


def _repeat(look: Callable[[], object], every_s: float, stop: threading.Event) -> None:
    """Look again and again; an error is said and is no reason to stop looking."""
    said = ""
    while not stop.is_set():
        try:
            look()
            said = ""
        except DubflowError as error:
            if str(error) != said:
                said = str(error)
                say(said)
        stop.wait(every_s)


def say(text: str) -> None:
    """A line in the log."""
    sys.stderr.write(f"{now()} {text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep a server; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dubflow.serving.keeper", description="Watcher and watchdog.")
    parser.add_argument("--state", type=Path, required=True, help="folder of the serving state")
    given = parser.parse_args(arguments)
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        keep(given.state, stop)
    except DubflowError as error:
        say(str(error))
        return int(error.exit_code)
    return int(ExitCode.FINE)


if __name__ == "__main__":
    sys.exit(main())
