"""JUST-DUB-IT's adapter: a LoRA on LTX-2, learnt from pairs."""

from kfp import dsl

from components.place import IMAGES, Place

PLACE = Place(image="train", cpu="8", memory="128Gi", gpus=1, timeout_s=7 * 24 * 3600)


@dsl.component(base_image=IMAGES[PLACE.image], install_kfp_package=False)
def train_lora(
    pairs: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    workspace: str,
    code: str,
    base: str,
    preset: str,
    start: str,
    steps: int,
    seed: int,
    nodes: int,
    devices: int,
):
    """Train on ``base`` to ``steps`` (0: the preset's), begun with the adapter ``start`` where that names one."""
    from dubflow.platform.steps.lora import train_adapter

    made = train_adapter(model.path, workspace, pairs.path, base, preset, start, steps, seed, nodes, devices)
    model.metadata.update(made.facts)
    made.write_metrics(metrics.path, metrics.log_metric)
