"""A base is described from its headers as it is when it is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from dubflow.errors import BadInput
from dubflow.incontext.backbone.described import describe_base
from dubflow.incontext.backbone.folders import save_backbone
from dubflow.incontext.backbone.settings import Version
from dubflow.incontext.backbone.tiny import tiny_backbone
from incontext.samples import backbone


@pytest.mark.slow
@pytest.mark.parametrize("version", get_args(Version))
def test_headers_say_what_the_loaded_parts_say(version: Version, tmp_path: Path) -> None:
    base = backbone(version)
    save_backbone(base, tmp_path / "base")
    found = describe_base(tmp_path / "base")
    assert (found.version, found.world) == (version, "embedded")
    sizes = base.text_encoder.config.get_text_config()
    assert (found.encoder, found.encoder_width, found.encoder_states) == (
        "gemma3", sizes.hidden_size, sizes.num_hidden_layers + 1,
    )  # fmt: skip
    for name in ("transformer", "audio_vae", "vocoder", "connectors"):
        loaded = dict(base.modules()[name].config)
        assert all(loaded[key] == value for key, value in found.parts[name].items())
    # The vocoder stretches the mel that the autoencoder gives, to the sample.
    assert found.vocoder_hop == base.audio_vae.config.mel_hop_length


@pytest.mark.slow
def test_the_tiny_base_is_itself_in_a_folder(tmp_path: Path) -> None:
    save_backbone(tiny_backbone(), tmp_path / "base")
    named, lying = describe_base("tiny"), describe_base(tmp_path / "base")
    assert (named.config, named.version, named.encoder, named.encoder_width, named.encoder_states, named.world) == (
        lying.config, lying.version, lying.encoder, lying.encoder_width, lying.encoder_states, lying.world,
    )  # fmt: skip
    path = tmp_path / "base" / "text_encoder" / "config.json"
    stated = json.loads(path.read_text())
    stated["text_config"]["hidden_size"] *= 2
    path.write_text(json.dumps(stated))
    with pytest.raises(BadInput, match=r"incontext\.bad_text_encoder"):
        describe_base(tmp_path / "base")
