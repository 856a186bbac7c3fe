"""Published weights into the networks of the full judges: safely, completely, or not at all; and what pins them.

Reading and checking are those of :mod:`dubflow.faces.features.weights`; here they speak of judges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from dubflow.errors import BadInput, WrongUse
from dubflow.judging.card.rows import JudgePin
from dubflow.media.digest import sha256_file

if TYPE_CHECKING:
    from torch import Tensor, nn


def read_state(path: str | Path, *, strip: Sequence[str] = ()) -> dict[str, Tensor]:
    """Named tensors of a ``.safetensors`` file or of a torch file (opened so that none of its code is run).

    A container (``model_state_dict``, ``state_dict``) is opened and the prefix ``module.`` taken off every name, then
    the first of ``strip`` that a name begins with.

    Raises:
        BadInput: ``judging.weights_missing``; ``judging.bad_weights`` for a file that holds anything but tensors, such
            as pickled objects or a TorchScript archive.
    """
    from dubflow.faces.features.weights import read_weights

    if not Path(path).is_file():
        raise BadInput(
            "judging.weights_missing", f"There is no file of weights {path}.", "Give the path of the published file."
        )
    try:
        found = read_weights(path)
    except BadInput as error:
        raise BadInput("judging.bad_weights", error.headline, error.hint) from error
    return {_stripped(name, strip): tensor for name, tensor in found.items()}


def load_into(module: nn.Module, state: Mapping[str, Tensor], *, what: str, ignore: Sequence[str] = ()) -> None:
    """Put weights into a network, set it to inference and take it out of gradients.

    Args:
        module: its parameters and buffers bear the published names.
        state: as :func:`read_state` gives it.
        what: names the network in errors.
        ignore: prefixes of published parameters that judging does not need.

    Raises:
        BadInput: ``judging.weights_do_not_fit`` naming what is missing, unknown or of another shape;
            ``judging.bad_weights`` for values that are not finite.
    """
    from dubflow.faces.features.weights import load_strictly

    try:
        load_strictly(module, state, ignore, what)
    except BadInput as error:
        if error.code.endswith("weights_do_not_fit"):
            raise BadInput("judging.weights_do_not_fit", error.headline, error.hint, **error.details) from error
        raise BadInput("judging.bad_weights", error.headline, error.hint) from error


def weights_pin(path: str | Path, version: str, settings: Mapping[str, str | int | float | bool | None]) -> JudgePin:
    """The pin of a judge by the hash of its file of weights.

    Raises:
        BadInput: ``media.missing`` and the like.
    """
    return JudgePin(version=version, sha256=weights_digest(path), settings=dict(settings))


def weights_digest(path: str | Path) -> str:
    """SHA-256 of a file, read once a process as long as it does not change.

    Raises:
        BadInput: ``media.missing`` and the like.
    """
    path = Path(path)
    if not path.is_file():
        return sha256_file(path)  # which says what is wrong with it
    found = path.stat()
    return _digest_of_state(path.resolve(), found.st_size, found.st_mtime_ns)


def named(path: Path | None, kind: str) -> Path:
    """The file of a judge of that kind (of the catalogue).

    Raises:
        WrongUse: ``judging.weights_not_named``.
    """
    from dubflow.judging.catalogue import JUDGES

    if path is None:
        raise WrongUse("judging.weights_not_named", f"No weights are named for {JUDGES[kind].what}.", JUDGES[kind].gap)
    return path


def why_no_weights(path: str | Path | None, kind: str, setting: str) -> str | None:
    """Why a judge of that kind (of the catalogue) cannot be had for want of its file; None where the file is there."""
    from dubflow.judging.catalogue import JUDGES

    if path is None:
        return JUDGES[kind].gap
    if not Path(path).is_file():
        return f"There is no file {path}, which the setting {setting!r} names for {JUDGES[kind].what}."
    return None


def why_no_device(device: str) -> str | None:
    """Why torch cannot compute on ``device`` here, or None."""
    if device == "cpu":
        return None
    import torch

    return None if torch.cuda.is_available() else f"Torch sees no device {device!r} here (the setting 'device')."


def _stripped(name: str, prefixes: Sequence[str]) -> str:
    return next((name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix)), name)


@lru_cache(maxsize=32)
def _digest_of_state(path: Path, size: int, changed_ns: int) -> str:
    return sha256_file(path)
