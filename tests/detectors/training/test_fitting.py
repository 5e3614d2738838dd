"""A training as a whole: what it writes, that it learns, that a kill costs nothing, and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from detectors.training import NotTrainable, TrainingSettings, TrainingStopped, Validation, read_labels, split_pictures, train_detector
from detectors.training.loop import learning_rate
from detectors.training.mosaic import CellSizes
from detectors.yolo import YoloDetector
from detectors.yolo_folder import DetectorCard

TINY = TrainingSettings(
    steps=4, batch=2, warm_up=1, validate_every=2, width=0.0625, sizes=(CellSizes(20, 60, 96, 1.0),), judged_px=(30.0, 40.0), average=0.5
)
LOGS = {"curves.csv", "metrics.json", "split.csv"}


@pytest.fixture(scope="module")
def trained(drawn_fields: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "detector"
    train_detector(read_labels(drawn_fields), folder, TINY, device="cpu", threads=1)
    return folder


def test_the_folder_is_a_detector_that_runs(trained: Path, drawn_fields: Path) -> None:
    detector = YoloDetector(trained, device="cpu")
    assert not detector.needs_scale
    picture = read_labels(drawn_fields)[0].read()
    assert detector.propose(picture).boxes.shape[1] == 4
    assert detector.propose(picture, mpp=0.4).boxes.shape[1] == 4
    assert (trained / "weights.safetensors").stat().st_size < 1_000_000


def test_the_logs_say_how_it_went(trained: Path) -> None:
    assert {path.name for path in (trained / "training").iterdir()} == LOGS, "the checkpoint is gone once all is done"
    with (trained / "training" / "curves.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert {"loss", "map50", "map50_95", "map50_95_at_30_px"} <= set(rows[0])
    metrics = json.loads((trained / "training" / "metrics.json").read_text())
    assert metrics == DetectorCard.load(trained / "card.json").extra["figures"]
    assert metrics["test"]["all"]["pictures"] == 2 * 2, "two test pictures at two sizes"
    assert set(metrics["test"]) == {"all", "shown_with_cells_px", "by_cell_px", "by_source"}
    with (trained / "training" / "split.csv").open() as stream:
        assert {row["part"] for row in csv.DictReader(stream)} == {"train", "validation", "test"}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "card.json"}


def test_a_training_that_was_stopped_comes_to_the_same_weights(trained: Path, drawn_fields: Path, tmp_path: Path) -> None:
    pictures, asked = read_labels(drawn_fields), []

    def after_three() -> bool:
        asked.append(1)
        return len(asked) >= 3

    with pytest.raises(TrainingStopped, match="step 3 of 4"):
        train_detector(pictures, tmp_path / "detector", TINY, device="cpu", threads=1, stop=after_three)
    assert (tmp_path / "detector" / "card.json").is_file(), "the best weights so far are there already"
    train_detector(pictures, tmp_path / "detector", TINY, device="cpu", threads=1)
    assert files(tmp_path / "detector") == files(trained)


def test_more_threads_draw_the_same_canvases(drawn_fields: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    import torch

    from detectors.training.loop import Training

    training = Training(split_pictures(read_labels(drawn_fields)), TINY, Path("nowhere"), torch.device("cpu"), 1)
    drawn = []
    for workers in (1, 3):
        with ThreadPoolExecutor(workers) as pool:
            drawn.append([each.result().picture for each in training._order(pool, 1)])
    assert all(np.array_equal(one, other) for one, other in zip(*drawn, strict=True))


def test_what_is_finished_or_foreign_is_not_overwritten(trained: Path, drawn_fields: Path, tmp_path: Path) -> None:
    pictures = read_labels(drawn_fields)
    with pytest.raises(NotTrainable, match="holds a finished detector"):
        train_detector(pictures, trained, TINY)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(NotTrainable, match="is not empty"):
        train_detector(pictures, tmp_path, TINY)
    assert (tmp_path / "thesis.txt").is_file()


def test_a_checkpoint_of_another_training_is_refused(drawn_fields: Path, tmp_path: Path) -> None:
    pictures = read_labels(drawn_fields)
    with pytest.raises(TrainingStopped):
        train_detector(pictures, tmp_path / "detector", TINY, device="cpu", threads=1, stop=lambda: True)
    with pytest.raises(NotTrainable, match="other settings or pictures"):
        train_detector(pictures, tmp_path / "detector", TrainingSettings(steps=5), device="cpu", threads=1)


@pytest.mark.parametrize("values", [{"steps": 0}, {"learning_rate": 2.0}, {"judged_px": ()}, {"average": 1.0}])
def test_settings_that_make_no_sense_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(NotTrainable):
        TrainingSettings(**values)  # type: ignore[arg-type]


def test_the_rate_rises_and_falls() -> None:
    settings = TrainingSettings(steps=100, warm_up=10, learning_rate=1e-3)
    rates = [learning_rate(settings, step) for step in range(100)]
    assert int(np.argmax(rates)) == 10 and rates[0] < 2e-4 and rates[-1] < 2e-5
    assert max(rates) == pytest.approx(1e-3)


@pytest.mark.slow
def test_it_learns_to_box_drawn_cells(tmp_path: Path, make_fields: Callable[..., Path]) -> None:
    pictures = read_labels(make_fields(tmp_path / "drawn", 40))
    settings = TrainingSettings(
        steps=200, batch=8, warm_up=20, validate_every=100, sizes=(CellSizes(25, 60, 160, 1.0),), judged_px=(40.0,), average=0.95
    )
    seen: list[Validation] = []
    card = train_detector(
        pictures, tmp_path / "detector", settings, device="cpu", threads=1, show=lambda told: seen.append(told.last) if told.last else None
    )
    assert card.extra["figures"]["test"]["all"]["map50"] > 0.8
    assert card.extra["figures"]["test"]["all"]["recall"] > 0.8
    assert seen, "progress tells of validations"
