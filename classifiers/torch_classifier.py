"""Card and weights in, calibrated probabilities out, in large batches on whatever device there is."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from torch import Tensor, nn

from classifiers import devices
from classifiers.allocator import keep_freed_memory
from classifiers.base import Classifier, ClassifierError, Compute, Predictions
from classifiers.card import ModelCard
from classifiers.folder import read_model
from classifiers.inference import each_on_one_thread, out_of_memory, quicken, rows_that_fit, sum_alike_on_any_threads
from classifiers.preprocess import Preparation

CPU_ROWS = 32  # per forward pass; more gains nothing on a CPU, and fewer than 16 changes the last bits
CPU_BATCH = 256  # crops gathered for one call of predict
SIDE_BY_SIDE_PX = 160  # the network's input, up to which passes on a CPU run one to a thread: larger ones fill the threads by themselves
MPS_ROWS = 64


class TorchClassifier(Classifier):
    """Scores crops with a torch network.

    Every forward pass has the same number of rows, the last one being filled up with zeros. So on a CPU
    the bits of a crop's probabilities depend neither on the crops beside it, nor on how many are given at
    once, nor on `batch_size`, nor on the number of threads. On a GPU that holds to the 6 digits that files
    carry in fp32, and for one batch size in mixed precision; bit for bit nothing is promised there. Running
    out of memory shortens the passes, which may move the last bits, and is recorded in `compute.events`.
    """

    def __init__(
        self,
        card: ModelCard,
        network: nn.Module,
        device: str = "auto",
        batch_size: int | str = "auto",
        precision: str = "auto",
    ) -> None:
        keep_freed_memory()
        sum_alike_on_any_threads()
        self.card = card
        self._preparation = Preparation(card.preparation)
        self._devices = devices.choose(device)
        precision = devices.choose_precision(precision, self._devices[0])
        self._half = None if precision == "fp32" else torch.bfloat16 if self._devices[0].type == "cpu" else torch.float16
        self._scale, self._shift = self._normalisation()
        self.network = network  # as given, with its layers as they are named; those that score are folded copies
        quick = quicken(network)
        self._replicas = [quick.to(self._devices[0]), *(quicken(network).to(other) for other in self._devices[1:])]
        self._rows, batch = self._sizes(batch_size)
        self.compute = Compute(",".join(str(each) for each in self._devices), precision, batch)

    @classmethod
    def load(cls, folder: Path, device: str = "auto", batch_size: int | str = "auto", precision: str = "auto") -> Self:
        """Read a model folder; raises ClassifierError where weights are missing, altered or do not fit."""
        keep_freed_memory()
        card, network = read_model(folder)
        return cls(card, network, device, batch_size, precision)

    def predict(self, crops: NDArray[np.uint8]) -> Predictions:
        return Predictions(self._probabilities(self.logits(crops)), self.card.classes)

    def logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return what the network says of `crops` before temperature and activation, (n, outputs)."""
        self._check(crops)
        prepared = self._preparation(crops)
        outputs = 1 if self.card.activation == "sigmoid" else len(self.card.classes)
        logits = self._side_by_side(prepared) if self._devices[0].type == "cpu" else self._one_after_the_other(prepared)
        joined = np.concatenate([each.float().cpu().numpy().astype(np.float64) for each in logits] or [np.zeros((0, outputs))])
        if joined.shape[1] != outputs:
            raise ClassifierError(f"The network of {self.card.name!r} has {joined.shape[1]} outputs, its card needs {outputs}.")
        return joined

    def prepare(self, crops: NDArray[np.uint8]) -> Tensor:
        """Return crops as the network is given them: prepared and normalised, (n, 3, height, width) on the first device."""
        self._check(crops)
        return self._normalise(torch.tensor(self._preparation(crops)).permute(0, 3, 1, 2).to(self._devices[0]))

    def _one_after_the_other(self, prepared: NDArray[np.uint8]) -> list[Tensor]:
        logits: list[Tensor] = []
        start = 0
        while start < len(prepared):
            replica = len(logits) % len(self._replicas)
            logits.append(self._pass(replica, prepared[start : start + self._rows]))
            start += len(logits[-1])
        return logits

    def _side_by_side(self, prepared: NDArray[np.uint8]) -> list[Tensor]:
        """Run passes over small crops on a thread each: to split every layer of a small network over threads costs more than it gains.

        A pass that comes alone has one thread as well, so that its bits are the same however many there are.
        """
        if prepared.shape[1] > SIDE_BY_SIDE_PX:
            return self._one_after_the_other(prepared)
        rows = self._rows
        parts = [prepared[start : start + rows] for start in range(0, len(prepared), rows)]
        return [logits for part in each_on_one_thread(self._one_after_the_other, parts) for logits in part]

    def _probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float32]:
        cooled = logits / self.card.temperature
        if self.card.activation == "sigmoid":
            return np.hstack([expit(-cooled), expit(cooled)]).astype(np.float32)
        return np.asarray(softmax(cooled, axis=1), np.float32)

    def _check(self, crops: NDArray[np.uint8]) -> None:
        px = self.card.crop_px
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (px, px, 3):
            raise ClassifierError(
                f"{self.card.name!r} takes crops of shape (n, {px}, {px}, 3) and type uint8; these are {crops.shape} and {crops.dtype}."
            )

    def _pass(self, replica: int, crops: NDArray[np.uint8]) -> Tensor:
        """Return the logits of at most as many crops as one pass holds; after running out of memory, of fewer."""
        while True:
            rows = self._rows
            try:
                return self._forward(replica, crops[:rows])
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                self._halve(rows, error)

    def _forward(self, replica: int, crops: NDArray[np.uint8]) -> Tensor:
        device = self._devices[replica]
        filled = np.zeros((self._rows, *crops.shape[1:]), np.uint8)
        filled[: len(crops)] = crops
        # Height, width, channel in memory is what torch calls channels_last: nothing is reordered from here on.
        pixels = torch.from_numpy(filled).permute(0, 3, 1, 2)
        if device.type == "cuda":
            pixels = pixels.pin_memory()
        pixels = pixels.to(device, non_blocking=True)
        with (
            torch.inference_mode(),
            torch.autocast(device.type, self._half, enabled=self._half is not None),
            # TensorFloat-32 rounds to 10 bits, which is not what fp32 promises.
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        ):
            logits: Tensor = self._replicas[replica](self._normalise(pixels))
        return logits[: len(crops)]

    def _halve(self, rows: int, error: RuntimeError) -> None:
        if rows == 1:
            raise ClassifierError(
                f"Not even one crop of {self.card.name!r} fits into the memory of {self.compute.device}. "
                "Free memory there, or take another device with --device."
            ) from error
        if self._rows < rows:  # another thread has halved them
            return
        self._rows = rows // 2
        if self._devices[0].type != "cpu":  # on a CPU a batch is several passes anyway
            self.compute.batch_size = self._rows * len(self._devices)
        self.compute.events.append(f"out of memory at {rows} crops: going on with {self._rows}")
        if self._devices[0].type == "cuda":
            torch.cuda.empty_cache()

    def _normalise(self, pixels: Tensor) -> Tensor:
        return torch.addcmul(self._shift.to(pixels.device), pixels.float(), self._scale.to(pixels.device))

    def _normalisation(self) -> tuple[Tensor, Tensor]:
        """Return what (pixel / 255 - mean) / std is as one product and one sum."""
        mean, std = (np.asarray(each, np.float64).reshape(1, 3, 1, 1) for each in (self.card.mean, self.card.std))
        return torch.tensor(1 / (255 * std), dtype=torch.float32), torch.tensor(-mean / std, dtype=torch.float32)

    def _sizes(self, wanted: int | str) -> tuple[int, int]:
        """Return the rows of a forward pass and the crops that a call of predict had best be given."""
        if wanted != "auto" and (not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1):
            raise ClassifierError(f"Batch size {wanted!r} is not understood. Write auto or a number of crops from 1 on.")
        first = self._devices[0]
        if first.type == "cpu":
            asked = CPU_BATCH if isinstance(wanted, str) else wanted
            return CPU_ROWS, -(-asked // CPU_ROWS) * CPU_ROWS
        if isinstance(wanted, int):
            rows = wanted
        elif first.type == "mps":
            rows = MPS_ROWS
        else:
            empty = np.zeros((1, self.card.crop_px, self.card.crop_px, 3), np.uint8)
            side = self._preparation(empty).shape[1]
            rows = min(
                rows_that_fit(network, device, side, self._half) for network, device in zip(self._replicas, self._devices, strict=True)
            )
        return rows, rows * len(self._devices)
