"""From labelled cells and a recipe to a model folder."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import torch

from classifiers import devices
from classifiers.allocator import keep_freed_memory
from classifiers.base import ClassifierError
from classifiers.calibration import read_rule
from classifiers.card import ModelCard
from classifiers.cores import usable_cores
from classifiers.datasets import Samples
from classifiers.folder import CARD_FILE, WEIGHTS_FILE
from classifiers.networks import pretrained
from classifiers.recipes import Recipe
from classifiers.splits import Split
from classifiers.training.cards import Scale
from classifiers.training.checkpoint import HOW_TO_START_ANEW, Checkpoint
from classifiers.training.loop import Fitted, Loop, exact_threads
from classifiers.training.order import Order, Triple, class_order, half_name, identify, input_plan
from classifiers.training.pixels import Pixels, mean_and_std, open_pixels, prepare_pixels
from classifiers.training.processes import Alone, choose_devices, team
from classifiers.training.progress import Progress, Show, Stop, TrainingStopped
from classifiers.training.results import CACHE, CHECKPOINT, TRAINING, Amend, Trained, write_results


def train(
    samples: Samples,
    recipe: Recipe,
    out: Path,
    *,
    split: Split,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    weights: str | Path | None = None,
    scale: Scale | None = None,
    threshold_rule: str = "youden",
    threads: int | None = None,
    checkpoint_every_s: float = 60.0,
    cache: Path | None = None,
    overwrite: bool = False,
    show: Show | None = None,
    stop: Stop | None = None,
    amend: Amend | None = None,
) -> ModelCard:
    """Train the recipe's network on the split's training cells, calibrate and test it, and write the model folder `out`.

    The same call goes on where an earlier one ended, however it ended, and comes to the same weights, bit for bit on a CPU.
    What decides the weights (data, recipe, split, seed, precision, number of devices) must be the same; `overwrite` starts
    anew. `weights` are ImageNet weights to begin with, a file or a name that `pretrained` knows; without them training starts
    from random numbers, whatever the recipe names. `cache` is a folder in which trainings on the same cells share their
    prepared pictures. `stop` is asked after every batch; where it says so, TrainingStopped is raised after a checkpoint.
    `amend` may change the card before it is written.
    """
    keep_freed_memory()
    read_rule(threshold_rule)
    targets = choose_devices(device)
    half = choose_precision(precision, targets[0])
    identity = identify(samples, recipe, split, seed=seed, weights=weights, precision=half_name(half), devices=len(targets))
    order = make_order(samples, recipe, split, seed=seed, half=half, threads=threads or usable_threads(len(targets)), weights=weights)
    order = replace(order, identity=identity, checkpoint=out / TRAINING / CHECKPOINT, checkpoint_every_s=checkpoint_every_s)
    order.check()
    begin(out, overwrite=overwrite)
    Checkpoint(order.checkpoint, identity, checkpoint_every_s).read()  # refuses another training's before anything is decoded
    own_cache = out / TRAINING / CACHE
    shared = own_cache if len(targets) > 1 else None  # several processes read one file
    pixels = _read_cells(samples, order, cache=cache or shared, fill_cache=own_cache, show=show, stop=stop)
    order = _normalise(order, pixels)
    with exact_threads(order.threads, targets[0]):
        trained = Trained(samples, split, order, _fit(order, pixels, targets, show, stop), pixels)
        return write_results(out, trained, scale=scale or Scale(), targets=targets, rule=threshold_rule, amend=amend)


def refuse_finished(out: Path) -> None:
    """Raise ClassifierError where a finished model stands; whoever is to read many pictures first asks before."""
    if (out / CARD_FILE).exists():
        raise ClassifierError(f"{out} holds a finished model. {HOW_TO_START_ANEW}")


def begin(out: Path, *, overwrite: bool) -> None:
    """Make the folder ready: a finished model is left alone unless it may be replaced."""
    if overwrite:
        for name in (CARD_FILE, WEIGHTS_FILE):  # the card first: without it the rest is no model
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(out / TRAINING, ignore_errors=True)
    else:
        refuse_finished(out)
    try:
        (out / TRAINING).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ClassifierError(f"{out} cannot be written: {error.strerror}. Choose another folder.") from error


def choose_precision(wanted: str, device: torch.device) -> bool:
    """Tell whether to train in mixed precision: `auto` does where the device has units for it."""
    if wanted != "auto" or device.type != "cpu":
        return devices.choose_precision(wanted, device) == "mixed"
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def usable_threads(processes: int) -> int:
    """Return how many threads each process may compute with."""
    return max(1, usable_cores() // processes)


def make_order(samples: Samples, recipe: Recipe, split: Split, *, seed: int, half: bool, threads: int, weights: str | Path | None) -> Order:
    """Return what is to be trained; refuses cells, a recipe and a split that do not fit together."""
    input_plan(recipe)
    assert recipe.network is not None
    if len(split.parts) != len(samples):
        raise ClassifierError(f"A split of {len(split.parts)} cells does not belong to {len(samples)} cells.")
    for part in ("train", "validation") if recipe.chooses else ("train",):
        if not len(split.rows(part)):
            raise ClassifierError(f"The split has no {part} cells, and training needs some.")
    classes, labels = class_order(samples, recipe.network.activation)
    return Order(
        recipe=recipe,
        classes=classes,
        labels=labels,
        whose=tuple(group if subject else "" for group, subject in zip(samples.groups, samples.subjects, strict=True)),
        train=split.rows("train"),
        validation=split.rows("validation"),
        seed=seed,
        half=half,
        threads=threads,
        weights=None if weights is None else str(weights),
    )


def _read_cells(samples: Samples, order: Order, *, cache: Path | None, fill_cache: Path, show: Show | None, stop: Stop | None) -> Pixels:
    def tell(done: int, total: int) -> None:
        if stop is not None and stop():
            raise TrainingStopped("Stopped while the cells were read.")
        if show is not None:
            show(Progress("reading cells", done, total))

    plan = input_plan(order.recipe)
    return prepare_pixels(
        samples,
        plan.crop_px,
        plan.preparation,
        threads=usable_threads(1),
        cache=cache,
        fill_cache=fill_cache,
        digest=order.identity["data"],
        show=tell,
    )


def _normalise(order: Order, pixels: Pixels) -> Order:
    """Return the order with the mean and the deviation that its recipe asks for."""
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    match input_plan(order.recipe).normalise:
        case "training set":
            mean, std = mean_and_std(pixels, order.train)
        case "imagenet":
            with torch.random.fork_rng([]):
                mean, std = (_triple(each) for each in pretrained.normalisation(replace(order, weights=None).build_network()))
    return replace(order, mean=mean, std=std)


def _triple(values: tuple[float, ...]) -> Triple:
    red, green, blue = values
    return red, green, blue


@dataclass(frozen=True)
class _Shared:
    """What the other processes of a training are sent."""

    order: Order
    pixels: Path


def _fit(order: Order, pixels: Pixels, targets: tuple[torch.device, ...], show: Show | None, stop: Stop | None) -> Fitted:
    shared = _Shared(order, Path(str(getattr(pixels, "filename", "")))) if len(targets) > 1 else None
    with single_threaded_opencv(), team(targets, _work, shared) as processes:
        return Loop(order, pixels, processes, show, stop).run()


def _work(processes: Alone, shared: _Shared) -> None:
    """Train in another process, in step with the first."""
    keep_freed_memory()
    with exact_threads(shared.order.threads, processes.device), single_threaded_opencv():
        Loop(shared.order, open_pixels(shared.pixels), processes).run()


@contextlib.contextmanager
def single_threaded_opencv() -> Iterator[None]:
    """Let each call of OpenCV keep to its thread: there are several already, and they would fight the network for the cores."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
