"""How a scheduled run ended, whatever became of it."""

from kfp import dsl

from components.place import IMAGES, Place

PLACE = Place(image="data", cached=False)


@dsl.component(base_image=IMAGES[PLACE.image], install_kfp_package=False)
def report(workspace: str, registry: str, name: str, status: dsl.PipelineTaskFinalStatus):
    """Write the outcome where people and alerts look; runs also where the pipeline failed."""
    from dubflow.platform.steps.release import report_outcome

    report_outcome(workspace, registry, name, status.state, status.pipeline_job_resource_name, status.error_message)
