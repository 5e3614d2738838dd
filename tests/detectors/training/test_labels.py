"""Labelled pictures: every format says the same of the same cells, and what makes no sense is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from detectors.training import NotTrainable, read_labels
from detectors.training.label_formats import recognise
from detectors.training.labels import PictureStore, usual_diameters

WIDTH, HEIGHT = 80, 60
CELL, RED = (10.0, 20.0, 30.0, 50.0), (40.0, 5.0, 60.0, 25.0)


def draw(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((HEIGHT, WIDTH, 3), 230, np.uint8)
    cv2.ellipse(picture, (20, 35), (10, 15), 0, 0, 360, (140, 60, 100), -1)
    cv2.imwrite(str(path), picture)


def voc(folder: Path) -> None:
    draw(folder / "images" / "a.png")
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for name, box in (("WBC", CELL), ("RBC", RED))
    )
    (folder / "annotations").mkdir()
    # The size that the file states is wrong on purpose: it often is.
    (folder / "annotations" / "a.xml").write_text(f"<annotation><size><width>1</width></size>{objects}</annotation>")


def yolo(folder: Path) -> None:
    draw(folder / "images" / "a.png")
    (folder / "labels").mkdir()
    rows = []
    for number, (left, top, right, bottom) in enumerate((CELL, RED)):
        shares = ((left + right) / 2 / WIDTH, (top + bottom) / 2 / HEIGHT, (right - left) / WIDTH, (bottom - top) / HEIGHT)
        rows.append(f"{number} " + " ".join(str(share) for share in shares))
    (folder / "labels" / "a.txt").write_text("\n".join(rows) + "\n")
    (folder / "data.yaml").write_text("names: {0: WBC, 1: RBC}\n")


def coco(folder: Path) -> None:
    draw(folder / "train" / "a.png")
    boxes = [
        {"id": number, "image_id": 7, "category_id": number, "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]]}
        for number, box in ((1, CELL), (2, RED))
    ]
    content = {
        "images": [{"id": 7, "file_name": "train/a.png"}],
        "annotations": boxes,
        "categories": [{"id": 1, "name": "white blood cell"}, {"id": 2, "name": "red"}],
    }
    (folder / "labels.json").write_text(json.dumps(content))


MAKERS = {"voc": voc, "yolo": yolo, "coco": coco}


@pytest.mark.parametrize("kind", MAKERS)
def test_each_format_gives_the_white_cells_alone(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    MAKERS[kind](folder)
    assert recognise(folder) == kind
    (picture,) = read_labels(folder)
    np.testing.assert_allclose(picture.cells, [CELL], atol=1e-6)
    assert (picture.width, picture.height, picture.source) == (WIDTH, HEIGHT, "set 80x60")
    assert picture.name.startswith("set/") and picture.name.endswith("a.png")
    assert picture.read().shape == (HEIGHT, WIDTH, 3)


def test_centres_become_boxes_of_a_stated_diameter(tmp_path: Path) -> None:
    for name, text in (("Im001_1", "20\t35\n75 30\n"), ("Im002_0", "40\t40\n")):
        draw(tmp_path / "im" / f"{name}.jpg")
        (tmp_path / "xyc").mkdir(exist_ok=True)
        (tmp_path / "xyc" / f"{name}.xyc").write_text(text)
    assert recognise(tmp_path) == "all-idb1"
    patient, healthy = read_labels(tmp_path, diameter_px=20)
    assert patient.cells.tolist() == [[10, 25, 30, 45], [65, 20, 80, 40]], "cut to the picture"
    assert len(healthy.cells) == 0
    with pytest.raises(NotTrainable, match="diameter_px"):
        read_labels(tmp_path)


def test_classes_are_chosen_by_name(tmp_path: Path) -> None:
    voc(tmp_path)
    (picture,) = read_labels(tmp_path, cells=["RBC"])
    np.testing.assert_allclose(picture.cells, [RED])
    with pytest.raises(NotTrainable, match="no class monocyte; it has RBC, WBC"):
        read_labels(tmp_path, cells=["monocyte"])


def test_yolo_without_names_asks_for_them(tmp_path: Path) -> None:
    yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(NotTrainable, match=r"numbers its classes up to 1 and names 0"):
        read_labels(tmp_path)
    (picture,) = read_labels(tmp_path, names=["WBC", "RBC"])
    np.testing.assert_allclose(picture.cells, [CELL], atol=1e-6)


def test_a_picture_of_the_same_name_in_another_folder_is_not_mistaken(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        voc(tmp_path / part)
    first, second = read_labels(tmp_path)
    assert [first.name, second.name] == [f"{tmp_path.name}/{part}/images/a.png" for part in ("test", "train")]


def break_line(folder: Path) -> None:
    (folder / "labels" / "a.txt").write_text("0 0.5 0.5 1.5 0.2\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (break_line, "shares of the picture"),
        (lambda folder: (folder / "images" / "a.png").write_bytes(b"no"), "cannot be read as a picture"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, spoil: object, message: str) -> None:
    yolo(tmp_path)
    spoil(tmp_path)  # type: ignore[operator]
    with pytest.raises(NotTrainable, match=message):
        read_labels(tmp_path)


def test_an_xml_without_its_picture_is_named(tmp_path: Path) -> None:
    voc(tmp_path)
    (tmp_path / "images" / "a.png").rename(tmp_path / "images" / "b.png")
    with pytest.raises(NotTrainable, match=r"a\.xml has no picture"):
        read_labels(tmp_path)


def test_a_folder_of_nothing_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(NotTrainable, match=r"Looked for voc.*yolo.*coco.*all-idb1"):
        read_labels(tmp_path)
    with pytest.raises(NotTrainable, match="is no folder"):
        read_labels(tmp_path / "nowhere")
    with pytest.raises(NotTrainable, match="'magic'"):
        read_labels(tmp_path, "magic")


def test_a_source_s_usual_diameter_is_its_median(tmp_path: Path) -> None:
    voc(tmp_path)
    pictures = read_labels(tmp_path)
    assert usual_diameters(pictures) == {pictures[0].source: 25.0}


def test_pictures_are_kept_at_several_sizes_as_far_as_there_is_room(tmp_path: Path) -> None:
    voc(tmp_path)
    (picture,) = read_labels(tmp_path)
    for store in (PictureStore(), PictureStore(most_bytes=0)):
        levels = store.pyramid(picture)
        assert [level.shape[:2] for level in levels] == [(60, 80), (30, 40), (15, 20), (8, 10)]
        assert np.array_equal(levels[0], picture.read())
    assert PictureStore(most_bytes=0).pyramid(picture)[0] is not levels[0]
