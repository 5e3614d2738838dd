"""What a model saw of the cells it is evaluated on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classifiers.evaluation import EvaluationError
from classifiers.evaluation.leaks import find_leak, read_split, rows_of_part
from classifiers.splits import Split, write_split
from smearscan.testing.evaluations import make_card, make_samples

GROUPS = ["A", "A", "B", "B", "C", "C", "D", "D"]
PARTS = [0, 0, 0, 3, 1, 2, 3, 3]  # B is parted: one cell trained on, one tested


def write(folder: Path, parts: list[int] = PARTS, groups: list[str] = GROUPS, joined: tuple[str, ...] = ()) -> Path:
    samples = make_samples([0, 1] * 4, groups)
    samples = replace(samples, groups=tuple("+".join(joined) if group in joined else group for group in groups))
    (folder / "training").mkdir(parents=True)
    write_split(folder / "training" / "split.csv", samples, Split("given", np.asarray(parts, np.int8), True))
    return folder


def test_trained_chosen_and_related_cells_are_counted_and_said(tmp_path: Path) -> None:
    leak = find_leak(read_split(write(tmp_path / "m")), make_card(), make_samples([0, 1] * 4, GROUPS), "")
    assert leak.trained == (True, True, True, False, False, False, False, False)
    assert leak.related == (False, False, False, True, False, False, False, False)
    assert leak.chosen == (False, False, False, False, True, True, False, False)
    assert leak.leaky
    assert leak.sentences == (
        "leaky: 3 of these 8 cells were trained on.",
        "leaky: 1 of these 8 cells are of subjects that were trained on.",
        "2 of these 8 cells chose the epoch, the temperature or the threshold.",
    )


def test_a_clean_part_is_clean(tmp_path: Path) -> None:
    split = read_split(write(tmp_path / "m"))
    samples = make_samples([0, 1] * 4, GROUPS)
    assert rows_of_part(split, samples, "test", "m") == [3, 6, 7]
    leak = find_leak(split, make_card(), samples.take([6, 7]), "")
    assert not leak.leaky
    assert leak.sentences == ("None of these cells was trained on, nor any other of their subjects.",)


def test_another_set_with_the_same_names_of_files_and_subjects_is_told_by_its_groups(tmp_path: Path) -> None:
    """0.png of another laboratory is another cell; a group of the same name proves nothing unless a cell or the digest does."""
    split = read_split(write(tmp_path / "m"))
    elsewhere = make_samples([0, 1] * 4, ["X", "X", "Y", "Y", "A", "A", "Z", "Z"])
    assert not find_leak(split, make_card(), elsewhere, "").leaky
    same = find_leak(split, replace(make_card(), extra={"data": {"digest": "abc"}}), elsewhere, "abc")
    assert same.same_data
    assert same.related == (False,) * 4 + (True, True) + (False,) * 2


def test_subjects_that_training_joined_in_one_group_are_known_by_their_own_names(tmp_path: Path) -> None:
    """`train` gives subjects that show the same cell one group of a new name; who evaluates has read the set without it."""
    split = read_split(write(tmp_path / "m", parts=[0, 0, 0, 3, 1, 2, 3, 3], groups=GROUPS, joined=("A", "B")))
    samples = make_samples([0, 1] * 4, GROUPS)
    leak = find_leak(split, make_card(), samples, "")
    assert leak.trained == (True, True, True, False, False, False, False, False)
    assert leak.related == (False, False, False, True, False, False, False, False)
    assert rows_of_part(split, samples, "test", "m") == [3, 6, 7]


def test_without_a_split_nothing_is_known_and_that_is_said(tmp_path: Path) -> None:
    assert read_split(tmp_path) is None
    leak = find_leak(None, make_card(), make_samples([0, 1]), "")
    assert not leak.known
    assert "Not known whether" in leak.sentences[0]
    with pytest.raises(EvaluationError, match=r"has no training/split\.csv"):
        rows_of_part(None, make_samples([0, 1]), "test", "m")


def test_an_ensemble_saw_what_its_members_saw(tmp_path: Path) -> None:
    write(tmp_path / "members" / "0")
    write(tmp_path / "members" / "1", parts=[3, 3, 3, 3, 0, 0, 3, 3])
    split = read_split(tmp_path)
    samples = make_samples([0, 1] * 4, GROUPS)
    assert find_leak(split, make_card(), samples, "").trained == (True, True, True, False, True, True, False, False)
    assert rows_of_part(split, samples, "test", "m") == [3, 6, 7], "in the test part of every member"


def test_boxes_of_one_picture_are_told_apart(tmp_path: Path) -> None:
    boxes = np.array([[0, 0, 10, 10], [10, 0, 20, 10], [20, 0, 30, 10]], np.int32)
    samples = replace(make_samples([0, 1, 1], ["A", "A", "A"]), files=("field.png",) * 3, boxes=boxes)
    (tmp_path / "training").mkdir()
    write_split(tmp_path / "training" / "split.csv", samples, Split("given", np.array([0, 3, 3], np.int8), True))
    leak = find_leak(read_split(tmp_path), make_card(), samples, "")
    assert leak.trained == (True, False, False)
    assert leak.related == (False, True, True)


def test_an_empty_part_says_what_there_is(tmp_path: Path) -> None:
    split = read_split(write(tmp_path / "m", parts=[0, 0, 0, 0, 1, 1, 1, 1]))
    with pytest.raises(EvaluationError, match=r"None of these 8 cells is in the test part of m, whose split has 4 train, 4 validation"):
        rows_of_part(split, make_samples([0, 1] * 4, GROUPS), "test", "m")


@pytest.mark.parametrize(
    ("content", "said"),
    [("file,part\na,train\n", "lacks the column 'group'"), ("file,group,part,left,top,right,bottom\na,b,test,x,1,1,1\n", "no four whole")],
)
def test_a_broken_split_is_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "split.csv").write_text(content)
    with pytest.raises(EvaluationError, match=said):
        read_split(tmp_path)
