"""Other looks of the same cells: stain, light, focus, noise and JPEG, drawn anew for every picture that is trained on."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.training.labels import Picture

DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1.0) / 256.0)  # optical density of each value, 0 on white


def restained(picture: Picture, rng: np.random.Generator) -> Picture:
    """Return a patch with other amounts of stain: each channel's density times a factor, on glass of another colour."""
    strength = np.exp(rng.normal(0.0, 0.25)) * np.exp(rng.normal(0.0, 0.12, 3))
    glass = rng.uniform(0.82, 1.0) * rng.uniform(0.94, 1.0, 3)
    tables = 255.0 * glass[:, None] * np.exp(-strength[:, None] * DENSITY)
    return np.asarray(cv2.LUT(picture, np.clip(np.rint(tables.T), 0, 255).astype(np.uint8)[None]), np.uint8)


def hue_shifted(picture: Picture, rng: np.random.Generator) -> Picture:
    """Return a picture whose stains take other colours: densities of the three channels leak into each other."""
    mixing = np.eye(3) + rng.normal(0.0, 0.08, (3, 3))
    mixing *= (1.0 / np.maximum(mixing.sum(axis=1), 0.2))[:, None]  # grey stays grey: shade is no stain
    density = cv2.transform(cv2.LUT(picture, DENSITY), -mixing.astype(np.float32))
    return np.asarray(cv2.convertScaleAbs(cv2.exp(np.minimum(density, 0.0)), alpha=256.0, beta=-1.0), np.uint8)


def weathered(picture: Picture, rng: np.random.Generator) -> Picture:
    """Return a picture taken by a worse camera: each fault with its own chance."""
    height, width = picture.shape[:2]
    if rng.random() < 0.5:
        picture = hue_shifted(picture, rng)
    if rng.random() < 0.1:  # as enlarged from a coarser scan
        factor = rng.uniform(1.3, 2.5)
        coarse = cv2.resize(picture, (max(8, round(width / factor)), max(8, round(height / factor))), interpolation=cv2.INTER_AREA)
        picture = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    if rng.random() < 0.3:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.6)), np.uint8)
    if rng.random() < 0.3:
        picture = _grainy(picture, rng)
    if rng.random() < 0.3:
        _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 95))])
        picture = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return picture


def _grainy(picture: Picture, rng: np.random.Generator) -> Picture:
    # Sums of two even draws: as good as a bell here, and several times quicker to draw.
    draws = rng.integers(0, 128, (2, *picture.shape), np.uint8).astype(np.int16).sum(axis=0) - 127
    noise: NDArray[np.float32] = draws * np.float32(rng.uniform(2.0, 9.0) / 52.0)
    return np.asarray(np.clip(picture + noise, 0, 255), np.uint8)
