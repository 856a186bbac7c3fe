"""Lip and face features for the models: the Protocols; ``embedded`` and ``paper`` implement them."""

from dubflow.faces.features.protocols import FACE_DIM, LIP_DIM, FaceFeatures, LipFeatures

__all__ = ["FACE_DIM", "LIP_DIM", "FaceFeatures", "LipFeatures"]
