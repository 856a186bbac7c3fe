"""Kinds of judges: what each is, and why it is not there where it is not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class JudgeKind:
    """A kind of judge, and why it is not there where it is not."""

    what: str
    gap: str = ""


JUDGES = {
    "code": JudgeKind("computed by code of ours, without anything learnt"),
    "pesq": JudgeKind("the pesq package"),
    "pystoi": JudgeKind("the pystoi package"),
    "world": JudgeKind("WORLD's analysis (pyworld)"),
    "mediapipe": JudgeKind("MediaPipe's face mesh, which carries its weights"),
    "pocketsphinx": JudgeKind("PocketSphinx's bundled English model, with GRID's grammar where texts are commands"),
    "pocketsphinx-open": JudgeKind("PocketSphinx's bundled English model with its language model; weak"),
    "phones": JudgeKind("a phone recogniser of seven languages, trained here on voices of the embedded world"),
    "small-sync": JudgeKind("a small network of lips and sound, trained here on talkers of the embedded world"),
    "ge2e": JudgeKind("Resemblyzer's GE2E speaker encoder, which carries its weights"),
    "dnsmos": JudgeKind("the DNSMOS networks that speechmos carries"),
    "embedded-face": JudgeKind("fixed measures of the picture, a stand-in that never learnt faces"),
    "whisper": JudgeKind("Whisper", "No general recogniser carries its weights; name a Whisper model (full.whisper)."),
    "eres2net": JudgeKind(
        "ERes2Net", "ERes2Net's weights are not here; name them (full.eres2net; 3D-Speaker, Apache-2.0)."
    ),
    "utmos": JudgeKind("UTMOS", "UTMOS's weights are not here; name them (full.utmos)."),
    "emotion": JudgeKind(
        "an encoder of emotion",
        "No emotion encoder carries its weights; name one that transformers reads (full.emotion; emotion2vec itself is "
        "in FunASR's format, which is not read).",
    ),
    "syncnet": JudgeKind("SyncNet", "SyncNet's weights are not here; name them (full.syncnet)."),
    "arcface": JudgeKind("ArcFace", "No face recogniser carries its weights; name an ArcFace network (full.arcface)."),
    "inception": JudgeKind("Inception v3", "Inception's weights are not here; name them (full.inception)."),
    "i3d": JudgeKind("I3D", "I3D's weights are not here; name them (full.i3d)."),
}
"""Every kind by name."""
