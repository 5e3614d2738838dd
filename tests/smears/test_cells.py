"""Single drawn cells: the right size, centred, soft at the edge, and different where the kinds differ."""

from __future__ import annotations

import numpy as np
import pytest

from smearscan.errors import ConfigError
from smearscan.smears import CELL_KINDS, Cutout, DrawnCells, Stain, draw_cell
from smearscan.smears.cells import SIZES
from smearscan.smears.sprites import Bank

STAIN = Stain.from_seed(0)


def _cells(kind: str, count: int = 30, mpp: float = 0.25) -> list[Cutout]:
    return [draw_cell(kind, np.random.default_rng(seed), mpp, STAIN) for seed in range(count)]


def _purple_share(cell: Cutout) -> float:
    """How much of a cell is nucleus: chromatin takes the green and leaves the blue."""
    red, green, blue = (cell.rgb[..., channel].astype(int) for channel in range(3))
    body = cell.alpha > 0.5
    return float(((green < 105) & (blue > green + 25) & (red < 180))[body].mean())


@pytest.mark.parametrize("kind", CELL_KINDS)
@pytest.mark.parametrize("mpp", [0.1, 0.25, 0.5])
def test_a_cell_has_the_size_it_states_and_a_free_border(kind: str, mpp: float) -> None:
    for cell in _cells(kind, 6, mpp):
        assert cell.rgb.shape == (*cell.alpha.shape, 3)
        assert cell.rgb.dtype == np.uint8
        assert cell.kind == kind
        assert SIZES[kind].least <= cell.diameter_px * mpp <= SIZES[kind].most
        drawn = 2 * np.sqrt((cell.alpha > 0.5).sum() / np.pi)
        assert drawn == pytest.approx(cell.diameter_px, rel=0.25 if kind == "smudge" else 0.06)
        border = np.concatenate([cell.alpha[0], cell.alpha[-1], cell.alpha[:, 0], cell.alpha[:, -1]])
        assert border.max() < 0.01  # or the picture's edge would show on the slide


@pytest.mark.parametrize("kind", [kind for kind in CELL_KINDS if kind != "smudge"])
def test_a_cell_lies_in_the_middle_of_its_picture(kind: str) -> None:
    for cell in _cells(kind, 6):
        rows, columns = np.nonzero(cell.alpha > 0.5)
        middle = (len(cell.alpha) - 1) / 2
        assert abs(rows.mean() - middle) < 1
        assert abs(columns.mean() - middle) < 1


def test_the_same_stream_draws_the_same_cell_and_another_one_does_not() -> None:
    first, second, other = (draw_cell("blast", np.random.default_rng(seed), 0.25, STAIN) for seed in (4, 4, 5))
    assert np.array_equal(first.rgb, second.rgb)
    assert np.array_equal(first.alpha, second.alpha)
    assert first.rgb.shape != other.rgb.shape or not np.array_equal(first.rgb, other.rgb)


def test_a_kind_without_a_recipe_is_named() -> None:
    with pytest.raises(ConfigError, match="'dragon'"):
        draw_cell("dragon", np.random.default_rng(0), 0.25, STAIN)


@pytest.mark.parametrize("kind", CELL_KINDS)
def test_measuring_tells_the_diameter_of_the_cell_that_will_be_drawn(kind: str) -> None:
    source = DrawnCells(kind, STAIN)
    for seed in range(4):
        assert source.measure(np.random.default_rng(seed), 0.2) == source.draw(np.random.default_rng(seed), 0.2).diameter_px


def test_blasts_have_the_higher_nucleus_share_than_the_cells_with_much_cytoplasm() -> None:
    share = {kind: float(np.mean([_purple_share(cell) for cell in _cells(kind)])) for kind in CELL_KINDS}
    assert share["blast"] > 0.6
    assert share["blast"] > share["monocyte"] + 0.1
    assert share["blast"] > 2 * share["segmented_neutrophil"]
    assert share["eosinophil"] < 0.45


def test_blast_chromatin_is_finer_than_a_lymphocytes() -> None:
    def contrast(kind: str) -> float:
        spreads = []
        for cell in _cells(kind):
            half, quarter = len(cell.alpha) // 2, int(cell.diameter_px / 5)
            middle = cell.rgb[half - quarter : half + quarter, half - quarter : half + quarter].astype(float).mean(-1)
            spreads.append(middle.std() / middle.mean())
        return float(np.median(spreads))

    assert contrast("blast") < 0.8 * contrast("lymphocyte")


def test_blasts_and_lymphocytes_overlap_in_size() -> None:
    blasts = sorted(cell.diameter_px for cell in _cells("blast", 60))
    lymphocytes = sorted(cell.diameter_px for cell in _cells("lymphocyte", 60))
    assert blasts[len(blasts) // 4] < lymphocytes[-1]
    assert blasts[0] < lymphocytes[len(lymphocytes) * 3 // 4]


def test_an_eosinophil_is_orange_where_a_neutrophil_is_pale() -> None:
    def redness(kind: str) -> float:
        cells = _cells(kind, 10)
        return float(np.mean([(cell.rgb[..., 0].astype(int) - cell.rgb[..., 2])[cell.alpha > 0.5].mean() for cell in cells]))

    assert redness("eosinophil") > redness("segmented_neutrophil") + 20


def test_stains_differ_by_seed_and_stay_plausible() -> None:
    assert np.array_equal(Stain.from_seed(3).background, Stain.from_seed(3).background)
    for seed in range(40):
        stain = Stain.from_seed(seed)
        assert stain.background.min() > 200
        red_cell = stain.background * np.exp(-stain.density("red_cell"))
        chromatin = stain.background * np.exp(-stain.density("chromatin"))
        assert red_cell[0] > red_cell[1]  # pink
        assert chromatin[1] < chromatin[2]  # purple
        assert chromatin.mean() + 30 < red_cell.mean()  # a nucleus stands out in every staining


@pytest.mark.parametrize("mpp", [0.1, 0.25, 0.5])
def test_red_cells_measure_what_they_should_and_most_have_a_pale_centre(mpp: float) -> None:
    bank = Bank.draw(np.random.default_rng(0), mpp, STAIN)
    diameters = [2 * np.sqrt((cell.amount > 30).sum() / np.pi) * mpp for cell in bank.pale]
    assert 7.0 < float(np.median(diameters)) < 7.8
    pallor = [cell.amount[len(cell.amount) // 2, len(cell.amount) // 2] / cell.amount.max() for cell in bank.pale]
    assert float(np.median(pallor)) < 0.75
    for small in (*bank.platelets, *bank.grains, *bank.clots):
        assert max(small.alpha[0].max(), small.alpha[:, -1].max()) < 0.2
