"""Can a model's heat maps be believed? Table II of the CAM paper, sufficiency, deletion and insertion, sanity, place of the maps.

    python benchmarks/believable.py --data DIR/cnmc --models FOLDER FOLDER
    python benchmarks/believable.py --data DIR/cnmc --models FOLDER --cells 50 --perturbations 128 1000 --out FOLDER

`--data` is a folder of labelled cells as `smearscan train` takes it. Equally many cells of each class are drawn by `--seed`, of the
test part where `--split` names the split that the models were trained on; cells that a model was trained on explain themselves well.

1. Table II: MR-SSIM of Grad-CAM and Score-CAM, by model and class, beside the published numbers.
2. For the first model: precision and accuracy with the first n superpixels kept, by method and by chance, with the time per cell.
3. The areas under the deletion and the insertion curve, by method.
4. What 1,000 perturbations bring over 128.
5. The sanity checks, by method, and how much of the maps lies inside the cell (cells that lie on black).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifiers import Classifier, ClassifierError
from classifiers.datasets import Samples, load
from classifiers.evaluation.drawing import LIGHT, Draw, to_png
from classifiers.explain import build_explainer, curves, names
from classifiers.explain.agreement import PUBLISHED, table_two
from classifiers.explain.inside import share_inside
from classifiers.explain.rankings import RANDOM, rank_superpixels
from classifiers.explain.removal import Removal, measure_removal
from classifiers.explain.sanity import check
from classifiers.explain.steadiness import compare_perturbations
from classifiers.explain.sufficiency import EVERY_CLASS, Sufficiency, called_names, measure_sufficiency
from classifiers.opening import open_model
from classifiers.preprocess.framing import BLACK
from classifiers.splits import read_split

SANITY_CELLS = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of labelled cells")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="model folders; of the first one more is measured")
    parser.add_argument("--split", type=Path, help="training/split.csv of a model folder: only cells of its test part are taken")
    parser.add_argument("--cells", type=int, default=40, help="of each class")
    parser.add_argument("--methods", nargs="+", default=["lime", "shap", "gradcam", "gradcam++", "scorecam", RANDOM])
    parser.add_argument("--perturbations", type=int, nargs="+", default=[128, 1000])
    parser.add_argument("--side", type=int, help="cut cells up into superpixels at this size; 250 is the thesis's")
    parser.add_argument("--hiding", choices=["grey", "mean", "black"], default="grey")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a folder for tables and plots")
    arguments = parser.parse_args()
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
    try:
        run(arguments)
    except ClassifierError as error:
        sys.exit(str(error))


def run(arguments: argparse.Namespace) -> None:
    samples = load(arguments.data)
    rows = choose(samples, arguments.split, arguments.cells, arguments.seed)
    labels = [samples.classes[samples.labels[row]] for row in rows]
    models = [open_model(folder, device=arguments.device) for folder in arguments.models]
    crops = [samples.crops(rows, model.card.crop_px, model.card.crop_um) for model in models]
    print(f"{samples.name}: {len(rows)} cells, {', '.join(f'{labels.count(name)} {name}' for name in dict.fromkeys(labels))}")
    for folder, model in zip(arguments.models, models, strict=True):
        print(f"  {folder.name}: {model.card.name}, {dict(model.card.network)['name']}, {model.card.crop_px} px")
    print_table_two(arguments, models, crops, labels)
    first, cells = models[0], crops[0]
    print(f"\nThe rest is of {arguments.models[0].name}")
    print_orders(arguments, first, cells, labels)
    print_perturbations(arguments, first, cells, labels)
    print_sanity(arguments, first, cells, labels)


def choose(samples: Samples, split: Path | None, cells: int, seed: int) -> NDArray[np.intp]:
    """Return the rows of equally many cells of each class."""
    pool = np.arange(len(samples)) if split is None else read_split(split, samples).rows("test")
    rng = np.random.default_rng(seed)
    found = [rng.permutation(pool[samples.labels[pool] == label])[:cells] for label in range(len(samples.classes))]
    return np.sort(np.concatenate(found)).astype(np.intp)


def print_table_two(
    arguments: argparse.Namespace, models: Sequence[Classifier], crops: Sequence[NDArray[np.uint8]], labels: Sequence[str]
) -> None:
    started = time.perf_counter()
    given = [(folder.name, model, cells) for folder, model, cells in zip(arguments.models, models, crops, strict=True)]
    rows = table_two(given, labels)
    seconds = (time.perf_counter() - started) / (len(labels) * len(models))
    print(f"\nTable II: similarity of Grad-CAM and Score-CAM maps ({seconds:.2f} s a cell and model)")
    print(f"{'model':28} {'class':>10} {'cells':>6} {'MR-SSIM':>8} {'other cell':>11} {'rank':>6} {'top 20 %':>9} {'empty':>6}")
    for row in rows:
        numbers = f"{row.ssim:8.3f} {row.other_cell_ssim:11.3f} {row.rank:6.2f} {row.top:9.2f} {row.empty:6}"
        print(f"{row.model[:28]:28} {row.class_name:>10} {row.cells:6} {numbers}")
    for (model, name), value in PUBLISHED.items():
        print(f"{'published: ' + model:28} {name:>10} {'':6} {value:8.3f}")
    print("Published: Di Giammarco and others, 2024, on a random split of the cells of C-NMC; hem is healthy (here normal), all leukaemic")
    print("(here blast). The paper gives neither window nor data range. 'other cell': with the Score-CAM map of another cell of the class.")
    if arguments.out:
        curves.write_csv(arguments.out / "table-two.csv", rows)


def print_orders(arguments: argparse.Namespace, model: Classifier, crops: NDArray[np.uint8], labels: Sequence[str]) -> None:
    """Print sufficiency, and deletion and insertion, for each order of superpixels."""
    called = called_names(model, crops)
    options = {"side_px": arguments.side} if arguments.side else {}
    enough: list[Sufficiency] = []
    removals: list[Removal] = []
    print(f"\nSufficiency: superpixels kept, the rest {arguments.hiding}; {EVERY_CLASS} (precision / accuracy, cells that have so many)")
    for method in arguments.methods:
        started = time.perf_counter()
        rankings = rank_superpixels(method, model, crops, called, superpixels=options, hiding=arguments.hiding, seed=arguments.seed)
        ranked = (time.perf_counter() - started) / len(crops)
        found = measure_sufficiency(method, model, crops, labels, rankings, hiding=arguments.hiding)
        if not enough:
            pieces = [each.pieces for each in rankings]
            print(f"superpixels a cell: {np.mean(pieces):.0f} ({min(pieces)} to {max(pieces)})")
            print(f"{'':10} {'whole':>11} " + " ".join(f"{count:>11}" for count in found.counts) + "   first / lasting   ms a cell")
            print(f"{'cells':10} {len(crops):>11} " + " ".join(f"{found.line(EVERY_CLASS, count).cells:>11}" for count in found.counts))
        lines = [found.line(EVERY_CLASS, count) for count in (None, *found.counts)]
        needed = found.needed()
        shown = " ".join(f"{line.precision:5.2f}/{line.accuracy:5.2f}" for line in lines)
        milliseconds = f"{1000 * ranked:6.0f} to rank, {1000 * found.seconds_per_cell:.0f} to score"
        print(f"{method:10} {shown}   {needed.first or '-':>5} / {needed.lasting or '-':<7}   {milliseconds}")
        enough.append(found)
        removals.append(measure_removal(method, model, crops, called, rankings, hiding=arguments.hiding))
    print("first: the least n with 2/3 of the whole crops' precision; lasting: from which on all have it")
    print(f"\n{'method':10} {'deletion area':>14} {'insertion area':>15}   (a good order: small and large)")
    for removal in removals:
        print(f"{removal.method:10} {removal.deletion_area:14.3f} {removal.insertion_area:15.3f}")
    if arguments.out:
        curves.write_csv(arguments.out / "sufficiency.csv", [line for each in enough for line in each.lines()])
        draw(arguments.out / "sufficiency.png", curves.draw_methods(enough))
        for each in enough:
            draw(arguments.out / f"sufficiency-{each.method}.png", curves.draw_classes(each, model.card.roles))
        draw(arguments.out / "removal.png", curves.draw_removal(removals))


def print_perturbations(arguments: argparse.Namespace, model: Classifier, crops: NDArray[np.uint8], labels: Sequence[str]) -> None:
    options = {"side_px": arguments.side} if arguments.side else {}
    found = compare_perturbations(model, crops, labels, perturbations=arguments.perturbations, superpixels=options, hiding=arguments.hiding)
    print("\nLIME with more perturbations")
    print(f"{'':8} {'ms a cell':>10} {'same order':>11} {'same first':>11} {'first':>6} {'lasting':>8} {'deletion':>9} {'insertion':>10}")
    for each in found:
        needed = each.sufficiency.needed()
        numbers = f"{1000 * each.seconds_per_cell:10.0f} {each.same_again:11.2f} {each.first_again:11.2f} {needed.first or '-':>6}"
        areas = f"{needed.lasting or '-':>8} {each.removal.deletion_area:9.3f} {each.removal.insertion_area:10.3f}"
        print(f"{each.perturbations:8,} {numbers} {areas}")
    print("same order: rank correlation of a cell's superpixels over two draws of perturbations; same first: how often both name one first")


def print_sanity(arguments: argparse.Namespace, model: Classifier, crops: NDArray[np.uint8], labels: Sequence[str]) -> None:
    positive = model.card.positive_class
    own = crops[[label == positive for label in labels]]
    on_black = (own[:, 0, 0] <= BLACK).all()
    reports = []
    print(f"\nSanity, on {min(len(own), SANITY_CELLS)} cells of {positive}")
    for method in names(signed=False):
        report = check(method, model, own[:SANITY_CELLS])
        reports.append(report)
        print(f"{method}: {'passed' if report.passed else 'FAILED'}")
        for sentence in report.sentences():
            print(f"    {sentence}")
        cascade = ", ".join(f"{depth.layers} {depth.rank:.2f}" for depth in report.depths)
        print(f"    rank correlation by layers randomised: {cascade}")
        if on_black:
            shares = share_inside(build_explainer(method, model).explain(own, positive), own.max(3) > BLACK)
            even = (own.max(3) > BLACK).mean()
            print(f"    median share of the map inside the cell: {np.nanmedian(shares):.2f}; the cells take up {even:.2f} of their crops")
    if arguments.out:
        draw(arguments.out / "sanity.png", curves.draw_cascade(reports), width=7)


def draw(path: Path, drawn: Draw, width: float = 10.0) -> None:
    path.write_bytes(to_png(drawn, LIGHT, width=width))


if __name__ == "__main__":
    main()
