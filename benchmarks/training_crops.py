"""Crops to train the bundled classifier with, from the data folder; a part of `benchmarks/train_classifier.py`.

C-NMC's cells and the white cells of the field sets are laid on smears of real red cells and cut out again as `smearscan run` cuts them,
and shown alone on black; those of the field sets in their fields as well. All crops are brought to the stain that C-NMC's cells have on
black: those of slides by what is known of how the slide was stained, so that a cell keeps its own colours, as far as JPEG leaves them;
those of field sets by their nuclei, as a run does it. How far a run's measure of a slide is off is left to the recipe's augmentation.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from classifiers.card import ModelCard, StainReference
from classifiers.datasets import Samples, checking, load
from classifiers.datasets.base import fit, middle
from smearscan import console, crops, staining
from smearscan.errors import SmearscanError
from smearscan.results import Picture, Staining
from smearscan.smears import CellChoice, SmearPlan, compose
from smearscan.smears.cell_folders import CellFile, read_cell_folder
from smearscan.smears.cutting import cut_white_cells
from smearscan.smears.field_pictures import list_fields, read_picture
from smearscan.smears.real_cells import Triple, own_stain
from smearscan.smears.training_cells import BLAST, OTHER, SHIFTED, Line, Shape, cut_slide, read_table, write_crops, write_table

CROP_PX, CROP_UM = 112, 28.0
TABLE = "crops.csv"
STAIN = "stain.json"
UNCOLOURED = "uncoloured"  # crops of slides, in each slide's own colours
BLACK = 12  # what is darker in every colour lies beside a cut-out cell
FIELD_SETS = ("bccd", "txl_pbc")  # their white cells are normal ones of every kind
# Red cells around the cells. Those of bccd are not used: its nuclei let all blue light through, and cells that are stained like them and
# brought back have noise in place of a colour.
BACKGROUND, BACKGROUND_MPP = "chula_rbc12", 0.1905  # its scale bars of 20 um are 105 px long
TEST_EVERY = 3  # one in so many of its fields is kept for slides to test on
SLIDES = 60  # each of one person's normal cells and another's blasts, in turn: as many as bring all of them together
SIDE, MPP, CELLS = 2400, 0.25, 120  # of a slide of crops
MOST_BLASTS = 0.8  # from none to this share of a slide's cells
FIELD_SHARE = 0.6  # of the others on a slide: of a healthy person's white cells up to seven in ten are no lymphoid ones
EMPTY = 0.35  # crops without a cell for each that shows one


@dataclass(frozen=True)
class Source:
    """Where the pictures of one call lie."""

    data: Path
    crops: Path
    groups: dict[str, str]  # of each file of C-NMC


@dataclass(frozen=True)
class Slide:
    """Whose cells lie on one slide of crops."""

    number: int
    subjects: tuple[str, ...]
    blast_fraction: float

    @property
    def name(self) -> str:
        return f"slide-{self.number:02}"


@dataclass(frozen=True)
class Laid:
    """One slide cut up, its crops below UNCOLOURED still in its own colours."""

    lines: list[Line]
    staining: Staining  # as a run tells it
    glass: Triple  # what C-NMC's cells lay on before
    gain: Triple  # what the slide has of their density


def make_crops(data: Path, out: Path, workers: int) -> Path:
    """Return the table of all crops, made where it is not there yet."""
    table = out / TABLE
    if table.is_file():
        return table
    cnmc = load(data / "cnmc")
    cnmc = checking.joined(cnmc, checking.check(cnmc))
    for name in FIELD_SETS:
        if not (out / "cells" / name / "manifest.csv").is_file():
            console.say(f"{cut_white_cells(data / name, out / 'cells' / name)} white cells cut out of {name}.")
    source, slides = Source(data, out, dict(zip(cnmc.files, cnmc.groups, strict=True))), slides_of(cnmc)
    laid = []
    # Spawned: a forked process would wait for threads that torch and OpenCV have in this one.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool, console.progress("laying cells on smears") as bar:
        for done, each in enumerate(pool.map(lay, [source] * len(slides), slides), start=1):
            laid.append(each)
            bar.update(done, len(slides), {})
    stain = stain_of_cnmc(laid)
    shape = Shape(CROP_PX, CROP_UM, stain)
    lines = write_crops(out, alone_of_cnmc(cnmc))
    for name in FIELD_SETS:
        lines += write_crops(out, alone_of_fields(out / "cells" / name, shape))
        lines += write_crops(out, in_fields(data / name, out / "cells" / name, shape))
    for each in laid:
        lines += write_crops(out, coloured(each, out, shape))
    (out / STAIN).write_text(json.dumps(asdict(stain)) + "\n", encoding="utf-8")
    write_table(table, lines)
    shutil.rmtree(out / UNCOLOURED)
    return table


def read_stain(crops_folder: Path) -> StainReference:
    """Return the stain that crops were brought to when they were made."""
    return StainReference(**json.loads((crops_folder / STAIN).read_text(encoding="utf-8")))


def slides_of(cnmc: Samples) -> list[Slide]:
    """Return who is on which slide: as on a patient's, one person's normal cells and one kind of blasts, in ever other pairs and shares."""
    persons: dict[bool, dict[str, set[str]]] = {True: {}, False: {}}
    for label, group, subject in zip(cnmc.labels.tolist(), cnmc.groups, cnmc.subjects, strict=True):
        persons[cnmc.classes[label] == "blast"].setdefault(group, set()).add(subject)
    blasts, normal = ([tuple(sorted(names)) for _, names in sorted(persons[which].items())] for which in (True, False))
    shares = np.random.default_rng(SLIDES).permutation(np.linspace(0, MOST_BLASTS, SLIDES)).tolist()
    return [
        Slide(number, (*normal[number % len(normal)], *blasts[number % len(blasts)]), share) for number, share in enumerate(shares, start=1)
    ]


def lay(source: Source, slide: Slide) -> Laid:
    """Lay out one slide and cut it up, unless that was done; each has a staining of its own."""
    folder = source.crops / UNCOLOURED
    facts, table = folder / f"{slide.name}.json", folder / f"{slide.name}.csv"
    if table.is_file():
        said = json.loads(facts.read_text(encoding="utf-8"))
        return Laid(read_table(table), Staining(**said["staining"]), said["glass"], said["gain"])
    cv2.setNumThreads(1)
    plan = SmearPlan(
        *(SIDE, SIDE, MPP),
        seed=1000 + slide.number,
        white_cells=CELLS,
        blast_fraction=slide.blast_fraction,
        smudge_fraction=0.0,
        debris_per_mm2=0.0,
    )
    # A folder's share goes by class: C-NMC gives all blasts, and of the others what the field sets leave.
    sets = [CellChoice(source.crops / "cells" / each, FIELD_SHARE / len(FIELD_SETS)) for each in FIELD_SETS]
    cells = [CellChoice(source.data / "cnmc", 1 - FIELD_SHARE), *sets]
    composed = compose(
        *(plan, cells, source.data / BACKGROUND),
        subjects=slide.subjects,
        field_mpp=BACKGROUND_MPP,
        exclude=test_fields(source.data),
    )
    cut = cut_slide(composed, slide.name, Shape(CROP_PX, CROP_UM), groups=source.groups, empty=EMPTY, seed=slide.number)
    lines = write_crops(folder, zip(cut.lines, cut.crops, strict=True))
    pool = composed.pools[0]  # the first folder has one staining
    assert cut.staining is not None, "a slide of so many cells shows nuclei"
    said = {"staining": asdict(cut.staining), "glass": pool.glass, "gain": pool.gain}
    facts.write_text(json.dumps(said), encoding="utf-8")
    write_table(table, lines)  # last: a slide whose table is there is whole
    return Laid(lines, cut.staining, pool.glass, pool.gain)


def stain_of_cnmc(laid: Sequence[Laid]) -> StainReference:
    """Return how a run measures a slide to be stained that has C-NMC's cells in their own colours, beside granulocytes of field sets.

    So the cells that were laid on a slide, brought to this stain, are what they were on black, as far as the slide's nuclei tell its stain.
    """
    known = [np.array(each.staining.nucleus) / np.array(each.gain) for each in laid if each.staining.lobed]
    red, green, blue = np.median(known, axis=0).round(4).tolist()
    glass_red, glass_green, glass_blue = np.rint(laid[0].glass).tolist()
    return StainReference((glass_red, glass_green, glass_blue), (red, green, blue))


def coloured(laid: Laid, folder: Path, shape: Shape) -> Iterator[tuple[Line, Picture]]:
    """Yield a slide's crops in the stain that is asked for, in which cells of C-NMC have their own colours."""
    assert shape.stain is not None
    own = np.stack([read_picture(folder / UNCOLOURED / line.file) for line in laid.lines])
    red, green, blue = (np.array(laid.gain) * shape.stain.nucleus).tolist()
    known = replace(laid.staining, nucleus=(red, green, blue))
    yield from zip(laid.lines, crops.in_known_stain(own, shape.card, known), strict=True)


def test_fields(data: Path) -> list[str]:
    """Return the names of the fields that no training crop shows."""
    return [path.name for path in list_fields(data / BACKGROUND, ())[::TEST_EVERY]]


def alone_of_cnmc(samples: Samples) -> Iterator[tuple[Line, Picture]]:
    for row, file in enumerate(samples.files):
        label = BLAST if samples.classes[samples.labels[row]] == "blast" else OTHER
        line = Line(f"black/{Path(file).stem}.png", label, samples.subjects[row], samples.groups[row], "on black", file)
        yield line, samples.crop(row, CROP_PX, CROP_UM)


def alone_of_fields(folder: Path, shape: Shape) -> Iterator[tuple[Line, Picture]]:
    for cell, crop in on_black(folder, shape.card):
        line = Line(f"black/{folder.name}-{cell.path.stem}.png", OTHER, "", f"{folder.name}/{cell.group}", "on black", cell.file)
        yield line, crop


def in_fields(data: Path, folder: Path, shape: Shape) -> Iterator[tuple[Line, Picture]]:
    for cell, crop in in_their_fields(data, folder, shape.card, SHIFTED):
        line = Line(f"fields/{folder.name}-{cell.path.stem}.png", OTHER, "", f"{folder.name}/{cell.group}", "in its field", cell.file)
        yield line, crop


def on_black(folder: Path, card: ModelCard) -> Iterator[tuple[CellFile, Picture]]:
    """Yield the cut-outs of a set alone on black, in the stain that a card knows, as far as whole cells of their picture tell theirs."""
    for cells in read_cell_folder(folder).by_staining().values():
        own = own_stain(cells)
        if own is None:
            continue
        red, green, blue = (round(level) for level in own.glass)
        known = Staining((red, green, blue), own.nuclei, own.cells)
        for cell in cells:
            layers = cv2.imread(str(cell.path), cv2.IMREAD_UNCHANGED)
            if layers is None or cell.mpp is None:
                raise SmearscanError(f"{cell.path} is no cut-out with a scale. Remove the folder, so that it is cut out again.")
            rgb = np.asarray(cv2.cvtColor(np.ascontiguousarray(layers[..., :3]), cv2.COLOR_BGR2RGB), np.uint8)
            seen = np.where(layers[..., 3:] >= 128, crops.in_known_stain(rgb[None], card, known)[0], 0).astype(np.uint8)
            yield cell, fit(middle(seen, round(CROP_UM / cell.mpp)), CROP_PX)


def in_their_fields(data: Path, folder: Path, card: ModelCard, shifted: float = 0.0) -> Iterator[tuple[CellFile, Picture]]:
    """Yield the cells of a set as a run cuts them out of their fields; `shifted` is how many diameters a box lies beside its cell."""
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        places = {row["file"]: row for row in csv.DictReader(file)}
    rng = np.random.default_rng(0xF1E1D)
    for cell in read_cell_folder(folder).cells:
        row = places[cell.file]
        left, top, width, height = (float(row[key]) for key in ("left", "top", "width", "height"))
        picture = read_picture(data / "images" / row["source_file"])
        x, y = (left + width / 2, top + height / 2) + rng.normal(0, shifted, 2) * max(width, height)
        mpp, size = float(row["mpp"]), (picture.shape[1], picture.shape[0])
        box = np.array([[x - 8, y - 8, x + 8, y + 8]])
        stained = staining.of_picture(picture, mpp)
        yield cell, crops.in_known_stain(crops.cut(picture, (0, 0), box, card, slide_size=size, mpp=mpp), card, stained)[0]
