"""The importer against the published network, written out plainly for one item and run on random weights."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from dubflow.diflow.flow.noise import generators
from dubflow.diflow.flow.schedule import flipped_time
from dubflow.diflow.importing.layout import PublicLayout, layout_of
from dubflow.diflow.importing.public_tts import import_public_tts, time_flip_losses, tts_from_public
from dubflow.diflow.nets.dubber import DubberNetwork
from dubflow.diflow.nets.prompt import Reference
from dubflow.diflow.nets.settings import BookSettings, DenoiserSettings, FftSettings, NetSettings, TextSettings
from dubflow.diflow.nets.text import Text
from dubflow.errors import BadInput

HEADS, A, D, LONGEST = 4, 16, 32, 60
SETTINGS = NetSettings(
    width=A,
    speaker=12,
    books=BookSettings(),
    fft=FftSettings(heads=HEADS, filter=24, kernels=(9, 1), max_length=LONGEST),
    text=TextSettings(
        symbols=20, encoder_blocks=2, refiner_blocks=2, duration_filter=40, head_width=2 * A, bridge=True
    ),
    denoiser=DenoiserSettings(
        width=D, layers=2, heads=HEADS, time_features=16, head_width=2 * D, gelu="exact", time_ends=True
    ),
)


def published(late: str = "norm2", specials: int = 2, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights in the published layout; ``late`` and ``specials`` tell the newer code from the older."""
    noise, state = generators([seed])[0], {}
    for name, shape in PublicLayout(SETTINGS, late, specials, LONGEST).shapes().items():
        fan = math.prod(shape[1:]) if len(shape) > 1 else 1
        state[name] = torch.randn(shape, generator=noise) * (fan**-0.5 if len(shape) > 1 else 0.3)
        if "norm" in name and name.endswith("weight"):
            state[name] += 1
        elif name.endswith("segment_ids"):
            state[name] = torch.tensor([0, 1, 1, 2, 2, 2])
        elif name.endswith("inv_freq"):
            state[name] = torch.tensor([10_000 ** (-2 * i / (D // HEADS)) for i in range(D // HEADS // 2)])
        elif name.endswith("position_enc"):
            table = [
                [(math.cos if c % 2 else math.sin)(p / 10_000 ** (c // 2 * 2 / A)) for c in range(A)]
                for p in range(LONGEST + 1)
            ]
            state[name] = torch.tensor(table).unsqueeze(0)
    state["codec_model.fa_encoder.block.0.bias"] = torch.zeros(3)
    return state


class Plain:
    """The published forward pass of one item, in float64."""

    def __init__(self, state: dict[str, torch.Tensor], late: str = "norm2") -> None:
        self.state, self.late = {name: t.double() if t.is_floating_point() else t for name, t in state.items()}, late

    def line(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ self.state[name + ".weight"].T + self.state[name + ".bias"]

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.state[name + ".weight"], self.state[name + ".bias"])

    def convolve(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight = self.state[name + ".weight"]
        return functional.conv1d(x.T[None], weight, self.state[name + ".bias"], padding=weight.shape[2] // 2)[0].T

    def fft(self, name: str, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            self.line(f"{name}.slf_attn.{p}", x).view(len(x), HEADS, -1) for p in ("w_qs", "w_ks", "w_vs")
        )
        scores = torch.einsum("qhc,khc->hqk", query, key) / math.sqrt(query.shape[-1])
        mixed = torch.einsum("hqk,khc->qhc", scores.softmax(-1), value).flatten(1)
        x = self.norm(name + ".slf_attn.layer_norm", self.line(name + ".slf_attn.fc", mixed) + x)
        hidden = self.convolve(name + ".pos_ffn.w_2", self.convolve(name + ".pos_ffn.w_1", x).relu())
        return self.norm(name + ".pos_ffn.layer_norm", hidden + x)

    def encode(self, symbols: torch.Tensor) -> torch.Tensor:
        x = self.state["PCM.text_encoder.src_word_emb.weight"][symbols]
        x = x + self.state["PCM.text_encoder.position_enc"][0, : len(x)]
        for i in range(2):
            x = self.fft(f"PCM.text_encoder.layer_stack.{i}", x)
        return x

    def log_durations(self, x: torch.Tensor) -> torch.Tensor:
        name = "PCM.variance_adaptor.duration_predictor."
        for i in (1, 2):
            x = self.norm(
                f"{name}conv_layer.layer_norm_{i}", self.convolve(f"{name}conv_layer.conv1d_{i}.conv", x).relu()
            )
        return self.line(name + "linear_layer", x)[:, 0]

    def content(self, x: torch.Tensor, durations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.line("PCM.bridge_decoder", x.repeat_interleave(durations, dim=0))
        x = x + self.state["PCM.shared_decoder.position_enc"][0, : len(x)]
        for i in range(2):
            x = self.fft(f"PCM.shared_decoder.layer_stack.{i}", x)
        books = []
        for i in range(2):
            x = self.fft(f"PCM.codes_estimator.{i}.layer", x)
            books.append(x)
        hidden = torch.stack(books)
        return self.line("PCM.proj_out.0", hidden).tanh(), self.line("PCM.head", hidden)

    def embed(self, codes: torch.Tensor, middle: torch.Tensor) -> torch.Tensor:
        tables = [self.state[f"FDFD.audio_embed.audio_embed.{i}.weight"] for i in (0, 1)]
        return torch.cat([tables[0][codes[:1]], middle, tables[1][codes[1:]]])

    def block(self, name: str, x: torch.Tensor, cause: torch.Tensor) -> torch.Tensor:
        shift, scale, gate, shift2, scale2, gate2 = self.line(
            name + ".adaLN_modulation.1", functional.silu(cause)
        ).chunk(6)
        inputs = self.norm(name + ".norm1", x) * (1 + scale) + shift
        joined = inputs @ self.state[name + ".attn.in_proj_weight"].T + self.state[name + ".attn.in_proj_bias"]
        size = D // HEADS
        angles = torch.arange(len(x)).double()[:, None] * 10_000.0 ** (-torch.arange(size // 2).double() / (size // 2))
        turns = torch.polar(torch.ones_like(angles), angles)[:, None]
        query, key, value = joined.view(len(x), 3, HEADS, size).unbind(1)
        query, key = (torch.complex(*part.chunk(2, dim=-1)) * turns for part in (query, key))
        scores = torch.einsum("qhc,khc->hqk", query, key.conj()).real / math.sqrt(size)
        x = x + gate * torch.einsum("hqk,khc->qhc", scores.softmax(-1), value).flatten(1)  # no output line
        late = self.norm(f"{name}.{self.late}", x) * (1 + scale2) + shift2
        return x + gate2 * self.line(name + ".mlp.2", functional.gelu(self.line(name + ".mlp.0", late)))

    def denoise(
        self, noisy: torch.Tensor, time: float, prompt: torch.Tensor, content: torch.Tensor, speaker: torch.Tensor
    ) -> torch.Tensor:
        name = "FDFD.estimator."
        front = self.embed(prompt, content.new_zeros(2, prompt.shape[1], D))
        x = torch.cat([front, self.embed(noisy, content)], dim=1)
        x = x + self.state[name + "segment_embed.weight"][self.state[name + "segment_ids"]][:, None]
        entry = self.line(name + "x_proj", x.permute(1, 0, 2).flatten(1))
        angles = 1000 * time * torch.tensor([10_000 ** (-i / 7) for i in range(8)], dtype=torch.float64)
        label = functional.silu(self.line(name + "time_embed.time_mlp.0", torch.cat([angles.sin(), angles.cos()])))
        voice = functional.silu(self.line(name + "spk_embed.0", speaker.double()))
        cause = self.line(name + "time_embed.time_mlp.2", label) + self.line(name + "spk_embed.2", voice)
        x = entry
        for i in range(2):
            x = self.block(f"{name}blocks.{i}", x, cause)
        x = x + self.line(name + "proj_in", entry)
        shift, scale = self.line(name + "final_layer.adaLN_modulation.1", functional.silu(cause)).chunk(2)
        x = functional.layer_norm(x, (D,), eps=1e-6) * (1 + scale) + shift
        streams = self.line(name + "final_layer.linear", x)[prompt.shape[1] :].chunk(4, dim=-1)
        return torch.stack([self.line(f"FDFD.linear_heads.{min(i, 1)}", s) for i, s in enumerate(streams)])


def item(seed: int = 1):
    noise = generators([seed])[0]
    symbols, durations = torch.randint(1, 20, (5,), generator=noise), torch.tensor([3, 1, 0, 4, 2])
    prompt, clean = torch.randint(0, 1024, (4, 6), generator=noise), torch.randint(0, 1024, (4, 10), generator=noise)
    hidden = torch.rand(4, 10, generator=noise) < 0.5
    return symbols, durations, prompt, clean, hidden, torch.randn(12, generator=noise)


@torch.no_grad()
@pytest.mark.parametrize(("late", "specials"), [("norm2", 2), ("norm3", 3)], ids=["newer", "older"])
@pytest.mark.parametrize("flip", [False, True])
def test_an_imported_network_computes_what_the_published_one_does(late: str, specials: int, flip: bool) -> None:
    state = published(late, specials)
    plain, network = Plain(state, late), tts_from_public(state, time_flip=flip)
    symbols, durations, prompt, clean, hidden, speaker = item()
    text = Text(symbols[None], torch.tensor([[0, 1, 2, 0, 1]]), torch.tensor([5]))
    encoded, theirs = network.encoder(text), plain.encode(symbols)
    torch.testing.assert_close(
        network.durations(encoded, text.inside)[0].double(), plain.log_durations(theirs), rtol=1e-5, atol=1e-5
    )
    content = network.stretch(encoded, durations[None], 10)
    latent, logits = plain.content(theirs, durations)
    torch.testing.assert_close(content.hidden[0].double(), latent, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(content.logits[0].double(), logits[..., :1024], rtol=1e-5, atol=1e-5)

    reference = Reference(prompt[None, :1], prompt[None, 1:], torch.tensor([6]))
    context = network.context(content, torch.tensor([10]), reference, speaker[None])
    for time in (0.0, 0.3, 0.9):
        t = torch.tensor([time])
        ours = network.denoiser(clean.masked_fill(hidden, 1025)[None], t, context)[0]
        label = float(flipped_time(t.double())) if flip else time
        wanted = plain.denoise(clean.masked_fill(hidden, 1024 + specials - 1), label, prompt, latent, speaker)
        torch.testing.assert_close(ours.double(), wanted[..., :1024], rtol=2e-4, atol=2e-4)


@torch.no_grad()
def test_the_last_normalisation_has_their_epsilon() -> None:
    """Where nearly nothing flows, the epsilon is most of the denominator."""
    state = published()
    for name in state:
        if name.startswith(("FDFD.estimator.x_proj", "FDFD.estimator.proj_in")) or ".adaLN_modulation.1." in name:
            state[name] *= 1e-3 if "final" not in name else 1
    state["FDFD.estimator.segment_embed.weight"] *= 1e-3
    plain, network = Plain(state), tts_from_public(state)
    symbols, durations, prompt, clean, _, speaker = item()
    content = network.stretch(
        network.encoder(Text(symbols[None], symbols[None] * 0, torch.tensor([5]))), durations[None], 10
    )
    reference = Reference(prompt[None, :1], prompt[None, 1:], torch.tensor([6]))
    context = network.context(content, torch.tensor([10]), reference, speaker[None])
    ours = network.denoiser(clean[None], torch.tensor([0.5]), context)[0]
    wanted = plain.denoise(clean, 0.5, prompt, content.hidden[0].double(), speaker)
    torch.testing.assert_close(ours.double(), wanted[..., :1024], rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_the_steps_of_a_sample_take_an_imported_network() -> None:
    network = tts_from_public(published())
    symbols, durations, prompt, clean, hidden, speaker = item()
    text = Text(symbols[None], torch.zeros(1, 5, dtype=torch.long), torch.tensor([5]))
    content = network.stretch(network.encoder(text), durations[None], 10)
    context = network.context(
        content, torch.tensor([10]), Reference(prompt[None, :1], prompt[None, 1:], torch.tensor([6])), speaker[None]
    )
    noisy, times = clean.masked_fill(hidden, 1025)[None], torch.tensor([0.2, 0.6])
    ask = network.denoiser.bound(context).begin(times)
    for step in range(2):
        wanted = network.denoiser(noisy, times[step : step + 1], context)[hidden[None]]
        torch.testing.assert_close(ask(step, noisy, hidden[None]), wanted, rtol=1e-5, atol=2e-5)


def test_a_dubber_adopts_an_imported_network() -> None:
    teacher = tts_from_public(published())
    dubber = DubberNetwork(teacher.settings)
    dubber.adopt(teacher)
    own = dubber.state_dict()
    for name, value in teacher.content.state_dict().items():
        assert torch.equal(own["adaptation.content." + name], value)


@torch.no_grad()
def test_the_direction_of_time_shows_in_the_loss() -> None:
    """A target drawn from the network's own posterior is likeliest under the label that the posterior was made with."""
    state = published()
    for part in ("weight", "bias"):  # make the label matter
        state[f"FDFD.estimator.time_embed.time_mlp.2.{part}"] *= 20
        state[f"FDFD.linear_heads.0.{part}"] *= 6
    for truth in (False, True):
        network, batches = tts_from_public(state, time_flip=truth), []
        for seed in range(4):
            symbols, durations, prompt, clean, _, speaker = item(seed)
            text = Text(symbols[None], torch.zeros(1, 5, dtype=torch.long), torch.tensor([5]))
            content = network.stretch(network.encoder(text), durations[None], 10)
            reference = Reference(prompt[None, :1], prompt[None, 1:], torch.tensor([6]))
            context = network.context(content, torch.tensor([10]), reference, speaker[None])
            noisy, t = torch.full_like(clean[None], 1025), torch.tensor([0.1 + 0.1 * seed])
            batches.append((network.denoiser(noisy, t, context).argmax(-1), noisy, t, context))
        plain, flipped = time_flip_losses(network.denoiser, batches)
        assert (flipped < plain) == truth
        assert network.denoiser.time.flip == truth


def test_what_is_not_the_published_network_is_refused_by_name(tmp_path) -> None:
    good = published()
    with pytest.raises(BadInput, match="not_public_weights") as refused:
        tts_from_public({"some.weight": torch.zeros(2)})
    lacking = {name: t for name, t in good.items() if name != "PCM.head.bias"} | {"PCM.extra": torch.zeros(1)}
    lacking["FDFD.estimator.proj_in.weight"] = torch.zeros(D, D + 1)
    with pytest.raises(BadInput, match="not_public_weights") as refused:
        tts_from_public(lacking)
    assert refused.value.details["missing"] == ["PCM.head.bias"]
    assert refused.value.details["unexpected"] == ["PCM.extra"]
    assert refused.value.details["shapes"] == [f"FDFD.estimator.proj_in.weight [{D}, {D + 1}] instead of [{D}, {D}]"]
    for name, value in (
        ("PCM.text_encoder.position_enc", good["PCM.text_encoder.position_enc"].flip(1)),
        ("FDFD.estimator.segment_ids", torch.tensor([0, 0, 1, 2, 2, 2])),
        ("FDFD.estimator.rotary.inv_freq", torch.ones(4)),
        ("PCM.bridge_decoder.bias", torch.full((A,), math.nan)),
    ):
        with pytest.raises(BadInput, match=name):
            tts_from_public(good | {name: value})

    names = {name: tensor.contiguous() for name, tensor in good.items()}
    save_file(names, tmp_path / "public.safetensors")
    torch.save({"state_dict": good, "epoch": 3}, tmp_path / "public.ckpt")
    first, second = (import_public_tts(tmp_path / f"public.{end}").state_dict() for end in ("safetensors", "ckpt"))
    for name, value in tts_from_public(good).state_dict().items():
        assert torch.equal(first[name], value)
        assert torch.equal(second[name], value)
    with pytest.raises(BadInput, match="weights_missing"):
        import_public_tts(tmp_path / "none.ckpt")


def test_the_published_sizes_are_read_from_the_shapes() -> None:
    """12 blocks of 12 heads at 768: nothing but names and shapes is needed to know the settings."""
    wanted = SETTINGS.model_copy(
        update={
            "denoiser": SETTINGS.denoiser.model_copy(update={"width": 48, "layers": 12, "heads": 12, "head_width": 96})
        }
    )
    shapes = PublicLayout(wanted, "norm2", 2, LONGEST).shapes()
    assert len({name.split(".")[3] for name in shapes if name.startswith("FDFD.estimator.blocks.")}) == 12
    empty = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    assert layout_of(empty, fft_heads=HEADS, time_flip=False).settings == wanted
