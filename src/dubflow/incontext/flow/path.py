r"""Rectified flow, in LTX's time sigma and in the paper's time t.

LTX-2 counts noise: sigma = 0 is data, sigma = 1 is noise eps ~ N(0, 1), and

.. math:: x_\sigma = (1 - \sigma) x_0 + \sigma \epsilon, \qquad v = \frac{dx}{d\sigma} = \epsilon - x_0 .

JUST-DUB-IT (Eq. 1) counts data: t = 0 is noise (its x_0), t = 1 is data (its x_1), velocity x_1 - x_0. The two are one
path run both ways: t = 1 - sigma and v_paper = -v. These are the only conversions; everything else is in sigma.
"""

from __future__ import annotations

from torch import Tensor


def noised(data: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """``x_sigma`` between data and noise ``[B, N, C]`` at ``sigma`` ``[B]`` or ``[B, N]``."""
    level = _levels(sigma, data)
    return (1 - level) * data + level * noise


def velocity(data: Tensor, noise: Tensor) -> Tensor:
    """What the network learns: ``noise - data``."""
    return noise - data


def data_of(x: Tensor, velocity: Tensor, sigma: Tensor) -> Tensor:
    """The data that a velocity at ``x_sigma`` points back to: ``x - sigma v``."""
    return x - _levels(sigma, x) * velocity


def to_paper_time(sigma: Tensor) -> Tensor:
    """The paper's t of LTX's sigma; its own inverse."""
    return 1 - sigma


def to_paper_velocity(velocity: Tensor) -> Tensor:
    """The paper's velocity of LTX's; its own inverse."""
    return -velocity


def _levels(sigma: Tensor, like: Tensor) -> Tensor:
    return sigma.to(like.dtype).reshape(*sigma.shape, *(1,) * (like.ndim - sigma.ndim))
