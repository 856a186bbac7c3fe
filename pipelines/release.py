"""A stored model from wherever it was trained to the alias champion."""

from kfp import dsl

from pipelines.judged import judged


@dsl.pipeline(name="release", description="Register a stored model, judge it beside the champion, promote by verdict.")
def release(
    model: str,
    workspace: str = "/workspace",
    code: str = "",
    preset: str = "tiny",
    benchmark: str = "standard",
    policy: str = "offline",
    registry: str = "",
    name: str = "dubber",
):
    """``model`` is the folder or the object storage prefix of a stored model."""
    stored = dsl.importer(artifact_uri=model, artifact_class=dsl.Model, reimport=False)
    judged(
        model=stored.output,
        workspace=workspace,
        code=code,
        preset=preset,
        benchmark=benchmark,
        policy=policy,
        registry=registry,
        name=name,
    )
