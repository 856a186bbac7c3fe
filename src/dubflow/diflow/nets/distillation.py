r"""The distillation that keeps the dubber's content near the teacher's.

DiFlowDubber, Eq. 5, with z_s for the student as in the text (the formula prints z_c):

.. math:: \mathcal L_{distill} = \frac 1 B \sum_i \bigl[1 - \cos(\phi(z_t^{(i)}), \phi(z_s^{(i)}))\bigr]

where phi is the mean over time; the teacher speaks the same text at its own pace, so lengths differ. It is frozen: no
gradient reaches it. Letters: B batch, L tokens of the student, L' of the teacher, A width.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from dubflow.diflow.nets.grid import masked_mean


def distillation_loss(student: Tensor, student_inside: Tensor, teacher: Tensor, teacher_inside: Tensor) -> Tensor:
    """Eq. 5, a scalar within 0..2.

    Args:
        student: z_s ``[B, L, A]`` and what of it is inside ``[B, L]``.
        teacher: z_t ``[B, L', A]`` and what of it is inside ``[B, L']``.
    """
    means = masked_mean(student.float(), student_inside), masked_mean(teacher.detach().float(), teacher_inside)
    return (1 - functional.cosine_similarity(*means, dim=-1)).mean()
