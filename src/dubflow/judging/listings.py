"""The catalogue's content: an entry for every metric. Read it through ``catalogue``.

``worst`` is what a clip counts that failed or cannot be measured by its own doing. Where a metric has no bound it is a
figure beyond what any clip with speech and a face was seen to get, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dubflow.judging.card.rows import Aggregation, Better, Metric

Group = Literal["content", "voice", "quality", "prosody", "time", "sync", "face", "picture", "success"]


@dataclass(frozen=True)
class Listing:
    """One metric.

    Attributes:
        name, unit, better, aggregate, definition, comparable_with, worst: see ``card.rows.Metric``.
        group: what it is about.
        offline, full: the kind of judge that measures it in that tier, None for a gap.
    """

    name: str
    group: Group
    unit: str
    better: Better
    worst: float | None
    definition: str
    comparable_with: str
    offline: str | None
    full: str | None
    aggregate: Aggregation = "mean"

    @property
    def wanting(self) -> str:
        """The kind of judge that a tier lacks where it has a gap; empty where neither has one."""
        return "" if self.offline else self.full or ""

    def metric(self, judge: str) -> Metric:
        """As a card holds it, measured by that judge."""
        return Metric(
            name=self.name,
            unit=self.unit,
            better=self.better,
            aggregate=self.aggregate,
            definition=self.definition,
            comparable_with=self.comparable_with,
            judge=judge,
            worst=self.worst,
        )


_RECOGNISER = "Only with figures of the same recogniser and the same normalisation of text."
_SELF = "Nobody's published figures; our own under the same protocol."
_COSINE = "Only figures of the same encoder with the same weights."

_OWN_PHONES = (
    "Only our own figures of the same network on the same clips. It learnt synthetic voices: of real ones it misses "
    "far more, so there its figures may only rank."
)
_WEAK = "Only figures of the same recogniser on the same clips, and their order more than their size."

_CONTENT = (
    Listing(
        "wer", "content", "", "lower", 1.0,
        "Word error rate: substitutions, deletions and insertions over the words of the reference, summed over clips "
        "(Levenshtein, jiwer), after lower case and without punctuation. May exceed 1; a failed clip said no word.",
        _RECOGNISER + " Corpus rates, as AlignDiT and F5-TTS print; not DiFlowDubber's mean of clips.",
        "pocketsphinx", "whisper", "corpus_ratio",
    ),
    Listing(
        "wer_mean", "content", "", "lower", 1.0,
        "Mean of the clips' word error rates (reference and hypothesis in their places, silence counted).",
        _RECOGNISER + " The aggregate of dubbing papers, without their other choices: see wer_legacy.",
        "pocketsphinx", "whisper",
    ),
    Listing(
        "wer_legacy", "content", "", "lower", 1.0,
        "As dubbing papers' scripts have it: reference and hypothesis swapped, clips in which nothing is heard left "
        "out, digits by name, punctuation deleted, mean of clips.",
        "DiFlowDubber's, StyleDubber's and peers' tables, if the recogniser is theirs (whisper-large-v3 for Chem; "
        "their ground truth on GRID fits whisper-base).",
        "pocketsphinx", "whisper",
    ),
    Listing(
        "cer", "content", "", "lower", 1.0,
        "Character error rate, as wer but of characters, spaces between words included.",
        _RECOGNISER, "pocketsphinx", "whisper", "corpus_ratio",
    ),
    Listing(
        "per", "content", "", "lower", 1.0,
        "Phone error rate: substitutions, deletions and insertions over the phones that espeak-ng spells the "
        "transcript in (no stress), summed over clips, as heard by a small network. May exceed 1; a failed clip said "
        "no phone.",
        _OWN_PHONES, "phones", "phones", "corpus_ratio",
    ),
    Listing(
        "per_mean", "content", "", "lower", 1.0,
        "Mean of the clips' phone error rates.", _OWN_PHONES, "phones", "phones",
    ),
    Listing(
        "wer_open", "content", "", "lower", 1.0,
        "Word error rate, as wer, of free English sentences by PocketSphinx without a grammar. A weak judge: it gets "
        "0.19 to 0.63 of the words of true recordings wrong, depending on the voice.",
        _WEAK, "pocketsphinx-open", "pocketsphinx-open", "corpus_ratio",
    ),
    Listing(
        "cer_open", "content", "", "lower", 1.0,
        "Character error rate of the same recogniser.", _WEAK, "pocketsphinx-open", "pocketsphinx-open", "corpus_ratio",
    ),
)  # fmt: skip

_VOICE = (
    Listing(
        "secs", "voice", "", "higher", 0.0,
        "Cosine of the GE2E vectors (all positive) of the dub and of the reference recording, mean of clips.",
        _COSINE + " Peers' SECS (times 100) is of other GE2E weights: no parity.",
        "ge2e", "ge2e",
    ),
    Listing(
        "v_sim", "voice", "", "higher", -1.0,
        "Cosine of the ERes2Net vectors of the dub and of the reference recording, mean of clips (JUST-DUB-IT).",
        _COSINE + " The paper does not say which ERes2Net.",
        None, "eres2net",
    ),
    Listing(
        "own_voice", "voice", "", "higher", 0.0,
        "Share of clips whose voice is nearest to the reference it was to have, among all references of the benchmark.",
        "Figures over the same references; chance is 1 / references.",
        "ge2e", "ge2e",
    ),
)  # fmt: skip

_OPINION = "DNSMOS of the same networks at the same level; peers judge clips as loud as they are."
_QUALITY = (
    Listing(
        "utmos", "quality", "", "higher", 1.0,
        "Opinion that UTMOS22 (strong learner) predicts of the dub, 1 to 5.",
        "DiFlowDubber's and peers' UTMOS, of the same weights.", None, "utmos",
    ),
    *(
        Listing(
            f"dnsmos_{part}", "quality", "", "higher", 1.0,
            f"Opinion that DNSMOS predicts of {what}, about 1 to 5, the spoken part at -26 dB of full scale.",
            _OPINION, "dnsmos", "dnsmos",
        )
        for part, what in (
            ("signal", "the speech (P.835)"), ("background", "the background's quiet (P.835)"),
            ("overall", "all (P.835)"), ("p808", "all (P.808)"),
        )
    ),
    Listing(
        "mcd", "quality", "dB", "lower", 30.0,
        "Mel-cepstral distortion (coefficients 1 to 24 of WORLD's spectrum) on one clock, where the reference speaks. "
        "A failed clip counts 30 dB, beyond noise or silence in place of speech.",
        _SELF + " Peers' pymcd has 13 coefficients, other frames and divides by the path.",
        "world", "world",
    ),
    Listing(
        "mcd_dtw", "quality", "dB", "lower", 30.0,
        "The same along the cheapest path, over the reference's frames (M. Shannon's definition).",
        _SELF + " Peers' pymcd has 13 coefficients, other frames and divides by the path.",
        "world", "world",
    ),
    Listing(
        "pesq", "quality", "", "higher", 1.0,
        "Wide-band PESQ (P.862.2) against the true recording of the same words and voice, about 1 to 4.64.",
        "PESQ of the same standard and band.", "pesq", "pesq",
    ),
    Listing(
        "stoi", "quality", "", "higher", 0.0,
        "Short-time objective intelligibility (Taal et al., 2011) against the true recording on one clock, up to 1.",
        "STOI of others (not ESTOI).", "pystoi", "pystoi",
    ),
)  # fmt: skip

_PITCH = "Figures with the same pitch extractor; DiFlowDubber's Table 5 does not name its own."
_PROSODY = (
    Listing(
        "ffe", "prosody", "", "lower", 1.0,
        "F0 frame error (Chu and Alwan, 2009): share of all moments off in voicing or, voiced in both, by over 20 %.",
        _PITCH, "world", "world",
    ),
    Listing(
        "gpe", "prosody", "", "lower", 1.0,
        "Gross pitch error: share of the moments voiced in both that are off by more than 20 %.",
        _PITCH, "world", "world",
    ),
    Listing(
        "vde", "prosody", "", "lower", 1.0,
        "Voicing decision error: share of all moments whose voicing differs from the true recording's.",
        _PITCH, "world", "world",
    ),
    Listing(
        "f0_correlation", "prosody", "", "higher", -1.0,
        "Pearson's correlation of the pitch in Hz where both are voiced.",
        _PITCH, "world", "world",
    ),
    Listing(
        "emo_sim", "prosody", "", "higher", -1.0,
        "Cosine of the emotion embeddings of the dub and of the true recording (DiFlowDubber, Table 5: emotion2vec).",
        _COSINE + " DiFlowDubber's are emotion2vec's.", None, "emotion",
    ),
)  # fmt: skip

_TIME = (
    Listing(
        "duration_error", "time", "s", "near_zero", 10.0,
        "Seconds that the dub's sound is longer than its clip; a failed clip counts 10 s.",
        "Dur-Err of JUST-DUB-IT's Table 2, as absolute values, as far as its unsaid definition is this one.",
        "code", "code",
    ),
    Listing(
        "int_corr", "time", "", "higher", -1.0,
        "Pearson's correlation of RMS envelopes (1,024 samples every 256 at 16 kHz, the longer resampled to "
        "the shorter).",
        "Int-Corr of JUST-DUB-IT's Table 2, whose window is not said.", "code", "code",
    ),
    Listing(
        "speech_start_error", "time", "s", "near_zero", 3.0,
        "Seconds by which the speech starts later than in the true recording, by one detector of level in both; a clip "
        "without speech counts 3 s.",
        _SELF, "code", "code",
    ),
    Listing(
        "speech_end_error", "time", "s", "near_zero", 3.0,
        "The same of the end of the speech.", _SELF, "code", "code",
    ),
)  # fmt: skip

_OWN_SYNC = (
    "Only our own figures of the same network; never SyncNet's LSE-C and LSE-D, whose scale is another. It learnt "
    "drawn talkers: of real ones its figures may only rank."
)
_CROPS = {
    "pipeline": "faces cut as SyncNet's own pipeline does (lse_pipeline), found by MediaPipe in place of S3FD",
    "lrs": "whole frames scaled to 224 pixels, as Wav2Lip's script for LRS does (lse_lrs)",
}
_SYNC = (
    *(
        one
        for crop, what in _CROPS.items()
        for one in (
            Listing(
                f"lse_c_{crop}", "sync", "", "higher", 0.0,
                f"SyncNet's confidence: median minus least of the mean distances over shifts of +-15 frames; {what}.",
                "LSE-C of papers with the same crop; the other crop moves it by more than a point.",
                None, "syncnet",
            ),
            Listing(
                f"lse_d_{crop}", "sync", "", "lower", 20.0,
                f"SyncNet's least mean distance over shifts of +-15 frames; {what}. A failed clip counts 20, beyond "
                "clips with other speech.",
                "LSE-D of papers with the same crop.", None, "syncnet",
            ),
            Listing(
                f"av_offset_{crop}", "sync", "frames", "near_zero", 15.0,
                f"Frames by which the sound is ahead, by SyncNet's least distance; {what}.",
                "ASync of JUST-DUB-IT's Table 1, taken as the mean of absolute offsets.", None, "syncnet",
            ),
        )
    ),
    Listing(
        "lse_c_small", "sync", "", "higher", 0.0,
        "As lse_c, by a small network of ours (mouths of 48 x 56 pixels, embeddings of length 1).",
        _OWN_SYNC, "small-sync", "small-sync",
    ),
    Listing(
        "lse_d_small", "sync", "", "lower", 2.0,
        "As lse_d, by the same network; a failed clip counts 2, the farthest that embeddings can lie apart.",
        _OWN_SYNC, "small-sync", "small-sync",
    ),
    Listing(
        "av_offset_small", "sync", "frames", "near_zero", 15.0,
        "Frames by which the sound is ahead, by the least distance of the same network.",
        _OWN_SYNC, "small-sync", "small-sync",
    ),
    Listing(
        "mouth_offset", "sync", "frames", "near_zero", 15.0,
        "Frames by which the sound is ahead, where the opening of the mouth (MediaPipe) and its changes correlate best "
        "with the level of 500 to 1,500 Hz and its changes, of +-15.",
        _SELF + " Not SyncNet's offset.", "mediapipe", "mediapipe",
    ),
    Listing(
        "mouth_correlation", "sync", "", "higher", -1.0,
        "Mean correlation of the mouth's opening (MediaPipe) with the level of 500 to 1,500 Hz, and of their changes, "
        "as the clip is heard and seen.",
        _SELF, "mediapipe", "mediapipe",
    ),
)  # fmt: skip

_UNJUDGED = "Shown beside the true clip's, never judged by itself: trembling raises it as speech does."
_FACE = (
    Listing(
        "csim", "face", "", "higher", -1.0,
        "Mean cosine of the ArcFace vectors of the dub's frames to the reference's mean vector (JUST-DUB-IT: CSIM).",
        _COSINE, None, "arcface",
    ),
    Listing(
        "csim_embedded", "face", "", "higher", -1.0,
        "The same of fixed measures of the picture that never learnt faces: notices another face, light and pose "
        "alike.",
        _SELF + " Never with CSIM.", "embedded-face", "embedded-face",
    ),
    Listing(
        "mar_diversity_geometric", "face", "", "none", None,
        "Standard deviation over time of the gap between the inner lips over the width of the mouth (MediaPipe). "
        + _UNJUDGED,
        _SELF, "mediapipe", "mediapipe",
    ),
    Listing(
        "mar_diversity_paper", "face", "", "none", None,
        "Standard deviation over time of JUST-DUB-IT's equation 5 to the letter (points 55, 61 over 52, 58 of "
        "InsightFace's numbering, nearest points of MediaPipe's mesh). " + _UNJUDGED,
        "MAR Div. of JUST-DUB-IT's Table 1, with another landmarker.", "mediapipe", "mediapipe",
    ),
    Listing(
        "lmd", "face", "", "none", None,
        "Mean distance of 20 lip points to those of the source clip, heads laid onto each other, in diagonals of the "
        "face box. The paper's Table 3 has more as better (the lips say something else); so does a distorted mouth.",
        _SELF + " JUST-DUB-IT does not say its unit.", "mediapipe", "mediapipe",
    ),
    Listing(
        "qd", "face", "", "none", None,
        "LMD times the geometric diversity of MAR (JUST-DUB-IT, equation 7). " + _UNJUDGED,
        _SELF, "mediapipe", "mediapipe",
    ),
)  # fmt: skip

_SETS = "Figures of the same network, scaling and number of samples."
_PICTURE = (
    Listing(
        "fid", "picture", "", "lower", None,
        "Fréchet distance of Inception features (2,048, pytorch-fid's weights and scaling) of the dubs' frames and of "
        "the true clips' (references, or sources).",
        _SETS, None, "inception", "distribution",
    ),
    Listing(
        "fvd", "picture", "", "lower", None,
        "Fréchet distance of I3D's 400 logits (pytorch-i3d's weights) of stretches of 16 frames, 224 pixels, of the "
        "dubs and of the true clips (references, or sources).",
        _SETS + " Not of StyleGAN-V's copy of I3D, a TorchScript archive, which peers use.",
        None, "i3d", "distribution",
    ),
    Listing(
        "psnr_outside_face", "picture", "dB", "higher", 0.0,
        "Peak signal-to-noise ratio against the source clip, outside the faces of both (hulls of the landmarks, grown "
        "by a tenth); equal frames count 100 dB.",
        _SELF, "mediapipe", "mediapipe",
    ),
    Listing(
        "ssim_outside_face", "picture", "", "higher", 0.0,
        "Structural similarity (Wang et al., 2004, luma) against the source clip, outside the faces of both.",
        _SELF, "mediapipe", "mediapipe",
    ),
)  # fmt: skip

_SUCCESS = (
    Listing(
        "success_rate", "success", "", "higher", 0.0,
        "Share of the benchmark's clips for which the system put out a clip that can be opened.",
        "Succ of JUST-DUB-IT's Table 1 on the same inputs.", "code", "code",
    ),
)  # fmt: skip

LISTINGS: tuple[Listing, ...] = (
    *_CONTENT, *_VOICE, *_QUALITY, *_PROSODY, *_TIME, *_SYNC, *_FACE, *_PICTURE, *_SUCCESS,
)  # fmt: skip
"""In the order of tables."""
