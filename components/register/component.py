"""A trained model as a signed package, registered as a version with the alias challenger."""

from kfp import dsl

from components.place import IMAGES, Place

PLACE = Place(image="data", cached=False, signs=True)


@dsl.component(base_image=IMAGES[PLACE.image], install_kfp_package=False)
def register(
    model: dsl.Input[dsl.Model],
    package: dsl.Output[dsl.Model],
    workspace: str,
    code: str,
    registry: str,
    name: str,
    heads: dsl.Input[dsl.Dataset] = None,
    voices: dsl.Input[dsl.Dataset] = None,
) -> int:
    """The model's version under ``name``, the same for the same bytes; 0 where they are the champion's already."""
    from dubflow.platform.steps.release import register_model

    corpora = [one.path for one in (heads, voices) if one is not None]
    made = register_model(package.path, workspace, model.path, registry, name, corpora)
    package.metadata.update(made.facts)
    return made.challenger
