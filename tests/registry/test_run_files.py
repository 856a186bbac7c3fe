"""Cards and verdicts find the run of their model; a store that is away harms nobody and gets them later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dubflow.registry.mlflow_log import OUTBOX, open_run
from dubflow.registry.models import Registry
from dubflow.registry.registering import run_in
from dubflow.registry.run_files import RunFiles, attach, files_below, run_of
from dubflow.registry.tracking_store import store_of


@pytest.fixture
def trained(work: Path, notes: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a finished training."""
    monkeypatch.delenv("DUBFLOW_MLFLOW_URI", raising=False)
    with open_run(None, "dubber", "first", folder=work / "run", progress=notes) as log:
        log.metrics({"train/loss": 1.0}, 5)
    return work / "run"


@pytest.fixture
def evidence(tmp_path: Path) -> tuple[tuple[Path, str], ...]:
    page = tmp_path / "page"
    (page / "clips").mkdir(parents=True)
    (page / "index.html").write_text("<p>evidence</p>")
    (page / "clips" / "a.mp4").write_bytes(b"clip")
    return files_below(page, "evidence")


def kept(client: Any, run: str, folder: str = "") -> set[str]:
    """Every file of a run."""
    found = set()
    for one in client.list_artifacts(run, folder or None):
        found |= kept(client, run, one.path) if one.is_dir else {one.path}
    return found


def test_what_is_attached_is_with_the_run_and_the_run_stays_as_it_ended(
    trained: Path, client: Any, notes: Any, only_run: Any, evidence: tuple[tuple[Path, str], ...]
) -> None:
    before = only_run(client)
    what = RunFiles((*evidence, (trained / "absent.json", "card")), {"card/wer": 0.25}, {"gate.decision": "promote"})
    for _ in range(2):  # a step that is started again says it again
        assert attach(trained, what, notes.note)
    run = only_run(client)
    assert kept(client, run.info.run_id) == {"evidence/index.html", "evidence/clips/a.mp4"}
    assert run.data.metrics["card/wer"] == 0.25
    assert len(client.get_metric_history(run.info.run_id, "card/wer")) == 1
    assert run.data.tags["gate.decision"] == "promote"
    assert (run.info.status, run.info.end_time) == ("FINISHED", before.info.end_time)
    assert "resumptions" not in run.data.tags


def test_a_store_that_is_away_gets_it_with_the_next(
    trained: Path, client: Any, notes: Any, only_run: Any, evidence: tuple[tuple[Path, str], ...]
) -> None:
    away = "http://127.0.0.1:9"
    assert not attach(trained, RunFiles(evidence, {"card/wer": 0.5}), notes.note, uri=away)
    assert notes.about("could not be sent")
    assert (trained / OUTBOX).is_dir()
    assert attach(trained, RunFiles(tags={"gate.decision": "refuse"}), notes.note)
    run = only_run(client)
    assert kept(client, run.info.run_id) == {"evidence/index.html", "evidence/clips/a.mp4"}
    assert (run.data.metrics["card/wer"], run.data.tags["gate.decision"]) == (0.5, "refuse")
    assert not (trained / OUTBOX).exists()


def test_a_run_that_nobody_tracked_or_that_was_deleted_is_told(
    trained: Path, client: Any, notes: Any, only_run: Any, tmp_path: Path
) -> None:
    assert not attach(tmp_path, RunFiles(tags={"a": "b"}), notes.note)
    assert notes.about("no run worked in")
    registry = Registry(store_of(None, trained), notes.note)
    assert run_of(trained) == only_run(client).info.run_id == run_in(registry, trained)
    assert run_in(registry, tmp_path) is None
    client.delete_run(run_of(trained))
    assert not attach(trained, RunFiles(tags={"a": "b"}), notes.note)
    assert notes.about("is not there any more")
    assert not (trained / OUTBOX).exists()
    assert run_in(registry, trained) is None
    assert len(notes.about("the version names none")) == 2


def test_a_registered_package_lies_with_its_run_and_brings_its_lineage(
    trained: Path, client: Any, notes: Any, only_run: Any, tmp_path: Path
) -> None:
    from dubflow.registry.registering import register
    from registry.packages import MODEL, packed

    registry = Registry(store_of(None, trained), notes.note)
    package = packed(tmp_path / "a")
    made = register(registry, package.folder, by="ann", run=run_in(registry, trained))
    run = only_run(client).info.run_id
    assert client.get_model_version(MODEL, str(made.version)).run_id == run
    files = kept(client, run)
    assert f"packages/{package.digest[:16]}/lineage.json" in files
    drawn = Path(client.download_artifacts(run, "lineage/lineage.html", str(tmp_path))).read_text(encoding="utf-8")
    weights = package.lineage().model.digest
    assert weights is not None
    assert f"Lineage of {MODEL}" in drawn
    assert weights in drawn
