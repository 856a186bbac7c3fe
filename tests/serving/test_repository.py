"""Versions as Triton finds them in folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dubflow.diflow.stored import STARTER, STARTER_TTS, find_model
from dubflow.errors import BadInput, WrongUse
from dubflow.registry.package.build import pack
from dubflow.registry.package.facts import IncontextFacts
from dubflow.serving import repository
from dubflow.serving.repository import MODELS, UNREGISTERED, install_version, read_installed, versions_on
from dubflow.serving.settings import TritonSettings
from registry.packages import contents
from registry.test_compatibility import ADAPTER, BASE, TEXT, VOCODER


def config(root: Path, name: str) -> str:
    return (root / "models" / name / "config.pbtxt").read_text(encoding="utf-8")


def test_what_is_installed_is_not_loaded_until_it_is_switched_on(tmp_path: Path) -> None:
    models = tmp_path / "models"
    installed = install_version(models, find_model(STARTER), 3)
    assert repository.installed_versions(models) == {3}
    assert all(versions_on(models, name) == [] for name in MODELS)
    repository.switch_on(models, 3)
    for name in MODELS:
        assert versions_on(models, name) == [3]
        folder = models / name / "3"
        assert read_installed(folder) == installed
        # A stub that compiled it here would change the folder, and Triton load the version anew.
        assert list((folder / "__pycache__").glob("model.*.pyc"))
    repository.switch_off(models, 3)
    assert all(versions_on(models, name) == [] for name in MODELS)
    # Nothing of it stays where Triton looks: any change there makes it load all versions anew.
    assert all([path.name for path in (models / name).iterdir()] == ["config.pbtxt"] for name in MODELS)
    repository.remove_version(models, 3)
    assert repository.installed_versions(models) == set()
    with pytest.raises(BadInput, match="Version 3 is not installed"):
        repository.switch_on(models, 3)


def test_a_version_from_no_registry_has_a_number_that_triton_takes(tmp_path: Path) -> None:
    models = tmp_path / "models"
    install_version(models, find_model(STARTER), 0)
    repository.switch_on(models, 0)
    assert versions_on(models, "diflow") == [UNREGISTERED]
    assert repository.installed_versions(models) == {0}


def test_a_version_beside_others_leaves_their_config_untouched(tmp_path: Path) -> None:
    models = tmp_path / "models"
    install_version(models, find_model(STARTER), 1)
    before = {name: (models / name / "config.pbtxt").stat().st_mtime_ns for name in MODELS}
    install_version(models, find_model(STARTER), 2)
    assert {name: (models / name / "config.pbtxt").stat().st_mtime_ns for name in MODELS} == before


def test_settings_stand_in_the_configs(tmp_path: Path) -> None:
    settings = TritonSettings(device="gpu", gpus=(0, 2), frontends=3, denoisers=2, batch_delay_s=0.005)
    install_version(tmp_path / "models", find_model(STARTER), 1, settings)
    assert "count: 3 kind: KIND_CPU" in config(tmp_path, "diflow_frontend")
    assert "count: 2 kind: KIND_GPU gpus: [ 0, 2 ]" in config(tmp_path, "diflow_denoiser")
    assert "max_queue_delay_microseconds: 5000" in config(tmp_path, "diflow_denoiser")
    assert "decoupled: true" in config(tmp_path, "diflow")
    assert "KIND_GPU" not in config(tmp_path, "diflow")


def test_without_batching_every_request_is_alone(tmp_path: Path) -> None:
    install_version(tmp_path / "models", find_model(STARTER), 1, TritonSettings(batching=False))
    assert "dynamic_batching" not in config(tmp_path, "diflow_denoiser")
    assert "max_batch_size: 1" in config(tmp_path, "diflow_denoiser")


def test_models_are_a_few_lines_that_pass_on() -> None:
    programs = list(repository.templates_folder().glob("*/1/model.py"))
    assert {path.parents[1].name for path in programs} == {*MODELS, "incontext"}
    assert all(len(path.read_text(encoding="utf-8").splitlines()) < 60 for path in programs)


def test_what_cannot_dub_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="tts"):
        install_version(tmp_path / "models", find_model(STARTER_TTS), 1)
    with pytest.raises(BadInput):
        install_version(tmp_path / "models", tmp_path, 1)
    assert repository.installed_versions(tmp_path / "models") == set()


def test_cards_are_named_for_gpus_alone() -> None:
    with pytest.raises(ValueError, match="gpus"):
        TritonSettings(device="gpu")
    with pytest.raises(ValueError, match="gpus"):
        TritonSettings(gpus=(0,))


def test_a_package_of_the_in_context_family_is_refused_by_name(tmp_path: Path) -> None:
    adapter = IncontextFacts(languages=("fr",), adapter=ADAPTER, base=BASE, text_encoder=TEXT, vocoder=VOCODER)
    package = pack(replace(contents(tmp_path / "sources"), facts=adapter), tmp_path / "package", None)
    with pytest.raises(BadInput) as caught:
        install_version(tmp_path / "models", package.folder, 1)
    assert caught.value.code == "serving.no_engine"
    assert not (tmp_path / "models").exists(), "nothing of it is laid out"
