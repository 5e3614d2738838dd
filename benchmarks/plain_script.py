"""What a researcher would write in an afternoon: the yardstick for `smearscan run`, kept plain on purpose.

    python benchmarks/plain_script.py slide.tif classifiers/bundled/drawn-cells --nuclei
    python benchmarks/plain_script.py slide.tif classifiers/bundled/drawn-cells --boxes cells.csv
    python benchmarks/plain_script.py slide.tif classifiers/bundled/drawn-cells --window 112 --step 56 --limit 5000

OpenSlide's `read_region` for every crop, a DataLoader with two workers, batches of 64, the network as it is.
"""

import argparse
import csv
import time
from pathlib import Path

import cv2
import numpy as np
import openslide
import torch
from torch.utils.data import DataLoader, Dataset

from classifiers.folder import read_model
from detectors.nuclei import NucleiDetector


class Regions(Dataset):
    def __init__(self, slide, squares, crop_px):
        self.slide, self.squares, self.crop_px, self.handle = slide, squares, crop_px, None

    def __len__(self):
        return len(self.squares)

    def __getitem__(self, index):
        self.handle = self.handle or openslide.OpenSlide(self.slide)
        left, top, side = self.squares[index]
        crop = np.array(self.handle.read_region((left, top), 0, (side, side)).convert("RGB"))
        return crop if side == self.crop_px else cv2.resize(crop, (self.crop_px, self.crop_px), interpolation=cv2.INTER_AREA)


def squares_around(boxes, side):
    with Path(boxes).open(newline="") as file:
        rows = [[float(row[name]) for name in ("left", "top", "right", "bottom")] for row in csv.DictReader(file)]
    return [(int((left + right - side) / 2 + 0.5), int((top + bottom - side) / 2 + 0.5), side) for left, top, right, bottom in rows]


def squares_of_nuclei(slide, mpp, side, tile=2048):
    (width, height), squares = slide.dimensions, []
    thumbnail = np.array(slide.get_thumbnail((width // 16, height // 16)).convert("RGB"))
    detector = NucleiDetector().tuned(thumbnail, 16 * mpp, 16)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            size = (min(tile, width - left), min(tile, height - top))
            picture = np.array(slide.read_region((left, top), 0, size).convert("RGB"))
            boxes = detector.propose(picture, mpp, (left, top)).boxes
            corners = (boxes[:, :2] + boxes[:, 2:] - side) / 2 + (left, top)
            squares += [(int(x), int(y), side) for x, y in corners]
    return squares


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("slide"), parser.add_argument("model"), parser.add_argument("--boxes")
    parser.add_argument("--nuclei", action="store_true")
    parser.add_argument("--window", type=int, default=112), parser.add_argument("--step", type=int, default=56)
    parser.add_argument("--skip", type=int, default=0), parser.add_argument("--limit", type=int)
    parser.add_argument("--scores", help="write them as .npy")
    arguments = parser.parse_args()
    card, network = read_model(Path(arguments.model))
    slide = openslide.OpenSlide(arguments.slide)
    mpp, (width, height) = float(slide.properties[openslide.PROPERTY_NAME_MPP_X]), slide.dimensions
    started, scores = time.perf_counter(), []
    if arguments.nuclei:
        squares = squares_of_nuclei(slide, mpp, round(card.crop_um / mpp))
    elif arguments.boxes:
        squares = squares_around(arguments.boxes, round(card.crop_um / mpp))
    else:
        size, step = arguments.window, arguments.step
        squares = [(left, top, size) for top in range(0, height - size + 1, step) for left in range(0, width - size + 1, step)]
    squares = squares[arguments.skip :][: arguments.limit]
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (card.mean, card.std))
    with torch.no_grad():
        for batch in DataLoader(Regions(arguments.slide, squares, card.crop_px), batch_size=64, num_workers=2):
            logits = network((batch.permute(0, 3, 1, 2).float() / 255 - mean) / std)
            scores.append(torch.softmax(logits / card.temperature, dim=1))
    seconds = time.perf_counter() - started
    print(f"{len(squares)} crops in {seconds:.1f} s: {len(squares) / seconds:.0f} crops/s")
    if arguments.scores:
        np.save(arguments.scores, torch.cat(scores).numpy())


if __name__ == "__main__":
    main()
