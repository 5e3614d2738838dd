"""A laboratory's own cells: folders of classes and CSVs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from classifiers.datasets import DatasetError, load

Put = Callable[..., Path]
Draw = Callable[..., np.ndarray]


def test_folders_with_subjects_in_the_names(ward: Path) -> None:
    samples = load(ward, subject_pattern=r"^(\d+)_")
    assert samples.classes == ("normal", "lymphoblast"), "the positive class second, though its folder comes first"
    assert samples.roles == {"normal": "other", "lymphoblast": "blast"}
    assert samples.positive_class == "lymphoblast"
    assert len(samples) == 40
    assert set(samples.subjects) == {str(number) for number in range(8)}
    assert samples.groups == samples.subjects


def test_folders_without_subjects_are_groups_of_one(ward: Path) -> None:
    samples = load(ward)
    assert set(samples.subjects) == {""}
    assert len(set(samples.groups)) == 40


def test_folders_of_subjects_and_parts(tmp_path: Path, put: Put, draw: Draw) -> None:
    for part in ("train", "test"):
        for name in ("blasts", "normal"):
            put(tmp_path / part / name / f"{part}-{name}" / "1.png", draw(1, 40))
    samples = load(tmp_path, subject_folders="true")
    assert samples.parts == ("test", "test", "train", "train")
    assert samples.subjects == ("test-blasts", "test-normal", "train-blasts", "train-normal")
    assert samples.classes == ("normal", "blasts")


def test_hidden_files_are_no_pictures(ward: Path) -> None:
    (ward / "normal" / "._0_0.png").write_bytes(b"resource fork")
    (ward / "__MACOSX").mkdir()
    assert len(load(ward)) == 40


def test_a_name_that_says_no_role_needs_one(tmp_path: Path, put: Put, draw: Draw) -> None:
    put(tmp_path / "L2" / "1.png", draw(1, 40))
    put(tmp_path / "normal" / "1.png", draw(2, 40))
    with pytest.raises(DatasetError, match=r"nothing says whether the class 'L2' counts as a blast.*--role \"L2=blast\""):
        load(tmp_path)
    assert load(tmp_path, roles={"L2": "blast"}).classes == ("normal", "L2")
    with pytest.raises(DatasetError, match="The role of 'L2' must be one of blast, other, excluded, not 'bad'"):
        load(tmp_path, roles={"L2": "bad"})
    with pytest.raises(DatasetError, match=r"has no class 'L3' to give a role to\. Its classes: L2, normal"):
        load(tmp_path, roles={"L3": "blast"})
    with pytest.raises(DatasetError, match="needs a class of role 'blast' and one of role 'other'"):
        load(tmp_path, roles={"L2": "other"})


def test_of_several_blasts_one_is_positive(tmp_path: Path, put: Put, draw: Draw) -> None:
    for name in ("myeloblast", "monoblast", "normal", "smudge"):
        put(tmp_path / name / "1.png", draw(1, 40))
    with pytest.raises(DatasetError, match="several classes of blasts: monoblast, myeloblast"):
        load(tmp_path)
    samples = load(tmp_path, positive="myeloblast")
    assert samples.classes == ("normal", "smudge", "monoblast", "myeloblast")
    assert samples.roles["smudge"] == "excluded"
    assert samples.positive_class == "myeloblast"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(", "is no regular expression"), (r"^\d+_", "has no group"), (r"^([a-z]+)_", "the subject is not found in '1_0.png'")],
)
def test_patterns_that_do_not_fit(ward: Path, pattern: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load(ward, subject_pattern=pattern)


def test_a_csv(ward: Path) -> None:
    table = ward / "cells.csv"
    table.write_text(
        "file,label,subject,split,left,top,right,bottom,role\n"
        "normal/0_0.png,N,s1,train,0,0,40,40,other\nnormal/0_0.png,B,s2,test,40,40,80,90,blast\nlymphoblast/1_0.png,B,,test,0,0,20,20,\n"
    )
    for path in (table, ward):
        samples = load(path)
        assert samples.classes == ("N", "B")
        assert samples.parts == ("train", "test", "test")
        assert samples.groups == ("s1", "s2", "lymphoblast/1_0.png")
        assert samples.read(1).shape == (50, 40, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,subject\na.png,1\n", "is no table of cells"),
        ("file,label\n", "lists no cell"),
        ("file,label\na.png,\n", "line 2 lacks a file or a label"),
        ("file,label,left,top,right,bottom\na.png,normal,1,2,3,4\nb.png,blast,,,,\n", "line 3: left, top, right, bottom must be whole"),
        ("file,label,left,top,right,bottom\na.png,normal,1,2,1,4\nb.png,blast,1,2,3,4\n", "line 2: the box .* is empty"),
        ("file,label,role\na.png,x,blast\nb.png,x,other\n", "line 3: the label 'x' has the role 'other' here and 'blast' above"),
    ],
)
def test_faults_of_a_csv_are_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "cells.csv").write_text(content)
    with pytest.raises(DatasetError, match=message):
        load(tmp_path / "cells.csv", "csv")


def test_a_box_of_a_field_can_be_changed_without_changing_the_next(ward: Path) -> None:
    (ward / "cells.csv").write_text("file,label,left,top,right,bottom\nnormal/0_0.png,normal,0,0,40,40\nnormal/0_0.png,blast,0,0,40,40\n")
    samples = load(ward, "csv")
    first = samples.read(0)
    before = first.copy()
    first[:] = 0
    assert np.array_equal(samples.read(1), before)
