"""Small drawn smears, drawn once, and runs over them in this process with a classifier that needs no weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from classifiers.card import ModelCard
from smearscan import night
from smearscan.building import DetectorChoice
from smearscan.config import ScanConfig
from smearscan.slides import find_slides
from smearscan.smears import SmearPlan, plan_smear, write_smear
from smearscan.testing.classifiers import FakeClassifier

Runner = Callable[..., night.Ending]


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three smears of 60 white cells each, two of them of the same name in different folders."""
    folder = tmp_path_factory.mktemp("drawn")
    for number, name in enumerate(["alone.tif", "case1/blood.tif", "case2/blood.tif"]):
        (folder / name).parent.mkdir(exist_ok=True)
        plan = SmearPlan(width=2200, height=1600, mpp=0.25, seed=70 + number, white_cells=60, blast_fraction=0.25 * number)
        write_smear(plan_smear(plan), folder / name)
    return folder


@pytest.fixture
def scan_folder(tmp_path: Path) -> Runner:
    """Run over folders, as `smearscan run` does, with the fake classifier and, unless told otherwise, nuclei; returns how it ended."""

    def scan(
        slides: Sequence[Path] | Path,
        out: Path | None = None,
        *,
        tell: Callable[[str], None] = lambda line: None,
        batch: int = 64,
        card: ModelCard | None = None,
        **settings: object,
    ) -> night.Ending:
        found = find_slides([slides] if isinstance(slides, Path) else slides)
        config = ScanConfig(**{"workers": 2, "proposals": "nuclei", **settings})  # type: ignore[arg-type]
        classifier = FakeClassifier(card, batch_size=batch)
        order = night.Order(config, out or tmp_path / "report", found.slides, found.rejected, {}, classifier, DetectorChoice(config))
        return night.run(order, lambda sight: None, tell)

    return scan
