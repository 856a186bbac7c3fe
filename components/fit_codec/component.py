"""The codec that data is prepared with: the starter model's, or one fitted to a corpus."""

from kfp import dsl

from components.place import IMAGES, Place

PLACE = Place(image="data")


@dsl.component(base_image=IMAGES[PLACE.image], install_kfp_package=False)
def fit_codec(
    corpus: dsl.Input[dsl.Dataset],
    codec: dsl.Output[dsl.Model],
    workspace: str,
    code: str,
    start: str,
    minutes: float,
    seed: int,
):
    """Place the codec of the model ``start``; where that is empty, fit one to ``minutes`` of the corpus."""
    from dubflow.platform.steps.data import codec_for

    codec.metadata.update(codec_for(codec.path, workspace, corpus.path, start, minutes, seed))
