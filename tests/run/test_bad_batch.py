"""Six good and six bad slides through the command line: every slide accounted for, the good ones as if alone."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from smearscan.results import NOTICE

BAD = ("broken_tile.tif", "locked", "no_scale.tif", "text.svs", "truncated.tif", "zero.tif")


def run_command(*arguments: str | Path, without_privilege: bool = False) -> subprocess.CompletedProcess[str]:
    settings = ("--classifier", "drawn-cells", "--proposals", "nuclei", "--workers", "2")
    command = [sys.executable, "-m", "smearscan", "run", *settings, *map(str, arguments)]  # the last of a flag given twice wins
    if without_privilege and hasattr(os, "geteuid") and os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may read every folder here, and there is no setpriv to give that up")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def rows_of(report: Path) -> dict[str, dict[str, str]]:
    with (report / "summary.csv").open(encoding="utf-8", newline="") as file:
        return {row["slide"]: {name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)}


def break_one_tile(source: Path, target: Path) -> None:
    """Overwrite the bytes of one JPEG tile of level 0, out of the middle of the slide, with nonsense."""
    shutil.copy(source, target)
    with tifffile.TiffFile(source) as tiff:
        page = tiff.pages[0]
        index = len(page.dataoffsets) // 2
        offset, count = page.dataoffsets[index], page.databytecounts[index]
    with target.open("r+b") as file:
        file.seek(offset)
        file.write(np.random.default_rng(1).bytes(count))


@pytest.fixture
def batch(drawn: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "batch"
    good = sorted(drawn.rglob("*.tif"))
    for number in range(6):
        target = folder / f"good{number}" / "blood.tif"
        target.parent.mkdir(parents=True)
        shutil.copy(good[number % 3], target)
    break_one_tile(good[1], folder / "broken_tile.tif")
    (folder / "truncated.tif").write_bytes(good[0].read_bytes()[:150_000])
    (folder / "zero.tif").touch()
    (folder / "text.svs").write_text("These are not the pixels you are looking for.\n")
    glass = np.random.default_rng(2).normal(228, 2, (1500, 1500, 3)).astype(np.uint8)  # no red cell on it that could tell a scale
    tifffile.imwrite(folder / "no_scale.tif", glass, photometric="rgb", tile=(512, 512), compression="zstd")
    (folder / "locked").mkdir()
    shutil.copy(good[2], folder / "locked" / "blood.tif")
    (folder / "locked").chmod(0)
    return folder


@pytest.mark.slow
def test_bad_slides_cost_nothing_but_themselves(batch: Path, tmp_path: Path) -> None:
    try:
        mixed = run_command(batch, "--out", tmp_path / "mixed", without_privilege=True)
    finally:
        (batch / "locked").chmod(0o755)
    assert mixed.returncode == 3, mixed.stderr
    assert "Traceback" not in mixed.stderr
    rows = rows_of(tmp_path / "mixed")
    assert set(rows) == {*BAD, *(f"good{number}/blood.tif" for number in range(6))}

    for name in BAD:
        row = rows[name]
        assert row["reason"].endswith("."), "a sentence for each bad slide"
        assert f"{name}: {row['reason']}" in mixed.stderr
        assert row["notice"] == NOTICE
        if name != "broken_tile.tif":
            assert row["status"] in ("unreadable", "failed")
            assert row["cells"] == row["blast_fraction"] == ""
    assert rows["broken_tile.tif"]["status"] == "partial"
    assert 0.01 < float(rows["broken_tile.tif"]["unreadable_fraction"]) < 0.2
    assert int(rows["broken_tile.tif"]["overlays"]) > 0, "one broken tile does not cost the pictures of the other cells"
    assert "cannot be shown" not in rows["broken_tile.tif"]["flags"]
    assert "--mpp" in rows["no_scale.tif"]["reason"]

    for name in BAD[:1] + BAD[2:]:
        (batch / name).unlink()
    shutil.rmtree(batch / "locked")
    alone = run_command(batch, "--out", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    for name, row in rows_of(tmp_path / "alone").items():
        assert {column: rows[name][column] for column in row} == row
        cells = Path("slides") / row["folder"].removeprefix("slides/") / "cells.csv"
        assert (tmp_path / "mixed" / cells).read_bytes() == (tmp_path / "alone" / cells).read_bytes()


@pytest.mark.slow
def test_wrong_use_is_one_sentence_and_its_exit_code(drawn: Path, tmp_path: Path) -> None:
    nowhere = run_command(tmp_path / "nowhere", "--out", tmp_path / "report")
    assert (nowhere.returncode, "Traceback" in nowhere.stderr) == (2, False)
    assert "nowhere does not exist" in nowhere.stderr

    (tmp_path / "empty").mkdir()
    empty = run_command(tmp_path / "empty", "--out", tmp_path / "report")
    assert empty.returncode == 2
    assert "There is no slide in" in empty.stderr

    unknown = run_command(drawn, "--out", tmp_path / "report", "--proposals", "nucleii")
    assert unknown.returncode == 4
    assert "no detector named 'nucleii'" in unknown.stderr
    assert not (tmp_path / "report").exists()

    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    foreign = run_command(drawn, "--out", tmp_path / "thesis")
    assert foreign.returncode == 4
    assert "chapter1.tex" in foreign.stderr
