"""A model's dubs of a benchmark, judged: a score card."""

from kfp import dsl

from components.place import IMAGES, Place

PLACE = Place(image="train", cpu="8", memory="16Gi", gpus=1)


@dsl.component(base_image=IMAGES[PLACE.image], install_kfp_package=False)
def evaluate(
    package: dsl.Input[dsl.Model],
    card: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    workspace: str,
    code: str,
    benchmark: str,
    preset: str,
):
    """Dub every item of ``benchmark`` (a name or a file) and judge the dubs by the judges of the preset."""
    from dubflow.platform.steps.judging import evaluate_model

    made = evaluate_model(card.path, workspace, package.path, benchmark, preset)
    card.metadata.update(made.facts)
    made.write_metrics(metrics.path, metrics.log_metric)
