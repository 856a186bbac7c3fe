"""MediaPipe's bundled face mesh on one picture, and its noise kept off our standard output.

The models travel in the MediaPipe wheel (Apache-2.0), nothing is fetched. ``refine_landmarks`` is always on: without it
the mesh hardly follows the lips.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from types import TracebackType
from typing import Any

import numpy as np

from dubflow.errors import OurFault, missing_extra
from dubflow.faces.frames import Picture
from dubflow.faces.tracks import POINTS, Floats
from dubflow.quiet import native_output_hidden


class Mesh:
    """One MediaPipe graph. Close it, or use it as a context manager.

    Args:
        faces: most faces a picture is searched for.
        follow: look first where the face was in the picture before (the graph keeps that state); otherwise every
            picture is searched anew.
        confidence: 0 to 1, for the detector and for the presence of a followed face.
    """

    def __init__(self, faces: int, *, follow: bool, confidence: float) -> None:
        self._has_spoken = False
        with native_output_hidden():
            self._graph = _face_mesh_class()(
                static_image_mode=not follow,
                max_num_faces=faces,
                refine_landmarks=True,
                min_detection_confidence=confidence,
                min_tracking_confidence=confidence,
            )
            self._graph.process(np.zeros((8, 8, 3), np.uint8))

    def __call__(self, picture: Picture) -> list[Floats]:
        """Landmarks float32 [478, 3] in pixels of ``picture`` (uint8 [H, W, 3], contiguous), one entry a face."""
        height, width = picture.shape[:2]
        scale = np.array([width, height, width], np.float32)
        # The graph starts in the background on its first picture and makes its last remark on the first face.
        with nullcontext() if self._has_spoken else native_output_hidden():
            faces = self._graph.process(picture).multi_face_landmarks or []
        self._has_spoken = self._has_spoken or bool(faces)
        return [
            np.fromiter((c for p in face.landmark for c in (p.x, p.y, p.z)), np.float32, POINTS * 3).reshape(-1, 3)
            * scale
            for face in faces
        ]

    def close(self) -> None:
        self._graph.close()

    def __enter__(self) -> Mesh:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def mediapipe_version() -> str:
    """Version of the installed MediaPipe, which the landmarks depend on, without importing it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mediapipe")
    except PackageNotFoundError as error:
        raise missing_extra("mediapipe") from error


def _face_mesh_class() -> Any:
    # Read when its logging starts, so before the import; a louder setting of the user's own is respected.
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import mediapipe
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "mediapipe":
            raise missing_extra("mediapipe") from error
        raise OurFault(
            "faces.broken_mediapipe", f"MediaPipe lacks the package {error.name!r}.", "Install dubflow[faces] anew."
        ) from error
    return mediapipe.solutions.face_mesh.FaceMesh
