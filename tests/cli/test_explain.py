"""`smearscan explain`: maps for the class that is named, in numbers, in labels and in colours; what goes wrong is said."""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Iterator
from html import unescape
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from torch import Tensor, nn

from classifiers import Classifier
from classifiers.card import Activation, ModelCard
from classifiers.torch_classifier import TorchClassifier
from smearscan.cli import explain as verb
from smearscan.cli import smearscan
from smearscan.reports import lettering
from smearscan.reports.explanation_sheet import EDGE, GAP, HEADER, LONG_TITLE, PANEL
from smearscan.results import HEAT_MAP_NOTICE, NOTICE
from smearscan.testing.browser import Browser, find_browser
from smearscan.testing.classifiers import FakeClassifier, fake_card

PX = 32


class RedAgainstBlue(nn.Module):
    """Red speaks for a blast, blue against one, wherever they are."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 2, 1, bias=False)
        self.head = nn.Linear(2, outputs, bias=False)
        with torch.no_grad():
            self.features.weight[:] = torch.tensor([[4.0, 0, 0], [0, 0, 4.0]])[:, :, None, None]
            self.head.weight[:] = torch.tensor([[-1.0, 1.0], [1.0, -1.0]] if outputs == 2 else [[1.0, -1.0]])

    def forward(self, crops: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.relu(self.features(crops)).mean((2, 3)))
        return logits


def make_classifier(activation: Activation) -> TorchClassifier:
    card = ModelCard(
        name="red against blue",
        summary="Built, not trained: for tests only",
        classes=("normal", "blast"),
        roles={"normal": "other", "blast": "blast"},
        positive_class="blast",
        activation=activation,
        network={"name": "built in a test"},
        crop_px=PX,
        cam_layer="features",
    )
    return TorchClassifier(card, RedAgainstBlue(1 if activation == "sigmoid" else 2).eval(), device="cpu")


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Pictures whose left half is red and whose right half is blue; the first is redder, the second bluer."""
    folder = tmp_path / "cells"
    folder.mkdir()
    for name, red, blue in (("red.png", 220, 60), ("blue.png", 60, 220), ("even & odd #1.png", 150, 140)):
        picture = np.zeros((40, 40, 3), np.uint8)
        picture[:, :20, 2], picture[:, 20:, 0] = red, blue  # OpenCV writes blue first
        assert cv2.imwrite(str(folder / name), picture)
    return folder


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Classifier:
    made = make_classifier("softmax")
    monkeypatch.setattr(verb, "_open", lambda *_: made)
    return made


def explain(*arguments: str | Path) -> Result:
    return CliRunner().invoke(smearscan, ["explain", "model", *map(str, arguments)])


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "explanations.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def sheet_of(out: Path, number: int) -> NDArray[np.int64]:
    (path,) = out.glob(f"sheets/{number:04d}-*.png")
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), np.int64)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize(("class_name", "half"), [("blast", "left"), ("normal", "right")])
def test_the_map_is_for_the_class_that_is_named(
    activation: Activation, class_name: str, half: str, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the table, in the numbers, in the words on the sheet and in the colours on the sheet."""
    classifier = make_classifier(activation)
    monkeypatch.setattr(verb, "_open", lambda *_: classifier)
    written: list[str] = []
    write = lettering.write
    monkeypatch.setattr(
        lettering, "write", lambda picture, text, *rest, **more: written.append(text) or write(picture, text, *rest, **more)
    )
    out = tmp_path / "out"
    options = ("--class", class_name, "--method", "gradcam", "--method", "lime", "--superpixels", "slic", "--count", "8")
    done = explain(cells / "red.png", "--out", out, *options)
    assert done.exit_code == 0, done.output
    row = rows_of(out)[0]
    column = classifier.card.classes.index(class_name)
    with np.load(out / "maps.npz") as maps:
        crop = maps["crops"]
    assert row["explained"] == class_name
    assert float(row["p_explained"]) == pytest.approx(float(classifier.predict(crop).probabilities[0, column]), abs=1e-6)
    assert row["called"] == "blast", "which class is explained changes no call"
    assert any(text.startswith(f"Explained: {class_name},") for text in written)
    assert any(f"Red: spoke for {class_name}; blue: against it." in " ".join(written[at : at + 4]) for at in range(len(written)))
    sides = {"left": (slice(None), slice(4, 12)), "right": (slice(None), slice(20, 28))}
    other = "right" if half == "left" else "left"
    with np.load(out / "maps.npz") as maps:
        assert maps["gradcam"][0][sides[half]].mean() > maps["gradcam"][0][sides[other]].mean() + 0.5
        assert maps["lime"][0][sides[half]].min() > 0 > maps["lime"][0][sides[other]].max()
    sheet, top = sheet_of(out, 1), HEADER + LONG_TITLE
    places = {"left": PANEL // 4, "right": 3 * PANEL // 4}
    cam, lime = (EDGE + column * (PANEL + GAP) for column in (1, 2))
    assert sheet[top + 90, cam + places[half]].sum() > sheet[top + 90, cam + places[other]].sum() + 300, "bright is what speaks for it"
    red, _, blue = sheet[top + 90, lime + places[half]]
    assert red > blue + 20, "red speaks for it"
    red, _, blue = sheet[top + 90, lime + places[other]]
    assert blue > red + 20, "blue speaks against it"


def test_each_cell_is_explained_for_the_class_it_is_called(cells: Path, tmp_path: Path, model: Classifier) -> None:
    done = explain(cells, "--out", tmp_path / "out", "--class", "called")
    assert done.exit_code == 0, done.output
    rows = {row["cell"]: row for row in rows_of(tmp_path / "out")}
    assert {name: (row["called"], row["explained"]) for name, row in rows.items()} == {
        "blue.png": ("normal", "normal"),
        "even & odd #1.png": ("blast", "blast"),
        "red.png": ("blast", "blast"),
    }
    with np.load(tmp_path / "out" / "maps.npz") as content:
        maps = content["gradcam++"]
    assert maps[0, :, 20:].mean() > maps[0, :, :12].mean(), "the blue half speaks for normal"
    assert maps[2, :, :12].mean() > maps[2, :, 20:].mean()


def test_everything_that_the_page_names_is_there_and_says_what_it_is(cells: Path, tmp_path: Path, model: Classifier) -> None:
    out = tmp_path / "out of 50% #1"
    truth = tmp_path / "truth.csv"
    truth.write_text("file,label\nred.png,blast\nblue.png,blast\n")
    more = ("--method", "gradcam++", "--method", "shap", "--activations", "features", "--truth", truth)
    done = explain(cells, "--out", out, *more)
    assert done.exit_code == 0, done.output
    page = (out / "index.html").read_text("utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    named = [*re.findall(r'(?:src|href)="([^"#:]+)"', page), *data["sheets"], *chain(*data["overlays"], *data["activations"])]
    assert len(named) > 20
    assert [each for each in named if not (out / unquote(each)).exists()] == []
    assert NOTICE in page
    assert HEAT_MAP_NOTICE in unescape(page)
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == [], "nothing is left beside it"
    assert [row["wrong"] for row in rows_of(out)][::2] == ["1", "", "0"], "blue.png is called normal; of one cell nothing is known"
    assert all(NOTICE.encode() in path.read_bytes()[:300] for path in out.rglob("*.png"))
    record = json.loads((out / "explanations.json").read_text("utf-8"))
    assert [view["title"] for view in record["views"]] == ["gradcam++, layer features", "shap"]
    assert len(rows_of(out)) == 6


def test_the_same_command_gives_the_same_bytes(cells: Path, tmp_path: Path, model: Classifier) -> None:
    more = ("--method", "lime", "--method", "gradcam", "--method", "gradient-shap", "--activations", "features", "--agreement")
    for name in ("one", "two"):
        done = explain(cells, "--out", tmp_path / name, *more)
        assert done.exit_code == 0, done.output
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert {Path("agreement.csv"), Path("maps.npz"), Path("index.html")} <= set(files)
    assert [each for each in files if (tmp_path / "one" / each).read_bytes() != (tmp_path / "two" / each).read_bytes()] == []


def test_table_two_of_two_models_and_sufficiency(cells: Path, tmp_path: Path, model: Classifier) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("file,label\nred.png,blast\nblue.png,normal\neven & odd #1.png,blast\n")
    done = explain(cells, "--out", tmp_path / "out", "--truth", truth, "--agreement", "--with", "other", "--sufficiency", "--json")
    assert done.exit_code == 0, done.output
    two, enough = json.loads(done.stdout)["trials"]
    assert [row[:2] for row in two["rows"][:4]] == [["model", "normal"], ["model", "blast"], ["other", "normal"], ["other", "blast"]]
    assert [row[3] for row in two["rows"][4:]] == ["0.888", "0.892", "0.948", "0.945"]
    assert "0.888" in done.stderr
    assert [row[0] for row in enough["rows"]] == ["gradcam++", "random"]
    assert enough["rows"][0][1] == "1.00"
    written = ("agreement.csv", "sufficiency.csv", "sufficiency.png", "sufficiency-gradcam++.png", "removal-dark.png")
    assert all((tmp_path / "out" / name).is_file() for name in written)
    assert not (tmp_path / "out" / "sufficiency-random.png").exists(), "by chance there is nothing to say of a class"


def test_sanity_is_checked_at_each_layer_that_is_shown(cells: Path, tmp_path: Path, model: Classifier) -> None:
    done = explain(cells, "--out", tmp_path / "out", "--sanity", "--layer", "features", "--json")
    assert done.exit_code == 0, done.output
    (trial,) = json.loads(done.stdout)["trials"]
    assert [row[0] for row in trial["rows"]] == ["gradcam++@features"]
    assert trial["rows"][0][2] == "passed", "made twice it is the same"
    lines = list(csv.DictReader((tmp_path / "out" / "sanity.csv").read_text("utf-8").splitlines()))
    assert [line["randomised_down_to"] for line in lines] == ["head", "features"]
    assert (tmp_path / "out" / "sanity-dark.png").is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--method", "gradcam+"), "For 'red against blue' there are gradcam++, gradcam"),
        (("--layer", "body"), "Layers that end a stage: features."),
        (("--activations", "body"), "Layers that end a stage: features."),
        (("--class", "leukaemia"), "Its classes are normal, blast"),
        (("--method", "lime", "--layer", "features"), "lime looks at no layer"),
        (("--sufficiency",), "needs each cell's true class"),
        (("--with", "other"), "ask for that, too"),
        (("--flagged",), "give it with --report"),
        (("--part", "test"), "give it with --data"),
        (("--kind", "folders"), "give them with --data"),
        (("--report", "nowhere"), "one of them"),
        (("--activations", "head"), "it has no places to show"),
        (("--method", "lime", "--perturbations", "3"), "too few"),
        (("--method", "shap", "--ratio", "3"), "from 0 to 1"),
    ],
)
def test_wrong_use_names_what_is_right(options: tuple[str, ...], said: str, cells: Path, tmp_path: Path, model: Classifier) -> None:
    done = explain(cells, "--out", tmp_path / "out", *options)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_picture_that_cannot_be_read_is_named_and_the_rest_goes_on(cells: Path, tmp_path: Path, model: Classifier) -> None:
    (cells / "broken.png").write_bytes(b"no picture")
    done = explain(cells, cells / "gone.png", "--out", tmp_path / "out")
    assert done.exit_code == 3, done.output
    assert "broken.png cannot be read: it is damaged, or no picture." in done.stderr
    assert "gone.png cannot be read: No such file or directory." in done.stderr
    assert "data check" not in done.output, "that is for data sets"
    assert len(rows_of(tmp_path / "out")) == 3
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert "2 could not be explained" in page
    nothing = explain(cells / "broken.png", "--out", tmp_path / "none")
    assert nothing.exit_code == 4
    assert not (tmp_path / "none").exists()


def test_maps_that_cannot_be_checked_are_kept(cells: Path, tmp_path: Path, model: Classifier) -> None:
    black = tmp_path / "black.png"
    assert cv2.imwrite(str(black), np.zeros((40, 40, 3), np.uint8))
    done = explain(black, "--out", tmp_path / "out", "--sanity", "--json")
    assert done.exit_code == 0, done.output
    (trial,) = json.loads(done.stdout)["trials"]
    assert trial["rows"] == []
    assert trial["sentences"][0].startswith("gradcam++ could not be checked: No map shows anything")
    assert len(rows_of(tmp_path / "out")) == 1


def test_trials_that_cannot_be_had_are_refused_before_any_map(
    cells: Path, tmp_path: Path, model: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smearscan.cli.explain_writing.prepare", lambda *_: pytest.fail("maps were made"))
    truth = tmp_path / "truth.csv"
    truth.write_text("file,label\nred.png,lymphocyte\nblue.png,normal\neven & odd #1.png,blast\n")
    for options, said in (
        (("--sufficiency",), "--sufficiency needs each cell's true class"),
        (("--agreement", "--truth", str(truth)), "of 1 of 3 it is not known"),
        (("--with", "other"), "ask for that, too"),
    ):
        done = explain(cells, "--out", tmp_path / "out", *options)
        assert done.exit_code == 2, done.output
        assert said in done.stderr
    monkeypatch.setattr(verb, "_open", lambda *_: FakeClassifier(fake_card()))
    for option, said in (("--sanity", "no weights of its own"), ("--agreement", "which gradcam needs")):
        done = explain(cells, "--out", tmp_path / "out", option)
        assert done.exit_code == 2, done.output
        assert said in done.stderr


def test_agreement_compares_the_maps_that_are_shown(cells: Path, tmp_path: Path, model: Classifier) -> None:
    pair = ("--method", "lime", "--method", "shap", "--agreement")
    found = []
    for seed in ("0", "1"):
        done = explain(cells, "--out", tmp_path / seed, *pair, "--perturbations", "16", "--seed", seed)
        assert done.exit_code == 0, done.output
        found.append((tmp_path / seed / "agreement.csv").read_bytes())
    assert found[0] != found[1], "options of LIME and SHAP are those of the sheets"


def test_labels_that_fit_no_picture_are_refused(cells: Path, tmp_path: Path, model: Classifier) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("file,label\nanother.png,blast\n")
    done = explain(cells, "--out", tmp_path / "out", "--truth", truth)
    assert done.exit_code == 2, done.output
    assert "names none of these pictures" in done.stderr
    done = explain("--data", cells, "--truth", truth, "--out", tmp_path / "out")
    assert done.exit_code == 2, done.output
    assert "labels of their own" in done.stderr


def test_the_order_by_share_is_offered_where_shares_are_known(cells: Path, tmp_path: Path, model: Classifier) -> None:
    offered = 'value="inside"'
    assert explain(cells, "--out", tmp_path / "out").exit_code == 0
    assert offered not in (tmp_path / "out" / "index.html").read_text("utf-8"), "these cells fill their pictures"
    cut_out = np.zeros((40, 40, 3), np.uint8)
    cut_out[10:30, 10:30, 2] = 200
    assert cv2.imwrite(str(cells / "cut-out.png"), cut_out)
    assert explain(cells, "--out", tmp_path / "placed").exit_code == 0
    assert offered in (tmp_path / "placed" / "index.html").read_text("utf-8")


def test_what_stands_at_out_is_kept(cells: Path, tmp_path: Path, model: Classifier) -> None:
    out = tmp_path / "out"
    assert explain(cells, "--out", out).exit_code == 0
    before = (out / "maps.npz").read_bytes()
    refused = explain(cells, "--out", out, "--method", "lime")
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert (out / "maps.npz").read_bytes() == before
    assert explain(cells, "--out", out, "--method", "lime", "--overwrite").exit_code == 0
    assert [row["method"] for row in rows_of(out)] == ["lime"] * 3
    assert explain(cells, "--out", cells, "--overwrite").exit_code == 2, "the pictures are no explanation"


def test_a_model_without_a_network_has_lime_and_shap(cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = FakeClassifier(fake_card())
    monkeypatch.setattr(verb, "_open", lambda *_: classifier)
    done = explain(cells, "--out", tmp_path / "out", "--perturbations", "32")
    assert done.exit_code == 0, done.output
    assert {row["method"] for row in rows_of(tmp_path / "out")} == {"lime"}
    refused = explain(cells, "--out", tmp_path / "cam", "--method", "gradcam")
    assert refused.exit_code == 2
    assert "Take lime or shap" in refused.stderr
    assert explain(cells, "--out", tmp_path / "act", "--activations", "features").exit_code == 2


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = find_browser()
    if executable is None:
        pytest.skip("needs Chromium: install it, or name it in SMEARSCAN_BROWSER")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Browser(executable, Path(profile)) as started:
        yield started


@pytest.mark.slow
def test_the_gallery_is_sifted_and_walked_by_keys(browser: Browser, cells: Path, tmp_path: Path, model: Classifier) -> None:
    out = tmp_path / "out"
    assert explain(cells, "--out", out, "--method", "gradcam", "--method", "lime").exit_code == 0
    page = browser.page()
    page.look(400, 800, dark=True)
    page.open((out / "index.html").as_uri())
    assert page.run("document.documentElement.scrollWidth") == 400, "nothing stands out on a telephone"
    visible = "[...document.querySelectorAll('#gallery li')].filter(each => !each.hidden).map(each => each.querySelector('.tile').title)"
    assert page.run(visible) == ["blue.png", "even & odd #1.png", "red.png"]
    page.fill("#order", "falling")
    assert page.run(visible) == ["red.png", "even & odd #1.png", "blue.png"]
    page.fill("#called", "blast")
    assert page.run(visible) == ["red.png", "even & odd #1.png"]
    assert page.run("document.getElementById('shown').textContent") == "2 of 3 shown"
    page.run("document.activeElement.blur()")
    page.press("v")
    assert page.run("document.querySelector('.heat').src").endswith("-1.png")
    page.press("j", "Enter")
    assert page.run("document.getElementById('cell-title').textContent") == "red.png"
    page.press("j")
    assert page.run("document.getElementById('cell-title').textContent") == "even & odd #1.png"
    page.run("new Promise((done, lost) => { const e = document.querySelector('#sheet img'); e.decode().then(done, lost) })")
    page.press("Escape")
    page.fill("#low", "0.99")
    assert page.run("document.getElementById('nothing').hidden") is False
    assert page.errors == []
    assert [address for address in page.requests if not address.startswith(("file://", "data:"))] == []
