"""What the builder without a container engine makes of a Dockerfile, as far as it can be seen without being root."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from dubflow.platform.images.dockerfile import parse_dockerfile, read_dockerfile

ROOT = Path(__file__).resolve().parents[3]
IMAGES = ROOT / "infra" / "images"


@pytest.fixture(scope="module")
def tool() -> Iterator[ModuleType]:
    sys.path.insert(0, str(ROOT / "tools"))  # where a script finds its neighbours
    spec = importlib.util.spec_from_file_location("tool_image_install", ROOT / "tools" / "image_install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(ROOT / "tools"))


def test_dockerignore_lets_in_what_is_copied_and_keeps_out_the_rest(tool: ModuleType, tmp_path: Path) -> None:
    builder = tool.Builder(parse_dockerfile("FROM scratch"), tmp_path, tmp_path, tool.Lent(), {})
    for path in sorted(IMAGES.glob("*/Dockerfile")):
        for one in read_dockerfile(path).instructions:
            if one.word == "COPY" and one.flag("from") is None:
                assert not [source for source in one.words[:-1] if builder._refused(source)], path
    for kept_out in (".git", ".venv/bin", "tests/conftest.py", "demo", "pipelines/train_lora.py", "infra/images/serve",
                     "src/dubflow/__pycache__", "src/dubflow/errors.pyc"):  # fmt: skip
        assert builder._refused(kept_out), kept_out


def test_settings_pass_from_stage_to_stage_and_arguments_do_not(tool: ModuleType, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "there").write_text("1", encoding="utf-8")
    text = """
        ARG BASE
        FROM ${BASE} AS base
        ARG GIVEN=no
        ENV A=${GIVEN} B=${UNKNOWN:-else}
        WORKDIR /one
        CMD ["of", "base"]
        FROM base AS image
        ENV C=${GIVEN:-gone}$A
        WORKDIR two
        COPY --from=base /there ./
        COPY LICENSE /license/
        USER 5:6
        HEALTHCHECK --interval=5s CMD ["a", "b"]
        ENTRYPOINT ["x", "-y"]
    """
    file = parse_dockerfile(text)
    built = tool.Builder(file, base, tmp_path / "built", tool.Lent(), {"GIVEN": "yes"})
    (tmp_path / "built").mkdir()
    made = built.build(file.stages[-1])
    assert made.environment == {"A": "yes", "B": "else", "C": "goneyes"}
    assert (made.workdir, made.user, made.entrypoint, made.healthcheck) == ("/one/two", "5:6", ["x", "-y"], ["a", "b"])
    assert made.command == ["of", "base"]
    assert (made.root / "one/two/there").read_text(encoding="utf-8") == "1"
    assert (made.root / "license/LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert not (base / "license").exists()


def test_a_copy_of_what_dockerignore_keeps_out_fails(tool: ModuleType, tmp_path: Path) -> None:
    file = parse_dockerfile("FROM scratch AS image\nCOPY tests ./tests")
    (tmp_path / "base").mkdir()
    with pytest.raises(SystemExit, match="dockerignore"):
        tool.Builder(file, tmp_path / "base", tmp_path, tool.Lent(), {}).build(file.stages[0])


def test_a_component_is_run_as_its_pod_would_run_it(tool: ModuleType) -> None:
    steps = yaml.safe_load((IMAGES / "smoke.yaml").read_text(encoding="utf-8"))
    assert sorted(steps) == sorted(path.parent.name for path in IMAGES.glob("*/Dockerfile"))
    (component,) = [one for one in steps["data"] if "component" in one]
    words = tool.component_words(component)
    assert words[:2] == ["sh", "-ec"]
    assert "kfp.dsl.executor_main" in words[2]
    assert "{{$}}" not in words
    assert '"identities": 2' in words[words.index("--executor_input") + 1]
