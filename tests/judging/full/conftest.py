"""Tiny models of the published layouts, with random weights, saved as their publishers save them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

RATE = 16_000
SPECIAL = (
    "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>",
    "<|nospeech|>", "<|notimestamps|>",
)  # fmt: skip
LANGUAGES = ("en", "de")


@pytest.fixture(scope="session", name="noise")
def noise_fixture() -> Callable[..., np.ndarray]:
    """Makes noise of so many seconds, by seed and level."""
    return noise


def noise(seconds: float, seed: int = 0, level: float = 0.1) -> np.ndarray:
    """Noise whose level comes and goes like syllables."""
    size = round(seconds * RATE)
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * np.arange(size) / RATE)
    return (level * swell * np.random.default_rng(seed).normal(size=size)).astype(np.float32)


@pytest.fixture(scope="session")
def whisper_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Whisper for two languages that spells bytes."""
    return _save_whisper(tmp_path_factory.mktemp("whisper") / "tiny-random")


@pytest.fixture(scope="session")
def save_whisper() -> Callable[..., Path]:
    """Saves such a Whisper to a folder, on request for English only."""
    return _save_whisper


def _save_whisper(folder: Path, *, english_only: bool = False) -> Path:
    pytest.importorskip("transformers")
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    vocabulary = {letter: index for index, letter in enumerate(bytes_to_unicode().values())}
    end = len(vocabulary)
    vocabulary["<|endoftext|>"] = end
    ids = {token: end + 1 + index for index, token in enumerate(SPECIAL)}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[], additional_special_tokens=list(SPECIAL))
    assert tokenizer.convert_tokens_to_ids("<|notimestamps|>") == ids["<|notimestamps|>"]
    torch.manual_seed(5)
    network = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=end + 1 + len(SPECIAL),
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            max_target_positions=24,
            decoder_start_token_id=ids["<|startoftranscript|>"],
            bos_token_id=end,
            eos_token_id=end,
            pad_token_id=end,
            init_std=0.6,
        )
    )
    settings = {
        "max_length": 20,
        "decoder_start_token_id": ids["<|startoftranscript|>"],
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "suppress_tokens": [*range(33), *range(94, end), *ids.values()],  # letters only
        "begin_suppress_tokens": [end],
        "is_multilingual": not english_only,
    }
    if not english_only:
        settings |= {
            "lang_to_id": {f"<|{code}|>": ids[f"<|{code}|>"] for code in LANGUAGES},
            "task_to_id": {task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")},
        }
    network.generation_config = GenerationConfig(**settings)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wav2vec 2.0 of one narrow layer."""
    pytest.importorskip("transformers")
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    folder = tmp_path_factory.mktemp("encoder") / "tiny-random"
    torch.manual_seed(6)
    config = Wav2Vec2Config(
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder
