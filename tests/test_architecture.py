"""The arrows between the packages, read from the imports: who may know whom, and where each heavy library lives.

Every `import` counts, also inside functions and under TYPE_CHECKING: an arrow is about what a file knows, not about
when it is loaded. A rule that is in the way is changed here, in the same change that needs it, and said in its message.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("smearscan", "detectors", "classifiers")

# What stands where in smearscan/. A file or folder that is not here fails the tests until somebody says where it belongs.
GROUND = {"errors", "results", "config", "intervals", "percentages", "plugins"}
STEPS = {"slides", "tiling", "gate", "proposals", "crops", "scoring", "counting", "overlays", "ledger", "reports"}
DRIVERS = {
    "scan",
    "night",
    "building",
    "coarse",
    "salvage",
    "reading",
    "patches",
    "red_cells",
    "staining",
    "conclusion",
    "workers",
    "stopping",
    "machine",
}  # what `smearscan run` is made of
DRIVERS |= {"smears", "checking", "tables", "rebuilding", "explaining", "labels", "compare", "models", "cluster", "review"}
CONSOLE = {"console"}
TOP = {"cli", "__main__"}
TESTING = {"testing"}
ROOMS = GROUND | STEPS | DRIVERS | CONSOLE | TOP | TESTING

# What smearscan may know of the leaf packages; everything concrete is reached by name through smearscan.plugins.
OPEN_TO_SMEARSCAN = {
    "detectors": {"", "base", "boxes", "stain", "nuclear_stain", "scale"},  # the last four are arithmetic on boxes and pictures
    "classifiers": {"", "base", "card", "explain.inside"},  # the last is arithmetic on maps, as detectors.boxes is on boxes
}

# The library's rooms that the verbs of learning and judging call: no weights are opened here, and nothing that scans knows of them.
WORKSHOPS = {
    "classifiers": {
        "datasets",
        "splits",
        "calibration",
        "recipes",
        "training",
        "tuning",
        "ensembles",
        "evaluation",
        "explain",
    },
    "detectors": {"training"},
}

# Heavy libraries and the only places that may import them.
HOMES = {
    "openslide": ("smearscan/slides/",),
    "tifffile": ("smearscan/slides/",),
    "imagecodecs": ("smearscan/slides/",),
    "zarr": ("smearscan/slides/", "smearscan/reports/"),
    "dask": ("smearscan/slides/", "smearscan/cluster"),
    "distributed": ("smearscan/cluster",),
    "starlette": ("smearscan/review/",),
    "uvicorn": ("smearscan/review/",),
    "jinja2": ("smearscan/reports/",),
    "rich": ("smearscan/console.py",),
    "click": ("smearscan/cli/", "smearscan/__main__.py"),
    "torch": ("classifiers/", "detectors/yolo", "detectors/training"),
    "torchvision": ("classifiers/", "detectors/yolo", "detectors/training"),
    "ultralytics": ("detectors/yolo", "detectors/training"),
    "pytorch_grad_cam": ("classifiers/explain/",),
    "captum": ("classifiers/explain/",),
    "timm": ("classifiers/networks/timm_families",),
    "matplotlib": ("classifiers/",),
    "onnx": ("classifiers/onnx_export", "detectors/yolo_onnx"),
    "onnxruntime": ("classifiers/onnx_export", "detectors/yolo_onnx"),
    "optuna": ("classifiers/tuning", "classifiers/ensembles"),
}


@dataclass(frozen=True)
class Import:
    """One imported module, in full, and where it is imported."""

    file: PurePosixPath  # from the project's root
    line: int
    module: str  # "smearscan.slides.base"

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]

    @property
    def room(self) -> str:
        """The part right below the package, "" for the package itself."""
        return self.module.split(".")[1] if "." in self.module else ""

    def breaks(self, rule: str) -> str:
        return f"{self.file}:{self.line} imports {self.module}: {rule}"


def room_of(file: PurePosixPath) -> str:
    """Return the part of its package that a file belongs to, "" for the package's own __init__."""
    name = file.parts[1].removesuffix(".py")
    return "" if name == "__init__" else name


def is_module(dotted: str) -> bool:
    """Whether `from a import b` means the module a.b and not a name inside a."""
    if dotted in {f"smearscan.{room}" for room in ROOMS}:
        return True
    place = ROOT.joinpath(*dotted.split("."))
    return place.with_suffix(".py").is_file() or place.is_dir()


def imports(file: PurePosixPath, source: str) -> Iterator[Import]:
    """Yield every module that `source`, standing at `file`, imports; relative ones written out."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*file.parts[: -node.level], *([node.module] if node.module else [])])
            for alias in node.names:
                below = f"{base}.{alias.name}"
                yield Import(file, node.lineno, below if is_module(below) else base)
        elif isinstance(node, ast.Call) and called_name(node) in {"import_module", "__import__"}:
            target = node.args[0] if node.args else None
            named = isinstance(target, ast.Constant) and isinstance(target.value, str)
            yield Import(file, node.lineno, target.value if named else "?")


def called_name(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def judge_leaf(found: Import) -> str | None:
    """detectors and classifiers: each works on any numpy picture, and knows neither slides nor the other."""
    own = found.file.parts[0]
    if found.package in PACKAGES and found.package != own:
        return f"{own} knows nothing of {found.package}"
    return None


def judge_smearscan(found: Import) -> str | None:
    """Concrete detectors and classifiers by name only; inside, what `judge_rooms` says."""
    here = room_of(found.file)
    inner = {found.room, found.module.partition(".")[2]}  # a whole room may be open, or one file in it
    workshop = here in TOP and found.room in WORKSHOPS.get(found.package, set())
    if found.package in OPEN_TO_SMEARSCAN and here not in TESTING and not workshop and not inner & OPEN_TO_SMEARSCAN[found.package]:
        return "smearscan reaches a concrete detector or classifier only by name, through smearscan.plugins"
    if found.package == "smearscan" and found.room not in {here, ""}:
        return judge_rooms(here, found.room)
    return None


def judge_rooms(here: str, there: str) -> str | None:
    """Inside smearscan: ground <- steps <- drivers <- cli."""
    verdicts = [
        (there in TOP and here not in TOP, "nothing but __main__ knows the command line"),
        (there in TESTING, "smearscan.testing is for tests, not for the program"),
        (here in GROUND and there not in GROUND, f"the ground ({', '.join(sorted(GROUND))}) stands on nothing but itself"),
        (here in STEPS and there in STEPS, "no step imports another step; only the drivers know the order"),
        (here in STEPS | CONSOLE and there not in GROUND, "steps and the console stand on the ground alone"),
        (here in TESTING and there in DRIVERS, "smearscan.testing serves plug-in authors and knows no driver"),
    ]
    return next((rule for broken, rule in verdicts if broken), None)


def judge_home(found: Import) -> str | None:
    """Each heavy library has one home."""
    homes = HOMES.get(found.package)
    if homes and not str(found.file).startswith(homes):
        return f"{found.package} lives in {', '.join(homes)}"
    if found.module == "?" and str(found.file) != "smearscan/plugins.py" and room_of(found.file) != "cli":
        return "only smearscan.plugins and the lazy commands of smearscan.cli import by a computed name"
    return None


def violations(file: PurePosixPath, source: str) -> list[str]:
    """Return one sentence for every import in `source` that breaks a rule."""
    broken = []
    for found in imports(file, source):
        judge_package = judge_smearscan if file.parts[0] == "smearscan" else judge_leaf
        broken += [found.breaks(rule) for rule in (judge_package(found), judge_home(found)) if rule]
    return sorted(set(broken))


def files(*packages: str) -> list[PurePosixPath]:
    return [PurePosixPath(path.relative_to(ROOT).as_posix()) for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def unknown_rooms(found: list[PurePosixPath]) -> list[str]:
    return sorted({f"{file.parts[0]}/{file.parts[1]}" for file in found if room_of(file) not in ROOMS | {""}})


def test_every_import_follows_the_arrows() -> None:
    broken = [each for file in files(*PACKAGES) for each in violations(file, (ROOT / file).read_text(encoding="utf-8"))]
    assert not broken, "\n".join(broken)


def test_every_room_of_smearscan_is_known() -> None:
    unknown = unknown_rooms(files("smearscan"))
    assert not unknown, f"Say where it belongs, in GROUND, STEPS, DRIVERS, CONSOLE, TOP or TESTING of {Path(__file__).name}: {unknown}"


def test_an_unknown_room_is_noticed() -> None:
    assert unknown_rooms([PurePosixPath("smearscan/helpers.py"), PurePosixPath("smearscan/scan.py")]) == ["smearscan/helpers.py"]


@pytest.mark.parametrize(
    ("file", "source", "rule"),
    [
        ("detectors/window.py", "import smearscan", "detectors knows nothing of smearscan"),
        ("detectors/window.py", "from classifiers.base import Classifier", "detectors knows nothing of classifiers"),
        ("classifiers/training.py", "def fit():\n    from detectors import boxes", "classifiers knows nothing of detectors"),
        ("classifiers/explain/maps.py", "from smearscan.errors import SmearscanError", "classifiers knows nothing of smearscan"),
        ("smearscan/gate.py", "from smearscan.slides import open_slide", "no step imports another step"),
        ("smearscan/gate.py", "from .slides.base import Slide", "no step imports another step"),
        ("smearscan/slides/base.py", "from ..tiling import tiles", "no step imports another step"),
        ("smearscan/gate.py", "from smearscan import scan", "steps and the console stand on the ground alone"),
        ("smearscan/counting.py", "import smearscan.console", "steps and the console stand on the ground alone"),
        ("smearscan/results.py", "from smearscan.counting import count", "stands on nothing but itself"),
        ("smearscan/scan.py", "from smearscan.cli import smearscan", "nothing but __main__ knows the command line"),
        ("smearscan/scan.py", "from smearscan.testing import FakeSlide", "for tests, not for the program"),
        ("smearscan/testing/fakes.py", "from smearscan.scan import scan_slide", "knows no driver"),
        ("smearscan/proposals.py", "from detectors.window import WindowDetector", "only by name, through smearscan.plugins"),
        ("smearscan/overlays.py", "from classifiers.explain.cams import METHODS", "only by name, through smearscan.plugins"),
        ("smearscan/checking.py", "from classifiers.datasets import load", "only by name, through smearscan.plugins"),
        ("smearscan/cli/train.py", "from classifiers.networks import build", "only by name, through smearscan.plugins"),
        ("smearscan/cli/train.py", "import matplotlib.figure", "matplotlib lives in classifiers/"),
        ("classifiers/networks/__init__.py", "import timm", "timm lives in classifiers/networks/timm_families"),
        ("classifiers/training/loop.py", "import optuna", "optuna lives in classifiers/tuning, classifiers/ensembles"),
        ("smearscan/scan.py", "import importlib\nimportlib.import_module('detectors.yolo')", "only by name, through smearscan.plugins"),
        ("smearscan/scan.py", "from importlib import import_module\nimport_module(name)", "by a computed name"),
        ("smearscan/scan.py", "if TYPE_CHECKING:\n    import torch.nn", "torch lives in classifiers/, detectors/yolo"),
        ("smearscan/counting.py", "from rich.table import Table", "rich lives in smearscan/console.py"),
        ("detectors/nuclei.py", "import ultralytics", "ultralytics lives in detectors/yolo"),
    ],
)
def test_a_planted_import_is_found(file: str, source: str, rule: str) -> None:
    found = violations(PurePosixPath(file), source)
    assert len(found) == 1, found
    assert rule in found[0]
    line = 1 + source.count("\n")
    assert found[0].startswith(f"{file}:{line} imports "), "the message names the place"


@pytest.mark.parametrize(
    ("file", "source"),
    [
        (
            "smearscan/proposals.py",
            "from detectors import Proposals, boxes\nfrom detectors.base import Detector\nfrom smearscan.results import Tile",
        ),
        ("smearscan/overlays.py", "from classifiers.explain.inside import share_inside"),
        ("smearscan/slides/tiff.py", "import tifffile\nfrom smearscan.slides.base import Slide\nfrom .base import Slide"),
        ("smearscan/scan.py", "from smearscan import __version__, gate, counting\nfrom smearscan.console import Console"),
        ("smearscan/testing/contracts.py", "from smearscan.slides import open_slide\nfrom detectors.window import WindowDetector"),
        ("smearscan/cli/train.py", "from classifiers import splits\nfrom classifiers.datasets.checking import check"),
        ("classifiers/ensembles/weights.py", "import optuna"),
        ("smearscan/cli/run.py", "import click\nfrom smearscan.scan import scan_slides"),
        ("detectors/yolo_weights.py", "import torch\nfrom detectors.base import DetectorError"),
    ],
)
def test_what_is_allowed_passes(file: str, source: str) -> None:
    assert violations(PurePosixPath(file), source) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_that_is_imported_is_ours(package: str) -> None:
    """Another project on PyPI installs a package `detectors` too; whichever comes first on the path wins."""
    module = importlib.import_module(package)
    assert module.__file__ is not None
    found = Path(module.__file__).resolve()
    assert found == (ROOT / package / "__init__.py").resolve(), (
        f"`import {package}` gives {found}, not this project's: uninstall the other package, or use an environment of its own"
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_exist_and_are_documented(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__doc__, f"{package} says what it is"
    names = getattr(module, "__all__", [])
    assert len(set(names)) == len(names), f"{package}.__all__ names something twice"
    for name in names:
        assert hasattr(module, name), f"{package}.__all__ names {name!r}, which is not there"
        thing = getattr(module, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), f"{package}.{name} is public and says nothing of itself"
