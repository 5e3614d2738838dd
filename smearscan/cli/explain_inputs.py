"""The cells that `smearscan explain` is asked about, from pictures, from a finished report or from a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers import Classifier, ModelCard
from classifiers.datasets.base import DatasetError, fit, read_picture
from classifiers.datasets.pictures import find_pictures
from smearscan import console
from smearscan.cli.learning import load_samples
from smearscan.errors import ConfigError
from smearscan.explaining import Choice, choose, cut_crops, is_wrong
from smearscan.labels import Labels, read_labels

DRAWN = 100  # cells of a data set, or of a report's flagged or wrong ones, where nobody says how many
SCORE_DIGITS = 6


@dataclass
class Given:
    """The cells, as columns; what could not be had is told in `lost`."""

    source: str  # a sentence's subject for the page: "12 cells of the report night"
    crops: NDArray[np.uint8]
    names: list[str]
    sources: list[str]  # the slide or the data set, "" where the name says it all
    labels: list[str]  # "" where not known
    places: NDArray[np.float64]  # (n, 4) boxes in pixels of the crops; not a number where not known
    lost: list[str]
    crops_for: Callable[[ModelCard], NDArray[np.uint8]]  # the same cells for another model
    threshold: float | None = None  # of the run, in place of the card's
    notes: list[str] = field(default_factory=list)  # sentences that the page repeats

    def __len__(self) -> int:
        return len(self.names)


def gather(classifier: Classifier, model: str, cells: Sequence[Path], flags: dict[str, Any]) -> Given:
    """Return the cells that the command line names: exactly one of pictures, --report and --data."""
    named = [bool(cells), flags["report"] is not None, flags["data"] is not None]
    if sum(named) != 1:
        raise ConfigError("Say what to explain: pictures, or cells of a report with --report, or labelled cells with --data; one of them.")
    if not flags["report"] and (flags["ids"] or flags["flagged"] or flags["slides"]):
        raise ConfigError("--cells, --flagged and --slides choose cells of a report: give it with --report.")
    if not flags["data"] and flags["part"]:
        raise ConfigError("--part chooses cells of a data set: give it with --data.")
    if not flags["data"] and (flags["kind"] or flags["roles"] or flags["data_settings"]):
        raise ConfigError("--kind, --role and --data-option say how a data set is read: give them with --data.")
    if flags["data"] and flags["truth"]:
        raise ConfigError("--truth is for pictures and for cells of a report; the cells of --data have labels of their own.")
    labels = read_labels(flags["truth"]) if flags["truth"] else None
    if cells:
        if flags["errors"]:
            raise ConfigError("--errors is for cells of a report or of a data set; for pictures, sift the page by label.")
        return _from_pictures(classifier.card, cells, labels, flags)
    if flags["report"]:
        return _from_report(classifier, flags["report"], labels, flags)
    return _from_data(classifier, model, flags)


def drawn(count: int, limit: int | None, seed: int, usual: int | None = None) -> tuple[list[int], str]:
    """Return which of `count` cells are taken, in their order, and a sentence where that is not all of them."""
    most = usual if limit is None else limit
    if not most or count <= most:
        return list(range(count)), ""
    rows = sorted(np.random.default_rng(seed).permutation(count)[:most].tolist())
    return rows, f"{most:,} of {count:,} cells, drawn by --seed {seed}; --limit 0 takes all."


def _from_pictures(card: ModelCard, given: Sequence[Path], labels: Labels | None, flags: dict[str, Any]) -> Given:
    found = [each for path in given for each in _pictures(path)]
    rows, sentence = drawn(len(found), flags["limit"], flags["seed"])
    kept: list[tuple[Path, str]] = []
    crops, lost = [], []
    for path, name in [found[row] for row in rows]:
        try:
            crops.append(fit(read_picture(path), card.crop_px))
        except DatasetError as error:
            # Not the error's own sentence: it sends to `smearscan data check`, which is for data sets.
            reason = error.__cause__.strerror if isinstance(error.__cause__, OSError) else "it is damaged, or no picture"
            lost.append(f"{path} cannot be read: {reason}.")
        else:
            kept.append((path, name))
    names = [name for _, name in kept]
    if labels and kept and not any(labels.of_file(name) for name in names):
        raise ConfigError(f"{labels.source} names none of these pictures: its column file needs their names, as {names[0]}.")
    return Given(
        source=f"{len(kept):,} pictures" if len(kept) != 1 else "1 picture",
        crops=_stacked(crops, card),
        names=names,
        sources=[""] * len(kept),
        labels=[labels.of_file(name) if labels else "" for name in names],
        places=np.full((len(kept), 4), np.nan),
        lost=lost,
        crops_for=lambda other: _stacked([fit(read_picture(path), other.crop_px) for path, _ in kept], other),
        notes=[sentence] if sentence else [],
    )


def _pictures(path: Path) -> list[tuple[Path, str]]:
    """Return the pictures that a path names, with what they are called: a folder's by their place in it."""
    if path.is_dir():
        inside = [(each, each.relative_to(path).as_posix()) for each in find_pictures(path)]
        if not inside:
            raise ConfigError(f"There is no picture in {path}.")
        return inside
    return [(path, path.name)]


def _from_report(classifier: Classifier, report: Path, labels: Labels | None, flags: dict[str, Any]) -> Given:
    if not (flags["ids"] or flags["flagged"] or flags["errors"]):
        raise ConfigError("Say which cells of the report: --cells ID,ID, --flagged or --errors.")
    ids = tuple(each.strip() for text in flags["ids"] for each in text.split(",") if each.strip())
    if labels is None and flags["slides"] and (folder := _folder_with_truth(flags["slides"])):
        labels = read_labels(folder)
    chosen = choose(report, Choice(ids, flags["flagged"], flags["errors"]), labels)
    places = [(slide, place) for slide, each in enumerate(chosen) for place in range(len(each.rows))]
    rows, sentence = drawn(len(places), flags["limit"], flags["seed"], None if ids else DRAWN)
    picked = [[place for slide, place in (places[row] for row in rows) if slide == number] for number in range(len(chosen))]
    chosen = [each.take(kept) for each, kept in zip(chosen, picked, strict=True) if kept]
    card = classifier.card
    cuts = list(cut_crops(chosen, card, flags["slides"]))
    columns = [(each.chosen, row, label) for each in cuts for row, label in zip(each.chosen.rows, each.chosen.labels, strict=True)]
    notes = [sentence] if sentence else []
    notes += _compare_scores(classifier, cuts)
    thresholds = {each.chosen.card.threshold for each in cuts if each.chosen.card.sha256 == card.sha256}
    report_name = report.resolve().name

    def crops_for(other: ModelCard) -> NDArray[np.uint8]:
        again = list(cut_crops([each.chosen for each in cuts if each.chosen.rows], other, flags["slides"]))
        if missing := [sentence for each in again for sentence in each.lost]:
            raise ConfigError(f"The cells cannot be cut for {other.name}: {missing[0]}")
        return _stacked([crop for each in again for crop in each.crops], other)

    return Given(
        source=f"{console.counted(len(columns), 'cell')} of the report {report_name}",
        crops=_stacked([crop for each in cuts for crop in each.crops], card),
        names=[each.cells.ids[row] for each, row, _ in columns],
        sources=[each.key for each, _, _ in columns],
        labels=[label for _, _, label in columns],
        places=np.concatenate([np.zeros((0, 4)), *(each.places for each in cuts)]),
        lost=[sentence for each in cuts for sentence in each.lost],
        crops_for=crops_for,
        threshold=thresholds.pop() if len(thresholds) == 1 else None,
        notes=notes,
    )


def _folder_with_truth(slides: Sequence[Path]) -> Path | None:
    """Return the first folder of slides in which truth tables lie beside them, as `smearscan smear` writes them."""
    return next((each for each in slides if each.is_dir() and next(each.rglob("*.truth.csv"), None)), None)


def _compare_scores(classifier: Classifier, cuts: Sequence[Any]) -> list[str]:
    """Say where a cell's score is not the report's, though the model is: then its crop is not the one that was scored."""
    told = []
    for each in cuts:
        chosen = each.chosen
        if not chosen.rows or chosen.card.sha256 != classifier.card.sha256:
            continue
        now = classifier.predict(each.crops).probabilities.astype(np.float64)
        then = chosen.cells.probabilities[list(chosen.rows)]
        differ = int((np.abs(now - then).max(axis=1) > 1.5 * 10.0**-SCORE_DIGITS).sum())
        if differ:
            told.append(f"{differ} of {len(chosen.rows)} cells of {chosen.key} score differently than in the report.")
    return told


def _from_data(classifier: Classifier, model: str, flags: dict[str, Any]) -> Given:
    from classifiers.evaluation.leaks import find_leak, read_split, rows_of_part
    from classifiers.evaluation.matching import match_classes
    from classifiers.evaluation.predicting import score_samples

    samples = load_samples(flags["data"], flags["kind"], flags["roles"], flags["data_settings"])
    folder = Path(model)
    split = read_split(folder) if folder.is_dir() else None
    if flags["part"]:
        samples = samples.take(rows_of_part(split, samples, flags["part"], model))
    matching, card = match_classes(samples, classifier.card), classifier.card
    labels = [
        samples.classes[label] if column < 0 else card.classes[column]
        for label, column in zip(samples.labels.tolist(), matching.columns.tolist(), strict=True)
    ]
    pool = list(range(len(samples)))
    if flags["errors"]:
        with console.progress("cells scored", len(samples)) as bar:
            scored = score_samples(classifier, samples, skip_unreadable=True, show=lambda done: bar.update(done, len(samples), {}))
        calls = call(card, scored.predictions.probabilities)
        pool = [row for row, (name, flagged) in zip(scored.rows.tolist(), calls, strict=True) if is_wrong(labels[row], name, flagged, card)]
    rows, sentence = drawn(len(pool), flags["limit"], flags["seed"], DRAWN)
    crops, kept, lost = [], [], []
    for row in (pool[each] for each in rows):
        try:
            crops.append(samples.crop(row, card.crop_px, card.crop_um))
        except DatasetError as error:
            lost.append(str(error))
        else:
            kept.append(row)
    leak = find_leak(split, card, samples.take(kept), "")
    part = f", the {flags['part']} part of the model's own split" if flags["part"] else ""
    return Given(
        source=f"{console.counted(len(kept), 'cell')} of {samples.name}{part}",
        crops=_stacked(crops, card),
        names=[samples.files[row] for row in kept],
        sources=[samples.name] * len(kept),
        labels=[labels[row] for row in kept],
        places=np.full((len(kept), 4), np.nan),
        lost=lost,
        crops_for=lambda other: samples.crops(kept, other.crop_px, other.crop_um),
        notes=[*([sentence] if sentence else []), *leak.sentences],
    )


def call(card: ModelCard, probabilities: NDArray[np.float32], threshold: float | None = None) -> list[tuple[str, bool]]:
    """Return what each cell is called, and whether that is a blast, as a run calls it."""
    from smearscan.counting import call_cells
    from smearscan.results import Cells

    nothing = np.zeros(len(probabilities), np.float32)
    called = call_cells(Cells(np.zeros((len(probabilities), 4), np.float32), nothing, probabilities, card.classes), card, threshold)
    return list(zip(called.classes, called.blast.tolist(), strict=True))


def _stacked(crops: Sequence[NDArray[np.uint8]], card: ModelCard) -> NDArray[np.uint8]:
    return np.stack(crops) if crops else np.zeros((0, card.crop_px, card.crop_px, 3), np.uint8)
