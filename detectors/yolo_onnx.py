"""A detector as one ONNX file: fields in as bytes, every box with its scores out, before suppression; the rest as metadata."""

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

from detectors.base import DetectorError
from detectors.yolo_folder import DetectorCard, load_folder

NEEDED: Final = ("onnx", "onnxscript")
INPUT, BOXES, SCORES, ROWS = "fields", "boxes", "scores", "n"
SCORE_TOLERANCE, BOX_TOLERANCE_PX = 1e-4, 0.05
CHECKED_ROWS: Final = (1, 3)
NOTICE: Final = "For research use only. Not for use in diagnostic procedures."


class _Raw(nn.Module):
    """From bytes to boxes and scores of every anchor."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, fields: Tensor) -> tuple[Tensor, Tensor]:
        answer = self.network(fields.float() / 255)[0].transpose(1, 2)
        centre, half = answer[..., :2], answer[..., 2:4] / 2
        return torch.cat([centre - half, centre + half], dim=2), answer[..., 4:]


class _AnySize:
    """Equal to every size, so that the head keeps the anchors it has instead of asking how many fields there are."""

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


def export(folder: Path, out: Path) -> dict[str, Any]:
    """Write a detector folder as `out`; return its metadata, how far ONNX Runtime is from torch (None: it is not installed), and remarks.

    Raises DetectorError where the packages or the weights cannot be had, and where the two disagree.
    """
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise DetectorError(
            f"Writing ONNX needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: "
            "pip install 'smearscan[export]'."
        )
    card, network = load_folder(folder)
    raw = _raw(network, card.input_px)
    metadata = describe(card)
    content = _graph(raw, card.input_px, metadata)
    difference = _compare(content, raw, card.input_px)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=out.parent, prefix=".writing-", delete=False) as file:
        file.write(content)
    Path(file.name).chmod(0o644)
    os.replace(file.name, out)  # noqa: PTH105 - says atomic more plainly than Path.replace
    remarks = ["boxes overlap: suppress them as the metadata says"]
    remarks += [] if difference is not None else ["not compared with torch: onnxruntime is not installed"]
    return {"metadata": metadata, "largest_difference": difference, "remarks": remarks}


def describe(card: DetectorCard) -> dict[str, str]:
    """Return what stands in the file's metadata: texts, lists and mappings as JSON."""
    side = card.input_px
    facts: dict[str, Any] = {
        "kind": "smearscan detector",
        "name": card.name,
        "summary": card.summary,
        "input": f"{INPUT}: uint8, ({ROWS}, 3, {side}, {side}), RGB from 0 to 255, fields of a slide at `mpp`; scaling is in the graph",
        "output": (
            f"{BOXES}: float32, ({ROWS}, anchors, 4), left, top, right, bottom in pixels of the field; "
            f"{SCORES}: float32, ({ROWS}, anchors, {len(card.classes)}), from 0 to 1, in the order of `classes`; nothing is suppressed"
        ),
        "calling": (
            "a box is proposed where the best of its scores is that of a class with the role cell and reaches `confidence`; of boxes that "
            "overlap by more than `iou` the one with the higher score is kept, `max_detections` a field, and only those whose centre "
            "lies `margin_px` or more from the field's edge"
        ),
        "classes": list(card.classes),
        "roles": dict(card.roles),
        "input_px": side,
        "margin_px": card.margin_px,
        "mpp": card.mpp,
        "cell_px": card.cell_px,
        "confidence": card.confidence,
        "iou": card.iou,
        "max_detections": card.max_detections,
        "licence": card.licence,
        "training_data": card.training_data,
        "citation": card.citation,
        "sha256": card.sha256,
        "model_sha256": card.model_sha256,
        "notice": NOTICE,
    }
    return {name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for name, value in facts.items()}


def _raw(network: Any, side: int) -> nn.Module:
    """Return the network with batch norms folded and its head's anchors laid out for fields of `side`."""
    network.end2end = False
    network = network if network.is_fused() else network.fuse(verbose=False)
    raw = _Raw(network.eval().requires_grad_(False)).eval()
    with torch.no_grad():  # anchors made in inference mode could not be exported
        raw(torch.zeros(1, 3, side, side, dtype=torch.uint8))
    network.model[-1].shape = _AnySize()
    return raw


def _graph(raw: nn.Module, side: int, metadata: Mapping[str, str]) -> bytes:
    example = torch.zeros(2, 3, side, side, dtype=torch.uint8)
    program = torch.onnx.export(
        raw,
        (example,),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim(ROWS)},),
        input_names=[INPUT],
        output_names=[BOXES, SCORES],
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


def _compare(content: bytes, raw: nn.Module, side: int) -> float | None:
    """Return the largest difference of a score between ONNX Runtime and torch over a few random fields; refuses one that matters."""
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    random, largest = np.random.default_rng(0), 0.0
    for rows in CHECKED_ROWS:
        fields = random.integers(0, 256, (rows, 3, side, side), np.uint8)
        with torch.no_grad():
            expected = [each.numpy() for each in raw(torch.from_numpy(fields))]
        boxes, scores = (
            np.abs(found - right).max() for found, right in zip(session.run([BOXES, SCORES], {INPUT: fields}), expected, strict=True)
        )
        if not (boxes <= BOX_TOLERANCE_PX and scores <= SCORE_TOLERANCE):
            raise DetectorError(
                f"ONNX Runtime's boxes differ from torch's by {boxes:.2g} px and its scores by {scores:.2g}, more than "
                f"{BOX_TOLERANCE_PX:g} and {SCORE_TOLERANCE:g}; nothing is written."
            )
        largest = max(largest, float(scores))
    return largest
