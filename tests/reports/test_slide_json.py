"""slide.json holds everything a table needs, nothing of this machine, and gives its count back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from smearscan.counting import sum_counts
from smearscan.reports import SlideReport, count_of, slide_record
from smearscan.reports.slide_json import restored, rounded
from smearscan.results import NOTICE, Area, Scanned
from smearscan.testing.reports import SECRET, SLIDES, fake_failure, fake_info, fake_scanned


@pytest.mark.parametrize("slide", SLIDES.values(), ids=SLIDES)
def test_a_record_is_what_a_file_would_give_back(slide: SlideReport) -> None:
    record = slide_record(slide)
    assert json.loads(json.dumps(record)) == record
    assert record["notice"] == NOTICE
    assert SECRET not in json.dumps(record), "where the slides lie on this machine is no result"
    assert "timings" not in json.dumps(record)


@pytest.mark.parametrize("slide", SLIDES.values(), ids=SLIDES)
def test_the_count_comes_back(slide: SlideReport) -> None:
    found = count_of(slide_record(slide))
    if not isinstance(slide.outcome, Scanned):
        assert found is None
        return
    assert found is not None
    assert rounded(found) == rounded(slide.outcome.count)
    assert type(found.classes[0]) is type(slide.outcome.count.classes[0])
    assert found.tiles == slide.outcome.count.tiles, "whole numbers are not touched"
    assert found.cells == slide.outcome.count.cells


def test_counts_that_came_back_can_be_summed() -> None:
    slides = [fake_scanned(f"{seed}.tif", seed=seed) for seed in (1, 2)]
    counts = [count_of(slide_record(slide)) for slide in slides]
    total = sum_counts([each for each in counts if each], slides[0].card)
    assert total.cells == sum(each.cells for each in counts if each) > 0


def test_a_message_names_the_slide_and_not_its_place() -> None:
    assert slide_record(fake_failure("a/b.tif"))["reason"] == "a/b.tif is truncated: copy it again."


def test_a_traceback_is_in_no_record() -> None:
    record = slide_record(SLIDES["bug"])
    assert "Traceback" not in json.dumps(record)
    assert record["status"] == "failed"


def test_facts_of_a_slide_that_opened_but_was_not_scanned_are_kept() -> None:
    slide = fake_failure(status="timed_out")
    slide = replace(slide, outcome=replace(slide.outcome, info=fake_info("monday/broken.tif")))
    assert slide_record(slide)["info"]["width"] == 4000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1234567894321, 0.123456789),
        (1234.5678901234, 1234.567890123),
        (1.234567894e-9, 1.23456789e-9),
        (-0.0, 0.0),
        (3_600_000_001.0, 3_600_000_001.0),
        (True, True),
        (12_345_678_901, 12_345_678_901),
        (("a", 0.1 + 0.2), ["a", 0.3]),
    ],
)
def test_numbers_are_rounded(value: object, expected: object) -> None:
    assert rounded(value) == expected
    assert repr(rounded(value)) == repr(expected)


def test_settings_are_not_rounded_for_they_are_compared() -> None:
    assert slide_record(replace(fake_scanned(), science={"x": 0.1234567894321}))["science"] == {"x": 0.1234567894321}


def test_what_is_no_number_is_refused() -> None:
    outcome = fake_scanned().outcome
    assert isinstance(outcome, Scanned)
    slide = replace(fake_scanned(), outcome=replace(outcome, area=Area("mm2", float("nan"), 0, {})))
    with pytest.raises(ValueError, match="Out of range float"):
        slide_record(slide)


def test_any_record_of_results_comes_back() -> None:
    area = Area("mm2", 2.0, 1.5, {"glass": 0.5}, 8, {"glass": 2}, 0.25)
    assert restored(Area, rounded(area)) == area
