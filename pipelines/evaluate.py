"""A stored model judged on a benchmark."""

from components.evaluate import component as evaluation
from components.place import put
from kfp import dsl


@dsl.pipeline(name="evaluate", description="Dub a benchmark with a stored model and judge the dubs.")
def evaluate(
    model: str, workspace: str = "/workspace", code: str = "", benchmark: str = "standard", preset: str = "tiny"
):
    """``model`` is the folder or the object storage prefix of a stored model or package."""
    stored = dsl.importer(artifact_uri=model, artifact_class=dsl.Model, reimport=False)
    put(
        evaluation.evaluate(package=stored.output, workspace=workspace, code=code, benchmark=benchmark, preset=preset),
        evaluation.PLACE,
    )
