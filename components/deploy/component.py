"""An exported version to where it answers: KServe on a cluster, the server that runs here otherwise."""

from kfp import dsl

from components.place import IMAGES, Place

PLACE = Place(image="data", cached=False)


@dsl.component(base_image=IMAGES[PLACE.image], install_kfp_package=False)
def deploy(exported: dsl.Input[dsl.Model], deployed: dsl.Output[dsl.Artifact], workspace: str, code: str, name: str):
    """Apply the InferenceService, or wait until the running server serves this version."""
    from dubflow.platform.steps.serving import deploy_export

    deployed.metadata.update(deploy_export(deployed.path, workspace, exported.path, exported.uri, name))
