"""A small pipeline of real steps: count, probe a file (which may fail), wait, count again."""

from pathlib import Path

from kfp import compiler, dsl

from dubflow.platform.pipelines.definitions import Definition, parse


@dsl.component(base_image="dubflow/data-python:0", install_kfp_package=False)
def count(seen: dsl.Output[dsl.Dataset], workspace: str, name: str, code: str) -> int:
    """Add a line to a file of the workspace, and leave how many it has."""
    from pathlib import Path

    from dubflow.platform.steps.verbs import begin

    path = begin(workspace) / name
    with open(path, "a") as file:
        file.write("once\n")
    lines = len(path.read_text().splitlines())
    Path(seen.path).write_text(str(lines))
    return lines


@dsl.component(base_image="dubflow/data-python:0", install_kfp_package=False)
def look(seen: dsl.Input[dsl.Dataset], workspace: str, clip: str):
    """`dubflow probe` of a file."""
    from dubflow.platform.steps.verbs import begin, run_verb

    begin(workspace)
    run_verb("probe", clip)


@dsl.component(base_image="dubflow/data-python:0", install_kfp_package=False)
def wait(workspace: str, seconds: float):
    """Say who it is, and take its time."""
    import os
    import time

    from dubflow.platform.steps.verbs import begin

    (begin(workspace) / "waiting").write_text(str(os.getpid()))
    time.sleep(seconds)


@dsl.pipeline(name="toy", description="A toy.")
def toy(
    clip: str,
    workspace: str = "/workspace",
    code: str = "",
    seconds: float = 0.0,
    many: list = [1, 2],  # noqa: B006 - KFP reads the default, nothing writes it
    deep: bool = True,
):
    """Three steps, one of them only sometimes."""
    first = count(workspace=workspace, name="first", code=code).set_display_name("the first")
    # An hour between tries: a run here that took them would not end within the test.
    seen = look(seen=first.outputs["seen"], workspace=workspace, clip=clip)
    seen.set_retry(num_retries=2, backoff_duration="3600s")
    second = count(workspace=workspace, name="second", code=code).after(seen)
    with dsl.If(second.outputs["Output"] > 0):
        held = wait(workspace=workspace, seconds=seconds)
        count(workspace=workspace, name="last", code=code).after(held)


def toy_definition(folder: Path) -> Definition:
    """It, compiled."""
    path = folder / "toy.yaml"
    compiler.Compiler().compile(toy, str(path))
    return parse(path.read_text(encoding="utf-8"))
