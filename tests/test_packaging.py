"""What is installed: the wheel's contents, the pinned set, and that no system package is needed."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import pytest

import smearscan

ROOT = Path(__file__).parents[1]
PACKAGES = {"smearscan", "detectors", "classifiers"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# One import of everything that loads a compiled library in some command.
LOADS_EVERYTHING = """
import warnings
warnings.simplefilter("ignore")
import captum.attr, cv2, dask.array, distributed, imagecodecs, openslide, PIL.Image, psutil, pytorch_grad_cam, safetensors.torch
import scipy.ndimage, scipy.optimize, scipy.stats, skimage.color, skimage.filters, skimage.measure, skimage.segmentation
import sklearn.metrics, tifffile, torch, torchvision, ultralytics.nn.tasks, yaml, zarr
from imagecodecs import _imcd, _jpeg2k, _jpeg8, _webp, _zstd
print(*sorted({line.split(None, 5)[5].strip() for line in open("/proc/self/maps") if ".so" in line}), sep="\\n")
"""

# These ask whether onnxruntime is installed, and do without it.
WITHOUT_IT = {"classifiers/onnx_export.py", "detectors/yolo_onnx.py"}

# What slim images do not have: a display, and the toolkits that opencv-python and friends are built against.
NOT_ON_SLIM_IMAGES = re.compile(r"lib(GL|EGL|GLX|GLdispatch|OpenGL|glib-2|gthread-2|gobject-2|X11|Xext|SM|ICE|gtk|Qt\d?)\b")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required(lines: list[str]) -> set[str]:
    return {normal(re.split(r"[<>=!~;\[ ]", line, maxsplit=1)[0]) for line in lines}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {normal(name): version for name, _, version in (line.partition("==") for line in lines if line and not line.startswith("#"))}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built as a user's pip builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stderr[-2000:]
    (found,) = folder.glob("*.whl")
    return found


@pytest.mark.slow
def test_the_wheel_holds_three_packages_and_their_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == PACKAGES
    assert wheel.name.startswith(f"smearscan-{smearscan.__version__}-py3-none-any")
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {f"{package}/py.typed" for package in PACKAGES} <= expected, "every package says that it is typed"
    assert expected <= set(names), "cards, weights, recipes, templates and type markers travel with the code"


@pytest.mark.slow
def test_the_wheel_states_its_licence_command_and_python(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (info,) = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name}
    metadata = archive.read(f"{info}/METADATA").decode()
    assert "License-Expression: AGPL-3.0-or-later" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert "smearscan = smearscan.__main__:main" in archive.read(f"{info}/entry_points.txt").decode()


def test_every_import_is_a_declared_dependency() -> None:
    """An undeclared library works only as long as something else happens to bring it."""
    always = required(PROJECT["dependencies"])
    with_tests = always | required(PROJECT["optional-dependencies"]["test"])
    owners = packages_distributions()
    undeclared = []
    for path in (each for package in PACKAGES for each in (ROOT / package).rglob("*.py")):
        optional = path.relative_to(ROOT).as_posix() in WITHOUT_IT or path.is_relative_to(ROOT / "smearscan" / "testing")
        declared = with_tests if optional else always
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                modules = [node.module]
            for top in {module.partition(".")[0] for module in modules} - PACKAGES - sys.stdlib_module_names:
                if not {normal(owner) for owner in owners.get(top, [])} & declared:
                    undeclared += [f"{path.relative_to(ROOT)}:{node.lineno} imports {top}"]
    assert not undeclared, "\n".join([*undeclared, "Add the distribution to pyproject.toml."])


def test_every_direct_requirement_is_pinned() -> None:
    wanted = required(PROJECT["dependencies"])
    for extra in ("test", "dev", "export"):
        wanted |= required(PROJECT["optional-dependencies"][extra])
    assert wanted - {"smearscan"} <= set(pins()), "run `make constraints`"
    assert all(re.fullmatch(r"[\w.!+]+", version) for version in pins().values()), "exact versions only"


def test_torch_and_torchvision_are_pinned_as_a_pair() -> None:
    """torchvision 0.N goes with torch 2.(N - 14): another pair fails with "operator torchvision::nms does not exist"."""
    import torch
    import torchvision

    assert int(pins()["torchvision"].split(".")[1]) == int(pins()["torch"].split(".")[1]) + 14
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [1.0, 1.0, 11.0, 11.0], [50.0, 50.0, 60.0, 60.0]])
    assert torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist() == [0, 2]


def test_one_headless_cv2_and_no_other() -> None:
    """opencv-python asks for libGL; two distributions in the folder cv2/ overwrite each other."""
    owners = [dist.metadata["Name"] for dist in distributions() if any(file.parts[0] == "cv2" for file in dist.files or [])]
    assert owners == ["opencv-python-headless"], f"cv2 belongs to {owners}: uninstall all of them, then install opencv-python-headless"
    assert not {"opencv-python", "opencv-contrib-python", "ultralytics"} & set(pins()), "the headless builds only"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="slim images are Linux images")
def test_no_loaded_library_asks_for_a_display(tmp_path: Path) -> None:
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("needs readelf, of the package binutils")
    quiet = {**os.environ, "YOLO_CONFIG_DIR": str(tmp_path), "YOLO_OFFLINE": "true"}
    command = [sys.executable, "-c", LOADS_EVERYTHING]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=quiet)
    assert shown.returncode == 0, shown.stderr[-2000:]
    loaded = [line for line in shown.stdout.splitlines() if line.startswith("/")]
    for needle in ("cv2", "openslide", "libtorch_cpu", "imagecodecs"):
        assert any(needle in path for path in loaded), f"{needle} was loaded and is among what is looked at"
    dynamic = subprocess.run([readelf, "--dynamic", "--wide", *loaded], capture_output=True, text=True, timeout=300, check=False).stdout
    needed = set(re.findall(r"\(NEEDED\)\s+Shared library: \[(.+?)\]", dynamic))
    assert "libc.so.6" in needed, "the answer of readelf was understood"
    assert not {name for name in needed if NOT_ON_SLIM_IMAGES.match(name)}


@pytest.mark.parametrize("name", ["libGL.so.1", "libgthread-2.0.so.0", "libglib-2.0.so.0", "libX11.so.6", "libSM.so.6"])
def test_the_display_libraries_would_be_noticed(name: str) -> None:
    assert NOT_ON_SLIM_IMAGES.match(name)


def test_what_the_readme_tells_to_type_exists() -> None:
    """Every `make X`, `smearscan X` and `.ci/run` of the README and of CONTRIBUTING can be typed."""
    from smearscan.cli import VERBS

    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test", "check", "bench"} <= targets
    for page in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        code = "\n".join(block or inline for block, inline in re.findall(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", text, re.DOTALL))
        assert set(re.findall(r"^\s*\$?\s*make ([a-z-]+)", code, re.MULTILINE)) <= targets, page
        assert set(re.findall(r"^\s*\$?\s*smearscan ([a-z-]+)", code, re.MULTILINE)) <= set(VERBS), page


def test_the_version_stands_in_one_place_and_is_repeated_truly() -> None:
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited is not None
    assert cited[1] == smearscan.__version__
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_make_bench_names_scripts_that_need_no_argument() -> None:
    listed = re.search(r"^BENCHMARKS = (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed is not None
    others = {
        *("accuracy", "accuracy_cells", "accuracy_fields", "accuracy_slides", "accuracy_tables", "classifier_trials", "fold_models"),
        "believable",
        "detection",
        "plain_script",
        "composing",
        "red_cell_scale",
        "reproduce",
        "train_classifier",
        "train_detector",
        "training_crops",
        "watching",
    }  # need real images or models; used by others
    assert {*listed[1].split(), *others} == {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
