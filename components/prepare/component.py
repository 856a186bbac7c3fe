"""Features, phones and tokens of a corpus, whole or a part of it."""

from kfp import dsl

from components.place import IMAGES, Place

PLACE = Place(image="data", cpu="4", memory="8Gi")


@dsl.component(base_image=IMAGES[PLACE.image], install_kfp_package=False)
def prepare(
    corpus: dsl.Input[dsl.Dataset],
    codec: dsl.Input[dsl.Model],
    prepared: dsl.Output[dsl.Dataset],
    workspace: str,
    code: str,
    preset: str,
    part: str = "",
    earlier: dsl.Input[list[dsl.Dataset]] = None,
):
    """Prepare ``part`` (0/2 is the first of two; empty for all), taking what ``earlier`` sets hold as it is."""
    from dubflow.platform.steps.data import prepare_set

    found = [one.path for one in earlier or []]
    prepared.metadata.update(prepare_set(prepared.path, workspace, corpus.path, codec.path, preset, part, found))
