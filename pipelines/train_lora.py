"""JUST-DUB-IT's adapter from pairs, given or made by the base itself, to a gated champion."""

from components.place import put
from components.synthesize_pairs import component as synthesis
from kfp import dsl

from pipelines.adapted import adapted


@dsl.pipeline(name="train-lora", description="Train an adapter for LTX-2 on pairs, judge it, promote what is better.")
def train_lora(
    pairs: str = "",
    base: str = "starter",
    workspace: str = "/workspace",
    code: str = "",
    preset: str = "tiny",
    prompts: str = "",
    prompt_count: int = 100,
    prompt_seed: int = 0,
    shards: list = ["0/2", "1/2"],  # noqa: B006 - KFP reads the default, nothing writes it
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
    """``pairs``: folder or object storage prefix of pairs; without it ``base`` (an LTX-2 that all pods see, or starter)
    makes them, from the file ``prompts`` or from ``prompt_count`` drawn prompts."""
    common = {"workspace": workspace, "code": code, "base": base, "preset": preset}
    training = {"start": start, "steps": steps, "seed": seed, "nodes": nodes, "devices": devices}
    judging = {"benchmark": benchmark, "policy": policy, "registry": registry, "name": name}
    with dsl.If(pairs != "", name="pairs are given"):
        given = dsl.importer(artifact_uri=pairs, artifact_class=dsl.Dataset, reimport=False).output
        adapted(pairs=given, **common, **training, **judging)
    with dsl.Else(name="pairs are made"):
        asked = {"prompts": prompts, "count": prompt_count, "seed": prompt_seed, **common}
        with dsl.ParallelFor(shards, name="shards", parallelism=8) as shard:
            share = put(synthesis.synthesize_pairs(shard=shard, **asked), synthesis.PLACE).set_display_name(
                "make a shard of the pairs"
            )
        made = put(
            synthesis.synthesize_pairs(earlier=dsl.Collected(share.outputs["pairs"]), **asked), synthesis.PLACE
        ).set_display_name("join the shards")
        adapted(pairs=made.outputs["pairs"], **common, **training, **judging)
