"""Metadata of adapters: in and out of a header, what is missing is said, what differs is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.incontext.adapter.metadata import COMPARED, HEADER, AdapterMetadata, UseSettings, from_header, to_header

TRAINED = AdapterMetadata(
    base_version="2.0",
    video_positions="same",
    audio_positions="same",
    mask_scheme="isolated",
    reference_order="ref_first",
    sigma_sharing="shared",
    prompt_template='{speaker} is speaking {language}, saying: "{dialogue}"',
    frame_rate=25.0,
    sampler_preset="paper",
    licence="LTX-2 Community License",
    dataset_id="pairs",
    config_sha256="0" * 64,
    world="embedded",
)

_METADATA = st.builds(
    AdapterMetadata,
    base_version=st.sampled_from([None, "2.0", "2.3", "2.5"]),
    audio_positions=st.sampled_from([None, "same", "negative"]),
    mask_scheme=st.sampled_from([None, "isolated", "a2v_only", "none"]),
    prompt_template=st.none() | st.text(max_size=20),
    frame_rate=st.none() | st.floats(1, 120),
    reference_downscale_factor=st.none() | st.integers(1, 8),
    reference_spatial_scale_factor=st.none() | st.integers(1, 8),
    licence=st.none() | st.text(max_size=20),
)


@settings(deadline=None)
@given(_METADATA)
def test_a_header_keeps_everything(metadata: AdapterMetadata) -> None:
    assert from_header(to_header(metadata)) == metadata


def test_public_files_are_read_by_their_own_names() -> None:
    found = from_header({"reference_downscale_factor": "2", "model_version": "2.5.0", "format": "pt"})
    assert found.reference_downscale_factor == 2
    assert found.base_version == "2.5"
    assert "mask_scheme" in found.missing()
    assert HEADER not in to_header(found)


def test_nothing_is_guessed() -> None:
    assert set(AdapterMetadata().missing()) == set(AdapterMetadata.model_fields) - {"format"}
    assert set(TRAINED.missing()) == {name for name in AdapterMetadata.model_fields if name.startswith("reference_") and
                                      name.endswith("factor")}  # fmt: skip


@pytest.mark.parametrize(
    "header",
    [
        {HEADER: "{"},
        {HEADER: "[]"},
        {HEADER: '{"format": "dubflow.adapter/2"}'},
        {HEADER: '{"mask_scheme": "open"}'},
        {HEADER: '{"unheard_of": 1}'},
        {"reference_downscale_factor": "two"},
    ],
)
def test_damaged_and_later_metadata_is_refused(header: dict[str, str]) -> None:
    with pytest.raises(BadInput) as caught:
        from_header(header)
    assert caught.value.code == "incontext.bad_adapter_metadata"


def test_an_adapter_runs_as_it_was_trained() -> None:
    same = UseSettings.model_validate({name: getattr(TRAINED, name) for name in COMPARED})
    assert TRAINED.check_use(same) == ()
    assert TRAINED.check_use(UseSettings()) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("audio_positions", "negative"),
        ("mask_scheme", "none"),
        ("reference_order", "target_first"),
        ("sigma_sharing", "per_modality"),
        ("prompt_template", "{dialogue}"),
        ("frame_rate", 24.0),
        ("sampler_preset", "distilled"),
    ],
)
def test_other_settings_are_refused_unless_allowed(name: str, value: object) -> None:
    use = UseSettings.model_validate({name: value})
    with pytest.raises(BadInput) as caught:
        TRAINED.check_use(use)
    assert caught.value.code == "incontext.adapter_use"
    assert caught.value.details["differences"] == [name]
    (said,) = TRAINED.check_use(use, allow=True)
    assert name in said
    assert repr(value) in said


def test_another_base_is_refused_even_when_differences_are_allowed() -> None:
    with pytest.raises(BadInput) as caught:
        TRAINED.check_use(UseSettings(base_version="2.3"), allow=True)
    assert caught.value.code == "incontext.version_mismatch"


def test_what_was_not_recorded_is_reported_and_not_refused() -> None:
    (said,) = AdapterMetadata(base_version="2.0").check_use(UseSettings(base_version="2.0", mask_scheme="isolated"))
    assert said == "mask_scheme: not recorded, run with 'isolated'"
