"""Talking heads (or their voices alone) of the embedded world."""

from kfp import dsl

from components.place import IMAGES, Place

PLACE = Place(image="data", cpu="4")


@dsl.component(base_image=IMAGES[PLACE.image], install_kfp_package=False)
def render_corpus(
    corpus: dsl.Output[dsl.Dataset],
    workspace: str,
    code: str,
    preset: str,
    identities: int,
    clips: int,
    languages: str,
    seed: int,
    voices_only: bool,
):
    """Render a corpus; the same seed gives the same bytes."""
    from dubflow.platform.steps.data import render

    corpus.metadata.update(
        render(corpus.path, workspace, preset, identities, clips, languages, seed, voices_only=voices_only)
    )
