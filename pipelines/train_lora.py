"""JUST-DUB-IT's adapter from pairs to a gated champion."""

from components.place import put
from components.train_lora import component as training
from kfp import dsl

from pipelines.judged import judged


@dsl.pipeline(name="train-lora", description="Train an adapter for LTX-2 on pairs, judge it, promote what is better.")
def train_lora(
    pairs: str,
    base: str = "tiny",
    workspace: str = "/workspace",
    code: str = "",
    preset: str = "tiny",
    start: str = "",
    steps: int = 0,
    seed: int = -1,
    nodes: int = 1,
    devices: int = 1,
    benchmark: str = "standard",
    policy: str = "offline",
    registry: str = "",
    name: str = "lora",
):
    """``pairs``: folder or object storage prefix of pairs. ``base``: an LTX-2 that all pods see, or tiny."""
    learnt_from = dsl.importer(artifact_uri=pairs, artifact_class=dsl.Dataset, reimport=False).output
    trained = put(
        training.train_lora(
            pairs=learnt_from,
            workspace=workspace,
            code=code,
            base=base,
            preset=preset,
            start=start,
            steps=steps,
            seed=seed,
            nodes=nodes,
            devices=devices,
        ),
        training.PLACE,
    )
    judged(
        model=trained.outputs["model"],
        heads=learnt_from,
        workspace=workspace,
        code=code,
        preset=preset,
        benchmark=benchmark,
        policy=policy,
        registry=registry,
        name=name,
    )
