"""The list of published systems: what each printed, what came out here, and the page that says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from classifiers.recipes import RecipeError, catalogue, load, names
from classifiers.recipes.catalogue import NOT_MEASURED, Line, as_markdown, lines, percent
from classifiers.recipes.reproduced import Reproduced, load_reproduced, write_reproduced

ROOT = Path(__file__).parents[3]
RESULT = Reproduced(
    metric="accuracy",
    value=0.8812,
    also={"balanced_accuracy": 0.85, "auc": 0.93, "ece": 0.04},
    data="C-NMC 2019, 6,181 cells of 43 subjects",
    training_cells=4945,
    test_cells=1236,
    test_part="validation",
    leaky=True,
    seed=0,
    epochs=37,
    minutes=21.4,
    waiting=0.002,
    machine="2 CPU cores",
    imagenet=False,
)


def test_the_page_is_current() -> None:
    page = ROOT / "docs" / "recipes.md"
    assert page.read_text(encoding="utf-8") == as_markdown(lines()), "run `smearscan recipes --markdown > docs/recipes.md`"


def test_every_recipe_has_one_line_on_the_page() -> None:
    page = as_markdown(lines())
    for name in names():
        assert page.count(f"| `{name}` |") == 1


def test_recipes_are_grouped_by_paper_with_ensembles_last() -> None:
    listed = [line.recipe for line in lines()]
    headings = [catalogue.heading(recipe.name) for recipe in listed]
    assert list(dict.fromkeys(headings)) == [catalogue.OWN, *catalogue.PAPERS.values()]
    assert [recipe.name for recipe in listed[-2:]] == ["ens-average", "ens-weighted"]
    papers = {heading: {recipe.paper for recipe in listed if catalogue.heading(recipe.name) == heading} for heading in headings}
    assert all(len(each) == 1 for each in papers.values()), "a prefix is a paper"


@pytest.mark.parametrize(("share", "said"), [(0.9437, "94.37 %"), (0.939, "93.9 %"), (0.49, "49 %"), (1.0, "100 %"), (0.0, "0 %")])
def test_a_share_is_said_with_the_digits_that_were_printed(share: float, said: str) -> None:
    assert percent(share) == said


def test_what_was_not_measured_is_said_so() -> None:
    line = Line(load("cnn5-128"), None, None)
    assert line.published == "89.7 % accuracy, random"
    assert line.measured("random") == line.measured("subject") == NOT_MEASURED
    assert Line(load("small-cnn"), None, None).measured("random") == "", "nothing was published, so nothing is owed"


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("cnn5-128", {}, "88.12 %"),
        ("cnn5-128", {"low": 0.81, "high": 0.936}, "88.12 % (81.0-93.6)"),
        ("cnn5-128", {"changes": {"stages.0.epochs": 5}}, "88.12 %, changed"),
        ("window-vgg16", {}, "88.12 %, without ImageNet"),
        ("window-vgg16", {"imagenet": True}, "88.12 %"),
    ],
)
def test_a_result_says_what_it_lacks(name: str, changes: dict[str, Any], said: str) -> None:
    result = Reproduced(**{**vars(RESULT), **changes})
    assert Line(load(name), None, result).measured("subject") == said


def test_the_page_says_what_the_results_rest_on() -> None:
    page = as_markdown([Line(load("cnn5-128"), RESULT, None)])
    assert "On C-NMC 2019, 6,181 cells of 43 subjects; machine: 2 CPU cores, shared with other work." in page
    assert "| `cnn5-128`, random | 88.12 % accuracy | 0.930 | 0.040 | 1,236 | 37 | 21 | 0.20 % | - |" in page
    assert f"| 89.7 % accuracy, random | 88.12 % | {NOT_MEASURED} |" in page
    assert "Measured here" not in as_markdown([Line(load("cnn5-128"), None, None)])


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "reproduced.json"
    given = {"window-vgg16": {"subject": RESULT, "random": RESULT}, "cnn5-128": {"random": RESULT}}
    write_reproduced(path, given)  # type: ignore[arg-type]
    assert load_reproduced(path) == given
    content = path.read_text(encoding="utf-8")
    assert content.index("cnn5-128") < content.index("window-vgg16"), "sorted, so that a change is a small one"
    assert list(tmp_path.iterdir()) == [path], "nothing unfinished is left"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no JSON"),
        ('{"cnn5-128": {"cells": {}}}', "cnn5-128 has a result on 'cells'. Known: random, subject"),
        ('{"cnn5-128": {"random": {"metric": "accuracy"}}}', "cnn5-128, random lacks 'value'"),
        (json.dumps({"cnn5-128": {"random": {**vars(RESULT), "epochs": "many"}}}), "epochs is 'many'; it must be a whole number"),
    ],
)
def test_a_damaged_file_of_results_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "reproduced.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RecipeError) as raised:
        load_reproduced(path)
    assert said in str(raised.value)


def test_the_results_that_come_along_are_of_recipes_that_do() -> None:
    for name, results in load_reproduced().items():
        published = load(name).published
        for split, result in results.items():
            assert published is None or result.metric == published.metric
            assert result.leaky == (split == "random")
            assert 0 <= result.waiting <= 1


def test_the_readme_counts_the_recipes_and_gives_their_range() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for prefix in catalogue.PAPERS:
        (row,) = [line for line in readme.splitlines() if f"| `{prefix}-*`, " in line]
        of_paper = [load(name) for name in names() if name.startswith(f"{prefix}-")]
        assert f"`{prefix}-*`, {len(of_paper)} |" in row
        numbers = [recipe.published for recipe in of_paper if recipe.published]
        metric = "weighted_f1" if prefix == "ens" else "accuracy"
        values = [100 * each.value for each in numbers if each.metric == metric]
        assert f"{min(values):.3g} to {max(values):.3g} % {catalogue.metric(metric)}" in row
