"""UTMOS22 with random weights in the layout of the published file."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from dubflow.errors import BadInput
from dubflow.judging.card.functions import Measured
from dubflow.judging.card.items import BenchmarkItem, Subject
from dubflow.judging.full.utmos.judge import UtmosJudge, UtmosPredictor
from dubflow.judging.full.utmos.network import Utmos
from dubflow.judging.full.utmos.wav2vec2 import Wav2Vec2
from dubflow.judging.full.weights import load_into
from dubflow.media.encode import write_audio

RATE = 16_000

# Spelled from SpeechMOS' published code and fairseq's names, not from ours: name to shape.
LAYER = {
    **{f"self_attn.{name}_proj.weight": (768, 768) for name in ("q", "k", "v", "out")},
    **{f"self_attn.{name}_proj.bias": (768,) for name in ("q", "k", "v", "out")},
    "self_attn_layer_norm.weight": (768,), "self_attn_layer_norm.bias": (768,),
    "fc1.weight": (3072, 768), "fc1.bias": (3072,), "fc2.weight": (768, 3072), "fc2.bias": (768,),
    "final_layer_norm.weight": (768,), "final_layer_norm.bias": (768,),
}  # fmt: skip
CONVOLUTIONS = (10, 3, 3, 3, 3, 2, 2)
PUBLISHED = {
    **{
        f"wav2vec2.feature_extractor.conv_layers.{index}.0.weight": (512, 512 if index else 1, kernel)
        for index, kernel in enumerate(CONVOLUTIONS)
    },
    "wav2vec2.feature_extractor.conv_layers.0.2.weight": (512,),
    "wav2vec2.feature_extractor.conv_layers.0.2.bias": (512,),
    "wav2vec2.layer_norm.weight": (512,), "wav2vec2.layer_norm.bias": (512,),
    "wav2vec2.post_extract_proj.weight": (768, 512), "wav2vec2.post_extract_proj.bias": (768,),
    "wav2vec2.encoder.pos_conv.0.weight_g": (1, 1, 128), "wav2vec2.encoder.pos_conv.0.weight_v": (768, 48, 128),
    "wav2vec2.encoder.pos_conv.0.bias": (768,),
    "wav2vec2.encoder.layer_norm.weight": (768,), "wav2vec2.encoder.layer_norm.bias": (768,),
    **{
        f"wav2vec2.encoder.layers.{index}.{name}": shape
        for index in range(12)
        for name, shape in LAYER.items()
    },
    "domain_emb": (1, 128), "judge_emb": (1, 128),
    **{f"blstm.weight_ih_l0{way}": (2048, 1024) for way in ("", "_reverse")},
    **{f"blstm.weight_hh_l0{way}": (2048, 512) for way in ("", "_reverse")},
    **{f"blstm.bias_{part}_l0{way}": (2048,) for part in ("ih", "hh") for way in ("", "_reverse")},
    "projection.0.weight": (2048, 1024), "projection.0.bias": (2048,),
    "projection.2.weight": (1, 2048), "projection.2.bias": (1,),
}  # fmt: skip
TRAINING_ONLY = {"wav2vec2.mask_emb": (768,)}

# transformers' names of wav2vec 2.0 for fairseq's.
THEIRS = (
    ("feature_extractor.conv_layers.0.layer_norm", "feature_extractor.conv_layers.0.2"),
    ("feature_projection.layer_norm", "layer_norm"),
    ("feature_projection.projection", "post_extract_proj"),
    ("encoder.pos_conv_embed.conv.parametrizations.weight.original0", "encoder.pos_conv.0.weight_g"),
    ("encoder.pos_conv_embed.conv.parametrizations.weight.original1", "encoder.pos_conv.0.weight_v"),
    ("encoder.pos_conv_embed.conv.bias", "encoder.pos_conv.0.bias"),
    (".attention.", ".self_attn."),
    (".feed_forward.intermediate_dense.", ".fc1."),
    (".feed_forward.output_dense.", ".fc2."),
    (".conv.weight", ".0.weight"),
)


def fairseq_name(name: str) -> str:
    for theirs, published in THEIRS:
        name = name.replace(theirs, published)
    if name.startswith("encoder.layers.") and ".layer_norm." in name:
        name = name.replace(".layer_norm.", ".self_attn_layer_norm.")
    return name


@pytest.fixture(scope="module")
def network() -> Utmos:
    torch.manual_seed(3)
    made = Utmos().eval().requires_grad_(False)
    made.domain_emb.normal_()
    made.judge_emb.normal_()
    return made


@pytest.fixture(scope="module")
def weights(network: Utmos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("utmos") / "utmos22_strong_step7459_v1.pt"
    halved = {
        name: tensor.half() for name, tensor in network.state_dict().items()
    }  # half the file, for the test's sake
    torch.save(halved | {name: torch.zeros(shape) for name, shape in TRAINING_ONLY.items()}, path)
    return path


def test_names_and_shapes_as_published(network: Utmos) -> None:
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == PUBLISHED


def test_sizes_as_published(network: Utmos) -> None:
    """wav2vec 2.0 base has 95 million parameters by its paper's count, with its quantiser; 94.4 without."""
    assert round(sum(one.numel() for one in network.wav2vec2.parameters()) / 1e6, 1) == 94.4
    assert sum(one.numel() for one in network.parameters()) == sum(int(np.prod(one)) for one in PUBLISHED.values())


def test_as_another_implementation_hears(noise) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(4)
    theirs = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(num_hidden_layers=12)).eval()
    state = theirs.state_dict()
    for tensor in state.values():  # biases and norms that do something
        if tensor.dim() == 1:
            tensor += 0.1 * torch.randn_like(tensor)
    published = {fairseq_name(name): tensor for name, tensor in state.items() if name != "masked_spec_embed"}
    ours = Wav2Vec2()
    load_into(ours, published, what="a test")
    sound = torch.from_numpy(noise(0.63))[None]
    with torch.inference_mode():
        expected = theirs(sound).last_hidden_state
        assert expected.shape == (1, 31, 768)
        assert torch.allclose(ours(sound), expected, atol=2e-5)


def test_the_opinion_is_a_mean_over_frames_around_three(network: Utmos, noise) -> None:
    """By hand from the parts: features, both constants, both directions of the LSTM, two layers, scaled."""
    sound = torch.from_numpy(noise(0.3))[None]
    with torch.inference_mode():
        heard = network.wav2vec2(sound)[0]
        fixed = torch.cat((network.domain_emb[0], network.judge_emb[0])).expand(len(heard), 256)
        states = network.blstm(torch.cat((heard, fixed), dim=1))[0]
        first, last = network.projection[0], network.projection[2]
        each = [float(last.weight @ torch.relu(first.weight @ state + first.bias) + last.bias) for state in states]
        assert float(network(sound)[0]) == pytest.approx(2 * np.mean(each) + 3, abs=1e-4)


def test_level_does_not_count_and_neither_does_the_batch(network: Utmos, noise) -> None:
    """The first convolution has no bias and is normalised over time."""
    one, other = torch.from_numpy(noise(0.4))[None], torch.from_numpy(noise(0.4, 8))[None]
    with torch.inference_mode():
        alone = network(one)
        assert torch.equal(network(one), alone)
        assert float(network(4 * one)[0]) == pytest.approx(float(alone[0]), abs=2e-3)
        assert float(network(-one)[0]) != float(alone[0])
        assert torch.allclose(network(torch.cat((other, one)))[1], alone[0], atol=1e-5)


def test_the_judge(weights: Path, network: Utmos, tmp_path: Path, noise) -> None:
    judge = pickle.loads(pickle.dumps(UtmosJudge(weights)))
    assert judge.missing() is None
    assert (judge.pin.version, judge.pin.settings) == ("utmos22-strong", {"device": "cpu"})
    sound = noise(0.5)
    write_audio(tmp_path / "clip.wav", sound, RATE)
    answer = judge.score(Subject(BenchmarkItem(id="one"), tmp_path / "clip.wav", {}))["utmos"]
    with torch.inference_mode():
        expected = float(network(torch.from_numpy(sound)[None])[0])
    assert isinstance(answer, Measured)
    assert answer.value == pytest.approx(expected, abs=0.02)  # half precision and 16 bits
    assert judge.when_failed(BenchmarkItem(id="one")) == {}
    with pytest.raises(BadInput) as caught:
        judge._predictor.opinion(sound[:399])
    assert caught.value.code == "judging.too_short"
    assert np.isfinite(judge._predictor.opinion(sound[:400]))
    assert "full.utmos" in UtmosJudge(None).missing()


def test_a_renamed_parameter_is_refused(tmp_path: Path) -> None:
    state = {name: torch.zeros(shape, dtype=torch.uint8) for name, shape in PUBLISHED.items() if "layers.1" not in name}
    state["wav2vec2.encoder.layers.0.self_attn.query.weight"] = state.pop(
        "wav2vec2.encoder.layers.0.self_attn.q_proj.weight"
    )
    torch.save(state, tmp_path / "renamed.pt")
    with pytest.raises(BadInput) as caught:
        UtmosPredictor(tmp_path / "renamed.pt")
    assert caught.value.code == "judging.weights_do_not_fit"
    assert "wav2vec2.encoder.layers.0.self_attn.q_proj.weight" in caught.value.details["missing"]
    assert "wav2vec2.encoder.layers.11.fc1.bias" in caught.value.details["missing"]
    assert caught.value.details["unknown"] == ["wav2vec2.encoder.layers.0.self_attn.query.weight"]
