"""Third step: codec tokens into sound."""

from dubflow.serving.models.diflow_codec import CodecModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
