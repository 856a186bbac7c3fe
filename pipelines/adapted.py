"""From pairs to an adapter that is registered, judged, and promoted where it is better."""

from components.place import put
from components.train_lora import component as training
from kfp import dsl

from pipelines.judged import judged


@dsl.pipeline(name="adapted", description="Train an adapter on pairs, judge it beside the champion, promote it.")
def adapted(
    pairs: dsl.Input[dsl.Dataset],
    base: str,
    workspace: str,
    code: str,
    preset: str,
    start: str,
    steps: int,
    seed: int,
    nodes: int,
    devices: int,
    benchmark: str,
    policy: str,
    registry: str,
    name: str,
):
    """The pairs' terms go with the adapter."""
    trained = put(
        training.train_lora(
            pairs=pairs,
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
        heads=pairs,
        workspace=workspace,
        code=code,
        preset=preset,
        benchmark=benchmark,
        policy=policy,
        registry=registry,
        name=name,
    )
