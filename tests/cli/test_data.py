"""`smearscan data check`: what it says, what it refuses, and with which exit code."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from smearscan.cli import smearscan


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    grain = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 60, (64, 64)).astype(np.float32), (0, 0), 3)
    assert cv2.imwrite(str(path), np.clip(140 + 18 * grain / grain.std(), 30, 255)[..., None].repeat(3, 2).astype(np.uint8))


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    for subject in range(8):
        for number in range(4):
            draw(tmp_path / "ward" / ("blast" if subject % 2 else "normal") / f"{subject}_{number}.png", 10 * subject + number)
    return tmp_path / "ward"


def _check(*arguments: object) -> Result:
    return CliRunner().invoke(smearscan, ["data", "check", *map(str, arguments), "--data-option", r"subject_pattern=^(\d+)_"])


def turn(source: Path, target: Path) -> None:
    assert cv2.imwrite(str(target), cv2.rotate(cv2.imread(str(source)), cv2.ROTATE_90_CLOCKWISE))


def test_a_clean_set(ward: Path) -> None:
    done = _check(ward, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["cells"] == 32
    assert found["groups"] == 8
    assert found["classes"] == [
        {"class": "normal", "role": "other", "cells": 16, "subjects": 4, "groups": 4},
        {"class": "blast", "role": "blast", "cells": 16, "subjects": 4, "groups": 4},
    ]
    assert found["sizes_px"]["median"] == [64, 64]
    assert found["pairs"] == found["unreadable"] == found["groups_to_join"] == []
    assert "No two groups show the same cell." in done.stderr
    assert "Every file can be read." in done.stderr


def test_planted_faults_are_named(ward: Path, tmp_path: Path) -> None:
    turn(ward / "blast" / "3_1.png", ward / "blast" / "5_9.png")
    (ward / "normal" / "0_0.png").write_bytes(b"")
    done = _check(ward, "--json", "--csv", tmp_path / "pairs.csv")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("{")
    found = json.loads(done.stdout)
    assert [each["file"] for each in found["unreadable"]] == ["normal/0_0.png"]
    assert found["groups_to_join"] == [["3", "5"]]
    assert "Join in one group: 3, 5" in done.stderr
    assert "normal/0_0.png" in done.stderr
    with (tmp_path / "pairs.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["how"], line["first"], line["second"], line["second_group"]) for line in lines] == [
        ("nearly identical", "blast/3_1.png", "blast/5_9.png", "5")
    ]


def test_a_given_split_that_leaks_is_refused(ward: Path, tmp_path: Path) -> None:
    turn(ward / "blast" / "3_1.png", ward / "blast" / "5_9.png")
    files = sorted(path.relative_to(ward).as_posix() for path in ward.rglob("*.png"))
    split = tmp_path / "split.csv"
    split.write_text("file,part\n" + "".join(f"{file},{'test' if Path(file).name[0] in '56' else 'train'}\n" for file in files))
    refused = _check(ward, "--split", split, "--json")
    assert refused.exit_code == 2
    assert "blast/3_1.png in train, blast/5_9.png in test" in refused.stderr
    assert "--allow-leaks" in refused.stderr
    found = json.loads(refused.stdout)
    assert found["split"]["leaking_cells"] == ["blast/3_1.png", "blast/5_9.png"]
    allowed = _check(ward, "--split", split, "--allow-leaks")
    assert allowed.exit_code == 0, allowed.output
    assert "warning: This split has on several sides 1 pictures" in allowed.stderr
    (ward / "blast" / "5_9.png").unlink()
    split.write_text(split.read_text().replace("blast/5_9.png,test\n", ""))
    assert _check(ward, "--split", split).exit_code == 0


def test_splits_by_name(ward: Path) -> None:
    assert _check(ward, "--split", "subject", "--shares", "60/20/20").exit_code == 0
    refused = _check(ward, "--split", "random", "--shares", "80/20", "--json")
    assert refused.exit_code == 2
    assert json.loads(refused.stdout)["split"]["leaking_groups"]
    assert "8 groups of subjects" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--kind", "cells"), "no kind of data set named 'cells'"),
        (("--role", "blast"), "--role 'blast' must be written as --role lymphoblast=blast"),
        (("--role", "blast=bad"), "must be one of blast, other, excluded"),
        (("--split", "gone.csv"), "The split gone.csv cannot be read"),
        (("--split", "random", "--shares", "much"), "--shares 'much' must be percentages"),
        (("--data-option", "colour=red"), "has no option 'colour'"),
    ],
)
def test_wrong_use_ends_with_2_and_a_sentence(ward: Path, arguments: tuple[str, ...], message: str) -> None:
    done = _check(ward, *arguments)
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_place_without_cells_and_one_that_cannot_be_written(ward: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(smearscan, ["data", "check", str(tmp_path / "empty")])
    assert done.exit_code == 2
    assert "Looked for cnmc: " in done.stderr
    done = _check(ward, "--csv", tmp_path / "gone" / "pairs.csv")
    assert done.exit_code == 4
    assert "cannot be written" in done.stderr


def test_a_set_without_subjects_says_so(ward: Path) -> None:
    done = CliRunner().invoke(smearscan, ["data", "check", str(ward)])
    assert done.exit_code == 0, done.output
    assert "names no subjects" in done.stderr


def test_errors_of_the_library_become_exit_codes() -> None:
    from classifiers.base import ClassifierError
    from classifiers.recipes import RecipeError
    from classifiers.splits import SplitError
    from smearscan.cli.learning import told_plainly
    from smearscan.errors import ConfigError, PluginError

    for raised, wanted in ((SplitError, ConfigError), (RecipeError, ConfigError), (ClassifierError, PluginError)):
        with pytest.raises(wanted, match="a sentence"), told_plainly():
            raise raised("a sentence")
    with pytest.raises(ZeroDivisionError), told_plainly():
        raise ZeroDivisionError


@pytest.mark.slow
@pytest.mark.data
def test_cnmc_is_right_about_groups(data_folder: Path) -> None:
    done = CliRunner().invoke(smearscan, ["data", "check", str(data_folder / "cnmc"), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [(each["class"], each["cells"], each["groups"]) for each in found["classes"]] == [("normal", 2018, 12), ("blast", 4163, 25)]
    assert found["cells"] == 6181
