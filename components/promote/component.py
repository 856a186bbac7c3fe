"""The challenger becomes champion, by its verdict."""

from kfp import dsl

from components.place import IMAGES, Place

PLACE = Place(image="data", cached=False)


@dsl.component(base_image=IMAGES[PLACE.image], install_kfp_package=False)
def promote(verdict: dsl.Input[dsl.Artifact], workspace: str, code: str, registry: str, name: str, version: int):
    """Promote ``version``; refused unless the verdict is bound to these very bytes and says so."""
    from dubflow.platform.steps.release import promote_version

    promote_version(workspace, verdict.path, registry, name, version)
