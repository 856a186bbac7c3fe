"""ArcFace behind ``judging.identity.FaceEncoder``: from an ONNX file, or from the state dict of a published network.

Both see RGB as (x - 127.5) / 127.5. An ONNX file is only numbers and known operations, so it is run as it is, once its
input and output are found to be those of such a network; files of networks that scale pictures themselves (those
exported from MXNet do) look the same from outside and are not for this judge.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput, missing_extra
from dubflow.judging.full.arcface.alignment import SIDE
from dubflow.judging.full.weights import load_into, read_state, weights_digest

DIMENSIONS = 512
MIDDLE = 127.5
_BATCH = 32
_HINT = "Name an ArcFace network: an .onnx file such as w600k_r50, or a backbone of arcface_torch."

Pictures = NDArray[np.float32]
Network = Callable[[Pictures], Pictures]
"""``[n, 3, 112, 112]`` in -1..1 to ``[n, 512]``."""


class ArcFaceEncoder:
    """Implements :class:`dubflow.judging.identity.FaceEncoder`.

    Args:
        weights: ``.onnx``, or a state dict in the layout of ``iresnet18`` to ``iresnet200``.
        device: of torch; ONNX files are run on the CPU.

    Raises:
        BadInput: ``judging.weights_missing``, ``judging.bad_weights``, ``judging.weights_do_not_fit``.
        WrongUse: ``install.missing_extra``.
    """

    def __init__(self, weights: Path, device: str = "cpu") -> None:
        onnx = weights.suffix.lower() == ".onnx"
        self._network, what = _from_onnx(weights) if onnx else _from_state(weights, device)
        self._id = f"arcface-{what}-{weights_digest(weights)[:16]}"

    @property
    def id(self) -> str:
        """Kind of network and the start of the weights' hash."""
        return self._id

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Vectors ``[F, 512]``, not of length 1, of RGB faces ``[F, 112, 112, 3]`` (:mod:`..alignment`).

        Raises:
            BadInput: ``judging.bad_crops``; ``judging.bad_weights`` where an ONNX network answers otherwise.
        """
        if crops.dtype != np.uint8 or crops.shape[1:] != (SIDE, SIDE, 3):
            raise BadInput(
                "judging.bad_crops",
                f"Faces are uint8 [F, {SIDE}, {SIDE}, 3], not {crops.dtype} {list(crops.shape)}.",
                "Cut them with dubflow.judging.full.arcface.alignment.",
            )
        found = [np.zeros((0, DIMENSIONS), np.float32)]
        for start in range(0, len(crops), _BATCH):
            batch = crops[start : start + _BATCH].transpose(0, 3, 1, 2)
            found.append(self._network((batch.astype(np.float32) - MIDDLE) / MIDDLE))
        return np.concatenate(found)


def _from_state(path: Path, device: str) -> tuple[Network, str]:
    import torch

    from dubflow.judging.full.arcface.iresnet import DEPTHS, IResNet, variant_of

    state = read_state(path)
    variant = variant_of(state)
    if variant is None:
        raise BadInput(
            "judging.weights_do_not_fit",
            f"{path.name} names the blocks of none of {', '.join(DEPTHS)}.",
            _HINT,
        )
    network = IResNet(DEPTHS[variant])
    load_into(network, state, what=f"ArcFace's {variant}")
    network.to(device)

    def run(pictures: Pictures) -> Pictures:
        with torch.inference_mode():
            vectors: Pictures = network(torch.from_numpy(pictures).to(device)).cpu().numpy()
        return vectors

    return run, variant


def _from_onnx(path: Path) -> tuple[Network, str]:
    if not path.is_file():
        raise BadInput("judging.weights_missing", f"There is no file of weights {path}.", _HINT)
    try:
        from onnxruntime import InferenceSession, SessionOptions
    except ImportError as error:
        raise missing_extra("onnxruntime") from error
    settings = SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 4  # what is wrong with a file is said by the error
    try:
        session = InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # the package's own kinds have no base of their own
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput("judging.bad_weights", f"{path.name} is no ONNX network: {first}", _HINT) from error
    one_by_one = _checked_ends(path, session)

    def run(pictures: Pictures) -> Pictures:
        parts = np.split(pictures, len(pictures)) if one_by_one else [pictures]
        name = session.get_inputs()[0].name
        vectors: Pictures = np.concatenate([np.asarray(session.run(None, {name: part})[0]) for part in parts])
        if vectors.shape != (len(pictures), DIMENSIONS) or not np.isfinite(vectors).all():
            raise BadInput(
                "judging.bad_weights",
                f"{path.name} answers {list(vectors.shape)} for {len(pictures)} faces, or no finite numbers.",
                _HINT,
            )
        return vectors

    return run, "onnx"


def _checked_ends(path: Path, session: Any) -> bool:
    """Whether the network takes one face at a time.

    Raises:
        BadInput: ``judging.weights_do_not_fit`` for other inputs or outputs than such a network has.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    fits = (
        len(inputs) == len(outputs) == 1
        and inputs[0].type == outputs[0].type == "tensor(float)"
        and len(inputs[0].shape) == 4
        and list(inputs[0].shape[1:]) == [3, SIDE, SIDE]
        and len(outputs[0].shape) == 2
        and (outputs[0].shape[1] == DIMENSIONS or not isinstance(outputs[0].shape[1], int))
        and (not isinstance(inputs[0].shape[0], int) or inputs[0].shape[0] == 1)
    )
    if not fits:
        ends = [f"{one.name} {one.type} {one.shape}" for one in (*inputs, *outputs)]
        raise BadInput(
            "judging.weights_do_not_fit",
            f"{path.name} is no network from [n, 3, {SIDE}, {SIDE}] to [n, {DIMENSIONS}] but {', '.join(ends)}.",
            _HINT,
        )
    return isinstance(inputs[0].shape[0], int)
