"""Stage 1 of DiFlowDubber: speech from text."""

from kfp import dsl

from components.place import IMAGES, Place

PLACE = Place(image="train", cpu="8", memory="32Gi", gpus=1, timeout_s=7 * 24 * 3600)


@dsl.component(base_image=IMAGES[PLACE.image], install_kfp_package=False)
def train_tts(
    prepared: dsl.Input[dsl.Dataset],
    codec: dsl.Input[dsl.Model],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    workspace: str,
    code: str,
    preset: str,
    start: str,
    steps: int,
    seed: int,
    nodes: int,
    devices: int,
):
    """Train to ``steps`` (0: the preset's), begun with the weights of ``start`` where that names a model."""
    from dubflow.platform.steps.training import train

    paths = (model.path, workspace, prepared.path, codec.path, "")
    made = train("tts", *paths, preset, start, steps, seed, nodes, devices)
    model.metadata.update(made.facts)
    made.write_metrics(metrics.path, metrics.log_metric)
