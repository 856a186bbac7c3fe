"""A stored model from wherever it was trained to the alias champion."""

from kfp import dsl

from pipelines.judged import judged_and_served


def _corpus(where: str) -> dsl.Dataset:
    return dsl.importer(artifact_uri=where, artifact_class=dsl.Dataset, reimport=False).output


@dsl.pipeline(name="release", description="Register a stored model, judge it beside the champion, promote by verdict.")
def release(
    model: str,
    heads: str,
    voices: str,
    workspace: str = "/workspace",
    code: str = "",
    preset: str = "tiny",
    benchmark: str = "standard",
    policy: str = "offline",
    registry: str = "",
    name: str = "dubber",
    deploy: bool = False,
):
    """``model`` is the folder or the object storage prefix of a stored model.

    ``heads`` and ``voices`` are those of the corpora that its two stages learnt from: what may be done with a model
    follows from them, and the gate refuses one of unknown licence.
    """
    stored = dsl.importer(artifact_uri=model, artifact_class=dsl.Model, reimport=False)
    judged_and_served(
        model=stored.output,
        heads=_corpus(heads),
        voices=_corpus(voices),
        workspace=workspace,
        code=code,
        preset=preset,
        benchmark=benchmark,
        policy=policy,
        registry=registry,
        name=name,
        deploy=deploy,
    )
