"""How the lips of context and target differ and move: equations 4 to 7 on landmarks."""

from __future__ import annotations

from dubflow.faces.lip_distance import lip_distance, quality_diversity
from dubflow.faces.mouth_aspect import mar_diversity, mouth_aspect
from dubflow.faces.tracks import FaceTrack


def lip_figures(context: FaceTrack, target: FaceTrack) -> dict[str, float]:
    """Figures of two tracks of one length; those that no frame allows are missing.

    LMD is zero for equal lips whatever the head does, so it is the context's distance from what is learnt: small means
    that the old lips can be copied. The diversity is the context's; QD is their product.

    Raises:
        BadInput: ``faces.unequal_lengths``.
    """
    distance = lip_distance(target.landmarks, context.landmarks)
    diversity = mar_diversity(mouth_aspect(context.landmarks))
    both = distance is not None and diversity is not None
    found = {
        "lmd": distance,
        "mar_diversity": diversity,
        "mar_diversity_target": mar_diversity(mouth_aspect(target.landmarks)),
        "mar_diversity_paper": mar_diversity(mouth_aspect(context.landmarks, "paper")),
        "qd": quality_diversity(distance or 0.0, diversity or 0.0) if both else None,
    }
    return {name: value for name, value in found.items() if value is not None}
