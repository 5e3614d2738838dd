"""Composes slides of known truth from real pictures: cut-out cells on fields of red cells.

composed = compose(SmearPlan(8000, 8000, 0.25, seed=3, blast_fraction=0.2, ...), [CellChoice(Path("cells"))], Path("fields"))
write_smear(composed.smear, Path("a.tif"))          # a.tif, a.truth.csv, and a.origins.csv with the file of every cell
composed.write_contents(contents_path(Path("a.tif")))    # a.contents.json: fields, subjects, licences, scales
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from smearscan.errors import ConfigError, OutputError
from smearscan.smears.cell_folders import BLAST_LABELS, CellFolder, choose_cells, licence_of, read_cell_folder
from smearscan.smears.cutouts import CellSource
from smearscan.smears.painting import Smear, plan_smear
from smearscan.smears.plan import OTHER, SmearPlan
from smearscan.smears.real_backgrounds import FIELDS_A_SLIDE, Look, RealBackground
from smearscan.smears.real_cells import CellPool, RealCells, make_pool
from smearscan.smears.stain import Stain

_STRENGTH_SPREAD, _HUE_SPREAD = 0.08, 0.04  # of the cells' stain, from slide to slide


@dataclass(frozen=True)
class CellChoice:
    """A folder of cut-outs and what a slide takes of it."""

    folder: Path
    share: float = 1.0  # of the white cells of each class, against the other folders that have the class
    mpp: float | None = None  # wins over what the folder says


@dataclass(frozen=True)
class Composed:
    """A smear of real pictures and what it is made of."""

    smear: Smear
    background: RealBackground
    folders: tuple[CellFolder, ...]
    choices: tuple[CellChoice, ...]
    pools: tuple[CellPool, ...]  # the cells of each folder and staining, with how their colours were changed

    def write_contents(self, path: Path) -> None:
        """Write what the slide was made of, as JSON."""
        try:
            path.write_text(json.dumps(self._contents(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror or error}.") from error

    def _contents(self) -> dict[str, object]:
        plan, background = self.smear.plan, self.background
        origins = [origin for origin in self.smear.origins if origin]
        return {
            "about": "Composed of real pictures: cells that were cut out, laid on fields of red cells. No picture of one smear.",
            "width": plan.width,
            "height": plan.height,
            "mpp": plan.mpp,
            "seed": plan.seed,
            "classes": dict(sorted(Counter(cell.kind for cell in self.smear.truth).items())),
            "backgrounds": {
                "folder": background.folder.name,
                "licence": licence_of(background.folder),
                "mpp": round(background.field_mpp, 5),
                "files": [path.name for path in background.files],
            },
            "cells": [
                {
                    "folder": folder.root.name,
                    "licence": folder.licence,
                    "chosen": folder.note,
                    "mpp": _said(folder, choice),
                    "taken": sum(origin["folder"] == folder.root.name for origin in origins),
                    "subjects": sorted({o["subject"] for o in origins if o["folder"] == folder.root.name and o["subject"]}),
                }
                for folder, choice in zip(self.folders, self.choices, strict=True)
            ],
        }


def contents_path(slide: Path) -> Path:
    """Return where it is said what a composed slide is made of: `night/a.tif` -> `night/a.contents.json`."""
    return slide.with_name(slide.stem + ".contents.json")


def compose(
    plan: SmearPlan,
    cells: Sequence[CellChoice],
    backgrounds: Path,
    *,
    subjects: Sequence[str] = (),
    split: Path | None = None,
    part: str = "",
    field_mpp: float | None = None,
    exclude: Sequence[str] = (),
    fields: int = FIELDS_A_SLIDE,
    blast_labels: Sequence[str] = BLAST_LABELS,
) -> Composed:
    """Lay out a slide of real cells on real surroundings. The plan's smudges and debris must be 0: those are drawn.

    `subjects`, or a `split` with a `part`, choose whose cells are used. Labels in `blast_labels` become blasts in the
    truth, all others "other".
    """
    if plan.smudge_fraction or plan.debris_per_mm2:
        raise ConfigError("A composed slide holds real pictures only: smudge_fraction and debris_per_mm2 must be 0.")
    if not cells:
        raise ConfigError("A composed slide needs at least one folder of --cells.")
    whole = tuple(read_cell_folder(each.folder) for each in cells)
    chosen = tuple(choose_cells(folder, subjects, split, part) for folder in whole)
    seed = plan.seed if plan.stain is None else plan.stain
    red, green, blue = Stain.from_seed(seed).background.tolist()
    background = RealBackground(
        backgrounds, mpp=plan.mpp, seed=plan.seed, glass=(red, green, blue), field_mpp=field_mpp, exclude=tuple(exclude), most_fields=fields
    )
    pools = _pools(whole, chosen, cells, background.look, seed)
    sources = _sources(pools, background.look, blast_labels, plan)
    smear = plan_smear(replace(plan, mixture={OTHER: 1.0}, layout="field"), sources, background)
    return Composed(smear, background, chosen, tuple(cells), tuple(pools))


def _pools(whole: Sequence[CellFolder], chosen: Sequence[CellFolder], cells: Sequence[CellChoice], look: Look, seed: int) -> list[CellPool]:
    """Return the chosen cells, changed as all that were stained alike: who is on a slide must not change the laboratory."""
    rng = np.random.default_rng([seed, 0xCE11])
    variation = np.exp(rng.normal(0, _STRENGTH_SPREAD)) * np.exp(rng.normal(0, _HUE_SPREAD, 3))
    pools = []
    for every, folder, each in zip(whole, chosen, cells, strict=True):
        alike, parts = every.by_staining(), folder.by_staining()
        made = [
            (make_pool(alike[staining], each.share * len(part) / len(folder.cells), each.mpp, look, variation), part)
            for staining, part in sorted(parts.items())
        ]
        found = [replace(pool, cells=part) for pool, part in made if pool is not None]
        if not found:
            raise ConfigError(f"No cell of {folder.root} is whole and large enough to be laid on a slide. Choose other --cells.")
        pools += found
    return pools


def _sources(pools: Sequence[CellPool], look: Look, blast_labels: Sequence[str], plan: SmearPlan) -> dict[str, CellSource]:
    """Part each pool by what its cells are; a class that no slide asks for needs no cells."""
    labels = {label.lower() for label in blast_labels}
    sources: dict[str, CellSource] = {}
    for kind, are_blasts in (("blast", True), (OTHER, False)):
        parted = [replace(pool, cells=tuple(cell for cell in pool.cells if (cell.label.lower() in labels) is are_blasts)) for pool in pools]
        filled = [pool for pool in parted if pool.cells and pool.share > 0]
        wanted = plan.blast_fraction > 0 if are_blasts else plan.blast_fraction < 1
        if filled:
            sources[kind] = RealCells(filled, kind, look)
        elif wanted:
            raise ConfigError(
                f"None of the chosen --cells is of the class {kind!r}. Choose other folders or subjects, or another --blast-fraction."
            )
    return sources


def _said(folder: CellFolder, choice: CellChoice) -> float | list[float]:
    """Return the scale of a folder's cut-outs, or all that occur in it."""
    if choice.mpp is not None:
        return choice.mpp
    own = sorted({round(cell.mpp, 5) for cell in folder.cells if cell.mpp is not None})
    return own[0] if len(own) == 1 else own
