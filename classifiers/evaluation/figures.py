"""The plots of an evaluation, each as something to draw on a figure: curves of all models, and the pictures of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn.metrics import precision_recall_curve, roc_curve

from classifiers.evaluation.drawing import BLAST, OTHER, Draw, Theme, shortened, style_of, unit_square
from classifiers.evaluation.errors import ErrorAnalysis
from classifiers.evaluation.records import Answer, Metric, SubjectRow

SUBJECTS_SHOWN = 48  # rows of the plot; of more, the worst
LEGEND_ROWS = 3  # under the last subject
BINS = 25


def draw_roc(answers: Mapping[str, Answer]) -> Draw:
    """The ROC curve of the blast question, of every model; a dot is where its threshold stands."""

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=theme.quiet, linewidth=0.8, linestyle=(0, (2, 3)))
        for index, (name, answer) in enumerate(answers.items()):
            question, style = answer.question, {"color": theme.ink, **style_of(index, len(answers))}
            false, true, _ = roc_curve(question.truth, question.scores[:, 1])
            axes.plot(false, true, label=_legend(name, "AUC", answer.metrics["auc"], len(answers)), **style)
            (kept, flagged), (missed, found) = question.confusion.tolist()
            axes.plot(flagged / (kept + flagged), found / (missed + found), "o", color=style["color"], markersize=7)
        unit_square(axes)
        axes.set_xlabel("other cells called blast (1 - specificity)")
        axes.set_ylabel("blasts called blast (sensitivity)")
        axes.set_title("ROC; the dot is the threshold")
        axes.legend(loc="lower right")

    return draw


def draw_precision_recall(answers: Mapping[str, Answer]) -> Draw:
    """Precision over recall of blasts, of every model; the dashed line is what calling all cells blast would give."""

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        share = float(next(iter(answers.values())).question.truth.mean())
        axes.axhline(share, color=theme.quiet, linewidth=0.8, linestyle=(0, (2, 3)))
        axes.annotate(
            f"all called blast: {share:.2f}",
            (0, share),
            xytext=(2, -3),
            textcoords="offset points",
            va="top",
            fontsize=9,
            color=theme.quiet,
        )
        for index, (name, answer) in enumerate(answers.items()):
            question, style = answer.question, {"color": theme.ink, **style_of(index, len(answers))}
            precision, recall, _ = precision_recall_curve(question.truth, question.scores[:, 1])
            label = _legend(name, "average precision", answer.metrics["average_precision"], len(answers))
            axes.plot(recall, precision, label=label, drawstyle="steps-post", **style)
            (_, flagged), (missed, found) = question.confusion.tolist()
            if found + flagged:
                axes.plot(found / (missed + found), found / (found + flagged), "o", color=style["color"], markersize=7)
        unit_square(axes)
        axes.set_xlabel("blasts called blast (recall)")
        axes.set_ylabel("calls of blast that are blasts (precision)")
        axes.set_title("Precision and recall of blasts; the dot is the threshold")
        axes.legend(loc="lower left")

    return draw


def draw_reliability(answer: Answer) -> Draw:
    """What was said against what came true, in bins of equal mass, and where the cells' probabilities lie."""
    binary = answer.question.binary

    def draw(figure: Figure, theme: Theme) -> None:
        axes, below = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
        axes.plot([0, 1], [0, 1], color=theme.quiet, linewidth=0.8, linestyle=(0, (2, 3)))
        said, true = ([getattr(each, name) for each in answer.bins] for name in ("mean_probability", "share_right"))
        axes.vlines(said, said, true, color=theme.quiet, linewidth=1)
        axes.plot(said, true, "o-", color=BLAST if binary else theme.ink, markersize=5, linewidth=1.2)
        axes.set_ylim(-0.02, 1.02)
        axes.set_ylabel("share of blasts" if binary else "share called right")
        ece = _number(answer.metrics["ece"])
        cells = answer.bins[0].cells if answer.bins else 0
        axes.set_title(f"Reliability: ECE {ece}\n{len(answer.bins)} bins of {cells:,.0f} cells each", fontsize=11)
        scores = answer.question.scores[:, 1] if binary else answer.question.scores.max(axis=1)
        below.hist(scores, bins=np.linspace(0, 1, BINS + 1), color=theme.quiet)
        below.set_ylabel("cells")
        below.set_xlabel("P(blast)" if binary else "P of the called class")
        below.set_xlim(-0.02, 1.02)

    return draw


def draw_scores(answer: Answer, threshold: float) -> Draw:
    """How P(blast) lies for blasts and for other cells, each as a share of its own, with the threshold."""

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        question, edges = answer.question, np.linspace(0, 1, BINS + 1)
        kinds = ((1, question.classes[1], BLAST, None), (0, question.classes[0], OTHER, "////"))
        for column, name, colour, hatch in kinds:
            scores = question.scores[question.truth == column, 1]
            shares = np.histogram(scores, edges)[0] / max(len(scores), 1)
            face = "none" if hatch else colour + "b0"
            label = f"{name} ({len(scores):,})"
            axes.stairs(100 * shares, edges, fill=True, facecolor=face, edgecolor=colour, hatch=hatch, linewidth=1.2, label=label)
        highest = axes.get_ylim()[1]
        axes.vlines(threshold, 0, highest, color=theme.ink, linestyle="--", linewidth=1.4, label=f"threshold {threshold:.3g}")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.15 * highest)  # the legend has the room above
        axes.set_xlabel("P(blast)")
        axes.set_ylabel("% of the cells of their class")
        axes.set_title("Scores of blasts and of other cells")
        axes.legend(loc="upper center", ncols=3, columnspacing=1.2, handlelength=1.6)

    return draw


def draw_subjects(rows: Sequence[SubjectRow]) -> Draw:
    """Each subject's share of right calls with its Wilson interval, the worst on top."""
    shown = worst_first(rows)[:SUBJECTS_SHOWN]

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        for place, (_, kind, _, metric) in enumerate(shown):
            colour, marker = (BLAST, "o") if kind == "blast" else (OTHER, "s")
            axes.plot([metric.low or 0, metric.high or 0], [place, place], color=colour, linewidth=1.4)
            axes.plot(metric.value or 0, place, marker, color=colour, markersize=6)
        axes.set_yticks(range(len(shown)), [f"{shortened(group, 18)} ({cells})" for group, _, cells, _ in shown], fontsize=8.5)
        axes.set_ylim(len(shown) + LEGEND_ROWS - 0.4, -0.6)
        axes.set_xlim(-0.02, 1.02)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("share of the subject's cells that were called right")
        more = f", the worst {len(shown)} of {len(worst_first(rows))}" if len(shown) < len(worst_first(rows)) else ""
        axes.set_title(f"Subject (cells), 95 % Wilson interval{more}")
        marks = ((BLAST, "o", "blasts: sensitivity"), (OTHER, "s", "other cells: specificity"))
        handles = [Line2D([], [], color=colour, marker=marker, label=label) for colour, marker, label in marks]
        axes.legend(handles=handles, loc="lower left")

    return draw


def subjects_height(rows: Sequence[SubjectRow]) -> float:
    """Return how high the plot of the subjects must be, in inches."""
    return 1.5 + 0.19 * (min(len(worst_first(rows)), SUBJECTS_SHOWN) + LEGEND_ROWS)


def worst_first(rows: Sequence[SubjectRow]) -> list[tuple[str, str, int, Metric]]:
    """Return subject, kind of cells, how many, and the share called right; a subject with both kinds stands there twice."""
    kinds = [(row.group, "blast", row.blasts, row.sensitivity) for row in rows if row.blasts]
    kinds += [(row.group, "other", row.others, row.specificity) for row in rows if row.others]
    return sorted(kinds, key=lambda each: (each[3].value or 0, each[0], each[1]))


def draw_missed(errors: ErrorAnalysis) -> Draw:
    """How many cells are missed by one model, by two, and so on: what an ensemble can mend stands on the left."""

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        numbers = list(range(1, len(errors.models) + 1))
        bars = axes.bar(numbers, errors.missed_by[1:], color=theme.quiet, width=0.7)
        axes.bar_label(bars, labels=[f"{count:,}" for count in errors.missed_by[1:]], padding=3)
        axes.set_xticks(numbers, [f"{number}" if number < len(errors.models) else f"all {number}" for number in numbers])
        axes.grid(axis="x", visible=False)
        axes.margins(y=0.12)
        axes.set_xlabel("missed by so many models")
        axes.set_ylabel("cells")
        axes.set_title(f"Cells that are missed, of {errors.cells:,}; {errors.missed_by[0]:,} by none")

    return draw


def _legend(name: str, what: str, metric: Metric, models: int) -> str:
    return f"{what} {_number(metric)}" if models == 1 else f"{shortened(name)}: {_number(metric)}"


def _number(metric: Metric) -> str:
    if metric.value is None:
        return "-"
    interval = "" if metric.low is None or metric.high is None else f" ({metric.low:.3f}-{metric.high:.3f})"
    return f"{metric.value:.3f}{interval}"
