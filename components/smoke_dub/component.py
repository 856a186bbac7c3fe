"""The champion dubs a clip, as a user would ask it to."""

from kfp import dsl

from components.place import IMAGES, Place

PLACE = Place(image="train", gpus=1, cached=False)


@dsl.component(base_image=IMAGES[PLACE.image], install_kfp_package=False)
def smoke_dub(
    dubbed: dsl.Output[dsl.Artifact], workspace: str, code: str, registry: str, name: str, benchmark: str, preset: str
):
    """Dub the first item of ``benchmark`` with what the alias champion names; fails where the clip cannot be opened."""
    from dubflow.platform.steps.release import dub_with_champion

    dubbed.metadata.update(dub_with_champion(dubbed.path, workspace, registry, name, benchmark, preset))
