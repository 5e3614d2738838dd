"""A classifier as one ONNX file: crops in as bytes, calibrated probabilities out, and all that must be known as metadata.

Normalisation, temperature and softmax or sigmoid are in the graph. What a card's `preparation` does to a crop before the
network sees it is not: the metadata names the steps, and whoever runs the file does them first.
"""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from classifiers.base import NOTICE, ClassifierError
from classifiers.card import ModelCard
from classifiers.folder import read_card, read_model
from classifiers.opening import is_ensemble
from classifiers.preprocess import Preparation

NEEDED: Final = ("onnx", "onnxscript")
INPUT, OUTPUT, ROWS = "crops", "probabilities", "n"
TOLERANCE: Final = 1e-4  # of a probability; ONNX Runtime adds in another order than torch
CHECKED_ROWS: Final = (1, 5)


class _Whole(nn.Module):
    """From bytes to probabilities, as TorchClassifier has it."""

    scale: Tensor
    shift: Tensor

    def __init__(self, card: ModelCard, network: nn.Module) -> None:
        super().__init__()
        self.network, self.temperature, self.single = network, card.temperature, card.activation == "sigmoid"
        mean, std = (torch.tensor(each, dtype=torch.float64).reshape(1, 3, 1, 1) for each in (card.mean, card.std))
        self.register_buffer("scale", (1 / (255 * std)).float())
        self.register_buffer("shift", (-mean / std).float())

    def forward(self, crops: Tensor) -> Tensor:
        logits = self.network(crops.float() * self.scale + self.shift) / self.temperature
        return torch.cat([torch.sigmoid(-logits), torch.sigmoid(logits)], dim=1) if self.single else torch.softmax(logits, dim=1)


def export(folder: Path, out: Path) -> dict[str, Any]:
    """Write a model folder as `out`; return its metadata, how far ONNX Runtime is from torch (None: it is not installed), and remarks.

    Raises ClassifierError where the packages or the weights cannot be had, where the model is an ensemble, and where the two disagree.
    """
    if is_ensemble(read_card(folder)):
        raise ClassifierError(
            f"{folder} holds several networks and the rule that mixes them, which one ONNX file cannot: export its members one by one."
        )
    _require_packages()
    card, network = read_model(folder)
    side = Preparation(card.preparation).prepared_px(card.crop_px)
    whole = _Whole(card, network).eval()
    metadata = describe(card, side)
    content = _graph(whole, side, metadata)
    difference = _compare(content, whole, side)
    _write_whole(out, content)
    remarks = [] if difference is not None else ["not compared with torch: onnxruntime is not installed"]
    if card.preparation:
        steps = ", ".join(str(step["step"]) for step in card.preparation)
        remarks.append(f"a crop must be prepared before it is given to the file, which its metadata says: {steps}")
    return {"metadata": metadata, "largest_difference": difference, "remarks": remarks}


def describe(card: ModelCard, side: int) -> dict[str, str]:
    """Return what stands in the file's metadata: texts, lists and mappings as JSON."""
    prepared = "after the steps in `preparation`" if card.preparation else "as it was cut"
    facts: dict[str, Any] = {
        "kind": "smearscan classifier",
        "name": card.name,
        "summary": card.summary,
        "input": f"{INPUT}: uint8, ({ROWS}, 3, {side}, {side}), RGB from 0 to 255, each crop {prepared}; normalisation is in the graph",
        "output": f"{OUTPUT}: float32, ({ROWS}, {len(card.classes)}), calibrated, in the order of `classes`; each row adds up to 1",
        "calling": (
            "a cell whose most probable class has the role excluded is not counted; any other is called blast where P(blast classes) / "
            "(P(blast classes) + P(other classes)) reaches `threshold`"
        ),
        "classes": list(card.classes),
        "roles": dict(card.roles),
        "positive_class": card.positive_class,
        "threshold": card.threshold,
        "temperature": card.temperature,
        "crop_px": card.crop_px,
        "crop_um": card.crop_um,
        "crop_diameters": card.crop_diameters,
        "mpp": card.mpp,
        "preparation": [dict(step) for step in card.preparation],
        "licence": card.licence,
        "training_data": card.training_data,
        "sha256": card.sha256,
        "notice": NOTICE,
    }
    return {name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for name, value in facts.items()}


def _require_packages() -> None:
    """Raise ClassifierError where what writes ONNX is not installed."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise ClassifierError(
            f"Writing ONNX needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: "
            "pip install 'smearscan[export]'."
        )


def _write_whole(out: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=out.parent, prefix=".writing-", delete=False) as file:
        file.write(content)
    Path(file.name).chmod(0o644)
    os.replace(file.name, out)  # noqa: PTH105 - says atomic more plainly than Path.replace


def _graph(whole: nn.Module, side: int, metadata: Mapping[str, str]) -> bytes:
    example = torch.zeros(2, 3, side, side, dtype=torch.uint8)
    program = torch.onnx.export(
        whole,
        (example,),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim(ROWS)},),
        input_names=[INPUT],
        output_names=[OUTPUT],
        verbose=False,
    )
    assert program is not None  # it is None only for the old exporter
    _forget_origins(program.model)
    program.model.metadata_props.update(metadata)
    with tempfile.TemporaryDirectory() as scratch:
        program.save(Path(scratch) / "model.onnx", external_data=False)
        return (Path(scratch) / "model.onnx").read_bytes()


def _forget_origins(model: Any) -> None:
    """Remove the stack traces that the exporter leaves: they name places on this machine, so no two would write the same file."""
    graph = model.graph
    for node in graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*graph.inputs, *graph.initializers.values()):
        value.metadata_props.clear()
    graph.metadata_props.clear()


def _compare(content: bytes, whole: nn.Module, side: int) -> float | None:
    """Return the largest difference between ONNX Runtime and torch over a few random crops; refuses one that matters."""
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    random, largest = np.random.default_rng(0), 0.0
    for rows in CHECKED_ROWS:
        crops = random.integers(0, 256, (rows, 3, side, side), np.uint8)
        with torch.inference_mode():
            expected = whole(torch.from_numpy(crops)).numpy()
        (found,) = session.run([OUTPUT], {INPUT: crops})
        largest = max(largest, float(np.abs(found - expected).max()))
    if not largest <= TOLERANCE:
        raise ClassifierError(
            f"ONNX Runtime's probabilities differ from torch's by {largest:.2g}, more than {TOLERANCE:g}; nothing is written."
        )
    return largest
