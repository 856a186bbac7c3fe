"""Where a base's parts lie: diffusers' folder, one part's folder, or a published checkpoint; opened, not yet read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dubflow.errors import WrongUse
from dubflow.incontext.backbone.configs import PARTS, Config, part_configs
from dubflow.incontext.backbone.filling import checked_config
from dubflow.incontext.backbone.folders import CONFIG, part_files
from dubflow.incontext.backbone.names import part_name
from dubflow.incontext.backbone.settings import Version
from dubflow.incontext.backbone.sizes import detect_version, settings_of, unknown
from dubflow.incontext.backbone.tensor_file import TensorFacts, TensorFiles
from dubflow.training.eight_bit import SCALE, multiplied, without_scales

_EIGHT_BIT = (torch.float8_e4m3fn, torch.float8_e5m2, torch.int8)
_OTHER_SCALE = ".scale_weight"
_NOTES = (f".weight{SCALE}", _OTHER_SCALE, ".input_scale", ".scale_input", "scaled_fp8")
_PROMPT_MODULATION = "prompt_adaln.linear.weight"


@dataclass(frozen=True)
class PartSource:
    """A part's configuration, the facts of its tensors by diffusers' names, and how to read one."""

    config: Config
    facts: Mapping[str, TensorFacts]
    load: Callable[[str], Tensor]


@dataclass(frozen=True)
class Base:
    """An LTX-2 in files."""

    version: Version
    parts: Mapping[str, PartSource]


def open_base(path: Path) -> Base:
    """What lies at ``path``; only headers are read.

    Raises:
        BadInput: ``incontext.unknown_base``, ``incontext.version_mismatch``, ``incontext.no_weights``,
            ``incontext.bad_tensor_file``.
        WrongUse: ``incontext.no_such_base``.
    """
    path = Path(path)
    if (path / CONFIG).is_file():
        return _folders({"transformer": path})
    if path.is_dir():
        return _folders({part: path / part for part in PARTS if (path / part).is_dir()})
    if path.is_file():
        return _checkpoint(path)
    raise WrongUse(
        "incontext.no_such_base", f"There is no {path}.", "Give diffusers' folder or a checkpoint file of LTX-2."
    )


def _folders(folders: Mapping[str, Path]) -> Base:
    read: dict[str, tuple[Config, _Reader]] = {}
    for part, folder in folders.items():
        config, files = part_files(folder)
        read[part] = config, _Reader(files, {name: name for name in without_scales(files.facts)})
    version = detect_version({part: reader.facts for part, (_, reader) in read.items()})
    return Base(
        version,
        {
            part: PartSource(checked_config(part, config), reader.facts, reader.load)
            for part, (config, reader) in read.items()
        },
    )


def _checkpoint(path: Path) -> Base:
    file = TensorFiles([path])
    origin: dict[str, dict[str, str]] = {part: {} for part in PARTS}
    for published in file.facts:
        known = None if published.endswith(_NOTES) else part_name(published)
        if known:
            origin[known[0]][known[1]] = published
    if not origin["transformer"]:
        raise unknown(f"{path.name} holds no tensors under the names of a published checkpoint")
    readers = {part: _Reader(file, names) for part, names in origin.items() if names}
    settings = settings_of({part: reader.facts for part, reader in readers.items()}, file.metadata)
    configs = part_configs(settings)
    if settings.version == "2.5" and _PROMPT_MODULATION not in origin["transformer"]:
        configs["transformer"]["use_prompt_adaln_single"] = False  # 2.5 exists with and without it
    return Base(
        settings.version,
        {part: PartSource(configs[part], reader.facts, reader.load) for part, reader in readers.items()},
    )


class _Reader:
    """Tensors of one part by diffusers' names; 8-bit weights that have a scale come multiplied out, in bfloat16."""

    def __init__(self, file: TensorFiles, origin: Mapping[str, str]) -> None:
        self._file = file
        self._origin = origin
        self.facts = {name: self._fact(published) for name, published in origin.items()}

    def load(self, name: str) -> Tensor:
        published = self._origin[name]
        tensor, scale = self._file.load(published), self._scale(published)
        if scale is None:
            return tensor
        return multiplied(tensor, self._file.load(scale)).to(torch.bfloat16)

    def _fact(self, published: str) -> TensorFacts:
        fact = self._file.facts[published]
        return fact if self._scale(published) is None else TensorFacts(torch.bfloat16, fact.shape)

    def _scale(self, published: str) -> str | None:
        if self._file.facts[published].dtype not in _EIGHT_BIT:
            return None
        names = (f"{published}{SCALE}", published.removesuffix(".weight") + _OTHER_SCALE)
        return next((name for name in names if name in self._file.facts), None)
