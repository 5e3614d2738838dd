"""The confusion matrix as a picture: shares of each true class as shades, and the counts where there is room."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from classifiers.evaluation.drawing import HEIGHT_IN, Draw, Theme, shortened
from classifiers.evaluation.records import Question

FEW = 8  # classes up to which both the share and the count stand in a field


def draw_confusion(question: Question) -> Draw:
    """What the cells of each class (rows) were called (columns), as shares of the row."""

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        counts = question.confusion
        totals = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
        shades = LinearSegmentedColormap.from_list("paper to ink", [theme.paper, theme.ink])
        axes.imshow(shares, cmap=shades, vmin=0, vmax=1, aspect="equal")
        axes.grid(visible=False)
        for edge in np.arange(len(counts) + 1) - 0.5:
            axes.axhline(edge, color=theme.line, linewidth=0.6)
            axes.axvline(edge, color=theme.line, linewidth=0.6)
        few = len(counts) <= FEW
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column] or few:
                share = shares[row, column]
                colour = theme.paper if share > 0.5 else theme.ink
                text = f"{_percent(share)} %\n{counts[row, column]:,}" if few else _percent(share)
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=_size(len(counts)))
        names = [shortened(name, 16) for name in question.classes]
        sizes = [
            f"{shortened(name, 16)}\n{total:,}" if few else f"{shortened(name, 16)} ({total:,})"
            for name, total in zip(names, totals[:, 0], strict=True)
        ]
        axes.set_xticks(range(len(names)), names, rotation=0 if few and len(names) <= 4 else 90)
        axes.set_yticks(range(len(names)), sizes)
        axes.tick_params(length=0, labelsize=10 if few else 8.5)
        axes.set_xlabel("called")
        axes.set_ylabel("is")
        axes.set_title("% of each true class" + (", and cells" if few else ""))

    return draw


def confusion_size(question: Question) -> float:
    """Return the side of the picture, in inches."""
    return max(HEIGHT_IN, 1.6 + 0.37 * len(question.classes))


def _size(classes: int) -> float:
    return 13 if classes <= 3 else 10 if classes <= FEW else 7


def _percent(share: float) -> str:
    """Write a share in percent: no decimals from 10 % on, two digits below."""
    value = 100 * share
    return f"{value:.0f}" if value >= 9.95 or value == 0 else f"{value:.1f}" if value >= 0.995 else f"{value:.2g}"
