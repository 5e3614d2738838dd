"""The table beside the slides: names, specimens, scales, and mistakes in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from smearscan.errors import ConfigError
from smearscan.slides import read_slides_csv, row_of, unused_rows


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "slides.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_rows_by_name(tmp_path: Path) -> None:
    rows = read_slides_csv(table(tmp_path, "slide,specimen,mpp\nday1/a.svs,S-1,0.25\nb.tif,,\n\nc.tif,S-2,\n"))
    assert [(row.slide, row.specimen, row.mpp, row.line) for row in rows.values()] == [
        ("day1/a.svs", "S-1", 0.25, 2),
        ("b.tif", None, None, 3),
        ("c.tif", "S-2", None, 5),
    ]


@pytest.mark.parametrize("text", ["slide\na.svs\n", "mpp,slide\n0.5,a.svs\n", " slide , specimen \n a.svs , S 1 \n"])
def test_columns_may_be_missing_and_in_any_order(tmp_path: Path, text: str) -> None:
    assert list(read_slides_csv(table(tmp_path, text))) == ["a.svs"]


def test_what_spreadsheets_write(tmp_path: Path) -> None:
    rows = read_slides_csv(table(tmp_path, "slide;specimen;mpp\r\nday1\\a.svs;Müller;0,25\r\n", "utf-8-sig"))
    assert (rows["day1/a.svs"].specimen, rows["day1/a.svs"].mpp) == ("Müller", 0.25)


def test_a_key_wins_over_a_file_name(tmp_path: Path) -> None:
    rows = read_slides_csv(table(tmp_path, "slide,mpp\na.svs,0.25\nday2/a.svs,0.5\n"))
    mpps = {key: row_of(rows, key) for key in ("a.svs", "day1/a.svs", "day2/a.svs", "day2/b.svs")}
    assert {key: row and row.mpp for key, row in mpps.items()} == {"a.svs": 0.25, "day1/a.svs": 0.25, "day2/a.svs": 0.5, "day2/b.svs": None}


def test_rows_that_are_of_no_slide(tmp_path: Path) -> None:
    rows = read_slides_csv(table(tmp_path, "slide,mpp\na.svs,0.25\nday2/b.svs,0.5\nmisspelt.svs,0.5\n"))
    assert [row.slide for row in unused_rows(rows, ["day1/a.svs", "day2/b.svs"])] == ["misspelt.svs"]


@pytest.mark.parametrize(
    ("text", "line", "value"),
    [
        ("", "line 1", "'slide'"),
        ("name,mpp\na.svs,0.25\n", "line 1", "'slide'"),
        ("slide,mmp\na.svs,0.25\n", "line 1", "'mmp'"),
        ("slide,mpp,mpp\na.svs,0.25,0.25\n", "line 1", "'mpp'"),
        ("slide,mpp\na.svs,0.25\nb.svs,quarter\n", "line 3", "'quarter'"),
        ("slide,mpp\na.svs,25\n", "line 2", "25"),
        ("slide,mpp\na.svs,nan\n", "line 2", "nan"),
        ("slide,specimen\na.svs,1\nb.svs,2\na.svs,3\n", "line 4", "'a.svs'"),
        ("slide,specimen\n,S-1\n", "line 2", "'slide'"),
        ("slide,mpp\na.svs,0.25,extra\n", "line 2", "extra"),
        ('slide,mpp\n"a.svs"x,0.25\n', "line 2", "expected"),
    ],
)
def test_mistakes_are_named_with_file_line_and_value(tmp_path: Path, text: str, line: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_slides_csv(table(tmp_path, text))
    message = str(caught.value)
    assert "slides.csv" in message
    assert line in message
    assert value in message


def test_a_table_that_is_no_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "slides.csv").write_bytes(b"\xff\xfe\x00slide")
    for path in (tmp_path / "slides.csv", tmp_path / "missing.csv"):
        with pytest.raises(ConfigError, match=path.name):
            read_slides_csv(path)
