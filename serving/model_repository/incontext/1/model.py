"""The in-context engine: a job in, stages and spoken segments out."""

from dubflow.serving.models.incontext import IncontextModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
