"""What cells truly are, from tables of every form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smearscan.errors import ConfigError
from smearscan.labels import read_labels

BOXES = np.array([[0.0, 0, 20, 20], [100, 100, 140, 140], [300, 300, 320, 320]])
IDS = ("x000010y000010", "x000120y000120", "x000310y000310")


def table(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_by_id_and_slide(tmp_path: Path) -> None:
    labels = read_labels(table(tmp_path, f"slide,cell,label\na.tif,{IDS[0]},blast\nb.tif,{IDS[1]},other\n"))
    assert labels.of_cells("a.tif", IDS, BOXES) == ("blast", "", "")
    assert labels.of_cells("b.tif", IDS, BOXES) == ("", "other", "")


def test_without_a_slide_a_label_is_for_any(tmp_path: Path) -> None:
    labels = read_labels(table(tmp_path, f"cell,class\n{IDS[1]},blast\n"))
    assert labels.of_cells("any.tif", IDS, BOXES)[1] == "blast"


def test_by_place_within_half_a_diameter_or_within_the_cell(tmp_path: Path) -> None:
    given = read_labels(table(tmp_path, "x,y,diameter,class\n13,10,20,blast\n120,135,20,other\n"))
    assert given.of_cells("a.tif", IDS, BOXES) == ("blast", "", ""), "15 px away is more than half of 20"
    bare = read_labels(table(tmp_path, "slide,x,y,class\na.tif,13,10,blast\na.tif,120,135,other\n"))
    assert bare.of_cells("a.tif", IDS, BOXES) == ("blast", "other", ""), "15 px away is within a cell of 40"
    assert bare.of_cells("b.tif", IDS, BOXES) == ("", "", "")


def test_a_folder_of_truth_tables_is_searched_by_the_slides_key(tmp_path: Path) -> None:
    table(tmp_path, "x,y,diameter,class\n10,10,20,blast\n", "case1/blood.truth.csv")
    labels = read_labels(tmp_path)
    assert labels.of_cells("case1/blood.tif", IDS, BOXES)[0] == "blast"
    assert labels.of_cells("case2/blood.tif", IDS, BOXES)[0] == ""
    assert labels.of_cells("case1/blood.tif", (), BOXES[:0]) == ()


def test_of_pictures(tmp_path: Path) -> None:
    labels = read_labels(table(tmp_path, "file,label\nblast/1.png,blast\n2.png,other\n"))
    assert [labels.of_file(name) for name in ("blast/1.png", "deep/2.png", "3.png")] == ["blast", "other", ""]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "it has a, b"),
        ("x,y,class\none,2,blast\n", "line 2"),
        ("x,y,class\nnan,2,blast\n", "no place"),
        ("", "it has none"),
        ("label\nblast\n", "it has label"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        read_labels(table(tmp_path, text))


def test_a_folder_without_truth_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no"):
        read_labels(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_labels(tmp_path / "gone.csv")
