"""summary.csv, classes.csv and specimens.csv: made from records, harmless in a spreadsheet, joinable."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smearscan.counting import sum_counts
from smearscan.reports import SpecimenReport, classes_csv, count_of, slide_record, specimens_csv, summary_csv, summary_row
from smearscan.reports.spreadsheet import FORMULA, path, plain, to_csv
from smearscan.results import NOTICE, Scanned
from smearscan.testing.reports import SLIDES, fake_failure, fake_scanned

PROMISED = """slide, specimen, status, reason, proposals, cells, excluded, blasts, blast_fraction, blast_percent, wilson_low, wilson_high,
exact_low, exact_high, deff, adjusted_fraction, adjusted_low, adjusted_high, adjustment, cells_band, verdict_1, verdict_5, verdict_10,
verdict_20, window_fraction, mpp, mpp_source, width, height, area_mm2, unreadable_fraction, flagged, overlays, seconds, classifier,
classifier_sha256, detector, detector_sha256, notice"""


def parse(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def summary(*names: str) -> list[dict[str, str]]:
    return parse(summary_csv(summary_row(slide_record(SLIDES[name]), 12.34) for name in names))


def test_the_promised_columns_come_first_and_in_their_order() -> None:
    promised = [name.strip() for name in PROMISED.replace("\n", " ").split(",")]
    for text in (summary_csv([]), summary_csv([summary_row(slide_record(SLIDES["cells"]), None)])):
        assert text.splitlines()[0].split(",")[: len(promised)] == promised


def test_a_row_says_what_was_counted() -> None:
    slide = SLIDES["cells"]
    assert isinstance(slide.outcome, Scanned)
    count = slide.outcome.count
    (row,) = summary("cells")
    assert row["slide"] == "monday/blood.tif"
    assert row["status"] == "ok"
    assert [int(row[name]) for name in ("proposals", "cells", "blasts", "duplicates")] == [243, count.cells, count.blasts, 3]
    assert int(row["excluded"]) == int(row["excluded_smudge"]) == 240 - count.cells > 0
    assert row["blast_fraction"] == f"{count.blasts / count.cells:.6f}"
    assert row["blast_percent"] == f"{100 * count.blasts / count.cells:.2f}"
    assert count.wilson is not None
    assert (row["wilson_low"], row["wilson_high"]) == (f"{count.wilson.low:.6f}", f"{count.wilson.high:.6f}")
    assert [row[f"verdict_{each}"] for each in (1, 5, 10, 20)] == [each.verdict for each in count.verdicts]
    assert row["adjusted_fraction"] == "", "the card carries no counts"
    assert row["adjustment"].startswith("none: ")
    assert row["window_fraction"] == row["windows"] == ""
    assert (row["mpp"], row["mpp_source"], row["width"]) == ("0.250000", "file", "4000")
    assert (row["area_mm2"], row["area_total_mm2"], row["area_mm2_glass"], row["scanned_fraction"]) == (
        "0.6250",
        "1.0000",
        "0.2500",
        "0.625000",
    )
    assert (row["tiles"], row["tiles_glass"], row["unreadable_fraction"]) == ("8", "2", "0.001000")
    assert (row["flagged"], row["overlays"], row["seconds"]) == (str(int(slide.outcome.flagged.sum())), "3", "12.3")
    assert row["notes"] == "A z-stack of 5 planes: the middle one was taken."
    assert row["notice"] == NOTICE


def test_a_slide_that_was_not_scanned_has_a_row_and_no_numbers() -> None:
    whole, failed = summary("unreadable", "cells")
    assert failed["status"] == "unreadable"
    assert failed["reason"] == "monday/broken.tif is truncated: copy it again."
    assert failed["classifier"] == whole["classifier"]
    assert failed["notice"] == NOTICE
    counted = ("cells", "blasts", "blast_fraction", "excluded", "excluded_smudge", "area_mm2", "flagged", "overlays", "mpp", "verdict_20")
    assert {failed[name] for name in counted} == {""}


def test_no_cells_and_too_few_cells_have_no_percentage() -> None:
    few = summary_row(slide_record(fake_scanned(cells=30)), 1)
    none = summary_row(slide_record(SLIDES["no cells"]), 1)
    assert (few["cells_band"], none["cells_band"]) == ("insufficient", "no_cells")
    assert few["cells"] != ""
    for name in ("blast_fraction", "blast_percent", "wilson_low", "exact_high"):
        assert few[name] == none[name] == ""


def test_windows_have_columns_of_their_own() -> None:
    (row,) = summary("windows")
    assert (row["window_size"], row["window_step"], row["windows"], row["overlap_factor"]) == ("112", "56", "240", "4.0000")
    assert row["window_fraction"] == f"{int(row['blast_windows']) / 240:.6f}"


def test_without_a_scale_no_area_is_in_mm2() -> None:
    (row,) = summary("no scale")
    assert row["area_mm2"] == row["area_total_mm2"] == row["mpp"] == ""
    assert row["scanned_fraction"] == "0.625000"


def test_a_reason_that_another_slide_has_is_zero_here_and_empty_where_nothing_was_scanned() -> None:
    clean = fake_scanned("clean.tif", cells=60)
    record = slide_record(clean)
    record["count"]["excluded"], record["area"]["by_reason"] = {}, {}
    rows = parse(summary_csv(summary_row(each, 1) for each in (record, slide_record(SLIDES["cells"]), slide_record(SLIDES["unreadable"]))))
    by_slide = {row["slide"]: row for row in rows}
    assert by_slide["clean.tif"]["excluded_smudge"] == by_slide["clean.tif"]["area_mm2_glass"] == "0"
    assert by_slide["monday/broken.tif"]["excluded_smudge"] == ""


def test_an_earlier_slide_and_a_fresh_one_give_the_same_row() -> None:
    for slide in SLIDES.values():
        record = slide_record(slide)
        assert summary_row(json.loads(json.dumps(record)), 1) == summary_row(record, 1)


def test_rows_are_sorted_whatever_order_they_come_in() -> None:
    rows = [summary_row(slide_record(fake_scanned(key, cells=60)), 1) for key in ("b.tif", "a/c.tif", "a.tif")]
    assert summary_csv(rows) == summary_csv(rows[::-1])
    assert [row["slide"] for row in parse(summary_csv(rows))] == ["a.tif", "a/c.tif", "b.tif"]


def test_other_thresholds_have_their_columns() -> None:
    record = slide_record(SLIDES["cells"])
    record["count"]["verdicts"][1]["threshold"] = 0.075
    row = summary_row(record, 1)
    assert "verdict_7.5" in row
    assert parse(summary_csv([row]))[0]["verdict_5"] == ""


@pytest.mark.parametrize("first", FORMULA)
def test_no_text_of_ours_is_a_formula(first: str) -> None:
    slide = replace(fake_scanned(f"{first}cmd|' /C calc'!A0.tif"), specimen=f"{first}1+1")
    (row,) = parse(summary_csv([summary_row(slide_record(slide), 1)]))
    assert not row["slide"].startswith(FORMULA)
    assert not row["specimen"].startswith(FORMULA)
    assert row["slide"].startswith("./")


def test_a_path_that_looks_like_a_formula_stays_the_same_path() -> None:
    assert Path("slides") / path("=1.tif") == Path("slides/=1.tif")
    assert path("a/=1.tif") == "a/=1.tif"


def test_a_negative_number_is_no_formula() -> None:
    record = slide_record(SLIDES["cells"])
    record["count"]["adjusted"] |= {"fraction": 0.0, "unclipped": -0.0123, "clipped": True, "method": "subjects"}
    row = summary_row(record, 1)
    assert (row["adjusted_unclipped"], row["adjusted_clipped"]) == ("-0.012300", "1")


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=1, max_size=5))
def test_any_text_survives_as_one_row(texts: list[str]) -> None:
    text = to_csv(["a", "b"], ({"a": plain(each), "b": path(each)} for each in texts))
    rows = parse(text)
    assert text.count("\n") == len(texts) + 1
    assert [row["a"] for row in rows] == [plain(each) for each in texts]
    assert not any(row[name].startswith(FORMULA) for row in rows for name in "ab")


def test_classes_have_a_row_each() -> None:
    rows = parse(classes_csv(slide_record(SLIDES[name]) for name in ("unreadable", "cells")))
    assert [(row["class"], row["role"]) for row in rows] == [("blast", "blast"), ("other", "other"), ("smudge", "excluded")]
    blast, other, smudge = rows
    assert int(blast["cells"]) + int(other["cells"]) == int(blast["of_cells"])
    assert float(blast["fraction"]) + float(other["fraction"]) == pytest.approx(1, abs=2e-6)
    assert float(blast["wilson_low"]) < float(blast["fraction"]) < float(blast["wilson_high"])
    assert smudge["fraction"] == smudge["wilson_low"] == "", "not in the denominator"
    assert {row["notice"] for row in rows} == {NOTICE}


def test_a_specimen_sums_its_slides_and_names_those_that_are_missing() -> None:
    slides = [fake_scanned(f"monday/{seed}.tif", seed=seed) for seed in (1, 2)]
    counts = [count for slide in slides if (count := count_of(slide_record(slide)))]
    monday = SpecimenReport(
        "monday", ("monday/1.tif", "monday/2.tif"), ("monday/-x.tif", "-y.tif"), sum_counts(counts, slides[0].card), ("Look.",)
    )
    lost = SpecimenReport("lost", (), ("lost/a.tif",), None)
    first, second = parse(specimens_csv([monday, lost]))
    assert (first["specimen"], first["slides"], first["slides_scanned"], first["not_scanned"], first["cells"]) == (
        "lost",
        "1",
        "0",
        "lost/a.tif",
        "",
    )
    assert (second["slides"], second["slides_scanned"], second["slides_not_scanned"]) == ("4", "2", "2")
    assert second["not_scanned"] == "./-y.tif monday/-x.tif"
    assert int(second["cells"]) == sum(each.cells for each in counts)
    assert (second["flags"], second["notice"]) == ("Look.", NOTICE)


def test_a_failed_slide_s_reason_is_one_line() -> None:
    slide = fake_failure()
    assert not isinstance(slide.outcome, Scanned)
    slide = replace(slide, outcome=replace(slide.outcome, reason="line one\nline two\r\n=1"))
    assert summary_row(slide_record(slide), None)["reason"] == "line one line two  =1"
