"""What must be known of weights before they are used: classes, roles, scale, calibration, where they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Role = Literal["blast", "other", "excluded"]
Activation = Literal["softmax", "sigmoid"]
ROLES: tuple[str, ...] = get_args(Role)


class CardError(ValueError):
    """A card contradicts itself or lacks what it needs."""


@dataclass(frozen=True)
class SubjectCounts:
    """How one subject's cells, never seen in training, were called."""

    subject: str
    role: Role  # what the cells are: "blast" gives sensitivity, "other" gives specificity
    cells: int
    called_blast: int


@dataclass(frozen=True)
class StainReference:
    """The colours that a model knows, to which a slide's are brought before its cells are scored."""

    glass: tuple[float, float, float]  # RGB, 0 to 255
    nucleus: tuple[float, float, float]  # optical density (natural logarithm) of a typical granulocyte's nucleus against that glass, RGB

    def __post_init__(self) -> None:
        for name in ("glass", "nucleus"):
            values = tuple(float(value) for value in getattr(self, name))
            if len(values) != 3 or min(values) <= 0:
                raise CardError(f"The stain's {name} must be three numbers above 0, not {values}.")
            object.__setattr__(self, name, values)


@dataclass(frozen=True)
class ModelCard:
    """The facts that stand beside a classifier's weights in `card.json`.

    Exactly one of `crop_um`, `crop_diameters` or neither says what a crop covers: a fixed field in
    micrometres, so many diameters of the proposed box, or (neither) `crop_px` level-0 pixels, whatever
    they measure.
    """

    name: str
    summary: str  # one line: what it is and what it is not
    classes: tuple[str, ...]  # in the order of the network's outputs; a sigmoid network has two, negative first
    roles: Mapping[str, Role]
    positive_class: str  # whose probability is compared with `threshold`, and which a heat map explains
    activation: Activation
    network: Mapping[str, Any]  # what networks.build needs: {"name": ..., options}
    crop_px: int
    crop_um: float | None = None
    crop_diameters: float | None = None
    stain: StainReference | None = None  # None: crops keep the colours that the slide has
    preparation: tuple[Mapping[str, Any], ...] = ()  # named steps: ({"step": "clahe", ...}, ...)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of RGB in [0, 1]
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    threshold: float = 0.5  # a cell is called blast where P(blast) >= threshold
    temperature: float = 1.0  # logits are divided by it
    cam_layer: str | None = None
    licence: str = ""
    training_data: str = ""
    subjects: tuple[SubjectCounts, ...] = ()
    blank_fractions: tuple[float, ...] = ()  # apparent fractions of negative slides of >= 200 cells, for the limit of blank
    sha256: str = ""  # of weights.safetensors
    extra: Mapping[str, Any] = field(default_factory=dict)  # metrics and the like, shown but not used

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise CardError(f"Card {self.name!r}: classes must be two or more different names, not {list(self.classes)}.")
        if set(self.roles) != set(self.classes) or not set(self.roles.values()) <= set(ROLES):
            raise CardError(f"Card {self.name!r}: every class needs one role of {ROLES}; roles are {dict(self.roles)}.")
        if "blast" not in self.roles.values() or "other" not in self.roles.values():
            raise CardError(f"Card {self.name!r}: no fraction without a class of role 'blast' and one of role 'other'.")
        if self.roles.get(self.positive_class) != "blast":
            raise CardError(f"Card {self.name!r}: positive_class {self.positive_class!r} must be a class of role 'blast'.")
        if self.activation == "sigmoid" and (len(self.classes) != 2 or self.classes[1] != self.positive_class):
            raise CardError(f"Card {self.name!r}: a sigmoid needs two classes with the positive one second.")
        if self.crop_um is not None and self.crop_diameters is not None:
            raise CardError(f"Card {self.name!r}: give crop_um or crop_diameters, not both.")
        if self.stain is not None and self.crop_um is None:
            raise CardError(f"Card {self.name!r}: a stain needs crop_um, for what is a nucleus is told by its size.")
        if self.crop_px < 8 or not 0 < self.threshold < 1 or self.temperature <= 0 or min(self.std) <= 0:
            raise CardError(
                f"Card {self.name!r}: crop_px {self.crop_px} (>= 8), threshold {self.threshold} (0..1), "
                f"temperature {self.temperature} (> 0) or std {self.std} (> 0) is out of range."
            )

    @property
    def mpp(self) -> float | None:
        """Microns per pixel of a crop; None where the card measures in diameters or in pixels."""
        return None if self.crop_um is None else self.crop_um / self.crop_px

    def columns(self, role: Role) -> list[int]:
        """Return the output columns of the classes that have `role`."""
        return [index for index, name in enumerate(self.classes) if self.roles[name] == role]

    def blast_probability(self, probabilities: NDArray[Any]) -> NDArray[np.float64]:
        """Return P(blast) of each row among the classes that count, which is what `threshold` is compared with.

        P(excluded) is divided away: the cell was found not to be one of those. 0 where neither role has any probability.
        """
        rows = np.asarray(probabilities, np.float64)
        blast = rows[:, self.columns("blast")].sum(axis=1)
        counted = blast + rows[:, self.columns("other")].sum(axis=1)
        shares: NDArray[np.float64] = np.divide(blast, counted, out=np.zeros_like(blast), where=counted > 0)
        return shares

    def called(self, probabilities: NDArray[Any], threshold: float | None = None) -> NDArray[np.intp]:
        """Return the column of the class that each row is called; `threshold` replaces the card's.

        1. A row whose most probable class is of role `excluded` is called that class.
        2. Any other is called blast where `blast_probability` reaches the threshold, else other:
        3. the most probable class among those of the role so chosen.
        """
        rows = np.asarray(probabilities, np.float64)
        if not len(rows):
            return np.zeros(0, np.intp)
        top = rows.argmax(axis=1)
        blast, other = (np.asarray(columns)[rows[:, columns].argmax(axis=1)] for columns in (self.columns("blast"), self.columns("other")))
        limit = self.threshold if threshold is None else threshold
        chosen = np.where(self.blast_probability(rows) >= limit, blast, other)
        columns: NDArray[np.intp] = np.where(np.isin(top, self.columns("excluded")), top, chosen).astype(np.intp)
        return columns

    @classmethod
    def load(cls, path: Path) -> ModelCard:
        """Read `card.json`; raises CardError with the field that is wrong."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CardError(f"{path} is no readable model card: {error}") from error
        known = {each.name for each in fields(cls)}
        if not isinstance(values, dict) or (unknown := set(values) - known):
            raise CardError(f"{path}: unknown fields {sorted(unknown) if isinstance(values, dict) else values!r}.")
        for name in ("classes", "preparation", "mean", "std", "blank_fractions"):
            if name in values:
                values[name] = tuple(values[name])
        try:
            values["stain"] = StainReference(**values["stain"]) if values.get("stain") else None
            values["subjects"] = tuple(SubjectCounts(**each) for each in values.get("subjects", ()))
            return cls(**values)
        except TypeError as error:
            raise CardError(f"{path}: {error}") from error

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
