"""Which weights these are, in 64 characters: the key under which latents and text features are cached."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import nn

_SAMPLES = 64


def fingerprint(part: nn.Module) -> str:
    """SHA-256 over the part's configuration and, of every tensor, name, shape, dtype and 64 evenly spread values.

    Reads little of a large model, and tells two trainings apart; it is no signature. Offloaded weights (meta tensors)
    count by shape only, so take it before offloading.
    """
    digest = hashlib.sha256(json.dumps(_configuration(part), sort_keys=True, default=str).encode())
    for name, tensor in sorted(part.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        if tensor.is_meta or tensor.numel() == 0:
            continue
        flat = tensor.detach().reshape(-1)
        where = torch.linspace(0, flat.numel() - 1, min(_SAMPLES, flat.numel()), dtype=torch.float64).long()
        digest.update(flat[where.to(flat.device)].to("cpu", torch.float32).numpy().tobytes())
    return digest.hexdigest()


def _configuration(part: nn.Module) -> dict[str, Any]:
    config: Any = getattr(part, "config", {})
    stated = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    return _lasting(stated)


def _lasting(stated: dict[Any, Any]) -> dict[str, Any]:
    """Without where a model was loaded from, by which release, and what saving it notes: none of it is computed with.

    The type of numbers is that of the tensors.
    """
    return {
        str(name): _lasting(value) if isinstance(value, dict) else value
        for name, value in stated.items()
        if not str(name).startswith("_") and "version" not in str(name) and name not in ("architectures", "dtype")
    }
