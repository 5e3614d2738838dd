"""How a network is trained, as a TOML file says it: one file for each row that a paper publishes, and a laboratory's own.

    recipe = load("cnn5-128-rotated")            # one that comes with the package
    recipe = load("ours.toml")                   # or a file

A recipe names steps, networks and losses; it holds no code. `Recipe.values` is the whole of it, so that a card can carry it.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args

from classifiers.base import ClassifierError
from classifiers.card import Activation

SplitKind = Literal["random", "subject"]
Normalise = Literal["training set", "imagenet", "unit"]
Optimiser = Literal["sgd", "adam", "adamw", "rmsprop"]
Monitor = Literal["loss", "accuracy"]
Schedule = Literal["constant", "cosine"]
Combination = Literal["average", "genetic", "optuna"]
SUFFIX = ".toml"


class RecipeError(ClassifierError):
    """A recipe does not say what it must, or says what cannot be done."""


@dataclass(frozen=True)
class Published:
    """The number that a paper prints for this row, and what it rests on."""

    metric: str  # "accuracy", "weighted_f1", as evaluation names it
    value: float  # a share, 0.939
    split: SplitKind  # "random": cells of one patient lie on both sides
    on: str  # "C-NMC 2019, validation cells"
    also: Mapping[str, float] = field(default_factory=dict)  # the row's other numbers
    note: str = ""


@dataclass(frozen=True)
class DataPlan:
    """Which set the paper used, and in what shares: train, validation, test. Two shares: the paper tests on its validation cells."""

    set: str  # a kind of classifiers.datasets
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.shares) not in {2, 3} or abs(sum(self.shares) - 1) > 1e-6 or min(self.shares) <= 0:
            raise RecipeError(f"[data] shares must be two or three positive numbers with the sum 1, not {list(self.shares)}.")


@dataclass(frozen=True)
class InputPlan:
    """What the network is shown."""

    crop_px: int  # pictures are brought to this size before any step
    normalise: Normalise = "training set"  # mean and deviation of: the training cells, ImageNet, or none but [0, 1]
    preparation: tuple[Mapping[str, Any], ...] = ()  # steps of classifiers.preprocess, in the card


@dataclass(frozen=True)
class NetworkPlan:
    """Which network, with what weights to begin with."""

    name: str
    activation: Activation
    options: Mapping[str, Any] = field(default_factory=dict)  # of networks.build
    weights: str | None = None  # torchvision's name of published weights ("IMAGENET1K_V1"); used only where asked for


@dataclass(frozen=True)
class Stage:
    """One stretch of training. A recipe with several first trains a new head, then opens the body."""

    optimiser: Optimiser
    learning_rate: float
    batch_size: int
    epochs: int
    patience: int | None = None  # epochs without a better `monitor` until it stops; None: never
    monitor: Monitor = "loss"  # of the validation cells; the weights of the best epoch are kept
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    class_weights: Literal["none", "balanced"] = "none"
    label_smoothing: float = 0.0
    mixup: float = 0.0  # alpha of its beta distribution; 0: none
    frozen: bool = False  # the body keeps its weights
    unfreeze_from: str | None = None  # of a frozen body, this block and those after it learn all the same

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or self.batch_size < 1 or self.epochs < 1:
            raise RecipeError(
                f"A stage needs learning_rate > 0, batch_size >= 1 and epochs >= 1, "
                f"not {self.learning_rate}, {self.batch_size}, {self.epochs}."
            )


@dataclass(frozen=True)
class TuningPlan:
    """What `smearscan tune` tries: for each dotted key of the recipe, the values or the range to choose from."""

    trials: int
    space: Mapping[str, Any]  # {"stages.0.batch_size": [32, 64, 128], "stages.0.learning_rate": {low, high, log}}
    sampler: Literal["random", "tpe"] = "random"
    metric: str = "accuracy"  # of the validation cells


@dataclass(frozen=True)
class EnsemblePlan:
    """Which recipes' models are put together, and how."""

    members: tuple[str, ...]
    method: Combination
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is trained; `ensemble` recipes have members instead of a network."""

    name: str
    title: str
    data: DataPlan
    values: Mapping[str, Any]  # as the file says it
    paper: str = ""  # authors and title
    row: str = ""  # "Table 4, row 2"
    published: Published | None = None
    input: InputPlan | None = None
    network: NetworkPlan | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)  # of classifiers.sampling
    augmentation: tuple[Mapping[str, Any], ...] = ()  # steps of classifiers.augment
    stages: tuple[Stage, ...] = ()
    tuning: TuningPlan | None = None
    ensemble: EnsemblePlan | None = None

    def __post_init__(self) -> None:
        single = self.input is not None and self.network is not None and bool(self.stages)
        if single == (self.ensemble is not None):
            raise RecipeError(f"Recipe {self.name!r} needs either [input], [network] and [[stages]], or [ensemble].")

    @classmethod
    def from_mapping(cls, name: str, values: Mapping[str, Any]) -> Self:
        """Build a recipe from what a TOML file holds; every key must be known."""
        given = dict(values)
        tables: dict[str, Any] = {}
        try:
            for key, kind in _TABLES.items():
                if key in given:
                    tables[key] = _build(kind, given.pop(key), f"[{key}]")
            tables["stages"] = tuple(_build(Stage, each, "[[stages]]") for each in given.pop("stages", ()))
            tables["augmentation"] = tuple(given.pop("augmentation", ()))
            return _build(cls, {"name": name, "values": copy.deepcopy(dict(values)), **given, **tables}, "the recipe")
        except RecipeError as error:
            raise RecipeError(f"Recipe {name!r}: {error}") from error

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return this recipe with other values at dotted keys: {"stages.0.epochs": 2, "input.crop_px": 64}."""
        values: dict[str, Any] = copy.deepcopy(dict(self.values))
        for key, value in changes.items():
            *path, last = key.split(".")
            place: Any = values
            for part in path:
                place = _below(place, part, key, self.name)
            if isinstance(place, list):
                place[_number(last, place, key, self.name)] = value
            else:
                place[last] = value
        return self.from_mapping(self.name, values)


_TABLES: dict[str, type[Any]] = {
    "published": Published,
    "data": DataPlan,
    "input": InputPlan,
    "network": NetworkPlan,
    "tuning": TuningPlan,
    "ensemble": EnsemblePlan,
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "split": get_args(SplitKind),
    "normalise": get_args(Normalise),
    "optimiser": get_args(Optimiser),
    "monitor": get_args(Monitor),
    "schedule": get_args(Schedule),
    "class_weights": ("none", "balanced"),
    "activation": get_args(Activation),
    "method": get_args(Combination),
    "sampler": ("random", "tpe"),
}
T = TypeVar("T")


def _build(kind: type[T], given: Any, where: str) -> T:
    if not isinstance(given, Mapping):
        raise RecipeError(f"{where} must be a table, not {given!r}.")
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]  # only dataclasses are given
    if unknown := sorted(set(given) - set(known)):
        raise RecipeError(f"{where} has no key {unknown[0]!r}. Known: {', '.join(sorted(known))}.")
    needed = [name for name, each in known.items() if each.default is MISSING and each.default_factory is MISSING]
    if missing := [name for name in needed if name not in given]:
        raise RecipeError(f"{where} lacks {missing[0]!r}.")
    for name, value in given.items():
        if name in _CHOICES and value not in _CHOICES[name]:
            raise RecipeError(f"{where} {name} is {value!r}; it must be one of {', '.join(_CHOICES[name])}.")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    try:
        return kind(**values)
    except TypeError as error:  # a comparison with text where a number should be
        raise RecipeError(f"{where}: {error}.") from error


def _below(place: Any, part: str, key: str, name: str) -> Any:
    if isinstance(place, list):
        return place[_number(part, place, key, name)]
    if not isinstance(place, dict):
        raise RecipeError(f"Recipe {name!r} has nothing at {key!r}.")
    return place.setdefault(part, {})


def _number(part: str, place: list[Any], key: str, name: str) -> int:
    if not part.isdigit() or int(part) >= len(place):
        raise RecipeError(f"Recipe {name!r} has nothing at {key!r}: {part!r} is no number below {len(place)}.")
    return int(part)


def names() -> tuple[str, ...]:
    """Return the recipes that come with the package, sorted."""
    return tuple(sorted(each.name.removesuffix(SUFFIX) for each in files(__name__).iterdir() if each.name.endswith(SUFFIX)))


def load(name: str | Path) -> Recipe:
    """Return the recipe of that name, or the one that a TOML file holds."""
    if str(name).endswith(SUFFIX):
        path = Path(name)
        try:
            content = path.read_text(encoding="utf-8")
        except OSError as error:
            raise RecipeError(f"The recipe {path} cannot be read: {error.strerror}.") from error
        return _parse(path.stem, content, str(path))
    if str(name) not in names():
        raise RecipeError(f"There is no recipe named {str(name)!r}. `smearscan recipes` lists them; a file of your own ends with .toml.")
    return _parse(str(name), files(__name__).joinpath(f"{name}{SUFFIX}").read_text(encoding="utf-8"), str(name))


def _parse(name: str, content: str, where: str) -> Recipe:
    try:
        values = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"The recipe {where} is no TOML: {error}.") from error
    return Recipe.from_mapping(name, values)
