"""How every plot of an evaluation looks: its colours on light and dark paper, its size, its research-use line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from classifiers.base import NOTICE

BLAST: Final = "#D55E00"
OTHER: Final = "#0072B2"
WIDTH_IN, HEIGHT_IN = 5.2, 4.6
DPI: Final = 150
LINES: Final = ("-", "--", "-.", ":")
# Of several models. Neither of the two colours that mean blast and other; lines differ as well, so that no colour is needed.
MODELS: Final = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F", "#8C6BB1")


@dataclass(frozen=True)
class Theme:
    """The paper that a plot is drawn on; the same colours as the page that shows it."""

    suffix: str  # of the file's name
    paper: str
    ink: str
    quiet: str
    line: str
    raised: str


LIGHT: Final = Theme("", "#ffffff", "#1b1e23", "#565e69", "#d5d9df", "#f3f4f6")
DARK: Final = Theme("-dark", "#14171b", "#e7e9ec", "#a7aeb8", "#3a4048", "#1e2227")
THEMES: Final = (LIGHT, DARK)

Draw = Callable[[Figure, Theme], None]


def to_png(draw: Draw, theme: Theme, width: float = WIDTH_IN, height: float = HEIGHT_IN) -> bytes:
    """Return what `draw` puts on an empty figure, as PNG: the same bytes each time."""
    settings: dict[str, Any] = {
        "font.family": "DejaVu Sans",  # comes with matplotlib
        "font.size": 11,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.edgecolor": theme.quiet,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.ink,
        "axes.facecolor": theme.paper,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": theme.line,
        "grid.linewidth": 0.6,
        "text.color": theme.ink,
        "xtick.color": theme.quiet,
        "ytick.color": theme.quiet,
        "legend.frameon": False,
        "legend.fontsize": 9.5,
        "hatch.linewidth": 0.7,
        "svg.hashsalt": "",
    }
    with rc_context(settings):  # type: ignore[arg-type]  # its names are a Literal of hundreds
        figure = Figure(figsize=(width, height), dpi=DPI, facecolor=theme.paper, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure, theme)
        figure.supxlabel(NOTICE, fontsize=7.5, color=theme.quiet, x=0.99, ha="right")
        png = BytesIO()
        figure.savefig(png, format="png", metadata={"Software": None, "Comment": NOTICE})
    return png.getvalue()


def style_of(model: int, models: int) -> dict[str, Any]:
    """Return colour and line of one of several models; a single one is drawn in the ink of the paper."""
    if models == 1:
        return {"linestyle": "-", "linewidth": 1.8}
    return {"color": MODELS[model % len(MODELS)], "linestyle": LINES[model % len(LINES)], "linewidth": 1.8}


def unit_square(axes: Axes, margin: float = 0.02) -> None:
    """Let both axes run from 0 to 1."""
    axes.set_xlim(-margin, 1 + margin)
    axes.set_ylim(-margin, 1 + margin)
    axes.set_aspect("equal")
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])


def shortened(text: str, most: int = 26) -> str:
    """Leave out the middle of a name that is too long for a legend."""
    if len(text) <= most:
        return text
    end = (most - 1) * 2 // 3
    return text[: most - 1 - end] + "…" + text[-end:]
