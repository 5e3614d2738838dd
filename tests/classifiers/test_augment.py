"""Random changes: each does what its name says, the same for the same seed, and never writes into the crop that it is given."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from classifiers.augment import AUGMENTATIONS, Augmentation, background, generator, turn
from classifiers.base import ClassifierError

Crop = NDArray[np.uint8]
PX = 64
SURE: dict[str, dict[str, Any]] = {name: {"probability": 1.0} for name in ("grey", "blur", "resolution", "jpeg", "erase")}
GEOMETRY = ("flip", "rotate", "right-angle", "pad-off-centre", "shift", "shear", "zoom", "size-jitter")


def make(*steps: str | dict[str, Any]) -> Augmentation:
    return Augmentation([{"step": each, **SURE.get(each, {})} if isinstance(each, str) else each for each in steps])


def cell(px: int = PX, radius: int = 14, seed: int = 0) -> Crop:
    """A cut-out cell: a violet disc with texture, on pure black, a little off the centre."""
    crop = np.zeros((px, px, 3), np.uint8)
    cv2.circle(crop, (px // 2 + 3, px // 2 - 2), radius * px // PX, (100, 50, 120), cv2.FILLED)
    inside = crop.any(axis=2)
    crop[inside] += np.random.default_rng(seed).integers(0, 60, (int(inside.sum()), 3), dtype=np.uint8)
    return crop


def texture(px: int = PX) -> Crop:
    return np.random.default_rng(8).integers(1, 256, (px, px, 3), dtype=np.uint8)


def outcomes(augmentation: Augmentation, crop: Crop, count: int = 60) -> list[Crop]:
    return [augmentation(crop, generator(0, 0, position)) for position in range(count)]


def centre(crop: Crop) -> NDArray[np.float64]:
    mass = crop.astype(np.float64).sum(axis=2)
    y, x = np.mgrid[: crop.shape[0], : crop.shape[1]]
    return np.array([(mass * x).sum(), (mass * y).sum()]) / mass.sum()


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_a_step_is_repeatable_varied_and_leaves_its_crop_alone(name: str) -> None:
    for crop in (cell(), texture(), cell(px=41)):
        before = crop.copy()
        crop.setflags(write=False)
        first, again = outcomes(make(name), crop, 12), outcomes(make(name), crop, 12)
        assert all(each.shape == crop.shape and each.dtype == np.uint8 for each in first)
        assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
        np.testing.assert_array_equal(crop, before)
        if name not in {"background", "grey"}:
            assert any(not np.array_equal(first[0], other) for other in first[1:]), "it is drawn anew for each position"
    assert any(not np.array_equal(each, cell()) for each in outcomes(make(name), cell(), 12))


@pytest.mark.parametrize("name", sorted({*AUGMENTATIONS} - {"blur", "resolution", "jpeg", "erase", "background"}))
def test_the_black_around_a_cell_stays_black(name: str) -> None:
    for made in outcomes(make(name), cell(radius=8), 20):
        assert made[:4].max() == 0
        assert (made.max(axis=2) > 0).sum() > 50


@pytest.mark.parametrize("name", ["grey", "blur", "resolution", "jpeg", "erase", "background"])
def test_a_probability_is_the_share_of_crops_that_change(name: str) -> None:
    crop = cell()
    changed = [made is not crop for made in outcomes(make({"step": name, "probability": 0.3}), crop, 300)]
    assert 0.2 < np.mean(changed) < 0.4
    assert all(made is crop for made in outcomes(make({"step": name, "probability": 0}), crop, 20))


def test_flips_and_right_angles_move_whole_pixels() -> None:
    for crop in (texture(64), texture(41)):
        mirrored = [crop, crop[::-1], crop[:, ::-1], crop[::-1, ::-1]]
        turned = [np.rot90(crop, quarter) for quarter in range(4)]
        for name, possible in (("flip", mirrored), ("right-angle", turned)):
            seen = {next(k for k, each in enumerate(possible) if np.array_equal(each, made)) for made in outcomes(make(name), crop)}
            assert seen == {0, 1, 2, 3}, name
        across = outcomes(make({"step": "flip", "vertical": False}), crop, 20)
        assert all(any(np.array_equal(made, each) for each in (crop, crop[:, ::-1])) for made in across)


def test_a_planned_turn_is_numpys() -> None:
    crop = texture(9)
    for quarter in range(-1, 5):
        np.testing.assert_array_equal(turn(crop, quarter), np.rot90(crop, quarter))
    assert turn(crop, 0) is crop


def test_any_angle_keeps_the_distance_from_the_centre() -> None:
    crop = np.zeros((65, 65, 3), np.uint8)
    crop[31:34, 51:54] = 255  # 20 right of the centre
    away = np.array([centre(made) - 32 for made in outcomes(make("rotate"), crop, 200)])
    np.testing.assert_allclose(np.hypot(*away.T), 20, atol=0.15)
    angles = np.sort(np.degrees(np.arctan2(away[:, 1], away[:, 0])))
    assert np.diff(angles).max() < 15, "all the way round"
    few = np.array([centre(made) - 32 for made in outcomes(make({"step": "rotate", "degrees": 10}), crop)])
    assert np.abs(np.degrees(np.arctan2(few[:, 1], few[:, 0]))).max() < 10.5


def test_padding_moves_a_cell_off_the_centre_by_whole_pixels() -> None:
    crop = cell(radius=6)
    moves = np.array([centre(made) - centre(crop) for made in outcomes(make({"step": "pad-off-centre", "most": 0.6}), crop, 200)])
    np.testing.assert_allclose(moves, moves.round(), atol=1e-9)
    assert 0.15 * PX < np.abs(moves).max() <= 0.3 * PX, "half of what was padded"
    assert moves.min() < 0 < moves.max()
    assert 0.1 < (moves[:, 0] == 0).mean() < 0.5, "not every side every time"


def test_a_shift_goes_up_to_its_share_and_is_filled_as_told() -> None:
    crop = np.full((PX, PX, 3), 200, np.uint8)
    black = np.array([(made[:, :, 0] == 0).mean() for made in outcomes(make({"step": "shift", "fill": "black"}), crop, 100)])
    assert 0.3 < black.max() <= 1 - 0.75**2
    assert all((made == 200).all() for made in outcomes(make("shift"), crop, 20)), "reflected by default"


def test_a_shear_leans_by_its_share() -> None:
    crop = np.zeros((101, 101, 3), np.uint8)
    crop[:, 48:53] = 255
    leans = []
    for made in outcomes(make({"step": "shear", "fill": "black"}), crop, 100):
        columns = made[..., 0].astype(float) @ np.arange(101) / np.maximum(made[..., 0].sum(axis=1), 1)
        leans.append((columns[90] - columns[10]) / 80)
    assert 0.15 < max(np.abs(leans)) <= 0.205
    assert min(np.abs(leans)) < 0.01, "some lean the other way, downwards"


@pytest.mark.parametrize(("name", "options"), [("zoom", {"low": 0.5, "high": 2.0}), ("size-jitter", {"share": 0.5})])
def test_sizes_spread_between_their_limits(name: str, options: dict[str, Any]) -> None:
    crop = np.zeros((129, 129, 3), np.uint8)
    cv2.circle(crop, (64, 64), 20, (255, 255, 255), cv2.FILLED)
    sizes = [
        np.array([(made[:, 64, 0] > 127).sum(), (made[64, :, 0] > 127).sum()]) / 41
        for made in outcomes(make({"step": name, **options}), crop, 200)
    ]
    lowest, highest = options.get("low", 1 / 1.5), options.get("high", 1.5)
    assert lowest - 0.06 < np.min(sizes) < lowest * 1.2
    assert highest / 1.2 < np.max(sizes) < highest + 0.06
    alike = np.mean([abs(high - wide) < 0.06 for high, wide in sizes])
    assert alike == 1 if name == "zoom" else alike < 0.5


def test_geometry_that_follows_itself_is_one_interpolation() -> None:
    """Turned there and back again, a crop is hardly blurred, and nothing was lost at the border in between."""

    class Fixed:
        """Draws the same angle, once this way and once the other."""

        def __init__(self) -> None:
            self.signs = [1, -1]

        def uniform(self, *_: float) -> float:
            return 30.0 * self.signs.pop(0)

    crop = texture()
    made = make("rotate", "rotate")(crop, Fixed())  # type: ignore[arg-type]
    assert np.abs(made.astype(int) - crop).max() <= 1
    apart = make("rotate", {"step": "brightness", "share": 0}, "rotate")
    fixed = Fixed()
    fixed.signs = [1, 0, -1]
    assert np.abs(apart(crop, fixed).astype(int) - crop).max() > 100, "the other way it loses its corners"  # type: ignore[arg-type]


def test_what_fills_is_kept_apart() -> None:
    crop = np.full((PX, PX, 3), 200, np.uint8)
    reflected = make({"step": "shift", "fill": "black"}, {"step": "shear", "fill": "reflect"})
    assert any((made == 0).any() for made in outcomes(reflected, crop, 10)), "the shift's black is not reflected away"
    assert all((made == 200).all() for made in outcomes(make({"step": "rotate", "fill": "reflect"}, "flip", "shift", "shear"), crop, 10))


def test_stain_changes_densities_and_no_others() -> None:
    crop = np.full((4, 4, 3), (180, 90, 170), np.uint8)
    np.testing.assert_allclose(make({"step": "stain", "share": 0, "offset": 0})(crop, generator(0, 0, 0)), crop, atol=1)
    colours = np.array([made[0, 0] for made in outcomes(make({"step": "stain", "share": 0.3, "offset": 0.0}), crop, 200)], float)
    assert (colours.std(axis=0) > 4).all()
    np.testing.assert_allclose(colours.mean(axis=0), crop[0, 0], atol=8)
    white = np.full((4, 4, 3), 255, np.uint8)
    assert all((made == 255).all() for made in outcomes(make({"step": "stain", "offset": 0}), white, 10)), "no stain, nothing to change"


def test_strength_multiplies_densities_against_the_glass_of_the_crops() -> None:
    crop = np.full((4, 4, 3), (60, 30, 70), np.uint8)
    crop[0] = 0
    crop[1] = 138
    made = outcomes(make({"step": "strength", "glass": 138, "together": 0.1, "apart": 0.0}), crop, 300)
    assert all((each[0] == 0).all() and (each[1] == 138).all() for each in made), "what is no stain stays"
    factors = np.array([np.log(139 / (each[2, 0] + 1.0)) for each in made]) / np.log(139 / (crop[2, 0] + 1.0))
    np.testing.assert_allclose(np.log(factors).std(axis=0), 0.1, rtol=0.15)
    np.testing.assert_allclose(factors[:, 0], factors[:, 1], atol=0.04)  # values are whole numbers
    apart = np.array([each[2, 0] for each in outcomes(make({"step": "strength", "glass": 138, "together": 0.0, "apart": 0.1}), crop, 300)])
    assert abs(np.corrcoef(apart[:, 0], apart[:, 1])[0, 1]) < 0.2
    same = make({"step": "strength", "glass": 138, "together": 0, "apart": 0})(crop, generator(0, 0, 0))
    np.testing.assert_array_equal(same, crop)


def test_brightness_and_contrast_go_as_far_as_told() -> None:
    crop = cell()
    inside = crop.any(axis=2)
    before = crop[inside].astype(float)
    bright = np.array([made[inside].mean() for made in outcomes(make({"step": "brightness", "share": 0.3}), crop)]) / before.mean()
    assert 0.69 < bright.min() < 0.8
    assert 1.2 < bright.max() < 1.31
    spread = [made[inside].astype(float) for made in outcomes(make({"step": "contrast", "share": 0.3}), crop)]
    ratios = np.array([each.std(axis=0) / before.std(axis=0) for each in spread])
    assert 0.65 < ratios.min() < 0.8
    assert 1.2 < ratios.max() < 1.35
    np.testing.assert_allclose([each.mean(axis=0) for each in spread], [before.mean(axis=0)] * len(spread), atol=1)


def test_worse_pictures_are_worse_as_told() -> None:
    crop = cv2.GaussianBlur(texture(), (0, 0), 1)
    sharpness = cv2.Laplacian(crop, cv2.CV_64F).var()
    for name in ("blur", "resolution"):
        assert np.median([cv2.Laplacian(made, cv2.CV_64F).var() for made in outcomes(make(name), crop, 20)]) < 0.8 * sharpness, name
    noise = [(made.astype(float) - crop).std() for made in outcomes(make({"step": "noise", "most": 10}), crop)]
    assert min(noise) < 2
    assert 8 < max(noise) < 10.5
    low, high = (
        [
            np.abs(made.astype(float) - crop).mean()
            for made in outcomes(make({"step": "jpeg", "probability": 1, "low": q, "high": q}), crop, 3)
        ]
        for q in (20, 95)
    )
    assert np.mean(low) > 2 * np.mean(high)


def test_jpeg_keeps_colours_in_their_order() -> None:
    crop = np.full((16, 16, 3), (200, 100, 30), np.uint8)
    np.testing.assert_allclose(make("jpeg")(crop, generator(0, 0, 0)), crop, atol=6)


@pytest.mark.parametrize("fill", ["black", "noise"])
def test_what_is_erased_is_one_rectangle_of_the_area_told(fill: str) -> None:
    crop = texture(100)
    shares = []
    for made in outcomes(make({"step": "erase", "probability": 1, "low": 0.05, "high": 0.2, "fill": fill}), crop, 100):
        y, x = np.nonzero((made != crop).any(axis=2))
        height, width = np.ptp(y) + 1, np.ptp(x) + 1
        shares.append(height * width / 1e4)
        hidden = made[y.min() : y.max() + 1, x.min() : x.max() + 1]
        assert (hidden == 0).all() if fill == "black" else hidden.min() > 0
    assert 0.04 < min(shares) < 0.08
    assert 0.17 < max(shares) < 0.22


def background_folder(folder: Path) -> Path:
    y, x = np.mgrid[:120, :160]
    picture = np.stack([150 + x // 4, 160 + y // 4, np.full_like(x, 210)], axis=2).astype(np.uint8)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        picture = picture[::-1]
    (folder / "notes.txt").write_text("no picture", encoding="utf-8")
    return folder


@pytest.mark.parametrize("kind", ["drawn", "folder", "scaled"])
def test_a_cell_is_laid_on_a_background_without_a_seam(kind: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {} if kind == "drawn" else {"folder": str(background_folder(tmp_path))}
    options |= {"red_cell_px": 20.0} if kind == "scaled" else {}
    for px in (64, 300):
        crop = cell(px)
        mask = background.find_cell(crop)
        assert mask is not None
        near = np.ones((9, 9)) if px == 64 else np.ones((25, 25))
        inside, outside = cv2.erode(mask, near) > 0, cv2.dilate(mask, near) == 0
        for made in outcomes(make({"step": "background", **options}), crop, 6):
            np.testing.assert_array_equal(made[inside], crop[inside])
            assert made[outside].min() > 90, "no black is left"
            rim = ~inside & ~outside
            assert made[rim].min() >= crop[mask > 0].min() - 5, "nor a dark rim: what fades is the cell's colour"


def test_drawn_backgrounds_hold_red_cells_on_bright_glass() -> None:
    made = outcomes(make("background"), cell(128, radius=10), 30)
    corners = np.concatenate([each[:20].reshape(-1, 3) for each in made]).astype(float)
    red = corners[:, 0] - corners[:, 1] > 30
    assert 0.05 < red.mean() < 0.7
    assert corners[~red].mean() > 180


def test_a_crop_that_is_no_cut_out_cell_keeps_its_background() -> None:
    for crop in (texture(), np.zeros((PX, PX, 3), np.uint8)):
        assert make("background")(crop, generator(0, 0, 0)) is crop


def test_a_folder_without_pictures_or_with_a_broken_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match=r"holds no pictures"):
        make({"step": "background", "folder": str(tmp_path)})
    (tmp_path / "broken.png").write_bytes(b"no picture")
    other = tmp_path / "other"
    other.mkdir()
    (other / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ClassifierError, match=r"broken.png cannot be read"):
        make({"step": "background", "folder": str(other)})(cell(), generator(0, 0, 0))


def test_seed_epoch_and_position_each_count() -> None:
    names = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 2**33)]
    drawn = [tuple(generator(*name).random(4)) for name in names]
    assert len(set(drawn)) == len(names)
    assert drawn[0] == tuple(generator(0, 0, 0).random(4))


def _in_worker(given: tuple[Augmentation, Crop, int]) -> bytes:
    augmentation, crop, position = given
    return augmentation(crop, generator(3, 1, position)).tobytes()


def test_a_worker_makes_the_same_bits() -> None:
    everything = make(*sorted(AUGMENTATIONS))
    jobs = [(everything, cell(), position) for position in range(6)]
    expected = [_in_worker(job) for job in jobs]
    assert [_in_worker(pickle.loads(pickle.dumps(job))) for job in reversed(jobs)] == expected[::-1]  # noqa: S301 - its own bytes
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(_in_worker, jobs)) == expected


def test_no_steps_change_nothing() -> None:
    crop = cell()
    assert not Augmentation(())
    assert Augmentation(())(crop, generator(0, 0, 0)) is crop
    assert make("flip")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": "twist"}, r"no augmentation step named 'twist', which the recipe asks for. Known: background"),
        ({"step": "rotate", "angle": 3}, r"'rotate'.*angle"),
        ({"step": "rotate", "degrees": 270}, r"'rotate'.*degrees must be a number from 0 to 180, not 270"),
        ({"step": "shift", "fill": "wrap"}, r"'shift'.*fill must be one of black, reflect, not 'wrap'"),
        ({"step": "zoom", "low": 2.0}, r"'zoom'.*low and high"),
        ({"step": "blur", "sigma": [2, 1]}, r"'blur'.*sigma"),
        ({"step": "blur", "sigma": 2}, r"'blur'.*sigma must be two numbers"),
        ({"step": "jpeg", "low": 90, "high": 50}, r"'jpeg'.*high .*90"),
        ({"step": "grey", "probability": 2}, r"'grey'.*probability .*2"),
    ],
)
def test_a_wrong_step_stops_training_before_it_begins(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ClassifierError, match=message):
        Augmentation((options,))
