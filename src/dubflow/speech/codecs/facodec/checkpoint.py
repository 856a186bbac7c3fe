"""The published checkpoint files in, a folder of safetensors and JSON out, and that folder in again.

Both directions hold names, shapes and types strictly against the networks: an entry that is missing, unknown or of
another shape is an error, never a silent default.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dubflow.atomic import atomic_dir, write_json
from dubflow.config import Strict
from dubflow.errors import BadInput, WrongUse
from dubflow.media.digest import sha256_file
from dubflow.speech.codecs.facodec.config import FacodecConfig
from dubflow.speech.codecs.facodec.network import FacodecDecoder, FacodecEncoder

DROPPABLE = (
    "f0_predictor",
    "phone_predictor",
    "res_f0_predictor",
    "res_phone_predictor",
    "x_timbre_predictor",
    "content_f0_predictor",
    "prosody_phone_predictor",
)
"""Parts of the published decoder file that only its training used."""

HEADER = "facodec.json"
Part = Literal["encoder", "decoder"]


class SourceFile(Strict):
    """A published file that was converted."""

    name: str
    sha256: str


class Header(Strict):
    """``facodec.json``: what the folder holds and where it came from."""

    format: Literal["dubflow.facodec"] = "dubflow.facodec"
    version: Literal[1] = 1
    config: FacodecConfig
    sources: dict[Part, SourceFile]
    dropped: list[str]
    tensors: dict[Part, str]


@dataclass(frozen=True, eq=False)
class Network:
    """Both networks with their weights, and what names them in cache keys."""

    config: FacodecConfig
    encoder: FacodecEncoder
    decoder: FacodecDecoder
    id: str


def empty_networks(config: FacodecConfig) -> dict[Part, nn.Module]:
    """Encoder and decoder without storage (torch's meta device): names, shapes and types only."""
    with torch.device("meta"):
        return {"encoder": FacodecEncoder(config), "decoder": FacodecDecoder(config)}


def convert(encoder_path: Path, decoder_path: Path, out_dir: Path, config: FacodecConfig) -> Path:
    """See :func:`dubflow.speech.codecs.facodec.convert_checkpoints`."""
    if out_dir.exists():
        raise WrongUse("speech.codec_folder_exists", f"{out_dir} exists already.", "Name a new folder.")
    paths: dict[Part, Path] = {"encoder": encoder_path, "decoder": decoder_path}
    sources = {part: {"name": path.name, "sha256": sha256_file(path)} for part, path in paths.items()}
    states: dict[Part, dict[str, Tensor]] = {}
    dropped: set[str] = set()
    for part, network in empty_networks(config).items():
        state = _read_published(paths[part])
        droppable = DROPPABLE if part == "decoder" else ()
        dropped |= {_first_name(key) for key in state} & set(droppable)
        kept = {key: value for key, value in state.items() if _first_name(key) not in droppable}
        _check(kept, network, paths[part].name)
        states[part] = kept
    with atomic_dir(out_dir) as folder:
        for part, state in states.items():
            save_file({key: value.contiguous().clone() for key, value in state.items()}, _tensors(folder, part))
        tensors = {part: sha256_file(_tensors(folder, part)) for part in states}
        header = Header.model_validate(
            {"config": config, "sources": sources, "dropped": sorted(dropped), "tensors": tensors}
        )
        write_json(folder / HEADER, header.model_dump(mode="json"))
    return out_dir


def load(folder: Path) -> Network:
    """Networks of a converted folder, with weights as published (not folded).

    Raises:
        BadInput: ``speech.codec_folder_broken``, ``speech.codec_checkpoint_mismatch``.
    """
    header = _read_header(folder)
    networks = empty_networks(header.config)
    for part, network in networks.items():
        path = _tensors(folder, part)
        if not path.is_file() or sha256_file(path) != header.tensors[part]:
            raise _broken(folder, f"{path.name} is missing or is not the file that was converted")
        try:
            state = load_file(path)
        except SafetensorError as error:
            raise _broken(folder, f"{path.name}: {error}") from error
        _check(state, network, path.name)
        network.load_state_dict(state, strict=True, assign=True)
    encoder, decoder = networks["encoder"], networks["decoder"]
    assert isinstance(encoder, FacodecEncoder)
    assert isinstance(decoder, FacodecDecoder)
    # The name covers what tokens depend on (weights and settings), not where the files came from.
    named = {"config": header.config.model_dump(mode="json"), "tensors": header.tensors}
    digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()
    return Network(header.config, encoder, decoder, f"facodec-1-{digest[:16]}")


def _read_published(path: Path) -> dict[str, Tensor]:
    try:
        # Mapping the file spares reading the training parts, which are most of it; only the zip layout can be mapped.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, OSError) as error:
        raise _unreadable(path, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if not isinstance(content, Mapping):
        raise _unreadable(path, f"it holds a {type(content).__name__}, not named tensors")
    strange = [key for key, value in content.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if strange:
        raise _unreadable(path, f"{strange[0]!r} is not a named tensor")
    return dict(content)


def _check(state: Mapping[str, Tensor], network: nn.Module, name: str) -> None:
    expected = {key: _form(value) for key, value in network.state_dict().items()}
    found = {key: _form(value) for key, value in state.items()}
    missing, unexpected = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    shapes = [
        f"{key}: {found[key]} instead of {expected[key]}"
        for key in sorted(expected.keys() & found.keys())
        if found[key] != expected[key]
    ]
    if missing or unexpected or shapes:
        first = (missing + unexpected + shapes)[0]
        raise BadInput(
            "speech.codec_checkpoint_mismatch",
            f"{name} does not hold this network: {len(missing)} entries are missing, {len(unexpected)} unexpected, "
            f"{len(shapes)} of another shape or type; the first is {first}.",
            "Give the published V1 encoder and decoder files, or the config that the files were made with.",
            missing=missing,
            unexpected=unexpected,
            shapes=shapes,
        )
    broken = sorted(key for key, value in state.items() if not value.isfinite().all())
    if broken:
        raise _unreadable(Path(name), f"{broken[0]!r} holds NaN or infinite values")


def _first_name(key: str) -> str:
    return key.split(".", 1)[0]


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _read_header(folder: Path) -> Header:
    try:
        content: Any = json.loads((folder / HEADER).read_text(encoding="utf-8"))
        return Header.model_validate(content)
    except OSError as error:
        raise _broken(folder, f"{HEADER} cannot be read ({error.strerror})") from error
    except (ValidationError, ValueError) as error:
        raise _broken(folder, f"{HEADER} is not a header of this version ({error})") from error


def _tensors(folder: Path, part: str) -> Path:
    return folder / f"{part}.safetensors"


def _unreadable(path: Path, problem: str) -> BadInput:
    return BadInput(
        "speech.codec_checkpoint_unreadable",
        f"{path.name} cannot be read as a checkpoint of plain tensors: {problem}.",
        "Download the published state dict again; files that carry code are refused.",
    )


def _broken(folder: Path, problem: str) -> BadInput:
    return BadInput(
        "speech.codec_folder_broken", f"The codec folder {folder.name}: {problem}.", "Convert the checkpoints again."
    )
