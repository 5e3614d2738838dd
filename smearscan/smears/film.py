"""The blood film as a landscape: how thick it lies, where it is out of focus, how the light falls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smearscan.smears.fields import SmoothField, Surface, smoothstep
from smearscan.smears.plan import SmearPlan, Stream

Places = NDArray[np.float64]
_PROFILE = np.array(  # share of the film's length from the thick end -> layers of red cells, 1 is a good monolayer
    [(0.00, 2.5), (0.12, 2.3), (0.28, 1.55), (0.42, 1.12), (0.60, 0.98), (0.76, 0.80), (0.88, 0.52), (0.95, 0.34), (1.00, 0.22)]
)
READABLE = (0.12, 1.45)  # thickness between which a person would call a cell: no white cell is put anywhere else
BLUR_READABLE = 0.35


@dataclass(frozen=True)
class Film:
    """Knows the film anywhere on the slide; `on` methods take a grid's columns and rows, `at` methods single points."""

    plan: SmearPlan
    ragged: SmoothField  # the film's border
    patchy: SmoothField  # thickness
    focus: SmoothField
    light: SmoothField
    warmth: SmoothField
    lean: tuple[float, float, float]  # of a small field's thickness: mean, and change from side to side along x and y

    @classmethod
    def of(cls, plan: SmearPlan) -> Film:
        rng = plan.stream(Stream.FIELDS)
        ragged, patchy, focus, light, warmth = (
            SmoothField.random(rng, plan.width, plan.height, spacing_um / plan.mpp) for spacing_um in (140.0, 75.0, 260.0, 420.0, 500.0)
        )
        mean, (along_x, along_y) = float(rng.uniform(0.82, 1.08)), rng.normal(0, 0.12, 2).tolist()
        return cls(plan, ragged, patchy, focus, light, warmth, lean=(mean, along_x, along_y))

    def thickness_at(self, xs: Places, ys: Places) -> Surface:
        return self._thickness(xs, ys, self.ragged.at(xs, ys), self.patchy.at(xs, ys))

    def look_on(self, xs: Places, ys: Places) -> tuple[NDArray[np.float32], Surface, Surface]:
        """Return, on a grid: the light's strength (h, w, 3), how far out of focus it is (0 sharp, 1 unreadable), the thickness.

        The lamp is never quite centred, and on a small field the lens has dark corners.
        """
        uneven = 0.4 if self.plan.is_film else 1.0  # a scanner evens the light out, a camera on a microscope does not
        level = 1 + 0.022 * uneven * self.light.on(xs, ys)
        if not self.plan.is_film:
            x = (xs / self.plan.width - 0.5)[None, :]
            y = (ys / self.plan.height - 0.5)[:, None]
            level = level * (1.02 - 0.16 * (x * x + y * y)).astype(np.float32)
        warm = 0.008 * uneven * self.warmth.on(xs, ys)
        light = np.stack([level * (1 + warm), level, level * (1 - warm)], -1)
        thickness = self._thickness(xs[None, :], ys[:, None], self.ragged.on(xs, ys), self.patchy.on(xs, ys))
        return np.asarray(light, np.float32), self._blur(self.focus.on(xs, ys)), thickness

    def weight_at(self, xs: Places, ys: Places) -> Surface:
        """Return where white cells lie: only where they can be read, and more of them towards the feather edge."""
        thickness = self.thickness_at(xs, ys)
        blur = self._blur(self.focus.at(xs, ys))
        readable = (thickness > READABLE[0]) & (thickness < READABLE[1]) & (blur < BLUR_READABLE)
        crowd = 0.75 + 0.25 * smoothstep(thickness, 0.7, 0.35)
        return np.asarray(readable * crowd, np.float32)

    @staticmethod
    def _blur(focus: Surface) -> Surface:
        return smoothstep(focus, 1.45, 2.3)

    def _thickness(self, xs: Places, ys: Places, ragged: Surface, patchy: Surface) -> Surface:
        plan = self.plan
        if not plan.is_film:
            mean, along_x, along_y = self.lean
            level = mean + along_x * (xs / plan.width - 0.5) + along_y * (ys / plan.height - 0.5)
            return np.asarray(np.maximum(level * (1 + 0.09 * patchy), 0.05), np.float32)
        lying = plan.width >= plan.height  # the film runs along the longer side
        length, breadth = (plan.width, plan.height) if lying else (plan.height, plan.width)
        along, across = (xs, ys) if lying else (ys, xs)
        share = along / length
        side = np.abs(across / breadth - 0.5) * 2
        tip = 0.95 - 0.16 * side**2.5  # the feather edge is a tongue
        rough = np.float32(min(60.0 / plan.mpp, 0.012 * length))
        start = 0.025 + 0.045 * side**4  # the drop was round
        border = np.minimum((share - start) * length, (0.91 - 0.10 * share - side) * breadth / 2)
        ahead = (tip - share) * length
        inner = np.minimum(border + rough * 0.35 * ragged, ahead + rough * 1.8 * ragged)
        layers = np.interp(np.clip((share - 0.03) / np.maximum(tip - 0.03, 0.05), 0, 1), _PROFILE[:, 0], _PROFILE[:, 1])
        cover = smoothstep(np.asarray(inner, np.float32), 0.0, float(rough) * 1.2)
        return np.asarray(layers * (1 + 0.10 * patchy) * cover, np.float32)
