"""Slides composed of pictures: what is cut out, what is left out, and that no seam and no halo gives it away.

The pictures are drawn here, so that the truth of each is known; those marked `data` take real ones.
"""

from __future__ import annotations

import csv
import json
import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from scipy import ndimage

from classifiers.datasets import load
from detectors.nuclei import NucleiDetector
from smearscan.cli import smearscan
from smearscan.errors import ConfigError
from smearscan.smears import CellChoice, Composed, SmearPlan, Stain, compose, draw_cell, plan_smear, read_truth
from smearscan.smears.cell_folders import choose_cells, read_cell_folder, read_subjects
from smearscan.smears.cutting import cut_white_cells, read_annotations
from smearscan.smears.field_pictures import read_field
from smearscan.smears.quilting import cheapest_line, keep_whole
from smearscan.smears.real_backgrounds import Look, RealBackground, turned_place
from smearscan.smears.real_cells import make_pool, own_stain
from smearscan.smears.soft_edges import read_pasteable
from smearscan.smears.training_cells import Shape, cut_slide, read_table, write_crops, write_table

FIELD_MPP, CELL_MPP = 0.19, 0.08
PLAN = SmearPlan(1300, 1100, 0.25, seed=3, white_cells=18, blast_fraction=1 / 3, smudge_fraction=0, debris_per_mm2=0)
ARROW, BAR = (300, 200, 345, 215), (430, 425, 560, 432)


def save(path: Path, picture: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    code = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    assert cv2.imwrite(str(path), cv2.cvtColor(picture, code), [cv2.IMWRITE_JPEG_QUALITY, 95])


def draw_field(number: int, white_cells: int = 0) -> tuple[NDArray[np.uint8], list[tuple[float, float]]]:
    """Draw a field as a dim, uneven, bluish lamp shows it; return it and where its white cells are."""
    plan = SmearPlan(640, 480, FIELD_MPP, seed=number, stain=4, white_cells=white_cells, smudge_fraction=0, debris_per_mm2=0)
    smear = plan_smear(plan)
    x, y = np.meshgrid(np.linspace(-1, 1, 640), np.linspace(-1, 1, 480))
    lamp = (0.62 - 0.07 * (x * x + y * y) + 0.03 * x)[..., None] * np.array([0.92, 1.0, 1.08])
    return np.clip(smear.picture() * lamp, 0, 255).astype(np.uint8), [(cell.x, cell.y) for cell in smear.truth]


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven fields: two plain, one with an arrow and a scale bar, one with a pointer, one with white cells, two more."""
    folder = tmp_path_factory.mktemp("fields")
    for number in range(1, 8):
        picture, _ = draw_field(number, white_cells=1 if number == 5 else 0)
        if number == 3:
            cv2.rectangle(picture, ARROW[:2], ARROW[2:], (250, 225, 20), -1)
            cv2.rectangle(picture, BAR[:2], BAR[2:], (30, 210, 30), 1)
        if number == 4:
            shade = np.zeros(picture.shape[:2], np.float32)
            cv2.line(shade, (520, 250), (640, 480), 1.0, 14)
            picture = np.clip(picture * (1 - 0.7 * cv2.GaussianBlur(shade, (0, 0), 3))[..., None], 0, 255).astype(np.uint8)
        save(folder / f"{number}.jpg", picture)
    (folder / "LICENSE").write_text("Free Licence\nNobody\n")
    return folder


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four cells on black as JPEG, with a manifest, of four subjects: two with blasts, two without."""
    folder = tmp_path_factory.mktemp("cells")
    lines = ["file,label,subject,split_group"]
    for number in range(24):
        kind, label = ("blast", "blast") if number % 2 else ("lymphocyte", "normal")
        subject = f"{'A' if number % 2 else 'H'}{1 + number % 4 // 2}"
        name = f"{label}/{number}.jpg"
        save(folder / name, on_black(kind, number)[0])
        lines.append(f"{name},{label},{subject},{subject}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder


def on_black(kind: str, number: int) -> tuple[NDArray[np.uint8], float]:
    """Draw a cell as it is published: the rest black; return its diameter in pixels as well."""
    drawn = draw_cell(kind, np.random.default_rng(number), CELL_MPP, Stain.from_seed(0))
    inside = drawn.alpha > 0.5
    rows, columns = np.nonzero(inside)
    box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    return np.where(inside[..., None], drawn.rgb // 2, 0)[box].astype(np.uint8), drawn.diameter_px


@pytest.fixture(scope="module")
def background(fields: Path) -> RealBackground:
    return RealBackground(fields, mpp=0.25, seed=1, glass=(238, 235, 234), field_mpp=FIELD_MPP)


@pytest.fixture(scope="module")
def composed(fields: Path, cells: Path) -> Composed:
    return compose(PLAN, [CellChoice(cells, mpp=CELL_MPP)], fields, field_mpp=FIELD_MPP)


@pytest.fixture(scope="module")
def picture(composed: Composed) -> NDArray[np.uint8]:
    return composed.smear.picture()


def test_drawings_pointers_and_white_cells_are_left_out_of_a_field(fields: Path) -> None:
    marked = read_field(fields / "3.jpg", FIELD_MPP).unusable
    for left, top, right, bottom in (ARROW, BAR):
        assert marked[top : bottom + 1, left : right + 1].all()
    assert marked.mean() < 0.12
    needle = read_field(fields / "4.jpg", FIELD_MPP).unusable
    assert needle[[260, 360, 470], [526, 577, 634]].all()
    assert needle.mean() < 0.1
    cell = read_field(fields / "5.jpg", FIELD_MPP)
    ((x, y),) = draw_field(5, white_cells=1)[1]
    assert cell.unusable[int(y) - 15 : int(y) + 16, int(x) - 15 : int(x) + 16].all()
    assert cell.nucleus is not None
    plain = read_field(fields / "1.jpg", FIELD_MPP)
    assert plain.unusable.mean() < 0.02
    assert plain.nucleus is None


def test_a_fields_light_is_made_even(fields: Path) -> None:
    field = read_field(fields / "1.jpg", FIELD_MPP)
    glass = field.density[..., 1] < 0.1
    corners = [field.density[rows, columns][glass[rows, columns]].mean(0) for rows in (slice(0, 90), slice(-90, None))
               for columns in (slice(0, 90), slice(-90, None))]  # fmt: skip
    assert np.abs(corners).max() < 0.02


@pytest.mark.slow
def test_a_background_is_the_same_whatever_part_is_asked_for(background: RealBackground, fields: Path) -> None:
    whole = background.paint(0, 0, 900, 700)
    assert np.array_equal(background.paint(311, 222, 700, 533), whole[222:533, 311:700])
    twin = pickle.loads(pickle.dumps(RealBackground(fields, mpp=0.25, seed=1, glass=(238, 235, 234), field_mpp=FIELD_MPP)))  # noqa: S301
    assert np.array_equal(twin.paint(500, 400, 900, 700), whole[400:700, 500:900])
    other = RealBackground(fields, mpp=0.25, seed=2, glass=(238, 235, 234), field_mpp=FIELD_MPP)
    assert not np.array_equal(other.paint(0, 0, 300, 300), whole[:300, :300])


def test_nothing_in_a_background_would_be_taken_for_a_white_cell(background: RealBackground) -> None:
    assert len(NucleiDetector().propose(background.paint(0, 0, 1500, 1200), mpp=0.25).boxes) == 0


def test_no_join_shows_in_a_background(background: RealBackground) -> None:
    """Glass is as even on the lattice's lines as between them, and as bright."""
    grey = background.paint(0, 0, 1500, 1200).astype(np.float32).mean(-1)
    glass = ndimage.binary_erosion(grey > 222, iterations=3)
    lattice = background.lattice
    x = (np.arange(1500) + lattice.overlap // 2) % lattice.pitch < lattice.overlap
    step = np.abs(np.diff(grey, axis=1))
    assert step[:, x[1:]][glass[:, 1:][:, x[1:]]].mean() < 1.25 * step[:, ~x[1:]][glass[:, 1:][:, ~x[1:]]].mean()
    assert abs(grey[:, x][glass[:, x]].mean() - grey[:, ~x][glass[:, ~x]].mean()) < 1.0


def test_a_folder_of_fields_without_red_cells_or_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no pictures"):
        RealBackground(tmp_path, mpp=0.25, seed=1, glass=(238, 235, 234))
    save(tmp_path / "bare.png", np.full((300, 400, 3), 200, np.uint8))
    with pytest.raises(ConfigError, match="--backgrounds-mpp"):
        RealBackground(tmp_path, mpp=0.25, seed=1, glass=(238, 235, 234))
    with pytest.raises(ConfigError, match=r"'other\.png' is to be left out"):
        RealBackground(tmp_path, mpp=0.25, seed=1, glass=(238, 235, 234), exclude=("other.png",))


@pytest.mark.parametrize("turn", range(8))
def test_a_place_on_a_turned_patch_is_found_on_the_field(turn: int) -> None:
    cut = np.arange(49).reshape(7, 7)
    seen = np.rot90(cut, turn % 4)
    seen = seen[:, ::-1] if turn >= 4 else seen
    for y in range(7):
        for x in range(7):
            u, v = turned_place(x, y, 7, turn)
            assert cut[v, u] == seen[y, x]


def test_the_cheapest_line_goes_round_what_is_dear() -> None:
    cost = np.full((40, 30), 0.01, np.float32)
    cost[10:30, 5:25] = 1.0
    line = cheapest_line(cost, 15, 15)
    assert line[0] == line[-1] == 15
    assert cost[np.arange(40), line].max() < 0.5
    assert np.abs(np.diff(line)).max() <= 3


def test_a_cell_goes_whole_to_where_most_of_it_lies() -> None:
    cells = np.zeros((20, 30), np.int32)
    cells[5:10, 8:14], cells[12:17, 12:18], cells[0:3, 8:14] = 1, 2, 3
    mine = np.zeros((20, 30), bool)
    mine[:, :13] = True
    whole = keep_whole(mine, cells)
    assert whole[cells == 1].all()
    assert not whole[cells == 2].any()
    assert np.array_equal(whole[cells == 3], mine[cells == 3]), "what the patch's border cuts cannot be whole"


def test_truth_and_origins_say_what_lies_where(composed: Composed, picture: NDArray[np.uint8]) -> None:
    truth, origins = composed.smear.truth, composed.smear.origins
    assert [cell.kind for cell in truth].count("blast") == 6
    assert [cell.kind for cell in truth].count("other") == 12
    for cell, origin in zip(truth, origins, strict=True):
        assert origin["label"] == ("blast" if cell.kind == "blast" else "normal")
        number = int(Path(origin["file"]).stem)
        # The edge's outermost pixels, darkened by the black beside them, are not the cell's.
        assert cell.diameter == pytest.approx(on_black("blast" if number % 2 else "lymphocyte", number)[1] * CELL_MPP / 0.25, rel=0.09)
        middle = picture[int(cell.y) - 5 : int(cell.y) + 6, int(cell.x) - 5 : int(cell.x) + 6, 1]
        assert middle.mean() < 150, "a nucleus takes the green light"


def test_blocks_and_processes_paint_the_same_composed_slide(composed: Composed, picture: NDArray[np.uint8]) -> None:
    twin = pickle.loads(pickle.dumps(composed.smear))  # noqa: S301
    assert np.array_equal(twin.paint((900, 700, 1300, 1100)), picture[700:1100, 900:1300])


def test_no_halo_lies_around_a_cell(composed: Composed, picture: NDArray[np.uint8]) -> None:
    """Beyond the soft edge there is what was there before; inside it nothing of the black on which the cell was published."""
    grey = picture.astype(np.float32).mean(-1)
    glass = float(np.percentile(grey, 90))
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    rings = []
    for cell in composed.smear.truth:
        far = np.hypot(x + 0.5 - cell.x, y + 0.5 - cell.y) - cell.diameter / 2
        ring, beyond = grey[(far > 2.5) & (far < 4.5)], grey[(far > 6) & (far < 9)]
        clear = np.percentile(ring, 75)
        rings.append(clear - np.percentile(beyond, 75))
        assert grey[(far > -2) & (far < 2)].min() > grey[far < -2].min() - 12, "the rim is not darker than the cell"
    assert glass > 200
    assert abs(float(np.median(rings))) < 4


@pytest.mark.slow
def test_red_cells_make_room(fields: Path, cells: Path) -> None:
    smear = compose(PLAN, [CellChoice(cells, mpp=CELL_MPP)], fields, field_mpp=FIELD_MPP).smear
    pushed = smear._pushed
    assert pushed is not None
    assert (pushed._shift >= 0).all()
    quiet = replace(PLAN, white_cells=0)
    bare = compose(quiet, [CellChoice(cells, mpp=CELL_MPP)], fields, field_mpp=FIELD_MPP).smear.picture()
    seen = smear.picture()
    y, x = np.mgrid[: seen.shape[0], : seen.shape[1]]
    near = np.zeros(seen.shape[:2], bool)
    for cell in smear.truth:
        near |= np.hypot(x - cell.x, y - cell.y) < 2.2 * cell.diameter
    assert np.array_equal(seen[~near], bare[~near]), "far from white cells nothing moves"


def test_cells_of_other_subjects_are_not_used(cells: Path, tmp_path: Path) -> None:
    folder = read_cell_folder(cells)
    assert len(folder.cells) == 24
    assert {cell.subject for cell in choose_cells(folder, ("A2", "H1")).cells} == {"A2", "H1"}
    listed = tmp_path / "subjects.txt"
    listed.write_text("A2\n\nH1\n")
    assert read_subjects(str(listed)) == read_subjects("A2, H1") == ("A2", "H1")
    split = tmp_path / "split.csv"
    parts = [(cell.file, "test" if cell.subject in {"A1", "H2"} else "train") for cell in folder.cells]
    split.write_text("file,label,subject,group,part\n" + "".join(f"{file},x,x,x,{part}\n" for file, part in parts))
    assert {cell.subject for cell in choose_cells(folder, split=split, part="test").cells} == {"A1", "H2"}
    for wish, says in (({"subjects": ("A9",)}, "no cells of subjects A9"), ({"split": split, "part": "calibration"}, "has no part")):
        with pytest.raises(ConfigError, match=says):
            choose_cells(folder, **wish)  # type: ignore[arg-type]
    split.write_text("file,part\nelsewhere.jpg,test\n")
    with pytest.raises(ConfigError, match="names none of the cells"):
        choose_cells(folder, split=split, part="test")


def test_cells_that_were_badly_cut_out_are_passed_over(tmp_path: Path) -> None:
    good, diameter = on_black("blast", 1)
    save(tmp_path / "good.jpg", good)
    found = read_pasteable(tmp_path / "good.jpg")
    assert found is not None
    assert np.sqrt(found.area * 4 / np.pi) == pytest.approx(diameter, rel=0.07)
    assert found.rgb.max(axis=2).min() > 40, "no black is left beyond the edge"
    height, width = good.shape[:2]
    with_glass = good.copy()
    cv2.rectangle(with_glass, (width // 3, 0), (width // 2, 9), (215, 200, 205), -1)
    save(tmp_path / "glass.png", with_glass)
    trimmed = read_pasteable(tmp_path / "glass.png")
    assert trimmed is not None
    assert not trimmed.mask[:5, width // 3 + 2 : width // 2 - 2].any()
    bitten = good.copy()
    bitten[height // 3 : height // 2, width // 2 :] = 0
    for name, bad in (("cut", good[:, : width * 2 // 3]), ("bitten", bitten), ("tiny", cv2.resize(good, (16, 16)))):
        save(tmp_path / f"{name}.jpg", np.asarray(bad, np.uint8))
        assert read_pasteable(tmp_path / f"{name}.jpg") is None, name


def test_white_cells_are_cut_out_of_annotated_fields(fields: Path, tmp_path: Path) -> None:
    smear = plan_smear(SmearPlan(1300, 1000, 0.1, seed=3, white_cells=6, smudge_fraction=0, debris_per_mm2=0))
    save(tmp_path / "set/images/drawn.png", smear.picture())
    (tmp_path / "set/labels").mkdir()
    boxes = "".join(f"0 {c.x / 1300} {c.y / 1000} {c.diameter / 1300} {c.diameter / 1000}\n" for c in smear.truth)
    (tmp_path / "set/labels/drawn.txt").write_text(boxes + "1 0.5 0.5 0.1 0.1\n")
    assert len(read_annotations(tmp_path / "set")[0].boxes) == 6
    assert cut_white_cells(tmp_path / "set", tmp_path / "cut", mpp=0.1) >= 5
    folder = read_cell_folder(tmp_path / "cut")
    sizes = sorted(cell.diameter for cell in smear.truth)
    for cell in folder.cells:
        assert cell.mpp == 0.1
        found = read_pasteable(cell.path)
        assert found is not None
        across = float(np.sqrt(found.area * 4 / np.pi))
        assert min(abs(across - size) / size for size in sizes) < 0.12
    made = compose(replace(PLAN, blast_fraction=0.0, white_cells=5), [CellChoice(tmp_path / "cut")], fields, field_mpp=FIELD_MPP)
    assert [cell.kind for cell in made.smear.truth] == ["other"] * 5


def _smear(*arguments: str) -> Result:
    return CliRunner().invoke(smearscan, ["smear", *arguments])


SMALL = ("--width", "900", "--height", "800", "--white-cells", "6", "--blast-fraction", "0.5", "--seed", "4")


def test_the_command_writes_the_slide_its_truth_and_what_it_is_made_of(fields: Path, cells: Path, tmp_path: Path) -> None:
    sources = ("--cells", f"{cells}=1", "--cells-mpp", str(CELL_MPP), "--backgrounds", str(fields), "--backgrounds-mpp", str(FIELD_MPP))
    done = _smear(str(tmp_path / "a.tif"), *SMALL, *sources, "--subjects", "A1,H2", "--exclude", "7.jpg")
    assert done.exit_code == 0, done.output
    assert "6 white cells, 3 of them blasts" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.contents.json", "a.origins.csv", "a.tif", "a.truth.csv"]
    truth = read_truth(tmp_path / "a.truth.csv")
    with (tmp_path / "a.origins.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["class"] for line in lines] == [cell.kind for cell in truth]
    assert {line["subject"] for line in lines} <= {"A1", "H2"}
    contents = json.loads((tmp_path / "a.contents.json").read_text())
    assert contents["backgrounds"]["licence"] == "Free Licence; Nobody"
    assert "7.jpg" not in contents["backgrounds"]["files"]
    assert contents["cells"][0]["subjects"] == sorted({line["subject"] for line in lines})
    assert contents["cells"][0]["taken"] == 6


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--cells", "CELLS"), "belong together"),
        (("--backgrounds", "FIELDS"), "belong together"),
        (("--cells-mpp", "0.1"), "--cells-mpp does not apply"),
        (("--cells", "CELLS", "--backgrounds", "FIELDS", "--layout", "film"), "--layout does not apply"),
        (("--cells", "CELLS", "--backgrounds", "FIELDS", "--part", "test"), "--part needs the split"),
        (("--cells", "CELLS=most", "--backgrounds", "FIELDS"), "is no share"),
        (("--cells", "CELLS", "--backgrounds", "FIELDS", "--cells-mpp", "9"), "between 0.01 and 2"),
        (("--cells", "CELLS", "--backgrounds", "FIELDS", "--backgrounds-mpp", "0.19"), "--cells-mpp"),
        (("--cells", "CELLS", "--backgrounds", "nowhere", "--cells-mpp", "0.1"), "nowhere cannot be read"),
        (("--cells", "nowhere", "--backgrounds", "FIELDS"), "nowhere is no folder"),
        (("--cells", "CELLS", "--backgrounds", "FIELDS", "--cells-mpp", "0.1", "--subjects", "H1"), "class 'blast'"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused_in_a_sentence(
    arguments: tuple[str, ...], says: str, fields: Path, cells: Path, tmp_path: Path
) -> None:
    written = [each.replace("CELLS", str(cells)).replace("FIELDS", str(fields)) for each in arguments]
    done = _smear(str(tmp_path / "a.tif"), *SMALL, *written)
    assert done.exit_code == 2, done.output
    assert says in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.data
@pytest.mark.slow
def test_a_slide_of_real_pictures_holds_the_cells_that_its_truth_names(data_folder: Path) -> None:
    plan = replace(PLAN, width=1600, height=1400, white_cells=24, seed=5)
    made = compose(plan, [CellChoice(data_folder / "cnmc")], data_folder / "chula_rbc12", field_mpp=0.1905, subjects=("A11", "H24"))
    seen = made.smear.picture()
    found = NucleiDetector().propose(seen, mpp=0.25).boxes
    middle = (found[:, :2] + found[:, 2:]) / 2
    hits = [np.hypot(*(middle - (cell.x, cell.y)).T).min(initial=np.inf) < cell.diameter / 2 for cell in made.smear.truth]
    assert sum(hits) >= 23
    assert len(found) <= 26
    assert {origin["subject"] for origin in made.smear.origins} == {"A11", "H24"}


def test_crops_to_train_with_show_the_cell_that_their_line_names_or_none(composed: Composed, tmp_path: Path) -> None:
    shape = Shape(crop_px=64, crop_um=16.0)
    groups = {origin["file"]: "one person" for origin in composed.smear.origins if origin["subject"] == "A1"}
    cut = cut_slide(composed, "slide", shape, groups=groups, empty=0.5, seed=1)
    lines = write_crops(tmp_path, zip(cut.lines, cut.crops, strict=True))
    write_table(tmp_path / "crops.csv", lines)
    assert read_table(tmp_path / "crops.csv") == [replace(line, diameter_um=round(line.diameter_um, 2)) for line in lines]
    samples = load(tmp_path)
    assert samples.roles == {"blast": "blast", "other": "other", "no white cell": "excluded"}
    truth, labels = composed.smear.truth, [samples.classes[label] for label in samples.labels]
    assert labels[: len(truth)] == [cell.kind for cell in truth]
    assert set(labels[len(truth) :]) == {"no white cell"}
    assert "one person" in samples.groups
    assert "A1" not in samples.groups  # the cell's own folder says so, the caller knows better
    crops = samples.crops(range(len(samples)), 64)
    middle = crops[:, 26:38, 26:38].astype(float).mean(axis=(1, 2, 3))
    assert middle[: len(truth)].max() < middle[len(truth) :].mean()  # nuclei are dark, and what lies beside cells is not


def test_the_same_seed_cuts_the_same_crops(composed: Composed, tmp_path: Path) -> None:
    shape = Shape(crop_px=32, crop_um=16.0)
    for name in ("one", "two"):
        cut = cut_slide(composed, "slide", shape, groups={}, empty=0.5, seed=1)
        write_table(tmp_path / name / "crops.csv", write_crops(tmp_path / name, zip(cut.lines, cut.crops, strict=True)))
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert all((tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes() for path in files)


def test_who_is_on_a_slide_does_not_change_how_the_laboratory_stained(fields: Path, cells: Path, composed: Composed) -> None:
    one_pair = compose(PLAN, [CellChoice(cells, mpp=CELL_MPP)], fields, field_mpp=FIELD_MPP, subjects=("A1", "H2"))
    assert {cell.subject for cell in one_pair.pools[0].cells} == {"A1", "H2"}
    assert one_pair.pools[0].gain == composed.pools[0].gain
    assert one_pair.pools[0].glass == composed.pools[0].glass


def test_a_nucleus_that_lets_more_blue_through_than_glass_makes_no_hole(cells: Path) -> None:
    look = Look(glass=(238, 235, 234), blur=1.0, noise=1.0, nucleus=(0.7, 1.4, -0.02))
    found = make_pool(read_cell_folder(cells).cells, 1.0, CELL_MPP, look, np.ones(3))
    assert found is not None
    assert np.isfinite(found.gain).all()
    assert min(found.gain) > 0


def restained(picture: NDArray[np.uint8], times: tuple[float, float, float]) -> NDArray[np.uint8]:
    """Return a cell on black with so many times the density of each colour, against the glass that `on_black` halves."""
    glass = Stain.from_seed(0).background / 2
    density = np.log((glass + 1) / (picture.astype(float) + 1)) * times
    return np.where(picture.max(axis=2, keepdims=True) > 24, (glass + 1) * np.exp(-density) - 1, 0).clip(0, 255).astype(np.uint8)


def folder_of_two_smears(folder: Path, times: tuple[float, float, float]) -> Path:
    """Write six cells of one smear, and the same cells as another smear shows them."""
    level = float(Stain.from_seed(0).background.mean() / 2)
    lines = ["file,label,staining,glass"]
    for number in range(6):
        cell = on_black("lymphocyte", number)[0]
        for smear, picture in (("one", cell), ("two", restained(cell, times))):
            name = f"normal/{smear}-{number}.png"
            save(folder / name, picture)
            lines.append(f"{name},normal,{smear},{level:.1f}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_pale_red_cells_are_no_blurred_ones(fields: Path, background: RealBackground, tmp_path: Path) -> None:
    for path in fields.glob("*.jpg"):
        picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB).astype(np.float64)
        glass = np.percentile(picture, 97, axis=(0, 1))
        save(tmp_path / path.name, np.clip(glass * (picture / glass) ** 0.45, 0, 255).astype(np.uint8))
    pale = RealBackground(tmp_path, mpp=0.25, seed=1, glass=(238, 235, 234), field_mpp=FIELD_MPP)
    assert pale.look.blur == pytest.approx(background.look.blur, rel=0.15)


def test_each_smears_cells_are_brought_to_the_slides_stain(fields: Path, tmp_path: Path) -> None:
    two = folder_of_two_smears(tmp_path / "two", (0.7, 0.6, 0.8))
    made = compose(replace(PLAN, blast_fraction=0), [CellChoice(two, mpp=CELL_MPP)], fields, field_mpp=FIELD_MPP)
    one, other = made.pools
    assert {cell.staining for cell in one.cells} == {"one"}
    np.testing.assert_allclose(np.array(other.gain) / one.gain, (1 / 0.7, 1 / 0.6, 1 / 0.8), rtol=0.08)


def test_a_colour_that_a_camera_did_not_see_is_made_from_green(fields: Path, tmp_path: Path) -> None:
    two = folder_of_two_smears(tmp_path / "two", (1.0, 1.0, 0.02))
    made = compose(replace(PLAN, blast_fraction=0), [CellChoice(two, mpp=CELL_MPP)], fields, field_mpp=FIELD_MPP)
    assert [pool.colours for pool in made.pools] == [(0, 1, 2), (0, 1, 1)]
    assert made.pools[0].gain[:2] == pytest.approx(made.pools[1].gain[:2], rel=0.05)


def test_cells_of_which_few_tell_the_stain_keep_what_nuclei_of_one_smear_differ_in(cells: Path) -> None:
    look = Look(glass=(238, 235, 234), blur=1.0, noise=1.0, nucleus=None)
    every = read_cell_folder(cells).cells
    many, alone = (make_pool(part, 1.0, CELL_MPP, look, np.ones(3)) for part in (every, every[:1]))
    assert many is not None
    assert alone is not None
    assert 0.1 < alone.spread < 0.12
    assert many.spread < 0.04


def test_smears_without_a_whole_cell_are_passed_over_and_a_folder_without_one_is_refused(fields: Path, tmp_path: Path) -> None:
    two = folder_of_two_smears(tmp_path / "two", (1.0, 1.0, 1.0))
    for path in (two / "normal").glob("two-*.png"):
        save(path, np.zeros((30, 30, 3), np.uint8))
    plan = replace(PLAN, blast_fraction=0)
    (left,) = compose(plan, [CellChoice(two, mpp=CELL_MPP)], fields, field_mpp=FIELD_MPP).pools
    assert {cell.staining for cell in left.cells} == {"one"}
    read_pasteable.cache_clear()
    for path in (two / "normal").glob("one-*.png"):
        save(path, np.zeros((30, 30, 3), np.uint8))
    own_stain.cache_clear()
    with pytest.raises(ConfigError, match=r"No cell of .*two is whole and large enough to be laid on a slide"):
        compose(plan, [CellChoice(two, mpp=CELL_MPP)], fields, field_mpp=FIELD_MPP)
