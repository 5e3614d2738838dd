"""The split: look-alikes on one side, the same shares of every source, the same for the same seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from detectors.training import NotTrainable, read_labels, read_split, split_pictures
from detectors.training.lookalikes import group_lookalikes
from detectors.training.splitting import PARTS

Make = Callable[..., Path]


def add_copy(folder: Path, number: int, change: str) -> None:
    """Write field 0 once more, turned, mirrored, brightened, or shifted by a few pixels."""
    picture = cv2.imread(str(folder / "images" / "000.png"))
    assert picture is not None
    copies = {
        "turned": np.rot90(picture, 3),
        "mirrored": picture[:, ::-1],
        "brighter": np.clip(picture.astype(float) * 1.1 - 5, 0, 255).astype(np.uint8),
        "smaller": cv2.resize(picture, (120, 120), interpolation=cv2.INTER_AREA),
        "shifted": np.pad(picture, ((3, 0), (2, 0), (0, 0)), mode="edge")[:160, :160],
    }
    quality = [cv2.IMWRITE_JPEG_QUALITY, 70]
    cv2.imwrite(str(folder / "images" / f"{number:03}.jpg"), np.ascontiguousarray(copies[change]), quality)
    (folder / "labels" / f"{number:03}.txt").write_text("")


@pytest.mark.parametrize("change", ["turned", "mirrored", "brighter", "smaller", "shifted"])
def test_a_changed_copy_is_known_for_the_same_field(tmp_path: Path, make_fields: Make, change: str) -> None:
    folder = make_fields(tmp_path / "drawn", 6)
    add_copy(folder, 6, change)
    groups = group_lookalikes(read_labels(folder))
    assert groups[0] == groups[6]
    assert len(set(groups)) == 6, "the other fields are each their own"


def test_the_same_cell_in_another_field_is_known(tmp_path: Path, make_fields: Make) -> None:
    folder = make_fields(tmp_path / "drawn", 4)
    pictures = read_labels(folder)
    left, top, right, bottom = pictures[0].cells[0].round().astype(int)
    first, second = (cv2.imread(str(folder / "images" / f"{number:03}.png")) for number in (0, 1))
    assert first is not None and second is not None
    x, y = pictures[1].cells[0, :2].round().astype(int)
    second[y : y + bottom - top, x : x + right - left] = np.rot90(first[top:bottom, left:right])
    cv2.imwrite(str(folder / "images" / "001.png"), second)
    groups = group_lookalikes(read_labels(folder))
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3


def test_copies_never_lie_on_two_sides(tmp_path: Path, make_fields: Make) -> None:
    folder = make_fields(tmp_path / "drawn", 20)
    for number, change in enumerate(("turned", "mirrored", "brighter", "shifted"), start=20):
        add_copy(folder, number, change)
    pictures = read_labels(folder)
    for seed in range(5):
        split = split_pictures(pictures, seed)
        sides = [part for part in PARTS for each in split.part(part) if each.name[-7:-4] in {"000", "020", "021", "022", "023"}]
        assert len(sides) == 5 and len(set(sides)) == 1


def test_every_source_has_its_share(tmp_path: Path, make_fields: Make) -> None:
    pictures = read_labels(make_fields(tmp_path / "one", 20)) + read_labels(make_fields(tmp_path / "two", 40, seed=1))
    split = split_pictures(pictures, 3)
    counts = {part: Counter(each.source for each in split.part(part)) for part in PARTS}
    assert counts["train"] == {"one 160x160": 14, "two 160x160": 28}
    assert counts["validation"] == counts["test"] == {"one 160x160": 3, "two 160x160": 6}
    assert split == split_pictures(pictures[::-1], 3), "the order of the pictures does not matter"
    assert split.test != split_pictures(pictures, 4).test


def test_a_split_is_read_back_as_it_was_written(tmp_path: Path, make_fields: Make) -> None:
    pictures = read_labels(make_fields(tmp_path / "drawn", 9))
    split = split_pictures(pictures, 1)
    split.write(tmp_path / "split.csv")
    again = read_split(tmp_path / "split.csv", pictures)
    assert all(again.part(part) == split.part(part) for part in PARTS)
    with pytest.raises(NotTrainable, match="does not say where other/"):
        read_split(tmp_path / "split.csv", [*pictures, *read_labels(make_fields(tmp_path / "other", 3))])
    one, other = split.train[0].name, split.test[0].name
    rows = [line.split(",") for line in (tmp_path / "split.csv").read_text().splitlines()]
    group = next(row[3] for row in rows if row[0] == one)
    torn = [[*row[:3], group if row[0] == other else row[3], *row[4:]] for row in rows]
    (tmp_path / "torn.csv").write_text("\n".join(map(",".join, torn)) + "\n")
    with pytest.raises(NotTrainable, match="in two parts"):
        read_split(tmp_path / "torn.csv", pictures)


def test_too_few_pictures_are_refused(tmp_path: Path, make_fields: Make) -> None:
    with pytest.raises(NotTrainable, match="too few"):
        split_pictures(read_labels(make_fields(tmp_path / "drawn", 2)))


@pytest.mark.data
@pytest.mark.slow
def test_the_public_sets_hold_few_copies_and_none_on_two_sides(data_folder: Path) -> None:
    pictures = read_labels(data_folder / "bccd") + read_labels(data_folder / "txl_pbc", names=("WBC", "RBC", "platelet"))
    assert len(pictures) == 1278
    split = split_pictures(pictures)
    assert sum(len(split.part(part)) for part in PARTS) == 1278
    same = {"BloodImage_00037", "BloodImage_00038"}  # one field, taken twice
    sides = {part for part in PARTS for each in split.part(part) if each.path.stem in same}
    assert len(sides) == 1
    assert 1250 < len(set(split.groups.values())) < 1278
