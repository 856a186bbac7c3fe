"""The champion's score card under the challenger's protocol."""

from kfp import dsl

from components.place import IMAGES, Place

PLACE = Place(image="train", cpu="8", memory="16Gi", gpus=1, cached=False)


@dsl.component(base_image=IMAGES[PLACE.image], install_kfp_package=False)
def evaluate_champion(
    card: dsl.Output[dsl.Artifact], workspace: str, code: str, registry: str, name: str, benchmark: str, preset: str
):
    """Judge what is in use, as the challenger is judged; where nothing is in use the card says so."""
    from dubflow.platform.steps.judging import evaluate_in_use

    card.metadata.update(evaluate_in_use(card.path, workspace, registry, name, benchmark, preset))
