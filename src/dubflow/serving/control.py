"""Loads and ends versions in a running server, by the admin API that our key opens.

Triton loads whatever version folders a model has; so a version is switched on or off by its folder's name, and the
model is then loaded, which leaves alone the versions that stay.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from dubflow.errors import OurFault
from dubflow.serving.launcher import GRPC_HEADER, read_key
from dubflow.serving.repository import FRONT, MODELS, number_of, switch_off, switch_on, versions_on

_LOOK_S = 0.05
_ANSWER_S = 10.0


class Control:
    """The admin API of the server at ``grpc`` (HOST:PORT), whose key lies in ``folder``."""

    def __init__(self, grpc: str, folder: Path, repository: Path, *, load_s: float = 180, drain_s: float = 30) -> None:
        import tritonclient.grpc

        self._repository = Path(repository).absolute()
        self._load_s, self._drain_s = load_s, drain_s
        self._headers = {GRPC_HEADER: read_key(folder)}
        self._client = tritonclient.grpc.InferenceServerClient(grpc)

    def load(self, version: int, names: Sequence[str] = MODELS) -> None:
        """Load an installed version beside those that run. One that is loaded already stays.

        Its models load at the same time, for each starts a process that imports its own libraries; nobody asks for the
        version before all are there.

        Args:
            names: of its models; all by default.

        Raises:
            BadInput: ``serving.not_installed``.
            OurFault: ``serving.not_loaded`` with what the server says; the version is switched off again then, so
                that the server is ready for the others.
        """

        def load(name: str) -> None:
            self._load(name)
            self._await(name, version, ready=True)

        switch_on(self._repository, version, tuple(names))
        try:
            _at_once(load, names)
        except OurFault:
            self.unload(version)
            raise

    def unload(self, version: int, names: Sequence[str] = MODELS) -> None:
        """End a version, its front first; jobs that it has begun may finish. The others stay loaded.

        Raises:
            OurFault: ``serving.not_unloaded``.
        """

        def unload(name: str) -> None:
            switch_off(self._repository, version, (name,))
            if versions_on(self._repository, name):
                self._load(name)
            else:
                self._call("serving.not_unloaded", self._client.unload_model, name)
            self._await(name, version, ready=False)

        parts = [name for name in names if name != FRONT]
        if FRONT in names:
            unload(FRONT)
            if parts:
                self._drain(FRONT, version)
        _at_once(unload, parts)

    def reload(self, version: int, names: Sequence[str] = MODELS) -> None:
        """End and load a version, or those of its models whose process died: nothing else heals them.

        Raises:
            OurFault: as :meth:`unload` and :meth:`load`.
        """
        self.unload(version, names)
        self.load(version, names)

    def is_ready(self, version: int) -> bool:
        """Whether all models of the version are loaded; whether their processes live only an inference tells."""
        return all(self._is_ready(name, version) for name in MODELS)

    def statistics(self, name: str, version: int) -> dict[str, int]:
        """Requests and executions of a model: fewer executions than requests is what batching saves.

        Raises:
            OurFault: ``serving.no_statistics``.
        """
        answer = self._call(
            "serving.no_statistics", self._client.get_inference_statistics, name, str(number_of(version))
        )
        (one,) = answer.model_stats
        return {"inferences": int(one.inference_count), "executions": int(one.execution_count)}

    def close(self) -> None:
        """Close the connection: a server waits for those that are open."""
        self._client.close()

    def _load(self, name: str) -> None:
        self._call("serving.not_loaded", self._client.load_model, name, client_timeout=self._load_s)

    def _is_ready(self, name: str, version: int) -> bool:
        import tritonclient.utils

        try:
            return bool(
                self._client.is_model_ready(name, str(number_of(version)), self._headers, client_timeout=_ANSWER_S)
            )
        except tritonclient.utils.InferenceServerException:
            return False

    def _drain(self, name: str, version: int) -> None:
        """Let a front that takes no more jobs lead those it has through its parts; a dead one never ends them."""
        until = time.monotonic() + self._drain_s
        while time.monotonic() < until:
            index = self._call("serving.not_unloaded", self._client.get_model_repository_index)
            own = {one.state for one in index.models if (one.name, one.version) == (name, str(number_of(version)))}
            if "UNLOADING" not in own:
                return
            time.sleep(_LOOK_S)

    def _await(self, name: str, version: int, *, ready: bool) -> None:
        until = time.monotonic() + self._load_s
        while self._is_ready(name, version) != ready:
            if time.monotonic() > until:
                code, verb = ("serving.not_loaded", "load") if ready else ("serving.not_unloaded", "unload")
                raise OurFault(code, f"{name} {version} did not {verb} within {self._load_s:g} s.", "See triton.log.")
            time.sleep(_LOOK_S)

    def _call(self, code: str, method: Any, *arguments: Any, **options: Any) -> Any:
        import tritonclient.utils

        options.setdefault("client_timeout", _ANSWER_S)
        try:
            return method(*arguments, headers=self._headers, **options)
        except tritonclient.utils.InferenceServerException as error:
            raise OurFault(code, f"Triton: {error.message()}", "See triton.log.") from error


def _at_once(do: Callable[[str], None], names: Sequence[str]) -> None:
    """Do something with several models at the same time; ends when all have, then raises what the first has."""
    if not names:
        return
    with ThreadPoolExecutor(len(names), thread_name_prefix="control") as pool:
        running = [pool.submit(do, name) for name in names]
        wait(running)
    for one in running:
        one.result()
