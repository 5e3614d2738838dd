"""A run says how much of each heat map lies in its cell, and warns when a model looks at the background."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from classifiers.card import ModelCard
from classifiers.explain import build_explainer
from classifiers.explain.inside import ellipses
from classifiers.torch_classifier import TorchClassifier
from smearscan import night, rebuilding
from smearscan.building import DetectorChoice
from smearscan.config import ScanConfig
from smearscan.slides import find_slides
from smearscan.testing.runs import lasting_results

PX = 48
WARNING = "the model may be looking at the background"


class OneColour(nn.Module):
    """Calls every crop blast, and finds the reason in how bright or dark the pixels are that it looks at."""

    def __init__(self, in_cell: bool) -> None:
        super().__init__()
        middle = torch.from_numpy(ellipses([(PX / 4, PX / 4, 3 * PX / 4, 3 * PX / 4)], (PX, PX))[0]).float()
        self.register_buffer("looked_at", middle if in_cell else 1 - middle)
        self.features = nn.Conv2d(3, 1, 2, stride=2)
        self.head = nn.Linear(1, 2)
        with torch.no_grad():
            self.features.weight.fill_(1 / 12)
            self.features.bias.fill_(0)  # type: ignore[union-attr]
            self.head.weight.copy_(torch.tensor([[0.0], [1.0]]))
            self.head.bias.copy_(torch.tensor([0.0, 3.0]))

    def forward(self, crops: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(crops * self.looked_at).mean((2, 3)))
        return logits


def make_classifier(in_cell: bool) -> TorchClassifier:
    card = ModelCard(
        name="one colour",
        summary="Calls everything blast: for tests only",
        classes=("other", "blast"),
        roles={"other": "other", "blast": "blast"},
        positive_class="blast",
        activation="softmax",
        network={"name": "none"},
        crop_px=PX,
        crop_um=20.0,
        cam_layer="features",
    )
    return TorchClassifier(card, OneColour(in_cell), device="cpu")


def scan(slide: Path, out: Path, in_cell: bool, proposals: str = "nuclei", cam: str = "gradcam") -> night.Ending:
    found = find_slides([slide])
    config = ScanConfig(workers=1, overlays=24, proposals=proposals, mpp=0.25, device="cpu")
    classifier = make_classifier(in_cell)
    explainer = None if cam == "none" else build_explainer(cam, classifier)
    order = night.Order(config, out, found.slides, found.rejected, {}, classifier, DetectorChoice(config), explainer)
    return night.run(order, lambda sight: None, lambda line: None)


def read_cells(out: Path) -> list[dict[str, str]]:
    with (out / "slides" / "alone.tif" / "cells.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def flags(ending: night.Ending) -> list[str]:
    (record,) = ending.records.values()
    return list(record["flags"])


@pytest.fixture(scope="module")
def slide(drawn: Path) -> Path:
    return drawn / "alone.tif"


@pytest.fixture(scope="module")
def outside(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, night.Ending]:
    out = tmp_path_factory.mktemp("outside") / "report"
    return out, scan(slide, out, in_cell=False)


def test_a_network_that_looks_at_the_background_is_warned_of(outside: tuple[Path, night.Ending]) -> None:
    out, ending = outside
    (warning,) = [flag for flag in flags(ending) if WARNING in flag]
    shares = [float(row["cam_in_cell"]) for row in read_cells(out) if row["cam_in_cell"] and row["flagged"] == "1"]
    assert len(shares) == 20, "of 24 pictures four are near misses, of which there are none"
    assert np.median(shares) < 0.3
    assert warning.startswith(
        f"The heat maps of 20 flagged cells lie mostly outside the cell (median {100 * np.median(shares):.0f} % inside"
    )
    page = (out / "slides" / "alone.tif" / "index.html").read_text(encoding="utf-8")
    assert WARNING in page
    assert page.count("% in cell</small>") == 20


def test_only_cells_with_a_heat_map_have_a_share(outside: tuple[Path, night.Ending]) -> None:
    out, _ = outside
    rows = read_cells(out)
    assert {bool(row["cam_in_cell"]) for row in rows} == {True, False}
    assert all(bool(row["cam_in_cell"]) == bool(row["overlay"]) for row in rows)
    exported = json.loads(gzip.decompress((out / "slides" / "alone.tif" / "cells.geojson.gz").read_bytes()))["features"]
    found = {each["properties"]["name"]: each["properties"]["measurements"].get("Heat map in cell") for each in exported}
    assert found == {row["id"]: float(row["cam_in_cell"]) if row["cam_in_cell"] else None for row in rows}


def test_a_network_that_looks_at_the_cell_is_not(slide: Path, tmp_path: Path) -> None:
    ending = scan(slide, tmp_path, in_cell=True)
    assert not [flag for flag in flags(ending) if WARNING in flag]
    shares = [float(row["cam_in_cell"]) for row in read_cells(tmp_path) if row["cam_in_cell"]]
    assert len(shares) == 20
    assert np.median(shares) > 0.9


def test_a_window_is_no_cell_and_has_no_share(slide: Path, tmp_path: Path) -> None:
    ending = scan(slide, tmp_path, in_cell=False, proposals="window")
    assert any(row["overlay"] for row in read_cells(tmp_path))
    assert {row["cam_in_cell"] for row in read_cells(tmp_path)} == {""}
    assert not [flag for flag in flags(ending) if WARNING in flag]


def test_without_heat_maps_the_column_is_empty(slide: Path, tmp_path: Path) -> None:
    ending = scan(slide, tmp_path, in_cell=False, cam="none")
    assert {row["cam_in_cell"] for row in read_cells(tmp_path)} == {""}
    assert not [flag for flag in flags(ending) if WARNING in flag]


def test_a_report_made_again_keeps_shares_and_warning(outside: tuple[Path, night.Ending]) -> None:
    out, _ = outside
    before = lasting_results(out)
    (out / "slides" / "alone.tif" / "cells.geojson.gz").unlink()
    (out / "slides" / "alone.tif" / "index.html").unlink()
    rebuilt = rebuilding.rebuild(out)
    assert rebuilt.missing == []
    assert lasting_results(out) == before
