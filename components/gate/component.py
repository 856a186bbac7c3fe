"""May the challenger replace the champion?"""

from kfp import dsl

from components.place import IMAGES, Place

PLACE = Place(image="data", signs=True)


@dsl.component(base_image=IMAGES[PLACE.image], install_kfp_package=False)
def gate(
    challenger: dsl.Input[dsl.Artifact],
    champion: dsl.Input[dsl.Artifact],
    verdict: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    workspace: str,
    code: str,
    policy: str,
    name: str,
) -> int:
    """The verdict with its evidence page; 1 where it says promote."""
    from dubflow.platform.steps.judging import decide

    made = decide(verdict.path, page.path, workspace, challenger.path, champion.path, policy, name)
    verdict.metadata.update(made.facts)
    return made.promote
