"""A YOLO as a folder of data: `weights.safetensors`, `model.yaml` (its layers) and `card.json` (what must be known of it).

Nothing in such a folder is unpickled or evaluated, and every file is checked against the digest on the card. A `.pt` file
of ultralytics is a pickle, which can run any code while it is read: `convert` makes a folder of one that you trust.
"""

from __future__ import annotations

import ast
import copy
import hashlib
import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from detectors.base import DetectorError
from detectors.yolo_library import load_tasks

if TYPE_CHECKING:
    from torch import nn

CARD, MODEL, WEIGHTS = "card.json", "model.yaml", "weights.safetensors"
Role = Literal["cell", "ignored"]
ROLES: tuple[str, ...] = get_args(Role)

# The names that public sets give white cells; a .pt file says nothing else of what its classes are.
WHITE_CELL_NAMES = {"wbc", "wbcs", "whitebloodcell", "whitebloodcells", "leukocyte", "leukocytes", "leucocyte", "leucocytes"}

# What a model.yaml may say. ultralytics evaluates `activation` as Python, and takes a layer's name for any name it knows.
SIZES = {"nc", "scale", "scales", "depth_multiple", "width_multiple", "max_channels", "end2end", "reg_max"}
MODEL_KEYS = {*SIZES, "activation", "backbone", "head"}
LEFT_OUT = {"yaml_file", "channels", "ch", "inplace"}  # of no use to another machine
ACTIVATION = re.compile(r"(torch\.)?nn\.(SiLU|ReLU|ReLU6|LeakyReLU|GELU|Mish|Hardswish|ELU|Identity)\(([0-9.]*|inplace=(True|False))\)")
LAYER_HOMES = ("ultralytics.nn.modules.", "torch.nn.modules.")
FETCHES_WEIGHTS = {"TorchVision"}  # a layer that loads another network, from the network
HEADS = {"Detect", "v10Detect"}
# What ultralytics raises while it puts layers together that do not belong together.
MISFITS = (TypeError, ValueError, KeyError, IndexError, AttributeError, AssertionError, RuntimeError)


@dataclass(frozen=True)
class DetectorCard:
    """The facts that stand beside a detector's weights in `card.json`."""

    name: str
    summary: str  # one line: what it is and what it is not
    classes: tuple[str, ...]  # in the order of the network's outputs
    roles: Mapping[str, Role]  # "cell" is proposed; "ignored" (red cells, platelets) is only told apart
    input_px: int = 640  # side of the network's input
    margin_px: int = 64  # of the input, on each side: no cell whose centre lies inside it is kept. At least 1.5 cell diameters
    mpp: float | None = None  # microns per pixel of the network's input; None: slide pixels go in as they are
    # How wide the cells may be, in pixels of the input, that it was trained to find: the least and the most. A network of so
    # many sizes sees a slide without a scale as it is, and one with a scale at `mpp`. None: it needs the scale, where mpp is given.
    cell_px: tuple[float, float] | None = None
    confidence: float = 0.25
    iou: float = 0.5
    max_detections: int = 300  # in one field
    licence: str = ""
    training_data: str = ""
    citation: str = ""
    sha256: str = ""  # of weights.safetensors
    model_sha256: str = ""  # of model.yaml
    extra: Mapping[str, Any] = field(default_factory=dict)  # metrics and the like, shown but not used

    def __post_init__(self) -> None:
        where = f"Detector card {self.name!r}"
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise DetectorError(f"{where}: classes must be different names, at least one, not {list(self.classes)}.")
        if set(self.roles) != set(self.classes) or not set(self.roles.values()) <= set(ROLES):
            raise DetectorError(f"{where}: every class needs one role of {ROLES}; roles are {dict(self.roles)}.")
        if "cell" not in self.roles.values():
            raise DetectorError(f"{where}: no class has the role 'cell', so nothing could ever be proposed.")
        if self.input_px < 128 or self.input_px % 32:
            raise DetectorError(f"{where}: input_px {self.input_px} must be a multiple of 32, at least 128.")
        if not 0 < self.margin_px <= self.input_px // 4:
            raise DetectorError(f"{where}: margin_px {self.margin_px} must lie between 1 and a quarter of input_px ({self.input_px // 4}).")
        if self.mpp is not None and not 0.02 <= self.mpp <= 8:
            raise DetectorError(f"{where}: mpp {self.mpp} is no plausible scale; it is in microns per pixel.")
        if self.cell_px is not None and not 0 < self.cell_px[0] < self.cell_px[1] <= 4096:
            raise DetectorError(f"{where}: cell_px {list(self.cell_px)} must be the least and the most pixels that a cell is wide.")
        if not 0 < self.confidence < 1 or not 0 < self.iou < 1 or self.max_detections < 1:
            raise DetectorError(
                f"{where}: confidence {self.confidence} (0..1), iou {self.iou} (0..1) "
                f"or max_detections {self.max_detections} (>= 1) is out of range."
            )

    @property
    def cell_columns(self) -> list[int]:
        return [index for index, name in enumerate(self.classes) if self.roles[name] == "cell"]

    @classmethod
    def load(cls, path: Path) -> DetectorCard:
        """Read `card.json`; the message of a DetectorError names the field that is wrong."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DetectorError(f"{path} is no readable detector card: {error}") from error
        if not isinstance(values, dict) or (unknown := set(values) - {each.name for each in fields(cls)}):
            raise DetectorError(f"{path}: unknown fields {sorted(unknown) if isinstance(values, dict) else values!r}.")
        try:
            across = values.get("cell_px")
            if across is not None:
                least, most = across
                across = (float(least), float(most))
            return cls(**{**values, "classes": tuple(values.get("classes", ())), "cell_px": across})
        except (TypeError, ValueError, AttributeError) as error:
            raise DetectorError(f"{path}: {error}") from error

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_folder(folder: Path) -> tuple[DetectorCard, nn.Module]:
    """Return the card and the network, in evaluation mode on the CPU; DetectorError where anything is missing or altered."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    missing = [name for name in (CARD, MODEL, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise DetectorError(f"{folder} is no detector folder: {', '.join(missing)} is missing. It needs {CARD}, {MODEL} and {WEIGHTS}.")
    card = DetectorCard.load(folder / CARD)
    _check_digest(folder / WEIGHTS, card.sha256)
    _check_digest(folder / MODEL, card.model_sha256)
    network = build(_read_layers(folder / MODEL, len(card.classes)))
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in load_file(folder / WEIGHTS).items()}, strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise DetectorError(f"{folder / WEIGHTS} does not fit the layers of {MODEL}: {str(error).splitlines()[0]}") from error
    return card, network.eval()


def save_folder(network: nn.Module, folder: Path, card: DetectorCard, *, half: bool = False) -> DetectorCard:
    """Write a trained ultralytics detection network as a folder and return its card with the digests filled in.

    `half` stores the weights with 16 bits, as ultralytics' own files do: half the size, and read back as 32-bit numbers.
    """
    import torch
    import yaml
    from safetensors.torch import save_file

    inner: Any = network
    if inner.is_fused():
        raise DetectorError("A fused network cannot be saved: its batch norms are gone. Save it before it is used to predict.")
    if unknown := set(inner.yaml) - MODEL_KEYS - LEFT_OUT:
        raise DetectorError(
            f"A network described with {', '.join(sorted(unknown))} cannot be kept as a folder; detection networks need none."
        )
    layers = {name: value for name, value in inner.yaml.items() if name in MODEL_KEYS}
    if layers["nc"] != len(card.classes):
        raise DetectorError(f"The network tells {layers['nc']} classes apart, the card {card.name!r} names {len(card.classes)}.")
    folder.mkdir(parents=True, exist_ok=True)
    shrink = torch.float16 if half else torch.float32
    tensors = {
        name: (value.to(shrink) if value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in inner.state_dict().items()
    }
    save_file(tensors, folder / WEIGHTS)
    (folder / MODEL).write_text(yaml.safe_dump(layers, sort_keys=True), encoding="utf-8")
    (folder / WEIGHTS).chmod((folder / MODEL).stat().st_mode)  # safetensors lets nobody else read what it writes
    card = replace(card, sha256=sha256(folder / WEIGHTS), model_sha256=sha256(folder / MODEL))
    card.save(folder / CARD)
    return card


def convert(pt: Path, folder: Path, *, half: bool = True, **facts: Any) -> DetectorCard:
    """Write a `.pt` file that you trust as a folder. `facts` are card fields that the file does not know (mpp, licence, ...).

    This unpickles the file, which can run any code that its maker put in.
    """
    card, network = read_pt(pt)
    return save_folder(network, folder, replace(card, **facts), half=half)


def read_pt(pt: Path) -> tuple[DetectorCard, nn.Module]:
    """Unpickle a trusted `.pt` file of ultralytics; what its card cannot know stays at its default."""
    import torch

    load_tasks()
    try:
        stored = torch.load(pt, map_location="cpu", weights_only=False)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, ModuleNotFoundError) as error:
        raise DetectorError(f"{pt} cannot be read as weights of ultralytics: {error}") from error
    network = (stored.get("ema") or stored.get("model")) if isinstance(stored, dict) else None
    if not isinstance(network, torch.nn.Module) or not hasattr(network, "yaml"):
        raise DetectorError(f"{pt} holds no detection network of ultralytics.")
    _check_head(network, str(pt))
    names = getattr(network, "names", {})
    classes = tuple(str(names[index]) for index in sorted(names)) if isinstance(names, dict) else tuple(names)
    size = stored.get("train_args", {}).get("imgsz", 640)
    card = DetectorCard(
        name=pt.stem,
        summary="Converted from a file of ultralytics.",
        classes=classes,
        roles=_guess_roles(classes, pt),
        input_px=int(size if isinstance(size, int) else max(size)),
    )
    return card, network.float().eval()


def build(layers: Mapping[str, Any]) -> nn.Module:
    """Return the untrained network that a model.yaml describes, its head answering before suppression."""
    import torch

    try:
        with torch.random.fork_rng(devices=[]):  # the initial values are thrown away: nobody's random numbers may move for them
            network: Any = load_tasks().DetectionModel(copy.deepcopy(dict(layers)), ch=3, verbose=False)
    except MISFITS as error:
        raise DetectorError(f"The layers of the detector do not fit together: {error}") from error
    _check_head(network, "The network")
    result: nn.Module = network
    return result


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_digest(path: Path, expected: str) -> None:
    found = sha256(path)
    if found != expected:
        raise DetectorError(
            f"{path} is not the file its card describes (sha256 {found[:12]}, the card says {expected[:12] or 'nothing'}). "
            "Copy the folder again from where it came from."
        )


def _check_head(network: Any, where: str) -> None:
    head = network.model[-1]
    if type(head).__name__ not in HEADS or getattr(network, "task", "detect") != "detect":
        raise DetectorError(f"{where} ends in a {type(head).__name__}; smearscan needs a YOLO that detects boxes.")


def _guess_roles(classes: tuple[str, ...], pt: Path) -> dict[str, Role]:
    """Take the classes named like white cells, or the only class there is."""
    cells = [name for name in classes if "".join(filter(str.isalpha, name.lower())) in WHITE_CELL_NAMES]
    if len(classes) == 1:
        cells = list(classes)
    if not cells:
        raise DetectorError(
            f"{pt} tells apart {', '.join(classes)}, and none of these is named like a white cell. "
            "Convert it with detectors.yolo_folder.convert and give `roles`."
        )
    return {name: "cell" if name in cells else "ignored" for name in classes}


def _read_layers(path: Path, class_count: int) -> dict[str, Any]:
    """Read model.yaml and refuse whatever ultralytics would evaluate, import or download while it builds the network."""
    import yaml

    try:
        layers = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DetectorError(f"{path} is no readable model description: {error}") from error
    if not isinstance(layers, dict) or not {"nc", "backbone", "head"} <= set(layers) or (unknown := set(layers) - MODEL_KEYS):
        found = sorted(unknown) if isinstance(layers, dict) and {"nc", "backbone", "head"} <= set(layers) else "no nc, backbone and head"
        raise DetectorError(f"{path} is no description of a detection network that smearscan accepts: {found}.")
    if layers["nc"] != class_count:
        raise DetectorError(f"{path} has {layers['nc']} classes, its card {class_count}.")
    if layers.get("activation") and not ACTIVATION.fullmatch(str(layers["activation"])):
        raise DetectorError(f"{path}: {layers['activation']!r} is no activation that smearscan accepts; write nn.SiLU(), say.")
    for row in [*layers["backbone"], *layers["head"]]:
        _check_layer(row, path)
    return layers


def _check_layer(row: Any, path: Path) -> None:
    import torch

    if not isinstance(row, list) or len(row) != 4 or not isinstance(row[2], str) or not isinstance(row[3], list):
        raise DetectorError(f"{path}: {row!r} is no layer; write [from, repeats, module, arguments].")
    name = row[2]
    found = getattr(torch.nn, name[3:], None) if name.startswith("nn.") else getattr(load_tasks(), name, None)
    is_layer = isinstance(found, type) and issubclass(found, torch.nn.Module) and found.__module__.startswith(LAYER_HOMES)
    if not is_layer or name in FETCHES_WEIGHTS:
        raise DetectorError(f"{path}: {name!r} is no layer that a detector folder may name.")
    for argument in row[3]:
        if isinstance(argument, str) and argument != "nc":
            try:
                ast.literal_eval(argument)
            except (ValueError, SyntaxError):
                if not argument.isidentifier():
                    raise DetectorError(f"{path}: {argument!r} is no argument that a layer may have.") from None
