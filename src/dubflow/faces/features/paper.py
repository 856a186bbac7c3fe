"""The paper's extractors, for whoever has their weights.

DiFlowDubber, like its peers, feeds its models 512 numbers a frame from a lip-reading network and 256 from an emotion
network (HPMDubbing's preprocessing, which it names). The weights are not ours to give: the lip-reading code is for
comparison only, EmoFAN's for non-commercial research. Without them use ``embedded``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from dubflow.errors import WrongUse
from dubflow.faces.features import emofan, lip_resnet
from dubflow.faces.features.protocols import FACE_DIM, LIP_DIM, check_face_crops, check_lip_crops
from dubflow.faces.features.weights import load_strictly, read_weights
from dubflow.faces.frames import Picture
from dubflow.faces.tracks import Floats
from dubflow.media.digest import sha256_file


class PaperLipFeatures:
    """Lip features of ``lrw_resnet18_mstcn_video``; implements ``LipFeatures``.

    Args:
        path: the checkpoint, ``.safetensors`` or a torch file.
        activation: of the network; None reads it from the weights (see ``lip_resnet.activation_of``).
        device: a torch device.
        chunk: frames computed at once; bounds memory, features do not depend on it.

    Raises:
        BadInput: ``faces.weights_missing``, ``faces.bad_weights``, ``faces.weights_do_not_fit``.
    """

    def __init__(
        self,
        path: str | Path,
        activation: lip_resnet.Activation | None = None,
        device: str = "cpu",
        chunk: int = 64,
    ) -> None:
        _check_chunk(chunk)
        weights = read_weights(path)
        activation = activation or lip_resnet.activation_of(weights)
        self._network = lip_resnet.LipResNet(activation)
        load_strictly(self._network, weights, lip_resnet.IGNORED, "the lip-reading front end (ResNet-18)")
        self._network.to(device)
        self._device, self._chunk = device, chunk
        self.id = f"lrw-resnet18-{activation}-{sha256_file(path)[:16]}"

    def extract(self, crops: Picture) -> Floats:
        """See ``LipFeatures.extract``. A frame's features see two frames on either side of it."""
        check_lip_crops(crops)
        features = np.empty((len(crops), LIP_DIM), np.float32)
        reach = lip_resnet.TEMPORAL_REACH
        for start in range(0, len(crops), self._chunk):
            stop = min(start + self._chunk, len(crops))
            first, last = max(start - reach, 0), min(stop + reach, len(crops))
            with torch.inference_mode():
                pictures = lip_resnet.normalise(torch.from_numpy(np.ascontiguousarray(crops[first:last])))
                seen = self._network(pictures.to(self._device))[0]
            features[start:stop] = seen[start - first : stop - first].cpu().numpy()
        return features


class PaperFaceFeatures:
    """Face features of EmoFAN; implements ``FaceFeatures``.

    Args, raises: as ``PaperLipFeatures``. Crops of another size than 256 are brought to it.
    """

    def __init__(self, path: str | Path, device: str = "cpu", chunk: int = 8) -> None:
        _check_chunk(chunk)
        self._network = emofan.EmoFan()
        load_strictly(self._network, read_weights(path), emofan.IGNORED, "EmoFAN")
        self._network.to(device)
        self._device, self._chunk = device, chunk
        self.id = f"emofan-{sha256_file(path)[:16]}"

    def extract(self, crops: Picture) -> Floats:
        """See ``FaceFeatures.extract``. Every frame by itself."""
        check_face_crops(crops)
        features = np.empty((len(crops), FACE_DIM), np.float32)
        for start in range(0, len(crops), self._chunk):
            pictures = _sized(crops[start : start + self._chunk])
            with torch.inference_mode():
                seen = self._network(torch.from_numpy(pictures).permute(0, 3, 1, 2).to(self._device))
            features[start : start + self._chunk] = seen.cpu().numpy()
        return features


def _sized(crops: Picture) -> Floats:
    """float32 [N, 256, 256, 3] in 0..1."""
    import cv2

    side = crops.shape[1]
    method = cv2.INTER_AREA if side > emofan.SIDE else cv2.INTER_LINEAR
    sized = [cv2.resize(crop, (emofan.SIDE, emofan.SIDE), interpolation=method) for crop in crops]
    pictures: Floats = np.stack(sized).astype(np.float32) / np.float32(255)
    return pictures


def _check_chunk(chunk: int) -> None:
    if chunk < 1:
        raise WrongUse("faces.bad_chunk", f"{chunk} frames at once are none.", "Use 1 or more.")
