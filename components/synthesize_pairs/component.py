"""JUST-DUB-IT's data engine: pairs that the base makes itself, whole or a shard of them."""

from kfp import dsl

from components.place import IMAGES, Place

PLACE = Place(image="train", cpu="8", memory="128Gi", gpus=1, timeout_s=3 * 24 * 3600)


@dsl.component(base_image=IMAGES[PLACE.image], install_kfp_package=False)
def synthesize_pairs(
    pairs: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    workspace: str,
    code: str,
    base: str,
    preset: str,
    prompts: str,
    count: int,
    seed: int,
    shard: str = "",
    earlier: dsl.Input[list[dsl.Dataset]] = None,
):
    """Make ``shard`` (0/2 is the first of two; empty for all) of ``count`` drawn prompts, or those of a file."""
    from dubflow.platform.steps.synthesis import make_pairs

    found = [one.path for one in earlier or []]
    made = make_pairs(pairs.path, workspace, base, preset, prompts, count, seed, shard, found)
    pairs.metadata.update(made.facts)
    made.write_metrics(metrics.path, metrics.log_metric)
