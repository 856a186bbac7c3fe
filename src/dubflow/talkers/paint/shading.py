"""Light on painted surfaces: wrapped Lambert shading with a warm terminator, highlights, and grain."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from dubflow.talkers.look import Colour
from dubflow.talkers.paint.geometry import Array, Image
from dubflow.talkers.pose import Light

Floats = npt.NDArray[np.float32]


def light_vector(light: Light) -> Floats:
    """Unit vector towards the key light."""
    vector = np.array([light.x, light.y, light.z], dtype=np.float32)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def light_colour(light: Light) -> Floats:
    """Colour of the light for its warmth; grey surfaces keep their brightness."""
    colour = np.array([1.0 + 0.12 * light.warmth, 1.0, 1.0 - 0.20 * light.warmth], dtype=np.float32)
    return np.asarray(colour, dtype=np.float32)


def normals(x: Floats, z: Floats, density: float) -> Floats:
    """Unit normals ``[H, W, 3]`` of the surface ``(x(u, v), v, z(u, v))`` sampled at ``density`` points a unit."""
    x_v, x_u = np.gradient(x, 1.0 / density)
    z_v, z_u = np.gradient(z, 1.0 / density)
    raw = np.stack([-z_u, z_u * x_v - x_u * z_v, x_u], axis=-1)
    length = np.linalg.norm(raw, axis=-1, keepdims=True)
    return np.where(length > 1e-6, raw / np.maximum(length, 1e-6), np.array([0, 0, 1.0])).astype(np.float32)


def diffuse(normal: Floats, light: Light) -> Floats:
    """Light that reaches a matt surface, by channel ``[H, W, 3]``; about 1 where it faces the key light."""
    facing = normal @ light_vector(light)
    key = np.clip((facing + 0.30) / 1.30, 0.0, 1.0)
    bounce = np.clip(0.5 - 0.5 * normal[..., 0] * np.sign(light.x or -1.0) * -1.0, 0.0, 1.0)
    sky = 0.5 - 0.5 * normal[..., 1]
    fill = 0.36 + 0.08 * bounce + 0.12 * sky
    # Light that enters skin comes out redder where it fades: the band around the shadow's edge.
    edge = np.exp(-(((key - 0.22) / 0.20) ** 2))[..., None] * np.array([0.035, -0.010, -0.020], dtype=np.float32)
    level = light.fill * fill[..., None] + light.key * (0.62 * key[..., None] + edge)
    return np.asarray(level * light_colour(light), dtype=np.float32)


def gloss(normal: Floats, light: Light, sharpness: float) -> Floats:
    """Highlight ``[H, W]`` of Blinn and Phong, for a viewer straight in front."""
    half = light_vector(light) + np.array([0, 0, 1], dtype=np.float32)
    half /= np.linalg.norm(half)
    return np.asarray(light.key * np.clip(normal @ half, 0.0, 1.0) ** sharpness, dtype=np.float32)


def grain(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> Floats:
    """Smooth noise of deviation 1."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    if sigma > 0.2:
        noise = cv2.GaussianBlur(noise, (0, 0), sigma)
    return np.asarray(noise / max(float(noise.std()), 1e-9), dtype=np.float32)


def tint(base: Floats, colour: Colour, share: Array) -> Floats:
    """``base`` ``[H, W, 3]`` with ``share`` ``[H, W]`` of ``colour`` laid over it."""
    weight = np.clip(share, 0.0, 1.0)[..., None].astype(np.float32)
    return np.asarray(base + weight * (np.array(colour, dtype=np.float32) - base), dtype=np.float32)


def darken(base: Floats, amount: Array) -> Floats:
    """``base`` with ``amount`` (0 to 1) of its light taken away."""
    return np.asarray(base * (1.0 - np.clip(amount, 0.0, 1.0))[..., None], dtype=np.float32)


def as_bytes(colour: Floats) -> Image:
    """0 to 1 as 0 to 255."""
    return np.asarray(np.clip(colour * 255.0 + 0.5, 0.0, 255.0), dtype=np.uint8)
