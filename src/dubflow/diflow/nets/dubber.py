r"""Stage 2: speech that fits the lips and the face (DiFlowDubber, 3.4 and 3.5), and its loss.

.. math::
    \mathcal L_{Dubbing} = \lambda_1 \mathcal L_c + \lambda_2 \mathcal L_{CTC} + \lambda_3 \mathcal L_{distill}
        + \lambda_4 \mathcal L_{DFM} + \lambda_5 \mathcal L_{VT} + \lambda_6 \mathcal L_{ST}
    \qquad (\lambda = 1, 0.1, 0.1, 1, 0.001, 0.001) \tag{7}

Letters: B batch, N phonemes, F frames, L tokens, m, n, k books, A and D widths, V codes.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field
from torch import Tensor, nn

from dubflow.config import Strict
from dubflow.diflow.flow.loss import Scope, code_cross_entropy, posterior_cross_entropy
from dubflow.diflow.nets.adaptation import ContentAdaptation
from dubflow.diflow.nets.alignment_loss import AlignmentLoss, contrastive_alignment
from dubflow.diflow.nets.attention import AttentionMap
from dubflow.diflow.nets.content import Content
from dubflow.diflow.nets.ctc import CtcHead, ctc_loss
from dubflow.diflow.nets.denoiser import Context, FlowDenoiser
from dubflow.diflow.nets.distillation import distillation_loss
from dubflow.diflow.nets.fapro import FaceToProsody
from dubflow.diflow.nets.grid import alignment_matrix, inside_of
from dubflow.diflow.nets.losses import LossParts
from dubflow.diflow.nets.prompt import prior_condition
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.nets.synchronizer import Synchronized, Synchronizer
from dubflow.diflow.nets.text import PhonemeEncoder, Text
from dubflow.diflow.nets.tts import TtsNetwork


@dataclass(frozen=True)
class Picture:
    """What was seen of a batch of silent clips.

    Attributes:
        lips: features of lip crops ``[B, F, D_l]``.
        face: features of face crops ``[B, F, D_f]``.
        frames: integers ``[B]``, at least 1.
    """

    lips: Tensor
    face: Tensor
    frames: Tensor


@dataclass(frozen=True)
class Plan:
    """What is said when, before the flow: all that does not depend on noise.

    Attributes:
        synchronized: h_sync, maps and durations.
        prior: z~_p ``[B, m, L, A]``.
        content: z_s, h~_p2c and content logits.
    """

    synchronized: Synchronized
    prior: Tensor
    content: Content


@dataclass(frozen=True)
class DubberOutput:
    """What one training pass answers.

    Attributes:
        plan: as above.
        ctc: log-probabilities ``[B, L, P + 1]``.
        flow_logits: ``[B, m + k, L, V]``.
    """

    plan: Plan
    ctc: Tensor
    flow_logits: Tensor


class DubberNetwork(nn.Module):
    """Phoneme encoder, FaPro, Synchronizer, CCTA and the denoiser with its changed condition."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = PhonemeEncoder(settings)
        self.fapro = FaceToProsody(settings)
        self.synchronizer = Synchronizer(settings)
        self.adaptation = ContentAdaptation(settings)
        self.denoiser = FlowDenoiser(settings)
        self.ctc = CtcHead(settings)

    def adopt(self, teacher: TtsNetwork) -> None:
        """Start from stage 1: phoneme encoder, content model and denoiser take the teacher's weights."""
        self.encoder.load_state_dict(teacher.encoder.state_dict())
        self.adaptation.adopt(teacher.content)
        self.denoiser.load_state_dict(teacher.denoiser.state_dict())

    def forward(self, text: Text, picture: Picture, speaker: Tensor, noisy: Tensor, t: Tensor) -> DubberOutput:
        """One training pass over ``x_t`` ``[B, m + k, L]`` at times ``[B]``; ``speaker`` is ``[B, D_s]``."""
        plan = self.plan(text, picture)
        logits = self.denoiser(noisy, t, self.context(plan, speaker))
        return DubberOutput(plan, self.ctc(plan.synchronized.hidden), logits)

    def plan(self, text: Text, picture: Picture) -> Plan:
        """What is said when; the clip's frames alone decide the length, ``L = ceil(16 F / 5)``."""
        synchronized = self.synchronizer(picture.lips, picture.frames, self.encoder(text), text.lengths)
        prior = self.fapro(picture.face, picture.frames)
        return Plan(synchronized, prior, self.adaptation(prior, synchronized.hidden, synchronized.inside))

    def context(self, plan: Plan, speaker: Tensor) -> Context:
        """What the denoiser sees (3.4.4): z~_p in place of the reference's prosody, zeros for its acoustics, h~_p2c."""
        synchronized = plan.synchronized
        condition = prior_condition(self.fapro.widened(plan.prior, synchronized.inside), synchronized.lengths)
        return self.denoiser.prepare(condition, plan.content.hidden, synchronized.lengths, speaker)


class DubbingWeights(Strict):
    """Weights of Eq. 7 (B.3). A weight of 0 leaves the part out: the ablations of Table 3."""

    content: float = Field(1.0, ge=0, description="lambda 1, of the content.")
    ctc: float = Field(0.1, ge=0, description="lambda 2, of CTC.")
    distill: float = Field(0.1, ge=0, description="lambda 3, of the distillation.")
    flow: float = Field(1.0, ge=0, description="lambda 4, of the flow.")
    video_text: float = Field(0.001, ge=0, description="lambda 5, of the video-text alignment.")
    speech_text: float = Field(0.001, ge=0, description="lambda 6, of the speech-text alignment.")


@dataclass(frozen=True)
class DubberTargets:
    """What is known of a batch in training.

    Attributes:
        content: codes ``[B, n, L]``, pad beyond each length.
        flow: prosody and acoustic codes ``[B, m + k, L]``, pad beyond each length.
        frame_durations: frames of each phoneme, integers ``[B, N]``, summing to F.
        token_durations: tokens of each phoneme, integers ``[B, N]``, summing to L.
        teacher: z_t ``[B, L', A]`` of the frozen teacher, and its lengths ``[B]``.
    """

    content: Tensor
    flow: Tensor
    frame_durations: Tensor
    token_durations: Tensor
    teacher: tuple[Tensor, Tensor]


def dubbing_loss(
    output: DubberOutput,
    text: Text,
    frames: Tensor,
    targets: DubberTargets,
    noisy: Tensor,
    *,
    settings: NetSettings,
    weights: DubbingWeights | None = None,
    scope: Scope = "all",
) -> LossParts:
    """Eq. 7, part by part; ``frames`` ``[B]``, ``noisy`` is ``x_t`` ``[B, m + k, L]``."""
    book, weights = settings.books.vocabulary, weights or DubbingWeights()
    synchronized, content = output.plan.synchronized, output.plan.content
    frames_inside = inside_of(frames, synchronized.video_map.weights.shape[1])
    video = _aligned(synchronized.video_map, targets.frame_durations, frames_inside, text, settings)
    speech = _aligned(synchronized.speech_map, targets.token_durations, synchronized.inside, text, settings)
    ctc = ctc_loss(output.ctc, synchronized.lengths, text)
    said, said_lengths = targets.teacher
    return LossParts(
        values={
            "content": code_cross_entropy(content.logits, targets.content, vocabulary=book),
            "ctc": ctc.value,
            "distill": distillation_loss(
                content.features, synchronized.inside, said, inside_of(said_lengths, said.shape[1])
            ),
            "flow": posterior_cross_entropy(output.flow_logits, targets.flow, noisy, scope=scope, vocabulary=book),
            "video_text": video.value,
            "speech_text": speech.value,
        },
        weights=weights.model_dump(),
        counts={
            "phonemes_without_frame": video.skipped_phonemes,
            "phonemes_without_token": speech.skipped_phonemes,
            "items_too_short_for_ctc": ctc.skipped,
            "items_with_more_phonemes_than_frames": int(synchronized.alignment.relaxed.sum()),
        },
    )


def _aligned(
    attention: AttentionMap, durations: Tensor, inside: Tensor, text: Text, settings: NetSettings
) -> AlignmentLoss:
    scores = attention.weights if settings.alignment.scores == "weights" else attention.logits
    matrix = alignment_matrix(durations, inside.shape[1])
    return contrastive_alignment(scores, matrix, inside, text.inside, settings.alignment.temperature)
