"""Every plot of a report: what file it is, what it shows in words, and the drawing of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from classifiers.evaluation import figures
from classifiers.evaluation.confusion_figure import confusion_size, draw_confusion
from classifiers.evaluation.drawing import DPI, HEIGHT_IN, THEMES, WIDTH_IN, Draw, to_png
from classifiers.evaluation.report import Judged, Report
from classifiers.evaluation.tables import answers_of

MISSED_HEIGHT_IN = 3.4


@dataclass(frozen=True)
class Plot:
    """One picture, in a light and a dark form."""

    name: str  # of the file, without its ending
    kind: str  # "roc", "confusion" ...
    model: str | None  # None: of all models
    question: str
    text: str  # what it shows, for those who do not see it
    draw: Draw
    width_in: float = WIDTH_IN
    height_in: float = HEIGHT_IN

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height in pixels."""
        return round(self.width_in * DPI), round(self.height_in * DPI)

    @property
    def files(self) -> dict[str, str]:
        """Return the files by theme."""
        return {"light": f"{self.name}.png", "dark": f"{self.name}-dark.png"}


def plots(report: Report) -> tuple[Plot, ...]:
    """Return what is drawn of a report."""
    blast = {model.key: model.evaluation.blast for model in report.models}
    found = [
        Plot("roc", "roc", None, "blast", "ROC curves of all models", figures.draw_roc(blast)),
        Plot(
            "precision-recall", "precision-recall", None, "blast", "Precision over recall of blasts", figures.draw_precision_recall(blast)
        ),
    ]
    for model in report.models:
        found += _of_model(model)
    if report.errors:
        text = "How many cells are missed by one model, by two, and so on"
        found.append(Plot("missed", "missed", None, "", text, figures.draw_missed(report.errors), height_in=MISSED_HEIGHT_IN))
    return tuple(found)


def write_plots(report: Report, folder: Path) -> None:
    """Draw every plot into `folder`."""
    for plot in plots(report):
        for theme in THEMES:
            (folder / f"{plot.name}{theme.suffix}.png").write_bytes(to_png(plot.draw, theme, plot.width_in, plot.height_in))


def _of_model(model: Judged) -> Iterator[Plot]:
    blast, key = model.evaluation.blast, model.key
    yield Plot(
        f"scores-{key}", "scores", key, "blast", "Scores of blasts and of other cells", figures.draw_scores(blast, model.card.threshold)
    )
    for number, (name, answer) in enumerate(answers_of(model).items()):
        ending = key if number == 0 else f"{key}-{number}"
        side = confusion_size(answer.question)
        text = f"Confusion matrix, {name}: what the cells of each class were called"
        yield Plot(f"confusion-{ending}", "confusion", key, name, text, draw_confusion(answer.question), max(WIDTH_IN, side), side)
        if not name.startswith("grouped"):
            text = f"Reliability, {name}: probabilities against what came true"
            yield Plot(f"reliability-{ending}", "reliability", key, name, text, figures.draw_reliability(answer))
    if rows := model.evaluation.subjects:
        text = "Each subject's share of cells called right, the worst on top; the same stands in the table"
        yield Plot(f"subjects-{key}", "subjects", key, "blast", text, figures.draw_subjects(rows), height_in=figures.subjects_height(rows))
