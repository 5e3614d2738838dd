"""Cells of a report: which are chosen, and that their crops are those that the run scored."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classifiers import ModelCard
from smearscan import night
from smearscan.building import DetectorChoice
from smearscan.config import ScanConfig
from smearscan.errors import ConfigError
from smearscan.explaining import Choice, Chosen, choose, cut_crops, is_wrong
from smearscan.labels import read_labels
from smearscan.slides import find_slides
from smearscan.testing.classifiers import FakeClassifier, fake_card


@pytest.fixture(scope="module")
def slides(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One drawn smear and its truth, in a folder of their own."""
    folder = tmp_path_factory.mktemp("slides")
    shutil.copytree(drawn / "case2", folder / "case2")
    return folder


@pytest.fixture(scope="module")
def report(slides: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the fake classifier with pictures of four cells only."""
    out = tmp_path_factory.mktemp("run") / "report"
    config = ScanConfig(proposals="nuclei", workers=1, overlays=4, cam="none", threshold=0.43)
    found = find_slides([slides])
    order = night.Order(config, out, found.slides, found.rejected, {}, FakeClassifier(), DetectorChoice(config))
    assert night.run(order, lambda sight: None, lambda line: None).exit_code == 0
    return out


def everything(report: Path) -> Chosen:
    """Return every cell of the report's only slide."""
    (path,) = report.glob("slides/**/cells.csv")
    ids = tuple(line.split(",")[0] for line in path.read_text("utf-8").splitlines()[1:])
    (chosen,) = choose(report, Choice(ids))
    assert chosen.rows == tuple(range(len(ids)))
    return chosen


def test_crops_are_those_that_the_run_scored_wherever_they_come_from(report: Path, slides: Path) -> None:
    chosen = everything(report)
    card = fake_card()
    (from_slide,) = cut_crops([chosen], card, [slides])
    assert from_slide.lost == ()
    scored = FakeClassifier().predict(from_slide.crops).probabilities
    np.testing.assert_allclose(scored, chosen.cells.probabilities, atol=6e-7, rtol=0)
    kept = [row for row in chosen.rows if chosen.cells.overlay[row]]
    assert 0 < len(kept) < len(chosen.rows)
    (from_report,) = cut_crops([chosen.take(kept)], card)
    np.testing.assert_array_equal(from_report.crops, from_slide.crops[kept])
    np.testing.assert_array_equal(from_report.places, from_slide.places[kept])
    middles = (from_slide.places[:, :2] + from_slide.places[:, 2:]) / 2
    assert np.abs(middles - card.crop_px / 2).max() < 1, "the cell lies in the middle of its crop"


def test_windows_are_cut_as_they_were_scored_and_have_no_place(slides: Path, tmp_path: Path) -> None:
    config = ScanConfig(workers=1, overlays=4, cam="none", threshold=0.43, proposals="window")
    found = find_slides([slides])
    out = tmp_path / "report"
    order = night.Order(config, out, found.slides, found.rejected, {}, FakeClassifier(), DetectorChoice(config))
    assert night.run(order, lambda sight: None, lambda line: None).exit_code == 0
    (flagged,) = choose(out, Choice(flagged=True))
    chosen = flagged.take(range(min(20, len(flagged.rows))))
    (cut,) = cut_crops([chosen], fake_card(), [slides])
    assert cut.lost == ()
    then = chosen.cells.probabilities[list(chosen.rows)]
    np.testing.assert_allclose(FakeClassifier().predict(cut.crops).probabilities, then, atol=6e-7, rtol=0)
    assert np.isnan(cut.places).all()


def test_another_field_is_cut_from_the_slide(report: Path, slides: Path) -> None:
    chosen = everything(report).take([0, 1])
    wide: ModelCard = replace(fake_card(), crop_px=48, crop_um=24.0)
    (cut,) = cut_crops([chosen], wide, [slides])
    assert cut.crops.shape == (2, 48, 48, 3)
    (own,) = cut_crops([chosen], fake_card(), [slides])
    np.testing.assert_array_equal(cut.crops[:, 8:40, 8:40], own.crops)  # the same um a pixel, so the same pixels
    with pytest.raises(ConfigError, match=r"another field .* --slides"):
        list(cut_crops([chosen], wide))


def test_a_slide_that_is_needed_and_not_there_or_another(report: Path, slides: Path, tmp_path: Path) -> None:
    chosen = everything(report)
    with pytest.raises(ConfigError, match=r"keeps no picture .* --slides"):
        list(cut_crops([chosen], fake_card()))
    (tmp_path / "empty").mkdir()
    (cut,) = cut_crops([chosen], fake_card(), [tmp_path / "empty"])
    assert len(cut.crops) == 0
    assert "has no slide case2/blood.tif" in cut.lost[0]
    altered = tmp_path / "altered" / "case2" / "blood.tif"
    altered.parent.mkdir(parents=True)
    altered.write_bytes((slides / "case2" / "blood.tif").read_bytes() + b"\0")
    (cut,) = cut_crops([chosen], fake_card(), [tmp_path / "altered"])
    assert "is not the file that was scanned" in cut.lost[0]
    assert cut.chosen.rows == ()


def test_flagged_named_and_wrong_cells(report: Path, slides: Path) -> None:
    whole = everything(report)
    flagged = np.flatnonzero(whole.cells.flagged).tolist()
    assert 0 < len(flagged) < len(whole.rows)
    (chosen,) = choose(report, Choice(flagged=True))
    assert list(chosen.rows) == flagged
    one = whole.cells.ids[3]
    assert choose(report, Choice((f"case2/blood.tif/{one}",)))[0].rows == (3,)
    (wrong,) = choose(report, Choice(errors=True), read_labels(slides))
    for row, label in zip(wrong.rows, wrong.labels, strict=True):
        assert label
        assert is_wrong(label, whole.cells.called[row], bool(whole.cells.flagged[row]), fake_card())
    assert 0 < len(wrong.rows) < len(whole.rows)


def test_what_is_not_there_is_said(report: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no cell x1y1"):
        choose(report, Choice(("x1y1",)))
    with pytest.raises(ConfigError, match="no smearscan report"):
        choose(tmp_path / "nowhere", Choice(flagged=True))
    with pytest.raises(ConfigError, match="--truth"):
        choose(report, Choice(errors=True))
    table = tmp_path / "others.csv"
    table.write_text("slide,cell,label\nanother.tif,x000001y000001,blast\n")
    with pytest.raises(ConfigError, match="says of no cell"):
        choose(report, Choice(errors=True), read_labels(table))
    begun = tmp_path / "begun"
    begun.mkdir()
    shutil.copy(report / "run.json", begun)
    with pytest.raises(ConfigError, match="no slide that is done"):
        choose(begun, Choice(flagged=True))


@pytest.mark.parametrize(
    ("label", "called", "flagged", "wrong"),
    [
        ("", "blast", True, False),
        ("blast", "blast", True, False),
        ("Blast", "blast", True, False),
        ("blast", "other", False, True),
        ("other", "smudge", False, True),
        ("monocyte", "other", False, False),
        ("monocyte", "blast", True, True),
    ],
)
def test_a_label_that_the_model_does_not_know_is_no_blast(label: str, called: str, flagged: bool, wrong: bool) -> None:
    assert is_wrong(label, called, flagged, fake_card()) is wrong
