"""Files of a published slide are made again one by one, and only where they differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from smearscan.errors import OutputError
from smearscan.ledger import Keep, Ledger, Scan

FACTS = {"status": "ok", "input_digest": "sha256:1", "science": {}, "reports": ["cells"]}


def fill(folder: Path) -> None:
    (folder / "cells.csv").write_text("cells")
    (folder / "maps").mkdir()
    (folder / "maps" / "a.png").write_text("map")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    with Ledger(tmp_path / "report", ["x%3A/a.tif"]) as book:
        book.publish("x%3A/a.tif", fill, FACTS)
    return tmp_path / "report"


def slide(out: Path) -> Path:
    return out / "slides" / "x%253A" / "a.tif"


def test_a_file_that_differs_is_replaced_and_its_size_noted(out: Path) -> None:
    def again(folder: Path) -> None:
        (folder / "cells.csv").write_text("cells")
        (folder / "maps").mkdir()
        (folder / "maps" / "a.png").write_text("another map")
        (folder / "cells.geojson.gz").write_text("export")

    with Ledger(out, ["x%3A/a.tif"]) as book:
        record, replaced = book.refresh(book.records()["x%3A/a.tif"], again, ["geojson"])
        assert replaced == ["cells.geojson.gz", "maps/a.png"]
        assert record["files"] == {"cells.csv": 5, "cells.geojson.gz": 6, "maps/a.png": 11}
        assert record["reports"] == ["cells", "geojson"]
        assert json.loads((slide(out) / "slide.json").read_text()) == record
        assert (slide(out) / "maps" / "a.png").read_text() == "another map"
        assert isinstance(book.decide("x%3A/a.tif", "sha256:1", {}, ["cells", "geojson"]), Keep)


def test_nothing_new_touches_nothing(out: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in slide(out).rglob("*")}
    with Ledger(out) as book:
        record, replaced = book.refresh(book.records()["x%3A/a.tif"], fill)
    assert replaced == []
    assert record == json.loads((slide(out) / "slide.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in slide(out).rglob("*")} == before


def test_what_fails_leaves_everything_as_it_was(out: Path) -> None:
    before = {path: path.read_bytes() for path in slide(out).rglob("*") if path.is_file()}

    def full(folder: Path) -> None:
        (folder / "cells.csv").write_text("half")
        raise OSError(28, "No space left on device")

    with Ledger(out) as book:
        with pytest.raises(OutputError, match="The disk is full"):
            book.refresh(book.records()["x%3A/a.tif"], full)
        assert not list((out / ".smearscan" / "staging").iterdir())
    assert {path: path.read_bytes() for path in slide(out).rglob("*") if path.is_file()} == before


def test_killed_between_two_files_the_slide_is_scanned_again(out: Path) -> None:
    with Ledger(out, ["x%3A/a.tif"]) as book:
        (slide(out) / "maps" / "a.png").write_text("another map")  # moved there, and the record not yet written
        decision = book.decide("x%3A/a.tif", "sha256:1", {}, ["cells"])
    assert decision == Scan("its maps/a.png has 11 bytes and not 3")
