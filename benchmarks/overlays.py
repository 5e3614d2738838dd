"""What the pictures of a slide's cells cost: in ms a cell by stage, and as a share of a whole run's time.

    python benchmarks/overlays.py                        # draws 20,000 x 20,000 px first: some minutes
    python benchmarks/overlays.py --side 6000 --runs 1
    python benchmarks/overlays.py --runs 0 --method scorecam --overlays 20 --keep pictures

By stage: a smear is drawn, its white cells are scored, and the overlays of it made as `smearscan run` makes them. The middle
of several rounds is printed for each stage. The seconds that it takes to load the library of heat maps are paid once a run.

As a share: whole runs of one slide with the pictures and with `--overlays 0`, in turns, so that the machine's noise meets
both alike. What is compared is all between the first read and the last file, the `engines.seconds` of run.json, and the
whole process with its start, both as the clock and as the processor's work (the workers' as well) see them.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from throughput import drawn_slide

from classifiers import Classifier, Explainer
from smearscan import crops, overlays, plugins
from smearscan.counting import blast_probability, call_cells, count_cells
from smearscan.reports import DetectorFacts, SlideReport
from smearscan.reports.overlay_pictures import OverlayPictures
from smearscan.results import Area, Cells, Scanned
from smearscan.slides import Slide, open_slide
from smearscan.smears import SmearPlan, plan_smear, write_smear


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder; without it the bundled classifier of drawn cells")
    parser.add_argument("--method", default="gradcam++")
    parser.add_argument("--overlays", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--keep", type=Path, help="a folder for the pictures of the last round")
    parser.add_argument("--runs", type=int, default=3, help="whole runs with pictures, and as many without")
    parser.add_argument("--side", type=int, default=20_000, help="of the slide of the whole runs, in pixels")
    parser.add_argument("--folder", type=Path, help="where that slide is drawn, and kept for another time")
    arguments = parser.parse_args()
    started = time.perf_counter()
    build = plugins.load("classifiers.explain:build_explainer")
    classifier: Classifier = (
        plugins.load(plugins.MODEL_FOLDER)(arguments.model) if arguments.model else plugins.find("smearscan.classifiers", "drawn-cells")()
    )
    print(f"classifier loaded {time.perf_counter() - started:8.2f} s")
    started = time.perf_counter()
    explainer = build(arguments.method, classifier)
    print(f"explainer built   {time.perf_counter() - started:8.2f} s, once a run ({arguments.method} on {classifier.compute.device})")
    with tempfile.TemporaryDirectory() as scratch:
        plan = SmearPlan(width=4000, height=3000, mpp=0.25, seed=arguments.seed, white_cells=150, blast_fraction=0.4)
        path = Path(scratch) / "a drawn smear.tif"
        smear = plan_smear(plan)
        write_smear(smear, path)
        slide = open_slide(path)
        report = scored(slide, np.array([cell.box for cell in smear.truth]), classifier)
        measure(slide, report, explainer, arguments, arguments.keep or Path(scratch) / "pictures")
        if arguments.runs:
            compare_runs(drawn_slide(arguments.folder or Path(scratch), arguments.side), arguments, Path(scratch))


def compare_runs(slide: Path, arguments: argparse.Namespace, scratch: Path) -> None:
    """Print what share of a run the pictures take: the middles of runs with them and without, in turns."""
    model = str(arguments.model or "drawn-cells")
    seconds: dict[int, list[tuple[float, float, float]]] = {arguments.overlays: [], 0: []}
    for _, wanted in [(turn, wanted) for turn in range(arguments.runs) for wanted in seconds]:
        out = scratch / f"run-{wanted}"
        command = [sys.executable, "-m", "smearscan", "run", str(slide), "--out", str(out), "--classifier", model, "--overwrite"]
        command += ["--proposals", "nuclei", "--overlays", str(wanted), "--cam", arguments.method]
        started, worked = time.perf_counter(), processor_of_children()
        subprocess.run(command, check=True, capture_output=True)
        engines = json.loads((out / "run.json").read_text())["engines"]["seconds"]
        seconds[wanted].append((engines, time.perf_counter() - started, processor_of_children() - worked))
    pictures = len(list((scratch / f"run-{arguments.overlays}").rglob("cell-*.png")))
    print(f"{pictures} overlays as a share of a run over {slide.name}; middle of {arguments.runs} runs with and as many without")
    for name, column in (("first read to last file", 0), ("whole process", 1), ("processor, whole process", 2)):
        with_them, without = (statistics.median(each[column] for each in seconds[wanted]) for wanted in (arguments.overlays, 0))
        share = 100 * (with_them - without) / with_them
        print(f"  {name:24} {with_them:8.2f} s with, {without:8.2f} s without: {share:5.1f} %")


def processor_of_children() -> float:
    """Return the seconds that all ended children of this process worked, their own children included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def scored(slide: Slide, boxes: np.ndarray, classifier: Classifier) -> SlideReport:
    """Return the report on a slide whose cells lie in the boxes."""
    info, card = slide.info, classifier.card
    boxes = boxes[np.lexsort((boxes[:, 0], boxes[:, 1]))]
    size = (info.width, info.height)
    everything = slide.read((0, 0, *size))
    scores = classifier.predict(crops.cut(everything, (0, 0), boxes, card, slide_size=size, mpp=info.mpp)).probabilities
    cells = Cells(boxes.astype(np.float32), np.ones(len(boxes), np.float32), scores, card.classes)
    called = call_cells(cells, card)
    count = count_cells(cells, called, card, proposals=len(cells), duplicates=0, counting_tile_px=1024)
    area = Area("px", 1.0, 1.0, {})
    outcome = Scanned(info, "ok", "", cells, called.classes, called.excluded, called.blast, count, area, ())
    return SlideReport("monday/a drawn smear.tif", "monday", outcome, card, DetectorFacts("truth"), {}, "")


def measure(slide: Slide, report: SlideReport, explainer: Explainer, arguments: argparse.Namespace, folder: Path) -> None:
    outcome, card = report.outcome, report.card
    assert isinstance(outcome, Scanned)
    cells = outcome.cells
    folder.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, list[tuple[float, float]]] = {}
    for _ in range(arguments.rounds):
        clock = Clock(seconds)
        counted = np.array([not each for each in outcome.excluded])
        quota = overlays.Quota.share_out(arguments.overlays)
        chosen = overlays.choose(cells.boxes, blast_probability(cells, card), flagged=outcome.flagged, counted=counted, quota=quota)
        clock.mark("choose")
        size, mpp = (slide.info.width, slide.info.height), slide.info.mpp
        cut = overlays.cut_pictures(
            slide.read, cells.boxes, chosen.rows.tolist(), card, slide_size=size, mpp=mpp, squares=crops.squares, cut=crops.cut
        )
        clock.mark("read and cut")
        pictures = overlays.add_heat_maps(cut, explainer, card.positive_class, lambda crops: crops)
        clock.mark("explain")
        OverlayPictures().write(replace(report, outcome=replace(outcome, pictures=pictures)), folder)
        clock.mark("draw and write")
    print(
        f"{len(pictures)} overlays of {len(cells)} cells, {int(outcome.flagged.sum())} of them flagged; middle of {arguments.rounds} rounds"
    )
    middles = {stage: np.median(values, axis=0) for stage, values in seconds.items()}
    print(f"{'':15} {'ms a cell':>10} {'of which CPU':>14} {'s a slide':>10}")
    for stage, (wall, cpu) in [*middles.items(), ("all", sum(middles.values(), np.zeros(2)))]:
        print(f"{stage:15} {1000 * wall / len(pictures):10.2f} {1000 * cpu / len(pictures):14.2f} {wall:10.3f}")
    written = [path.stat().st_size for path in (folder / "overlays").iterdir()]
    print(f"on disk         {sum(written) / len(pictures) / 1024:9.1f} KiB a cell")


class Clock:
    """Seconds by stage, and those that the processor worked, of all threads together: the difference is other people's work."""

    def __init__(self, seconds: dict[str, list[tuple[float, float]]]) -> None:
        self._seconds = seconds
        self._last = (time.perf_counter(), time.process_time())

    def mark(self, stage: str) -> None:
        now = (time.perf_counter(), time.process_time())
        self._seconds.setdefault(stage, []).append((now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now


if __name__ == "__main__":
    main()
