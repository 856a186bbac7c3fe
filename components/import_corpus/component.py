"""A public layout (GRID, Chem, HDTF, TalkVid, LibriTTS, …) as a corpus."""

from kfp import dsl

from components.place import IMAGES, Place

PLACE = Place(image="data", cpu="4")


@dsl.component(base_image=IMAGES[PLACE.image], install_kfp_package=False)
def import_corpus(corpus: dsl.Output[dsl.Dataset], workspace: str, code: str, layout: str, root: str):
    """Read ``root``, a path that the step can see, as ``layout``."""
    from dubflow.platform.steps.data import import_layout

    corpus.metadata.update(import_layout(corpus.path, workspace, layout, root))
