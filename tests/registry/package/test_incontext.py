"""An adapter becomes a package that runs on its own base, and on no other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.adapter.files import Adapter, LoraPair, write_adapter
from dubflow.incontext.adapter.metadata import AdapterMetadata
from dubflow.incontext.backbone.described import describe_base
from dubflow.incontext.pairs.manifest import PairFile, PairHeader, PairManifest, PairRow
from dubflow.registry.licences import LTX_2, UNKNOWN
from dubflow.registry.package.facts import IncontextFacts
from dubflow.registry.package.incontext import base_of, build_adapter_package, check_adapter, is_adapter_folder
from dubflow.registry.package.lineage import prompt_digest
from dubflow.registry.package.manifest import PartLicence
from dubflow.registry.package.opening import ModelPackage, open_package
from dubflow.registry.package.signing import generate_key
from incontext.samples import backbone

LAYERS = ("transformer_blocks.1.attn1.to_q", "transformer_blocks.0.audio_attn1.to_q")
TOLD: dict[str, Any] = {
    "base_version": "2.0", "audio_positions": "same", "mask_scheme": "isolated", "sampler_preset": "tiny",
    "world": "embedded",
}  # fmt: skip


def trained(folder: Path, told: dict[str, Any] = TOLD, **record: Any) -> Path:
    """What a training leaves: adapter, card, lineage."""
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    pairs = {}
    for layer in LAYERS:
        rows, columns = backbone().transformer.get_submodule(layer).weight.shape
        a, b = torch.randn(2, columns, generator=generator), torch.randn(rows, 2, generator=generator)
        pairs[layer] = LoraPair(a, b)
    write_adapter(folder / "adapter.safetensors", Adapter(pairs, AdapterMetadata(**told)))
    (folder / "card.md").write_text("# An adapter\n")
    content = {
        "run": {"preset": "tiny", "data": "ab" * 32}, "pairs": {"name": "drawn", "count": 1}, "licence": "CC0-1.0",
        "languages": ["de", "fr"], "base": "tiny", "world": "embedded",
    }  # fmt: skip
    (folder / "lineage.json").write_text(json.dumps(content | record))
    return folder


def pairs(name: str = "drawn") -> PairManifest:
    """A pair and one that was rejected."""
    rows = [
        PairRow(
            id=f"p/{number}",
            context=PairFile(path=f"{number}a.mp4", sha256=f"{number}a" * 32),
            target=PairFile(path=f"{number}b.mp4", sha256=f"{number}b" * 32),
            prompt=f"says {number}",
            rejected=("too short",) * number,
        )
        for number in range(2)
    ]
    return PairManifest(PairHeader(name=name, world="embedded", licence="CC0-1.0"), rows, Path())


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    home = tmp_path_factory.mktemp("adapter")
    generate_key(home / "key")
    return build_adapter_package(trained(home / "model"), home / "package", home / "key", pairs=[pairs()])


def test_a_package_says_what_the_adapter_was_made_for(package: ModelPackage) -> None:
    opened = open_package(package.folder, [package.folder.parent / "key.pub"])
    facts = opened.facts
    assert isinstance(facts, IncontextFacts)
    assert (facts.world, facts.languages) == ("embedded", ("de", "fr"))
    told = facts.adapter
    assert (told.rank, told.layers, told.modules) == (2, 2, ("attn1.to_q", "audio_attn1.to_q"))
    assert (told.video_width, told.audio_width) == (32, 16)
    assert (told.positions, told.av_mask, told.base_version) == ("same", "isolated", "2.0")
    assert (facts.base.mel_hop, facts.vocoder.mel_hop, facts.vocoder.mel_bins) == (160, 160, facts.base.mel_bins)
    assert base_of(opened) == "tiny"
    assert opened.manifest.tags == ("Apache-2.0", "CC0-1.0")
    assert is_adapter_folder(package.folder.parent / "model")
    assert not is_adapter_folder(package.folder)


def test_clips_and_prompts_that_were_learnt_from_stand_in_its_lineage(package: ModelPackage) -> None:
    lineage = package.lineage()
    assert lineage.counts() == {"base": 1, "clip": 2, "model": 1, "pair": 1, "prepared": 1, "prompt": 1, "run": 1}
    assert lineage.contains("0a" * 32)
    assert lineage.contains(prompt_digest("says 0"))
    assert not lineage.contains("1a" * 32)  # rejected, so not learnt from


def test_another_base_is_refused_before_anything_is_loaded(package: ModelPackage) -> None:
    facts = package.facts
    assert isinstance(facts, IncontextFacts)
    tiny = describe_base("tiny")
    check_adapter(facts, tiny)
    changed = dict(tiny.parts["transformer"]) | {"num_attention_heads": 4}
    others = {
        "version": replace(tiny, version="2.3"),
        "width of the video side": replace(tiny, parts={**tiny.parts, "transformer": changed}),
        "digest of the configuration": replace(tiny, config="0" * 64),
        "id": replace(tiny, encoder="gemma4"),
        "hop of the mel": replace(
            tiny, parts={**tiny.parts, "vocoder": {**tiny.parts["vocoder"], "upsample_factors": [6, 5, 2, 2]}}
        ),
    }
    for about, base in others.items():
        with pytest.raises(BadInput, match=r"registry\.incompatible") as refused:
            check_adapter(facts, base)
        assert about in refused.value.headline
    # A published file brings no encoder: it is taken at its connectors' word.
    check_adapter(facts, replace(tiny, encoder="unknown"))


def test_terms_follow_the_base_and_the_pairs(tmp_path: Path) -> None:
    from dubflow.registry.package.incontext import _licences

    real = replace(describe_base("tiny"), world="real")
    found = {one.part: one.licence for one in _licences({"pairs": {"name": "own"}}, real, ())}
    assert found == {"weights": LTX_2, "base ltx-2": LTX_2, "pairs own": UNKNOWN}
    given = PartLicence(part="pairs own", licence="CC-BY-4.0")
    assert given in _licences({"pairs": {"name": "own"}}, real, [given])
    with pytest.raises(BadInput, match=r"registry\.other_pairs"):
        build_adapter_package(trained(tmp_path / "m"), tmp_path / "p", None, pairs=[pairs("others")])


def test_what_does_not_say_enough_is_refused(tmp_path: Path) -> None:
    little = {name: value for name, value in TOLD.items() if name != "mask_scheme"}
    with pytest.raises(BadInput, match=r"registry\.adapter_says_too_little"):
        build_adapter_package(trained(tmp_path / "a", little), tmp_path / "p", None)
    with pytest.raises(BadInput, match=r"registry\.incompatible"):
        build_adapter_package(trained(tmp_path / "b", TOLD | {"base_version": "2.3"}), tmp_path / "p", None)
    with pytest.raises(WrongUse, match=r"incontext\.no_such_base"):
        build_adapter_package(trained(tmp_path / "c", base="gone"), tmp_path / "p", None)
    broken = trained(tmp_path / "d")
    (broken / "lineage.json").write_text("[]")
    with pytest.raises(BadInput, match=r"registry\.bad_lineage"):
        build_adapter_package(broken, tmp_path / "p", None)
    assert not (tmp_path / "p").exists()
