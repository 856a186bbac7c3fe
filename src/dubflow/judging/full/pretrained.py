"""Models that transformers reads, named by a folder or by a hub id: their files, their pins, and loading them strictly.

A folder comes first. A hub id is resolved by transformers, which takes what lies in its cache and fetches what does not
unless it was told to stay offline (``HF_HUB_OFFLINE=1``). Weights are safetensors only, code of a repository is never
run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dubflow.errors import BadInput, WrongUse, missing_extra
from dubflow.judging.card.rows import JudgePin
from dubflow.judging.catalogue import JUDGES
from dubflow.judging.full.weights import weights_digest
from dubflow.quiet import advice_hidden

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.\-]*(/[A-Za-z0-9][\w.\-]*)?")
Setting = str | int | float | bool | None


def why_no_model(model: str | None, kind: str, setting: str) -> str | None:
    """Why a judge of that kind (of the catalogue) cannot be had here, or None; looks at files, asks no server."""
    if model is None:
        return JUDGES[kind].gap
    try:
        _transformers()
    except WrongUse as error:
        return str(error)
    if Path(model).is_dir():
        lacking = [name for name in (CONFIG, WEIGHTS) if not (Path(model) / name).is_file()]
        if not lacking or (lacking == [WEIGHTS] and (Path(model) / INDEX).is_file()):
            return None
        return f"The folder {model}, which the setting {setting!r} names, has no {' and no '.join(lacking)}."
    if not _HUB_ID.fullmatch(model):
        return f"There is no folder {model}, which the setting {setting!r} names for {JUDGES[kind].what}."
    if _may_fetch() or _cached(model, CONFIG):
        return None
    return f"{model} is neither a folder nor in the cache of transformers, which is offline ({setting!r} names it)."


def model_pin(model: str | None, kind: str, files: Sequence[str], settings: Mapping[str, Setting]) -> JudgePin:
    """The pin of a judge by the hashes of its files.

    Args:
        model: folder or hub id.
        kind: of the catalogue.
        files: JSON files besides the weights that its figures depend on, where the model has them.
        settings: what else they depend on; the version of transformers is added.

    Raises:
        BadInput: ``judging.no_model``. WrongUse: ``install.missing_extra``, ``judging.weights_not_named``.
    """
    transformers, model = _transformers(), named_model(model, kind)
    weights = _weight_files(model)
    # One file by its own hash; several by the hash of theirs, in the order of their names.
    digests = [weights_digest(file) for file in weights]
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    beside = {name: weights_digest(found) for name in files if (found := _file(model, name, needed=False)) is not None}
    return JudgePin(
        version=f"{kind}-{Path(model).name}",
        sha256=digest,
        settings={**settings, **beside, "transformers": str(transformers.__version__)},
    )


def named_model(model: str | None, kind: str) -> str:
    """The folder or hub id of a judge of that kind (of the catalogue).

    Raises:
        WrongUse: ``judging.weights_not_named``.
    """
    if model is None:
        raise WrongUse("judging.weights_not_named", f"No model is named for {JUDGES[kind].what}.", JUDGES[kind].gap)
    return model


def load_model(loader: str, model: str, *, optional: Sequence[str] = ()) -> Any:
    """A model in single precision for inference, whole or not at all.

    Args:
        loader: name of a class of transformers.
        model: folder or hub id.
        optional: ends of names of parameters that may be missing, as inference does not need them.

    Raises:
        BadInput: ``judging.no_model`` where it cannot be had or is not safetensors, ``judging.weights_do_not_fit``.
        WrongUse: ``install.missing_extra``.
    """
    import torch

    transformers = _transformers()
    # Asked first: for a repository without safetensors transformers would have a service on the hub convert it.
    _weight_files(model)
    with quiet(), _told(model):
        loaded, about = getattr(transformers, loader).from_pretrained(
            model,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported below, with the missing ones
        )
    missing = sorted(name for name in about["missing_keys"] if not name.endswith(tuple(optional)))
    misshapen = sorted(str(one[0]) for one in about["mismatched_keys"])
    missing = [name for name in missing if name not in misshapen]
    if missing or misshapen:
        raise BadInput(
            "judging.weights_do_not_fit",
            f"The weights of {model} are not those of its own config: {len(missing)} missing, {len(misshapen)} of "
            f"another shape, such as {(missing + misshapen)[0]}.",
            "Give the model as it was published.",
            missing=missing,
            misshapen=misshapen,
        )
    return loaded.eval().requires_grad_(False)


def load_part(loader: str, model: str) -> Any:
    """A processor, tokenizer, feature extractor or config of a model.

    Raises:
        BadInput: ``judging.no_model``. WrongUse: ``install.missing_extra``.
    """
    transformers = _transformers()
    with quiet(), _told(model):
        return getattr(transformers, loader).from_pretrained(model, trust_remote_code=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' advice and progress bars inside, as it was afterwards."""
    with advice_hidden(_transformers()):
        yield


def _weight_files(model: str) -> list[Path]:
    single = _file(model, WEIGHTS, needed=False)
    if single is not None:
        return [single]
    index = _file(model, INDEX, needed=True)
    assert index is not None
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise _no_model(model, f"{INDEX} is no index ({error})") from error
    return [file for name in names if (file := _file(model, str(name), needed=True)) is not None]


def _file(model: str, name: str, *, needed: bool) -> Path | None:
    """A file of a model; None where it has none of that name and need not."""
    cached_file = _transformers().utils.cached_file
    with quiet(), _told(model):
        found = cached_file(
            model,
            name,
            _raise_exceptions_for_missing_entries=needed,
            _raise_exceptions_for_connection_errors=needed,
        )
    return None if found is None else Path(found)


def _may_fetch() -> bool:
    from huggingface_hub import constants

    return not constants.HF_HUB_OFFLINE


def _cached(model: str, name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(model, name), str)


@contextmanager
def _told(model: str) -> Iterator[None]:
    """What transformers raises for a model that it cannot read, as an error of ours."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise _no_model(model, (str(error).splitlines() or [type(error).__name__])[0].rstrip(". ")) from error


def _no_model(model: str, problem: str) -> BadInput:
    return BadInput(
        "judging.no_model",
        f"The model {model} cannot be read: {problem}.",
        "Name a folder with config.json and model.safetensors, or a hub id that lies in the cache or may be fetched.",
    )


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise missing_extra("transformers") from error
    return transformers
