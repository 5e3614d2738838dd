"""`smearscan smear`: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import tifffile
from click.testing import CliRunner, Result

from smearscan.cli import smearscan
from smearscan.smears import read_truth

SMALL = ("--width", "1500", "--height", "1200", "--white-cells", "12", "--blast-fraction", "0.25", "--seed", "4")


def _smear(*arguments: str) -> Result:
    return CliRunner().invoke(smearscan, ["smear", *arguments])


def test_it_writes_a_slide_and_its_truth(tmp_path: Path) -> None:
    done = _smear(str(tmp_path / "a.tif"), *SMALL, "--mpp", "0.3")
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert "12 white cells, 3 of them blasts" in done.stderr
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.series[0].levels[0].shape == (1200, 1500, 3)
        over, under = file.pages.first.tags["XResolution"].value
        assert 1e4 / (over / under) == pytest.approx(0.3, rel=1e-5)
    cells = read_truth(tmp_path / "a.truth.csv")
    assert sum(cell.is_white_cell for cell in cells) == 12
    assert sum(cell.kind == "blast" for cell in cells) == 3


def test_a_plain_field_is_written_as_a_picture(tmp_path: Path) -> None:
    done = _smear(str(tmp_path / "a.jpg"), *SMALL)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "a.truth.csv"]


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    size = ("--width", "9000", "--height", "2100", "--white-cells", "40")
    for name, workers in (("a.tif", "1"), ("b.tif", "3")):
        done = _smear(str(tmp_path / name), *size, "--workers", workers)
        assert done.exit_code == 0, done.output
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    assert (tmp_path / "a.truth.csv").read_bytes() == (tmp_path / "b.truth.csv").read_bytes()


def test_what_is_there_is_replaced_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "a.truth.csv").write_text("mine")
    refused = _smear(str(tmp_path / "a.tif"), *SMALL)
    assert refused.exit_code == 2
    assert "a.truth.csv exists" in refused.stderr
    assert (tmp_path / "a.truth.csv").read_text() == "mine"
    assert _smear(str(tmp_path / "a.tif"), *SMALL, "--overwrite").exit_code == 0
    assert (tmp_path / "a.truth.csv").read_text() != "mine"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("a.tif", "--width", "0"), "width is 0"),
        (("a.tif", "--mpp", "25"), "mpp is 25"),
        (("a.tif", "--seed", "-1"), "with 0 to 4,294,967,295."),
        (("a.tif", "--blast-fraction", "20"), "blast_fraction is 20"),
        (("a.svs",), "must end in .tif"),
        (("a.png", "--width", "50000", "--height", "50000", "--white-cells", "5"), "too large for a plain picture"),
        (("a.tif", "--quality", "0"), "quality is 0"),
        (("a.tif", "--workers", "0"), "workers is 0"),
        (("missing/a.tif",), "is no folder"),
        (("a.tif", "--width", "600", "--height", "600", "--white-cells", "300"), "found a place"),
    ],
)
def test_absurd_wishes_are_refused_in_a_sentence(
    arguments: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = _smear(*arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_looked_into_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "exists", refuse)  # root, who runs many tests, may look everywhere
    done = _smear(str(tmp_path / "a.tif"), *SMALL)
    assert done.exit_code == 4
    assert "a.tif cannot be written: Permission denied" in done.stderr


def test_the_keyboard_ends_it_without_a_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("smearscan.smears.write_smear", interrupt)
    done = _smear(str(tmp_path / "a.tif"), *SMALL)
    assert done.exit_code == 4
    assert done.stderr.endswith("smearscan: stopped by the keyboard.\n"), "only a run goes on where it stopped"
