"""MLflow without its minute of start-up: a database set up once and copied, a tracking server within this process."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dubflow.registry.tracking_store import DATABASE, client_of, store_of

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is down is not asked again, so that no test waits for it."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def work(template: Path, tmp_path: Path) -> Path:
    """A working folder whose database is set up already; its name has a space on purpose."""
    folder = tmp_path / "my runs"
    folder.mkdir()
    shutil.copyfile(template, folder / DATABASE)
    return folder


@pytest.fixture
def client(work: Path) -> MlflowClient:
    """MLflow's own client of that database."""
    return client_of(store_of(None, work / "run"))


class Notes:
    """A progress report that keeps what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)

    def expect(self, total: int) -> None: ...

    def advance(self, items: int = 1, *, cached: bool = False) -> None: ...

    def about(self, words: str) -> list[str]:
        return [line for line in self.lines if words in line]


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def only_run() -> Callable[[MlflowClient], Run]:
    """The one run of all experiments."""

    def find(client: MlflowClient) -> Run:
        runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
        assert len(runs) == 1
        return runs[0]

    return find


class Loopback:
    """MLflow's own server application, which can be switched off and on."""

    def __init__(self, app: Any) -> None:
        self._app, self._server, self._port = app, None, 0
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        from werkzeug.serving import make_server

        self._server = make_server("127.0.0.1", self._port, self._app, threaded=True)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture(scope="session")
def server_app(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The application over a database of its own; MLflow has one such store a process."""
    home = tmp_path_factory.mktemp("server")
    shutil.copyfile(template, home / DATABASE)
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = f"sqlite:///{home / DATABASE}"
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = "mlflow-artifacts:/"
    os.environ["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] = (home / "files").as_uri()
    os.environ["_MLFLOW_SERVER_SERVE_ARTIFACTS"] = "true"
    from mlflow.server import app

    return app


@pytest.fixture
def loopback(server_app: Any) -> Iterator[Loopback]:
    server = Loopback(server_app)
    yield server
    server.stop()
