"""Signs an output in place: a C2PA manifest with what was done, from what, by which model and in whose voice.

Actions are those of C2PA 2: the source clip is *opened*, then *dubbed*, and what was added is *trained algorithmic
media* (IPTC's digital source type). Samples, packets and times stay as they are: the manifest is a box of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dubflow import __version__
from dubflow.atomic import atomic_file
from dubflow.dubbing.provenance.certificates import Signer
from dubflow.dubbing.provenance.child import run_child
from dubflow.dubbing.provenance.facts import FACTS_LABEL, FORMATS, OutputFacts
from dubflow.errors import OurFault, WrongUse

TRAINED_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_USES = ("cawg.ai_generative_training", "cawg.ai_training", "cawg.ai_inference", "cawg.data_mining")
_SOURCE = "source"


def sign_output(path: Path, facts: OutputFacts, signer: Signer, source: Path | None = None) -> None:
    """Put a signed manifest into the file ``path``, whole or not at all; what it was before is gone.

    Args:
        path: .mp4, .m4v, .mov or .wav, as we wrote it.
        source: the clip it was made from; a manifest that it carries is kept as the ingredient's.

    Raises:
        WrongUse: ``dubbing.cannot_sign`` for another kind of file, ``install.missing_extra``.
        OurFault: ``dubbing.not_signed``, ``dubbing.provenance_child``.
    """
    path = Path(path)
    media = FORMATS.get(path.suffix.lower())
    if media is None:
        raise WrongUse("dubbing.cannot_sign", f"{path.name} cannot carry a manifest.", f"Sign {', '.join(FORMATS)}.")
    task: dict[str, Any] = {
        "verb": "sign",
        "media": media,
        "manifest": _manifest(media, facts),
        "ingredient": {
            "title": "Source clip",
            "relationship": "parentOf",
            "instance_id": f"sha256:{facts.clip_sha256}",
            "label": _SOURCE,
        },
        "facts_label": FACTS_LABEL,
        "algorithm": signer.algorithm,
        "certificates": signer.certificates,
    }
    with atomic_file(path) as part:
        files = {"plain": (path, "rb"), "signed": (part, "w+b")}
        if source is not None:
            files["source"] = (Path(source), "rb")
        answer = run_child(task, files, signer)
        if "done" not in answer:
            raise OurFault(
                "dubbing.not_signed",
                f"No manifest could be written: {answer.get('refused')}: {answer.get('why')}.",
                "Check the signing key and its chain; the output stays unsigned.",
            )


def _manifest(media: str, facts: OutputFacts) -> dict[str, Any]:
    agent = {"name": "dubflow", "version": __version__}
    actions = [
        {"action": "c2pa.opened", "parameters": {"ingredientIds": [_SOURCE]}},
        {
            "action": "c2pa.dubbed",
            "digitalSourceType": TRAINED_MEDIA,
            "softwareAgent": agent,
            "parameters": {"language": facts.language, "engine": facts.engine},
        },
    ]
    return {
        "claim_generator_info": [agent],
        "format": media,
        "title": "Dubbed clip",
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": "cawg.training-mining", "data": {"entries": {use: {"use": "notAllowed"} for use in _USES}}},
            {"label": FACTS_LABEL, "data": facts.model_dump(mode="json")},
        ],
    }
