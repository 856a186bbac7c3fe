"""A package as a model repository for Triton, which has dubbed the golden clip."""

from kfp import dsl

from components.place import IMAGES, Place

PLACE = Place(image="train", cpu="4", memory="8Gi", cached=False)


@dsl.component(base_image=IMAGES[PLACE.image], install_kfp_package=False)
def export_serving(
    package: dsl.Input[dsl.Model],
    exported: dsl.Output[dsl.Model],
    workspace: str,
    code: str,
    registry: str,
    name: str,
    version: int,
):
    """Export ``package``; fails where it does not load or does not speak."""
    from dubflow.platform.steps.serving import export_for_serving

    exported.metadata.update(export_for_serving(exported.path, workspace, package.path, registry, name, version))
