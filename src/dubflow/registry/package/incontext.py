"""Packages of adapters for LTX-2: a LoRA with what it was made for, held against a base before anything is loaded.

The base is not in the package: it is tens of gigabytes, under terms of its own, and shared by adapters. Where it lay
when the adapter was trained stands in ``model.json``; any other place will do where the same base lies.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from dubflow.atomic import write_json
from dubflow.config import Strict
from dubflow.corpora.cache import content_key
from dubflow.errors import BadInput
from dubflow.incontext.adapter.files import Adapter, read_adapter
from dubflow.incontext.adapter.lora import WEIGHTS as ADAPTER
from dubflow.incontext.backbone.described import ENCODER_UNKNOWN, DescribedBase, describe_base
from dubflow.incontext.pairs.manifest import PairManifest
from dubflow.incontext.prompts import LANGUAGES
from dubflow.media.digest import sha256_file
from dubflow.registry.compatibility import check_incontext
from dubflow.registry.licences import LTX_2, tag_of
from dubflow.registry.package.build import Contents, pack
from dubflow.registry.package.facts import (
    AdapterFacts,
    BaseFacts,
    IncontextFacts,
    TextEncoderFacts,
    VocoderFacts,
    World,
)
from dubflow.registry.package.lineage import Lineage, Node, prompt_digest
from dubflow.registry.package.manifest import CARD, CONFIG, LINEAGE, WEIGHTS, PartLicence
from dubflow.registry.package.opening import ModelPackage

OWN_LICENCE = "Apache-2.0"
BASE_ID = "ltx-2"


class AdapterConfig(Strict):
    """What stands in ``model.json`` of such a package."""

    format: Literal["dubflow.adapter-package/1"] = "dubflow.adapter-package/1"
    base: str = Field(description="Where its base lay when it was trained: a path, or starter.")


def is_adapter_folder(folder: Path) -> bool:
    """Whether a training of a LoRA left this folder."""
    return (Path(folder) / ADAPTER).is_file()


def build_adapter_package(
    folder: Path,
    out: Path,
    key: Path | None,
    *,
    base: str | None = None,
    name: str | None = None,
    pairs: Sequence[PairManifest] = (),
    licences: Sequence[PartLicence] = (),
) -> ModelPackage:
    """Pack what ``dubflow train lora`` left in OUT/model.

    Args:
        out: folder of the package, made whole or not at all.
        key: private key that signs it; None: not signed.
        base: the base it was trained on; by default where it lay then. Only headers of it are read.
        name: of the model in the registry; ``incontext-lora`` when it is None.
        pairs: what it was trained on; clips and prompts go into the lineage.
        licences: of further parts, or in place of ``weights``, ``base ltx-2`` and ``pairs NAME``.

    Raises:
        BadInput: ``registry.bad_lineage``, ``registry.adapter_says_too_little``, ``registry.other_pairs``,
            ``registry.incompatible``, and what reading adapter and base says.
        WrongUse: ``registry.package_exists``, ``registry.bad_name``.
    """
    folder = Path(folder)
    adapter, record = read_adapter(folder / ADAPTER), _record(folder / LINEAGE)
    where = base or str(record.get("base") or "")
    described = describe_base(where)
    facts = adapter_facts(adapter, described, _languages(record))
    check_adapter(facts, described)
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / CONFIG
        write_json(config, AdapterConfig(base=where).model_dump(mode="json"))
        contents = Contents(
            name=name or "incontext-lora",
            facts=facts,
            licences=_licences(record, described, licences),
            lineage=_lineage(folder / ADAPTER, facts, record, pairs),
            card=(folder / CARD).read_text(encoding="utf-8"),
            files={WEIGHTS: folder / ADAPTER, CONFIG: config},
        )
        return pack(contents, out, key)


def check_adapter(facts: IncontextFacts, base: DescribedBase) -> None:
    """Whether a packed adapter belongs to a base, with that base's own text encoder and vocoder.

    Raises:
        BadInput: ``registry.incompatible`` with every mismatch.
    """
    # A published file holds no text encoder; the one that is loaded beside it is held against the connectors then.
    encoder = facts.adapter.text_encoder if base.encoder == ENCODER_UNKNOWN else base.encoder
    text = TextEncoderFacts(id=encoder, width=base.encoder_width, layers=base.encoder_states)
    check_incontext(_base_facts(base), facts.adapter, text, _vocoder_facts(base))


def adapter_facts(adapter: Adapter, base: DescribedBase, languages: tuple[str, ...]) -> IncontextFacts:
    """What the package of an adapter says of it.

    Raises:
        BadInput: ``registry.adapter_says_too_little``.
    """
    told = adapter.metadata
    lacking = [name for name in ("base_version", "audio_positions", "mask_scheme") if getattr(told, name) is None]
    layers = [name.split(".", 2) for name in adapter.transformer if name.startswith("transformer_blocks.")]
    if lacking or not layers:
        raise BadInput(
            "registry.adapter_says_too_little",
            f"The adapter does not say its {' and '.join(lacking) or 'blocks'}, so nobody knows how to run it.",
            "Pack an adapter that dubflow train lora wrote.",
        )
    assert told.base_version is not None  # looked at above
    assert told.audio_positions is not None
    assert told.mask_scheme is not None
    whole = _base_facts(base)
    return IncontextFacts(
        languages=languages,
        adapter=AdapterFacts(
            base=BASE_ID,
            base_version=told.base_version,
            base_config=base.config,
            rank=max(adapter.ranks),
            layers=1 + max(int(block) for _, block, _ in layers),
            video_width=_width(adapter, "attn1.to_q", whole.video_width),
            audio_width=_width(adapter, "audio_attn1.to_q", whole.audio_width),
            modules=tuple(sorted({name for _, _, name in layers})),
            text_encoder=base.encoder,
            rope=whole.rope,
            positions=told.audio_positions,
            av_mask=told.mask_scheme,
            world="embedded" if told.world == "embedded" else "real",
        ),
        base=whole,
        text_encoder=TextEncoderFacts(id=base.encoder, width=base.encoder_width, layers=base.encoder_states),
        vocoder=_vocoder_facts(base),
    )


def base_of(package: ModelPackage) -> str:
    """Where the base of a packed adapter lay when it was trained.

    Raises:
        BadInput: ``registry.bad_package``.
    """
    path = package.folder / CONFIG
    try:
        return AdapterConfig.model_validate(json.loads(path.read_text(encoding="utf-8"))).base
    except (OSError, ValueError, ValidationError) as error:
        raise BadInput("registry.bad_package", f"{path} names no base: {error}", "Pack the adapter again.") from error


def _base_facts(base: DescribedBase) -> BaseFacts:
    transformer, audio = base.parts["transformer"], base.parts["audio_vae"]
    return BaseFacts(
        id=BASE_ID,
        version=base.version,
        config=base.config,
        layers=transformer["num_layers"],
        video_width=transformer["num_attention_heads"] * transformer["attention_head_dim"],
        audio_width=transformer["audio_num_attention_heads"] * transformer["audio_attention_head_dim"],
        text_width=base.parts["connectors"]["caption_channels"],
        text_layers=base.parts["connectors"]["text_proj_in_factor"],
        mel_bins=audio["mel_bins"],
        mel_rate=audio["sample_rate"],
        mel_hop=audio["mel_hop_length"],
        rope=transformer["rope_type"],
        world=_world(base),
    )


def _vocoder_facts(base: DescribedBase) -> VocoderFacts:
    vocoder = base.parts["vocoder"]
    return VocoderFacts(
        id=f"{BASE_ID}-vocoder",
        # Both channels of a stereo mel go in beside each other.
        mel_bins=vocoder["in_channels"] // base.parts["audio_vae"]["output_channels"],
        mel_rate=base.parts["audio_vae"]["sample_rate"],
        mel_hop=base.vocoder_hop,
        sample_rate=vocoder["output_sampling_rate"],
    )


def _world(base: DescribedBase) -> World:
    return "embedded" if base.world == "embedded" else "real"


def _width(adapter: Adapter, layer: str, default: int) -> int:
    """Width of a side, by a layer that reads it; the base's where the adapter leaves that side alone."""
    found = [int(pair.a.shape[1]) for name, pair in adapter.transformer.items() if name.split(".", 2)[-1] == layer]
    return found[0] if found else default


def _record(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError) as error:
        raise BadInput(
            "registry.bad_lineage", f"{path} cannot be read: {error}.", "Train the adapter again."
        ) from error
    return content


def _languages(record: dict[str, Any]) -> tuple[str, ...]:
    """Of the pairs, where the training wrote them down; else those that prompts can name."""
    said = record.get("languages")
    return tuple(said) if isinstance(said, list) and said else tuple(LANGUAGES)


def _pairs_of(record: dict[str, Any]) -> str:
    said = record.get("pairs")
    return str(said.get("name") or "unknown") if isinstance(said, dict) else "unknown"


def _licences(record: dict[str, Any], base: DescribedBase, given: Sequence[PartLicence]) -> tuple[PartLicence, ...]:
    """Weights made from a base stay under its terms; the pairs' own are what their manifest said."""
    terms = OWN_LICENCE if _world(base) == "embedded" else LTX_2
    stated = record.get("licence")
    said = {
        "weights": terms,
        f"base {BASE_ID}": terms,
        f"pairs {_pairs_of(record)}": tag_of(stated if isinstance(stated, str) else None),
    }
    parts = {one.part for one in given}
    found = [*given, *(PartLicence(part=part, licence=tag) for part, tag in said.items() if part not in parts)]
    return tuple(sorted(set(found), key=lambda one: (one.part, one.licence, one.note)))


def _lineage(weights: Path, facts: IncontextFacts, record: dict[str, Any], pairs: Sequence[PairManifest]) -> Lineage:
    """Clips and prompts → pairs → run → model, with the base beside."""
    run, trained_on = record.get("run") or {}, _pairs_of(record)
    names = [one.header.name for one in pairs]
    if pairs and trained_on not in names:
        raise BadInput(
            "registry.other_pairs",
            f"The adapter was trained on {trained_on!r}; given are {', '.join(names)}.",
            "Name the pairs that it was trained on.",
        )
    data = run.get("data")
    nodes = [
        Node(id="model", kind="model", digest=sha256_file(weights), name="incontext lora"),
        Node(id="run", kind="run", digest=content_key(run) if run else None, name=str(run.get("preset", ""))),
        Node(id="base", kind="base", digest=facts.base.config, name=f"{facts.base.id} {facts.base.version}"),
        Node(id="prepared", kind="prepared", digest=data if isinstance(data, str) else None, name=trained_on),
    ]
    edges = [("run", "model"), ("base", "run"), ("prepared", "run")]
    known: dict[str, Node] = {}
    for manifest in pairs:
        for row in manifest.accepted:
            pair = Node(id=f"pair:{manifest.header.name}/{row.id}", kind="pair", name=row.id)
            nodes.append(pair)
            edges.append((pair.id, "prepared"))
            used = [
                Node(id=f"clip:{file.sha256}", kind="clip", digest=file.sha256, name=file.path) for file in row.files
            ]
            digest = prompt_digest(row.prompt)
            used.append(Node(id=f"prompt:{digest}", kind="prompt", digest=digest))
            for node in used:
                known.setdefault(node.id, node)
            edges += sorted({(node.id, pair.id) for node in used})
    return Lineage(nodes=(*nodes, *known.values()), edges=tuple(edges), record=record)
