"""The scoring stage alone, in crops a second: what each measure for speed brings, and that none changes a score.

    python benchmarks/scoring.py
    python benchmarks/scoring.py --network resnet18 --px 112

Each line is a process of its own, since malloc's settings stay until a process ends. Lines are measured
in turns, several rounds; the best and the median of the rounds are printed, since other work only ever slows.
`--busy 2` has so many other processes at work meanwhile, as readers are in a run: OpenMP's threads wait for
each other by spinning, which then takes the core from the one that is waited for (OMP_WAIT_POLICY=PASSIVE
lets them sleep). Scores are compared with those of the plain network, which must differ by less than 1e-5 in fp32.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

VARIANTS = {
    "plain": (),
    "+ malloc keeps memory": ("malloc",),
    "+ channels_last": ("malloc", "channels_last"),
    "+ folded batch norm": ("malloc", "channels_last", "fold"),
    "+ waiting threads sleep": ("malloc", "channels_last", "fold", "passive"),
    "TorchClassifier": ("product", "passive"),
    "TorchClassifier in the Scorer": ("product", "passive", "scorer"),
}
CROPS = 2048
BUNDLED = Path(__file__).parents[1] / "classifiers" / "bundled" / "drawn-cells"
Scoring = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model folder (default: the bundled one)")
    parser.add_argument("--network", help="or a torchvision network with weights drawn at random")
    parser.add_argument("--px", type=int, default=112, help="side of the crops for --network")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="least time of one measurement")
    parser.add_argument("--busy", type=int, default=0, help="other processes at work meanwhile")
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parser.add_argument("--scores", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.model and arguments.network:
        parser.error("give --model or --network, not both")
    if not arguments.network:
        arguments.model = arguments.model or str(BUNDLED)
    if arguments.variant:
        print(json.dumps(measure(arguments)))
    else:
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    rates: dict[str, list[float]] = {name: [] for name in VARIANTS}
    others = [subprocess.Popen([sys.executable, "-c", "while True: sum(range(10000))"]) for _ in range(arguments.busy)]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            files = {name: Path(scratch) / f"{index}.npy" for index, name in enumerate(VARIANTS)}
            for _ in range(arguments.rounds):
                for name, file in files.items():
                    rates[name].append(measure_apart(name, file))
            scores = {name: np.load(file) for name, file in files.items()}
    finally:
        for other in others:
            other.kill()
            other.wait()
    show(rates, scores)


def measure_apart(name: str, file: Path) -> float:
    environment = dict(os.environ) | ({"OMP_WAIT_POLICY": "PASSIVE"} if "passive" in VARIANTS[name] else {})
    command = [sys.executable, *sys.argv, "--variant", name, "--scores", str(file)]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout))


def show(rates: dict[str, list[float]], scores: dict[str, NDArray[np.float32]]) -> None:
    print(f"{'crops/s':>41}{'median':>9}{'gain':>8}{'of plain':>10}  largest difference of a score")
    before = first = max(rates["plain"])
    for name, found in rates.items():
        rate = max(found)
        difference = float(np.abs(scores[name] - scores["plain"]).max())
        print(f"{name:32}{rate:9.0f}{statistics.median(found):9.0f}{rate / before:7.2f}x{rate / first:9.2f}x  {difference:.1e}")
        before = rate
        assert difference < 1e-5, f"{name} changes scores by {difference}"


def measure(arguments: argparse.Namespace) -> float:
    """Return crops a second of one variant, after one round for nothing."""
    measures = VARIANTS[arguments.variant]
    if "malloc" in measures:
        from classifiers.allocator import keep_freed_memory

        if not keep_freed_memory():
            sys.exit("malloc cannot be set on this system; that line means nothing here.")
    score, px = prepare(arguments, measures)
    crops = np.random.default_rng(0).integers(0, 256, (CROPS, px, px, 3), dtype=np.uint8)
    np.save(arguments.scores, score(crops[:512]))
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < arguments.seconds:
        score(crops[:512] if arguments.network else crops)
        done += 512 if arguments.network else CROPS
    return done / (time.perf_counter() - started)


def prepare(arguments: argparse.Namespace, measures: tuple[str, ...]) -> tuple[Scoring, int]:
    """Return what scores crops, and the side of the crops it takes."""
    import torch
    import torchvision

    from classifiers import ModelCard
    from classifiers.folder import read_model
    from classifiers.torch_classifier import TorchClassifier

    if arguments.model:
        card, network = read_model(Path(arguments.model))
    else:
        torch.manual_seed(0)
        network = torchvision.models.get_model(arguments.network, weights=None, num_classes=2).eval()
        roles = {"blast": "blast", "other": "other"}
        card = ModelCard("drawn at random", "", ("blast", "other"), roles, "blast", "softmax", {}, arguments.px)
    if "product" not in measures:
        return plain_scoring(card, network, measures), card.crop_px
    classifier = TorchClassifier(card, network, device="cpu")
    if "scorer" in measures:
        return queued_scoring(classifier), card.crop_px
    return lambda crops: classifier.predict(crops).probabilities, card.crop_px


def plain_scoring(card, network, measures: tuple[str, ...]) -> Scoring:
    """Return the loop of `plain_script.py`, with as many of the measures as are asked for."""
    import torch
    from torch.fx.experimental.optimization import fuse

    if "fold" in measures:
        network = fuse(network)
    if "channels_last" in measures:
        network = network.to(memory_format=torch.channels_last)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (card.mean, card.std))

    def score(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        scores = []
        with torch.no_grad():
            for start in range(0, len(crops), 64):
                pixels = torch.from_numpy(crops[start : start + 64]).permute(0, 3, 1, 2).float() / 255
                if "channels_last" not in measures:
                    pixels = pixels.contiguous()
                scores.append(torch.softmax(network((pixels - mean) / std) / card.temperature, dim=1))
        return torch.cat(scores).numpy()

    return score


def queued_scoring(classifier) -> Scoring:
    """Return scoring through the queue, the crops coming in as many small lots as tiles give."""
    from smearscan.scoring import Scorer

    def score(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        with Scorer(classifier) as scorer:
            for start in range(0, len(crops), 23):
                scorer.submit(start, crops[start : start + 23])
            scorer.flush()
            found = {}
            while finished := scorer.collect(block=True):
                found.update(finished)
        return np.concatenate([found[start] for start in sorted(found)])

    return score


if __name__ == "__main__":
    main()
