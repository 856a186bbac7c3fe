"""First step: the clip at a path and a voice into features."""

from dubflow.serving.models.diflow_frontend import FrontendModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
