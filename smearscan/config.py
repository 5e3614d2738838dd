"""What a run is asked to do: one frozen record, read from TOML and from the command line.

A field, its TOML key and its flag are spelled alike: `window_size` is `--window-size`. Fields marked as
science change what is counted; a slide scanned with other values of them is scanned again.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from smearscan.errors import ConfigError

WINDOW_PRESETS = {"112/56": ("112", "56"), "112/50": ("112", "50")}  # as the paper writes, and as its table counts
PLAUSIBLE_MPP = (0.02, 2.0)  # from a 100x oil objective with a tiny camera pixel to a 5x objective
LENGTH = re.compile(r"(?P<number>\d+(\.\d+)?) ?(?P<unit>um|µm|μm|px)?")
DURATION = re.compile(r"(?P<number>\d+(\.\d+)?) ?(?P<unit>s|m|h)?")
CLOCK = re.compile(r"([01]?\d|2[0-3]):[0-5]\d")
SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
# What is taken where none is named. Change it here; help texts, errors and the README's commands follow from it.
DEFAULT_CLASSIFIER = "blast-or-other"  # a name in classifiers/bundled/
DEFAULT_DETECTOR = "white-cells"  # a name in detectors/bundled/, used with proposals = "yolo" only
DEFAULT_PROPOSALS = "yolo"
MODEL = "NAME|FOLDER"  # how a setting is shown that names a model or gives its place


def _setting(default: Any, help_text: str, *, science: bool = False, choices: tuple[str, ...] = (), metavar: str = "") -> Any:
    return field(default=default, metadata={"help": help_text, "science": science, "choices": choices, "metavar": metavar})


@dataclass(frozen=True)
class ScanConfig:
    """Every choice of `smearscan run`; the help texts are the fields' documentation."""

    proposals: str = _setting(DEFAULT_PROPOSALS, "What proposes cells: nuclei, window, yolo, or an installed plug-in's name.", science=True)
    window_size: str | None = _setting(
        None, "Side of the sliding window, as 112 (px) or 28um. [default: 112]", science=True, metavar="LENGTH"
    )
    window_step: str | None = _setting(
        None, "Step of the sliding window, as 56 (px) or 14um. [default: 56]", science=True, metavar="LENGTH"
    )
    window_preset: str | None = _setting(
        None,
        "Size and step at once: as the sliding-window paper writes them, or as its table of 57,914 windows counts them.",
        science=True,
        choices=tuple(WINDOW_PRESETS),
    )
    detector: str = _setting(DEFAULT_DETECTOR, "The yolo detector: a name or a model folder.", science=True, metavar=MODEL)
    trust_weights: bool = _setting(False, "Allow a .pt file as --detector, which can run any code on loading.")
    confidence: float | None = _setting(
        None, "Proposals that the yolo detector scores lower are left out, instead of the card's confidence.", science=True
    )
    nms_iou: float | None = _setting(
        None, "Overlap (IoU) above which the yolo detector takes two boxes for one cell, instead of the card's.", science=True
    )
    classifier: str = _setting(DEFAULT_CLASSIFIER, "What calls the cells: a name or a model folder.", science=True, metavar=MODEL)
    threshold: float | None = _setting(None, "Call a cell blast from this probability on, instead of the card's threshold.", science=True)
    gate: bool = _setting(
        True, "Leave out glass, thick and blurred parts and parts without nuclei; --no-gate looks at everything.", science=True
    )
    verdicts: tuple[float, ...] = _setting(
        (0.01, 0.05, 0.10, 0.20), "Fractions that each slide is compared with, separated by commas.", science=True, metavar="LIST"
    )
    overlays: int = _setting(50, "Cells of each slide to show with a heat map: the highest scores, and a sample of the rest.", science=True)
    cam: str = _setting("gradcam++", "How heat maps are made, as gradcam++ or scorecam; none leaves them out.", science=True)
    mpp: float | None = _setting(None, "Microns per pixel of slides that do not say it themselves.", science=True)
    scale_from_red_cells: bool = _setting(
        True,
        "Take the scale of slides that do not say it from the size of their red cells, and compare what the others say with it.",
        science=True,
    )
    slides_csv: Path | None = _setting(None, "A table with the columns slide, specimen and mpp (the last two optional).", metavar="FILE")
    device: str = _setting("auto", "Where the models run: auto, cpu, cuda, cuda:0,1 or mps.")
    batch_size: str = _setting("auto", "Crops scored at once: auto or a number.", metavar="auto|N")
    precision: str = _setting(
        "auto", "Arithmetic of the models: auto is mixed where the device gains from it.", choices=("auto", "fp32", "mixed")
    )
    workers: int | None = _setting(None, "Processes that read slides and propose cells. [default: the cores this process may use]")
    tile_size: int = _setting(4096, "Side of what is read at once, in pixels.")
    slide_timeout: str = _setting("4h", "Give a slide up after so much time in work, as 90s, 30m or 2h.", metavar="TIME")
    stop_at: str | None = _setting(None, "Stop at this time of day; the same command goes on where it stopped.", metavar="HH:MM")
    overwrite: bool = _setting(False, "Scan every slide again, whatever the report folder holds.")

    def __post_init__(self) -> None:
        _check_range("threshold", self.threshold, 0, 1)
        _check_range("confidence", self.confidence, 0, 1)
        _check_range("nms_iou", self.nms_iou, 0, 1)
        low, high = PLAUSIBLE_MPP
        if self.mpp is not None and not low <= self.mpp <= high:  # also catches nan
            raise ConfigError(f"mpp = {self.mpp:g} must lie between {low:g} and {high:g} um per pixel.")
        for value in self.verdicts:
            _check_range("verdicts", value, 0, 1)
        if not self.verdicts or list(self.verdicts) != sorted(set(self.verdicts)):
            raise ConfigError(f"verdicts = {list(self.verdicts)} must be rising fractions, as 0.05,0.2.")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers = {self.workers} must be at least 1.")
        if self.overlays < 0:
            raise ConfigError(f"overlays = {self.overlays} must be 0 or more.")
        if self.tile_size < 256:
            raise ConfigError(f"tile_size = {self.tile_size} must be at least 256.")
        if self.batch_size != "auto" and not (self.batch_size.isdecimal() and int(self.batch_size) > 0):
            raise ConfigError(f"batch_size = {self.batch_size!r} must be auto or a number from 1 on.")
        for name in ("precision", "window_preset"):
            choices = _fields()[name].metadata["choices"]
            if getattr(self, name) is not None and getattr(self, name) not in choices:
                raise ConfigError(f"{name} = {getattr(self, name)!r} must be one of {', '.join(choices)}.")
        if self.window_preset and (self.window_size or self.window_step):
            raise ConfigError("window_preset gives both size and step: leave window_size and window_step out, or the preset.")
        if self.stop_at is not None and not CLOCK.fullmatch(self.stop_at):
            raise ConfigError(f"stop_at = {self.stop_at!r} is no time of day: write it as 06:30.")
        _ = self.slide_timeout_seconds
        self.window_px(0.25)

    @property
    def slide_timeout_seconds(self) -> float:
        """The time a slide may take."""
        found = DURATION.fullmatch(self.slide_timeout.strip())
        if not found or float(found["number"]) <= 0:
            raise ConfigError(f"slide_timeout = {self.slide_timeout!r} is no time: write it as 90s, 30m or 2h.")
        return float(found["number"]) * SECONDS[found["unit"] or "s"]

    def window_px(self, mpp: float | None) -> tuple[int, int]:
        """Return the window's size and step in level-0 pixels of a slide of that scale."""
        preset = WINDOW_PRESETS[self.window_preset or "112/56"]
        size = _length_px("window_size", self.window_size or preset[0], mpp)
        step = _length_px("window_step", self.window_step or preset[1], mpp)
        if size < 8 or not 1 <= step <= size:
            raise ConfigError(f"A window of {size} px with a step of {step} px makes no sense: step <= size, and size at least 8 px.")
        return size, step

    def needs_scale(self) -> bool:
        """Whether a window is given in micrometres, so that a slide must say its scale."""
        return self.proposals == "window" and any("m" in (value or "") for value in (self.window_size, self.window_step))

    def science(self) -> dict[str, object]:
        """Return the fields that change what is counted, as JSON values."""
        return {name: _plain(getattr(self, name)) for name, each in _fields().items() if each.metadata["science"]}

    def settings(self) -> dict[str, object]:
        """Return every field as a JSON value."""
        return {name: _plain(getattr(self, name)) for name in _fields()}


def load_config(path: Path | None, flags: Mapping[str, object]) -> ScanConfig:
    """Merge a TOML file with the flags that were given; flags win. Paths in the file, also of models, are relative to it."""
    values: dict[str, object] = {}
    if path is not None:
        values = _read_toml(path)
    values |= flags
    return ScanConfig(**values)  # type: ignore[arg-type]  # _read_toml and click checked the types


def _read_toml(path: Path) -> dict[str, object]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML file: {error}.") from error
    hints = get_type_hints(ScanConfig)
    values: dict[str, object] = {}
    for name, value in table.items():
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            raise ConfigError(f"{path}: there is no setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else "."))
        values[name] = _convert(f"{path}: {name}", value, hints[name], path.parent)
        if SETTINGS[name].metadata["metavar"] == MODEL:
            values[name] = _place_model(str(values[name]), path.parent)
    return values


def _place_model(named: str, folder: Path) -> str:
    """Return a model as the command line would name it: one that a TOML file in `folder` gives by its place lies there."""
    is_place = "/" in named or "\\" in named or (folder / named).exists()
    return str(folder / named) if is_place else named


def _convert(where: str, value: object, hint: Any, folder: Path) -> object:
    wanted = str(hint)
    if hint is bool:
        right = isinstance(value, bool)
    elif "Path" in wanted:
        right = isinstance(value, str)
        value = folder / value if isinstance(value, str) else value
    elif "tuple" in wanted:
        right = isinstance(value, list) and all(_is_number(each) for each in value)
        value = tuple(float(each) for each in value) if right else value  # type: ignore[attr-defined]
    elif "float" in wanted:
        right = _is_number(value)
        value = float(value) if right else value  # type: ignore[arg-type]  # as the command line reads it
    elif "int" in wanted:
        right = isinstance(value, int) and not isinstance(value, bool)
    else:  # text; a bare number such as `window_size = 112` is text on the command line as well
        right = isinstance(value, str) or _is_number(value)
        value = str(value) if right else value
    if not right:
        raise ConfigError(f"{where} = {value!r} has the wrong type; see `smearscan run --help`.")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not (math.isfinite(value) and low < value < high):
        raise ConfigError(f"{name} = {value} must lie above {low:g} and below {high:g}.")


def _length_px(name: str, text: str, mpp: float | None) -> int:
    found = LENGTH.fullmatch(text.strip())
    if not found:
        raise ConfigError(f"{name} = {text!r} is no length: write it as 112 (pixels) or 28um.")
    if found["unit"] in (None, "px"):
        if "." in found["number"]:
            raise ConfigError(f"{name} = {text!r}: a length in pixels is a whole number.")
        return int(found["number"])
    if mpp is None:
        raise ConfigError(f"{name} = {text!r} needs a scale: give --mpp, or the length in pixels.")
    return round(float(found["number"]) / mpp)


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _fields() -> dict[str, dataclasses.Field[Any]]:
    return {each.name: each for each in dataclasses.fields(ScanConfig)}


SETTINGS: Mapping[str, dataclasses.Field[Any]] = _fields()
