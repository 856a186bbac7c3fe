"""Second step: features into codec tokens, segments of many requests in one batch."""

from dubflow.serving.models.diflow_denoiser import DenoiserModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
