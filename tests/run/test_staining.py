"""A slide's stain, told by its nuclei, and crops brought to the one that a model knows."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from classifiers.card import CardError, ModelCard, StainReference
from detectors.stain import density_tables
from smearscan import crops, explaining, staining
from smearscan.results import Picture, Staining
from smearscan.slides import open_slide
from smearscan.smears import SmearPlan, plan_smear
from smearscan.testing.classifiers import fake_card
from smearscan.testing.runs import lasting_results

Runner = Callable[..., object]
SIDE_PX, MPP = 1400, 0.25
STRONGER = np.array([1.25, 0.85, 1.15])  # times the density of each colour
KNOWN = StainReference(glass=(250.0, 250.0, 250.0), nucleus=(1.3, 2.0, 1.0))
CARD = replace(fake_card(), stain=KNOWN)


def stained_otherwise(picture: Picture, times: object = STRONGER) -> Picture:
    """Return the same smear with more or less of the stain, glass being left as it is."""
    white = tuple(int(np.percentile(picture[..., channel], 97)) for channel in range(3))
    densities = np.stack([table[picture[..., channel]] for channel, table in enumerate(density_tables(white))], axis=-1)  # type: ignore[arg-type]
    return np.clip(np.rint((np.array(white) + 1) * np.exp(-densities * times) - 1), 0, 255).astype(np.uint8)


def write(path: Path, picture: Picture) -> Path:
    path.parent.mkdir(exist_ok=True)
    said = {"resolution": (1e4 / MPP, 1e4 / MPP), "resolutionunit": "centimeter"}
    tifffile.imwrite(path, picture, photometric="rgb", tile=(256, 256), metadata=None, **said)  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def smear() -> Picture:
    plan = SmearPlan(SIDE_PX, SIDE_PX, MPP, seed=12, layout="field", white_cells=40, blast_fraction=0.3)
    return plan_smear(plan).paint((0, 0, SIDE_PX, SIDE_PX))


@pytest.fixture(scope="module")
def slides(smear: Picture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stains")
    write(folder / "usual.tif", smear)
    write(folder / "stronger.tif", stained_otherwise(smear))
    return folder


def records(report: Path) -> dict[str, dict[str, object]]:
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in report.glob("slides/*/slide.json")}


def test_nuclei_tell_how_much_stronger_a_stain_is(smear: Picture) -> None:
    usual, stronger = (staining.of_picture(each, MPP) for each in (smear, stained_otherwise(smear)))
    assert usual is not None
    assert stronger is not None
    assert usual.nuclei >= 25
    np.testing.assert_allclose(np.array(stronger.nucleus) / usual.nucleus, STRONGER, rtol=0.06)


def test_a_slide_is_measured_as_its_picture_is(smear: Picture, slides: Path) -> None:
    with open_slide(slides / "usual.tif") as slide:
        found = staining.look(slide)
    whole = staining.of_picture(smear, MPP)
    assert found is not None
    assert whole is not None
    np.testing.assert_allclose(found.nucleus, whole.nucleus, rtol=0.05)


def test_glass_and_nuclei_come_to_have_the_known_colours() -> None:
    own = Staining(glass=(230, 235, 240), nucleus=(0.9, 1.6, 0.7), nuclei=40)
    nucleus = np.rint((np.array(own.glass) + 1) * np.exp(-np.array(own.nucleus)) - 1)
    crop = np.broadcast_to(np.stack([np.array(own.glass), nucleus]).astype(np.uint8)[:, None], (2, 2, 3))[None]
    seen = crops.in_known_stain(crop, CARD, own)[0]
    assert (seen[0] == 250).all()
    np.testing.assert_allclose(np.log(251 / (seen[1].astype(float) + 1)), np.broadcast_to(KNOWN.nucleus, (2, 3)), atol=0.03)


def test_crops_stay_as_they_are_where_no_stain_is_known() -> None:
    crop = np.full((1, 4, 4, 3), 100, np.uint8)
    own = Staining((240, 240, 240), (1.0, 1.0, 1.0), 9)
    assert crops.in_known_stain(crop, fake_card(), own) is crop
    assert crops.in_known_stain(crop, CARD, None) is crop


def test_what_is_no_stain_changes_a_density_no_more_than_threefold() -> None:
    table = crops.colour_table(Staining((250, 250, 250), (0.01, 0.01, 0.01), 3), KNOWN)[0]
    assert table[91, 0] == pytest.approx(251 * (92 / 251) ** crops.MOST_CHANGE - 1, abs=1)


def test_two_stains_of_one_smear_are_scored_alike(slides: Path, scan_folder: Runner, tmp_path: Path) -> None:
    def scores(card: ModelCard) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], ...]:
        scan_folder(slides, tmp_path / "report", card=card, overwrite=True)
        found = []
        for name in ("usual.tif", "stronger.tif"):
            with (tmp_path / "report" / "slides" / name / "cells.csv").open(encoding="utf-8", newline="") as file:
                found.append(np.array([float(row["p_blast"]) for row in csv.DictReader(file)]))
        return tuple(found)

    usual, stronger = scores(fake_card())
    untouched = abs(np.median(usual) - np.median(stronger))
    usual, stronger = scores(CARD)
    assert abs(np.median(usual) - np.median(stronger)) < untouched / 4
    said = records(tmp_path / "report")["stronger.tif"]
    assert said["info"]["staining"]["nuclei"] >= 25  # type: ignore[index]
    page = (tmp_path / "report" / "slides" / "stronger.tif" / "index.html").read_text(encoding="utf-8")
    assert "scored in the stain that the model knows, told by" in page
    with (tmp_path / "report" / "summary.csv").open(encoding="utf-8", newline="") as file:
        assert all(int(row["stain_nuclei"]) >= 25 for row in csv.DictReader(file))


def test_results_do_not_depend_on_workers_and_tiles(slides: Path, scan_folder: Runner, tmp_path: Path) -> None:
    scan_folder(slides, tmp_path / "one", card=CARD, workers=1, tile_size=512)
    scan_folder(slides, tmp_path / "two", card=CARD, workers=2, tile_size=4096)
    assert lasting_results(tmp_path / "one") == lasting_results(tmp_path / "two")


def test_a_cell_is_explained_in_the_colours_in_which_it_was_scored(slides: Path, scan_folder: Runner, tmp_path: Path) -> None:
    """From the report's own picture, from the slide, and where the run's model knew no stain."""
    scan_folder(slides, tmp_path / "known", card=CARD, overlays=6)
    scan_folder(slides, tmp_path / "plain", card=fake_card(), overlays=6)

    (first,) = explaining.choose(tmp_path / "known", explaining.Choice(flagged=True))[:1]
    same = explaining.Choice(ids=tuple(f"{first.key}/{first.cells.ids[row]}" for row in first.rows))

    def cut(report: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        (found,) = explaining.cut_crops(explaining.choose(tmp_path / report, same), CARD, [slides])
        return found.crops

    assert first.staining is not None
    cut_again = explaining.cut_from_slide(first, CARD, slides / first.key)
    again = cut_again.crops
    np.testing.assert_array_equal(again, crops.in_known_stain(cut_again.shown, CARD, first.staining))
    assert (again != cut_again.shown).any()
    np.testing.assert_array_equal(cut("known"), again)
    np.testing.assert_array_equal(cut("plain"), again)


def test_a_slide_that_cannot_tell_its_stain_is_flagged(scan_folder: Runner, tmp_path: Path) -> None:
    plan = SmearPlan(SIDE_PX, SIDE_PX, MPP, seed=5, layout="field", white_cells=3)
    write(tmp_path / "few" / "three.tif", plan_smear(plan).paint((0, 0, SIDE_PX, SIDE_PX)))
    plan = replace(plan, white_cells=0)
    write(tmp_path / "few" / "none.tif", plan_smear(plan).paint((0, 0, SIDE_PX, SIDE_PX)))
    scan_folder(tmp_path / "few", card=CARD, proposals="window")
    found = records(tmp_path / "report")
    assert any("how strongly it is stained is a guess from" in flag.lower() for flag in found["three.tif"]["flags"])  # type: ignore[attr-defined]
    assert any("No nucleus was found to tell how strongly it is stained" in flag for flag in found["none.tif"]["flags"])  # type: ignore[attr-defined]


def test_a_card_keeps_its_stain_and_refuses_what_is_none(tmp_path: Path) -> None:
    CARD.save(tmp_path / "card.json")
    assert ModelCard.load(tmp_path / "card.json") == CARD
    with pytest.raises(CardError, match="a stain needs crop_um"):
        replace(fake_card(crop_um=None), stain=KNOWN)
    with pytest.raises(CardError, match="nucleus must be three numbers above 0"):
        StainReference((250.0, 250.0, 250.0), (1.0, 0.0, 1.0))
