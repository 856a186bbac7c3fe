r"""Stage 2: speech that fits the lips and the face (DiFlowDubber, 3.4 and 3.5), and its loss.

.. math::
    \mathcal L_{Dubbing} = \lambda_1 \mathcal L_c + \lambda_2 \mathcal L_{CTC} + \lambda_3 \mathcal L_{distill}
        + \lambda_4 \mathcal L_{DFM} + \lambda_5 \mathcal L_{VT} + \lambda_6 \mathcal L_{ST}
    \qquad (\lambda = 1, 0.1, 0.1, 1, 0.001, 0.001) \tag{7}

Letters: B batch, N phonemes, F frames, L tokens, m, n, k books, A and D widths, V codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

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
from dubflow.diflow.nets.fapro import FaceToProsody, ProsodyHead
from dubflow.diflow.nets.grid import alignment_matrix, check_lengths, inside_of
from dubflow.diflow.nets.losses import LossParts
from dubflow.diflow.nets.prompt import Reference, no_condition, prior_condition, prompted
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.nets.synchronizer import Synchronized, Synchronizer
from dubflow.diflow.nets.text import PhonemeEncoder, Text
from dubflow.diflow.nets.tts import TtsNetwork
from dubflow.errors import WrongUse

T = TypeVar("T")


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
        prior: z~_p ``[B, m, L, A]``, or None where settings leave the face out.
        content: z_s, h~_p2c and content logits.
    """

    synchronized: Synchronized
    prior: Tensor | None
    content: Content


@dataclass(frozen=True)
class DubberOutput:
    """What one training pass answers.

    Attributes:
        plan: as above.
        ctc: log-probabilities ``[B, L, P + 1]``, or None without the head.
        flow_logits: ``[B, m + k, L, V]``.
        prosody: logits of FaPro's own head ``[B, m, L, V]``, or None without it.
    """

    plan: Plan
    ctc: Tensor | None
    flow_logits: Tensor
    prosody: Tensor | None = None


class DubberNetwork(nn.Module):
    """Phoneme encoder, FaPro, Synchronizer, CCTA and the denoiser with its changed condition."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = PhonemeEncoder(settings)
        self.fapro = FaceToProsody(settings) if settings.face_prior else None
        self.synchronizer = Synchronizer(settings)
        self.adaptation = ContentAdaptation(settings)
        self.denoiser = FlowDenoiser(settings)
        self.ctc = CtcHead(settings) if settings.ctc_head else None
        self.prosody = ProsodyHead(settings) if settings.prosody_head else None

    def adopt(self, teacher: TtsNetwork) -> None:
        """Start from stage 1: phoneme encoder, content model and denoiser take the teacher's weights.

        Projection and Content Head are frozen from then on (3.4.3).
        """
        self.encoder.load_state_dict(teacher.encoder.state_dict())
        self.adaptation.adopt(teacher.content)
        self.denoiser.load_state_dict(teacher.denoiser.state_dict())

    def start_alone(self) -> None:
        """Start without stage 1 (Table 3, row 2): Projection and Content Head, adopted from none, are trained too."""
        self.adaptation.start_alone()

    def forward(
        self,
        text: Text,
        picture: Picture,
        speaker: Tensor,
        noisy: Tensor,
        t: Tensor,
        reference: Reference | None = None,
    ) -> DubberOutput:
        """One training pass over ``x_t`` ``[B, m + k, L]`` at times ``[B]``; ``speaker`` is ``[B, D_s]``."""
        plan = self.plan(text, picture)
        logits = self.denoiser(noisy, t, self.context(plan, speaker, reference))
        return DubberOutput(
            plan,
            None if self.ctc is None else self.ctc(plan.synchronized.hidden),
            logits,
            None if self.prosody is None or plan.prior is None else self.prosody(plan.prior),
        )

    def plan(self, text: Text, picture: Picture) -> Plan:
        """What is said when; the clip's frames alone decide the length, ``L = ceil(16 F / 5)``."""
        synchronized = self.synchronizer(picture.lips, picture.frames, self.encoder(text), text.lengths)
        prior = None if self.fapro is None else self.fapro(picture.face, picture.frames)
        return Plan(synchronized, prior, self.adaptation(prior, synchronized.hidden, synchronized.inside))

    def context(self, plan: Plan, speaker: Tensor, reference: Reference | None = None) -> Context:
        """What the denoiser sees (3.4.4): z~_p in place of the reference's prosody, zeros for its acoustics, h~_p2c.

        Args:
            plan: of :meth:`plan`.
            speaker: ``[B, D_s]``.
            reference: codec tokens of the reference, where settings have an ``acoustic_prompt``; see ``prompt``.

        Raises:
            WrongUse: ``diflow.bad_reference`` when it is missing there, or given elsewhere.
        """
        synchronized, content = plan.synchronized, plan.content.hidden
        if self.fapro is None or plan.prior is None:
            condition = no_condition(content, self.settings.books.prosody)
        else:
            condition = prior_condition(self.fapro.widened(plan.prior, synchronized.inside), synchronized.lengths)
        if (reference is not None) != self.settings.acoustic_prompt:
            raise WrongUse(
                "diflow.bad_reference",
                "This network is prompted with the reference's acoustic tokens, and none are given."
                if reference is None
                else "This network was not trained to be prompted with a reference's acoustic tokens.",
            )
        if reference is not None:
            check_lengths(reference.lengths, reference.acoustic.transpose(1, 2))
            condition = prompted(condition, self.denoiser.embedders.acoustic(reference.acoustic), reference.lengths)
        return self.denoiser.prepare(condition, content, synchronized.lengths, speaker)


class DubbingWeights(Strict):
    """Weights of Eq. 7 (B.3). A part of weight 0 is not even computed: rows 3 to 7 of Table 3."""

    content: float = Field(1.0, ge=0, description="lambda 1, of the content.")
    ctc: float = Field(0.1, ge=0, description="lambda 2, of CTC.")
    distill: float = Field(0.1, ge=0, description="lambda 3, of the distillation.")
    flow: float = Field(1.0, ge=0, description="lambda 4, of the flow.")
    video_text: float = Field(0.001, ge=0, description="lambda 5, of the video-text alignment.")
    speech_text: float = Field(0.001, ge=0, description="lambda 6, of the speech-text alignment.")
    prosody: float = Field(0.0, ge=0, description="Of FaPro's own loss on prosody codes; not the paper's.")


@dataclass(frozen=True)
class DubberTargets:
    """What is known of a batch in training.

    Attributes:
        content: codes ``[B, n, L]``, pad beyond each length.
        flow: prosody and acoustic codes ``[B, m + k, L]``, pad beyond each length.
        frame_durations: frames of each phoneme, integers ``[B, N]``, summing to F.
        token_durations: tokens of each phoneme, integers ``[B, N]``, summing to L.
        teacher: z_t ``[B, L', A]`` of the frozen teacher, and its lengths ``[B]``; None is enough where the
            distillation has weight 0.
    """

    content: Tensor
    flow: Tensor
    frame_durations: Tensor
    token_durations: Tensor
    teacher: tuple[Tensor, Tensor] | None


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
    """Eq. 7, part by part; ``frames`` ``[B]``, ``noisy`` is ``x_t`` ``[B, m + k, L]``.

    Parts of weight 0 are neither computed nor listed.

    Raises:
        WrongUse: ``diflow.bad_weights`` when a part has a weight, and not what it is computed from.
    """
    weights = weights or DubbingWeights()
    kept = {name: weight for name, weight in weights.model_dump().items() if weight > 0}
    synchronized, content = output.plan.synchronized, output.plan.content
    values: dict[str, Tensor] = {}
    counts = {"items_with_more_phonemes_than_frames": int(synchronized.alignment.relaxed.sum())}
    if "content" in kept:
        values["content"] = code_cross_entropy(content.logits, targets.content, vocabulary=settings.books.vocabulary)
    if "ctc" in kept:
        ctc = ctc_loss(_needed(output.ctc, "ctc", "the CTC head"), synchronized.lengths, text)
        values["ctc"], counts["items_too_short_for_ctc"] = ctc.value, ctc.skipped
    if "distill" in kept:
        said, lengths = _needed(targets.teacher, "distill", "what the teacher says")
        values["distill"] = distillation_loss(
            content.features, synchronized.inside, said, inside_of(lengths, said.shape[1])
        )
    if "flow" in kept:
        values["flow"] = posterior_cross_entropy(
            output.flow_logits, targets.flow, noisy, scope=scope, vocabulary=settings.books.vocabulary
        )
    if "video_text" in kept:
        inside = inside_of(frames, synchronized.video_map.weights.shape[1])
        video = _aligned(synchronized.video_map, targets.frame_durations, inside, text, settings)
        values["video_text"], counts["phonemes_without_frame"] = video.value, video.skipped_phonemes
    if "speech_text" in kept:
        speech = _aligned(synchronized.speech_map, targets.token_durations, synchronized.inside, text, settings)
        values["speech_text"], counts["phonemes_without_token"] = speech.value, speech.skipped_phonemes
    if "prosody" in kept:
        logits = _needed(output.prosody, "prosody", "FaPro's own head")
        codes = targets.flow[:, : settings.books.prosody]
        values["prosody"] = code_cross_entropy(logits, codes, vocabulary=settings.books.vocabulary)
    return LossParts(values, kept, counts)


def _needed(thing: T | None, part: str, name: str) -> T:
    if thing is None:
        raise WrongUse(
            "diflow.bad_weights",
            f"The loss part {part!r} has a weight, and {name} is missing.",
            f"Give it, or set the weight {part} to 0.",
        )
    return thing


def _aligned(
    attention: AttentionMap, durations: Tensor, inside: Tensor, text: Text, settings: NetSettings
) -> AlignmentLoss:
    scores = attention.weights if settings.alignment.scores == "weights" else attention.logits
    matrix = alignment_matrix(durations, inside.shape[1])
    return contrastive_alignment(scores, matrix, inside, text.inside, settings.alignment.temperature)
