"""The formats that public sets of boxed cells come in: Pascal VOC, YOLO, COCO, and the centres of ALL-IDB1."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image, UnidentifiedImageError

from detectors.boxes import as_boxes
from detectors.training.errors import NotTrainable
from detectors.training.labels import PICTURES, LabelSettings, RawLabels, Reader

SIDES = ("xmin", "ymin", "xmax", "ymax")
NAME_FILES = ("data.yaml", "data.yml", "classes.txt", "obj.names")


@dataclass(frozen=True)
class Kind:
    """One format: how to know it, and how to read it."""

    looked_for: str
    recognise: Callable[[Path], bool]
    read: Reader


def recognise(folder: Path) -> str:
    """Return the kind of labels that a folder holds."""
    found = [name for name, kind in KINDS.items() if kind.recognise(folder)]
    if len(found) == 1:
        return found[0]
    if found:
        raise NotTrainable(f"{folder} may be {' or '.join(found)}: say which (kind=...).")
    looked = "; ".join(f"{name}: {kind.looked_for}" for name, kind in KINDS.items())
    raise NotTrainable(f"{folder} holds no boxes in a format that is known here. Looked for {looked}.")


def read_voc(settings: LabelSettings) -> list[RawLabels]:
    """Read Pascal VOC: one XML file a picture, beside it or in another folder."""
    pictures = _pictures_by_stem(settings.folder)
    found = []
    for path in sorted(settings.folder.rglob("*.xml")):
        try:
            root = ElementTree.parse(path).getroot()
        except (ElementTree.ParseError, OSError) as error:
            raise NotTrainable(f"{path} is no readable XML: {error}") from error
        if root.tag != "annotation":
            continue
        picture = _picture_of(path, pictures)
        objects = list(root.iter("object"))
        rows = [[_number(each.findtext(f"bndbox/{side}"), path) for side in SIDES] for each in objects]
        found.append(RawLabels(picture, *_size_of(picture), as_boxes(rows), tuple(each.findtext("name", "") for each in objects)))
    return found


def read_yolo(settings: LabelSettings) -> list[RawLabels]:
    """Read YOLO: one text file a picture, a line a box: class number, then middle and size as shares of the picture."""
    pictures = _pictures_by_stem(settings.folder)
    paths = _yolo_files(settings.folder)
    tables = {path: _yolo_table(path) for path in paths}
    numbers = sorted({int(row[0]) for table in tables.values() for row in table})
    names = list(settings.names) or _names_beside(settings.folder)
    if numbers and len(names) <= numbers[-1]:
        raise NotTrainable(
            f"{settings.folder} numbers its classes up to {numbers[-1]} and names {len(names)} of them. Say their names in order "
            "(names=WBC,RBC,platelet)."
        )
    found = []
    for path, table in tables.items():
        picture = _picture_of(path, pictures)
        width, height = _size_of(picture)
        middle, half = table[:, 1:3], table[:, 3:5] / 2
        boxes = as_boxes(np.hstack([middle - half, middle + half]) * [width, height, width, height])
        found.append(RawLabels(picture, width, height, boxes, tuple(names[int(row[0])] for row in table)))
    return found


def read_coco(settings: LabelSettings) -> list[RawLabels]:
    """Read COCO: JSON files with `images`, `annotations` and `categories`; pictures lie anywhere below the folder."""
    pictures = {path.name: path for path in _pictures(settings.folder)}
    found = []
    for path in _coco_files(settings.folder):
        content = _read_json(path)
        names = {each["id"]: str(each["name"]) for each in content["categories"]}
        boxes: dict[Any, list[tuple[list[float], str]]] = {each["id"]: [] for each in content["images"]}
        for each in content["annotations"]:
            if each["image_id"] not in boxes or each["category_id"] not in names:
                raise NotTrainable(f"{path}: annotation {each.get('id')} names an image or a category that is not listed.")
            left, top, width, height = (float(side) for side in each["bbox"])
            boxes[each["image_id"]].append(([left, top, left + width, top + height], names[each["category_id"]]))
        for image in content["images"]:
            picture = pictures.get(Path(str(image["file_name"])).name)
            if picture is None:
                raise NotTrainable(f"{path} names the picture {image['file_name']}, which is not below {settings.folder}.")
            rows = boxes[image["id"]]
            found.append(RawLabels(picture, *_size_of(picture), as_boxes([box for box, _ in rows]), tuple(name for _, name in rows)))
    return found


def read_centres(settings: LabelSettings) -> list[RawLabels]:
    """Read the centres of ALL-IDB1 as square boxes of one diameter.

    Only lymphoblasts are marked there. In a picture of a patient (ImNNN_1) the other white cells have no centre, so that a
    detector learns to leave them out; what a healthy picture's file marks is no cell of this kind and is left out here.
    """
    if settings.diameter_px is None or settings.diameter_px <= 0:
        raise NotTrainable(f"{settings.folder} gives the centres of cells: say how wide they are, in pixels (diameter_px=...).")
    pictures = _pictures_by_stem(settings.folder)
    found = []
    for path in sorted(settings.folder.rglob("*.xyc")):
        picture = _picture_of(path, pictures)
        centres = np.array(
            [[_number(each, path) for each in line.split()] for line in path.read_text("utf-8").splitlines() if line.split()]
        )
        centres = centres.reshape(-1, 2) if not picture.stem.endswith("_0") else np.zeros((0, 2))
        half = settings.diameter_px / 2
        boxes = as_boxes(np.hstack([centres - half, centres + half]))
        found.append(RawLabels(picture, *_size_of(picture), boxes, ("white cell",) * len(boxes)))
    return found


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)


def _pictures_by_stem(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in _pictures(folder):
        found.setdefault(path.stem, []).append(path)
    return found


def _picture_of(labels: Path, pictures: Mapping[str, list[Path]]) -> Path:
    """Return the picture of the same name, the one in the nearest folder where there are several (train/, test/)."""
    candidates = pictures.get(labels.stem, [])
    if not candidates:
        raise NotTrainable(f"{labels} has no picture of the same name beside it.")
    shared = [len(_shared_parts(labels, each)) for each in candidates]
    nearest = [each for each, count in zip(candidates, shared, strict=True) if count == max(shared)]
    if len(nearest) > 1:
        raise NotTrainable(f"{labels} may belong to {' or '.join(str(each) for each in nearest)}: give pictures different names.")
    return nearest[0]


def _shared_parts(one: Path, other: Path) -> list[str]:
    pairs = zip(one.parts, other.parts, strict=False)
    shared = []
    for first, second in pairs:
        if first != second:
            break
        shared.append(first)
    return shared


def _size_of(path: Path) -> tuple[int, int]:
    """Return width and height from the picture itself: what labels say of it is often wrong."""
    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, UnidentifiedImageError) as error:
        raise NotTrainable(f"{path} cannot be read as a picture.") from error


def _number(text: str | None, path: Path) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise NotTrainable(f"{path}: {text!r} is no number.") from None


def _yolo_files(folder: Path) -> list[Path]:
    stems = {path.stem for path in _pictures(folder)}
    return [path for path in sorted(folder.rglob("*.txt")) if path.stem in stems and path.name not in NAME_FILES]


def _yolo_table(path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    rows = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
    if any(len(row) != 5 for row in rows):
        raise NotTrainable(f"{path}: a line must hold a class number and four shares.")
    table = np.array([[_number(each, path) for each in row] for row in rows]).reshape(-1, 5)
    if (table[:, 0] < 0).any() or (table[:, 0] % 1 != 0).any() or (table[:, 1:] < 0).any() or (table[:, 1:] > 1).any():
        raise NotTrainable(f"{path}: class numbers must be whole, and places shares of the picture between 0 and 1.")
    return table


def _names_beside(folder: Path) -> list[str]:
    """Return the class names that a file beside the labels gives, if there is one."""
    import yaml

    for path in (folder / name for name in NAME_FILES):
        if not path.is_file():
            continue
        text = path.read_text("utf-8")
        if path.suffix not in {".yaml", ".yml"}:
            return [line.strip() for line in text.splitlines() if line.strip()]
        try:
            names = (yaml.safe_load(text) or {}).get("names", [])
        except (yaml.YAMLError, AttributeError) as error:
            raise NotTrainable(f"{path} is no readable description of a data set: {error}") from error
        return [str(names[key]) for key in sorted(names)] if isinstance(names, dict) else [str(each) for each in names]
    return []


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise NotTrainable(f"{path} is no readable JSON: {error}") from error


def _coco_files(folder: Path) -> Iterable[Path]:
    for path in sorted(folder.rglob("*.json")):
        content = _read_json(path)
        if isinstance(content, dict) and {"images", "annotations", "categories"} <= set(content):
            yield path


def _is_voc(folder: Path) -> bool:
    return any("<annotation" in path.read_text("utf-8", errors="replace")[:400] for path in sorted(folder.rglob("*.xml"))[:3])


KINDS: dict[str, Kind] = {
    "voc": Kind("XML files with <annotation>, one a picture", _is_voc, read_voc),
    "yolo": Kind("text files named like pictures", lambda folder: bool(_yolo_files(folder)), read_yolo),
    "coco": Kind("a JSON file with images, annotations and categories", lambda folder: any(True for _ in _coco_files(folder)), read_coco),
    "all-idb1": Kind("files ImNNN_1.xyc", lambda folder: any(folder.rglob("*.xyc")), read_centres),
}
