"""What clients ask: a job in, stages and spoken segments out, through the three models of the same version."""

from dubflow.serving.models.front import FrontModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
