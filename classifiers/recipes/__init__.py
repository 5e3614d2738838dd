"""How a network is trained, as a TOML file says it: one file for each row that a paper publishes, and a laboratory's own.

    recipe = load("cnn5-128-rotated")            # one that comes with the package
    recipe = load("ours.toml")                   # or a file

A recipe names steps, networks and losses; it holds no code. `Recipe.values` is the whole of it, so that a card can carry it.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

from classifiers.card import Activation
from classifiers.recipes.strict import RecipeError, build

SplitKind = Literal["random", "subject"]
Normalise = Literal["training set", "imagenet", "unit"]
Optimiser = Literal["sgd", "adam", "adamw", "rmsprop"]
Monitor = Literal["loss", "accuracy", "none"]
Schedule = Literal["constant", "cosine"]
Combination = Literal["average", "genetic", "optuna"]
SUFFIX = ".toml"
WORDS = frozenset({"title", "paper", "row", "published"})

__all__ = [
    "DataPlan",
    "EnsemblePlan",
    "InputPlan",
    "NetworkPlan",
    "Published",
    "Recipe",
    "RecipeError",
    "SplitKind",
    "Stage",
    "TuningPlan",
    "load",
    "names",
    "read_text",
]


@dataclass(frozen=True)
class Published:
    """The number that a paper prints for this row, and what it rests on."""

    metric: str  # "accuracy", "weighted_f1", as evaluation names it
    value: float  # a share, 0.939
    split: SplitKind  # "random": cells of one patient lie on both sides
    on: str  # "C-NMC 2019, validation cells"
    also: Mapping[str, float] = field(default_factory=dict)  # the row's other numbers
    note: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 1:
            raise RecipeError(f"[published] value must be a share from 0 to 1, not {self.value}.")


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

    def __post_init__(self) -> None:
        if self.crop_px < 8:
            raise RecipeError(f"[input] crop_px must be 8 or more, not {self.crop_px}.")


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
    monitor: Monitor = "loss"  # of the validation cells; the weights of the best epoch are kept, with "none" those of the last
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
        if self.patience is not None and self.patience < 1:
            raise RecipeError(f"A stage's patience must be 1 epoch or more, not {self.patience}. Leave it out to train all epochs.")
        if not (0 <= self.momentum < 1 and 0 <= self.label_smoothing < 1 and self.weight_decay >= 0 and self.mixup >= 0):
            raise RecipeError(
                f"A stage needs momentum and label_smoothing from 0 to below 1, weight_decay and mixup from 0 on, "
                f"not {self.momentum}, {self.label_smoothing}, {self.weight_decay}, {self.mixup}."
            )
        if self.monitor == "none" and self.patience is not None:
            raise RecipeError(f"A stage that monitors none cannot wait {self.patience} epochs for a better one. Leave patience out.")
        if self.unfreeze_from is not None and not self.frozen:
            raise RecipeError(f"A stage that unfreezes from {self.unfreeze_from!r} needs frozen = true: without it everything learns.")


@dataclass(frozen=True)
class TuningPlan:
    """What `smearscan tune` tries: for each dotted key of the recipe, the values or the range to choose from."""

    trials: int
    space: Mapping[str, Any]  # {"stages.0.batch_size": [32, 64, 128], "stages.0.learning_rate": {low, high, log}}
    sampler: Literal["random", "tpe"] = "random"
    metric: str = "accuracy"  # of the validation cells

    def __post_init__(self) -> None:
        if self.trials < 1 or not self.space:
            raise RecipeError(f"[tuning] needs a number of trials and a space to try, not {self.trials} and {dict(self.space)}.")


@dataclass(frozen=True)
class EnsemblePlan:
    """Which recipes' models are put together, and how."""

    members: tuple[str, ...]
    method: Combination
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            raise RecipeError(f"[ensemble] needs two members or more, not {list(self.members)}.")


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
        parts = (self.input is not None, self.network is not None, bool(self.stages))
        if any(parts) if self.ensemble is not None else not all(parts):
            raise RecipeError("A recipe needs either [input], [network] and [[stages]], or [ensemble].")

    @classmethod
    def from_mapping(cls, name: str, values: Mapping[str, Any]) -> Self:
        """Build a recipe from what a TOML file holds; every key must be known."""
        given = dict(values)
        tables: dict[str, Any] = {}
        try:
            if wrong := {"name", "values"} & set(given):
                raise RecipeError(f"it cannot hold {min(wrong)!r}: its name is its file's.")
            for key, kind in _TABLES.items():
                if key in given:
                    tables[key] = build(kind, given.pop(key), f"[{key}]")
            tables["stages"] = tuple(build(Stage, each, "[[stages]]") for each in _list(given, "stages"))
            tables["augmentation"] = tuple(_list(given, "augmentation"))
            return build(cls, {"name": name, "values": copy.deepcopy(dict(values)), **given, **tables}, "the recipe")
        except RecipeError as error:
            raise RecipeError(f"Recipe {name!r}: {error}") from error

    @property
    def chooses(self) -> bool:
        """Whether validation cells choose the weights in any stage."""
        return any(stage.monitor != "none" for stage in self.stages)

    @property
    def decisive(self) -> dict[str, Any]:
        """What decides the weights: the values without the words about a paper."""
        return {key: value for key, value in self.values.items() if key not in WORDS}

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
            elif isinstance(place, dict):
                place[last] = value
            else:
                raise RecipeError(f"Recipe {self.name!r} has nothing at {key!r}.")
        return self.from_mapping(self.name, values)


_TABLES: dict[str, type[Any]] = {
    "published": Published,
    "data": DataPlan,
    "input": InputPlan,
    "network": NetworkPlan,
    "tuning": TuningPlan,
    "ensemble": EnsemblePlan,
}


def _list(given: dict[str, Any], key: str) -> list[Any]:
    tables = given.pop(key, [])
    if not isinstance(tables, list | tuple):
        raise RecipeError(f"{key} must be tables under [[{key}]], not {tables!r}.")
    return list(tables)


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
    try:
        values = tomllib.loads(read_text(name))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"The recipe {name} is no TOML: {error}.") from error
    return Recipe.from_mapping(Path(name).stem if str(name).endswith(SUFFIX) else str(name), values)


def read_text(name: str | Path) -> str:
    """Return the TOML of a recipe, comments and all, by its name or from a file."""
    if str(name).endswith(SUFFIX):
        try:
            return Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"The recipe {name} cannot be read: {error}.") from error
    if str(name) not in names():
        near = get_close_matches(str(name), names(), n=3)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        raise RecipeError(
            f"There is no recipe named {str(name)!r}.{meant} `smearscan recipes` lists them; a file of your own ends with .toml."
        )
    return files(__name__).joinpath(f"{name}{SUFFIX}").read_text(encoding="utf-8")
