"""The numbers of a report against reference values, against scipy, and against what must hold for all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from smearscan.intervals import (
    AdjustmentRefused,
    Pooled,
    SubjectTallies,
    adjust_by_subjects,
    calibration_alarm,
    cells_band,
    clopper_pearson,
    confidence_at_least,
    design_effect,
    draw_slide_rates,
    halves_ratio,
    lang_reiczigel,
    limit_of_blank,
    overlap_factor,
    rogan_gladen,
    sum_tiles,
    upper_limit_of_none_seen,
    verdict,
    wilson,
    wilson_effective,
)
from smearscan.results import Interval

GOLDEN = json.loads((Path(__file__).parent / "golden" / "intervals.json").read_text(encoding="utf-8"))
LAST_DIGIT = 0.5e-4 + 1e-9  # reference values have four digits

# Subjects as a validation of a fair classifier might find them: they differ by more than chance.
BLASTS = SubjectTallies((96, 71, 118, 52, 160, 88), (100, 90, 120, 60, 190, 90))
OTHERS = SubjectTallies((80, 150, 66, 95, 47, 110, 133, 58, 171, 90), (100, 160, 90, 100, 80, 120, 140, 60, 190, 110))

counted = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def named(row: dict[str, object]) -> str:
    return "-".join(str(value) for value in row.values())


@pytest.mark.parametrize("row", GOLDEN["wilson"], ids=named)
def test_wilson_gives_the_reference_values(row: dict[str, float]) -> None:
    found = wilson(int(row["x"]), int(row["n"]))
    assert (found.low, found.high) == pytest.approx((row["low"], row["high"]), abs=LAST_DIGIT)


@pytest.mark.parametrize("row", GOLDEN["clopper_pearson"], ids=named)
def test_the_exact_limits_give_the_reference_values(row: dict[str, float]) -> None:
    found = clopper_pearson(int(row["x"]), int(row["n"]))
    assert (found.low, found.high) == pytest.approx((row["low"], row["high"]), abs=LAST_DIGIT)


@pytest.mark.parametrize("row", GOLDEN["none_seen"], ids=named)
def test_no_blast_seen_gives_the_reference_values(row: dict[str, float]) -> None:
    assert upper_limit_of_none_seen(int(row["n"])) == pytest.approx(row["upper"], abs=LAST_DIGIT)


@pytest.mark.parametrize("row", GOLDEN["rogan_gladen"], ids=named)
def test_the_correction_gives_back_what_the_published_window_table_holds(row: dict[str, float]) -> None:
    observed = row["called_blast"] / row["windows"]
    assert observed == pytest.approx(row["observed"], abs=LAST_DIGIT)
    corrected = rogan_gladen(observed, row["found"] / row["true_blast"], row["right"] / row["other"])
    assert corrected == pytest.approx(row["corrected"], abs=LAST_DIGIT)


@pytest.mark.parametrize("row", GOLDEN["lang_reiczigel"], ids=named)
def test_pooled_rates_give_the_reference_values(row: dict[str, Any]) -> None:
    fraction, interval = lang_reiczigel(row["x"], row["n"], Pooled(*row["se"]), Pooled(*row["sp"]))
    assert (fraction, interval.low, interval.high) == pytest.approx((row["fraction"], row["low"], row["high"]), abs=LAST_DIGIT)


@pytest.mark.parametrize("row", GOLDEN["overlap"], ids=named)
def test_the_overlap_of_windows(row: dict[str, float]) -> None:
    assert overlap_factor(row["size"], row["step"]) == pytest.approx(row["factor"], abs=0.005)


@given(counted)
def test_plain_intervals_hold_their_fraction_and_mirror_that_of_the_other_cells(count: tuple[int, int]) -> None:
    x, n = count
    for method in (wilson, clopper_pearson):
        found, mirrored = method(x, n), method(n - x, n)
        assert 0 <= found.low <= x / n + 1e-12 and x / n - 1e-12 <= found.high <= 1
        assert (found.low, found.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low), abs=1e-9)


@given(counted)
def test_plain_intervals_rise_with_each_blast(count: tuple[int, int]) -> None:
    x, n = count
    if x < n:
        for method in (wilson, clopper_pearson):
            fewer, more = method(x, n), method(x + 1, n)
            assert fewer.low <= more.low + 1e-12 and fewer.high <= more.high + 1e-12


@given(counted)
def test_wilson_on_effective_counts_is_scipys_where_counts_are_whole(count: tuple[int, int]) -> None:
    x, n = count
    plain, effective = wilson(x, n), wilson_effective(x / n, n)
    assert (effective.low, effective.high) == pytest.approx((plain.low, plain.high), abs=1e-12)


@given(counted, st.floats(1, 50))
def test_fewer_effective_cells_never_narrow_the_interval(count: tuple[int, int], deff: float) -> None:
    x, n = count
    all_cells, clustered = wilson_effective(x / n, n), wilson_effective(x / n, n / deff)
    assert clustered.high - clustered.low >= all_cells.high - all_cells.low - 1e-12


@given(st.integers(1, 100_000))
def test_where_no_blast_was_seen_the_limit_leaves_five_percent(n: int) -> None:
    assert (1 - upper_limit_of_none_seen(n)) ** n == pytest.approx(0.05)


@given(st.floats(0, 1), st.floats(0.6, 1), st.floats(0.6, 1))
def test_correcting_undoes_the_two_errors(fraction: float, sensitivity: float, specificity: float) -> None:
    observed = fraction * sensitivity + (1 - fraction) * (1 - specificity)
    assert rogan_gladen(observed, sensitivity, specificity) == pytest.approx(fraction, abs=1e-9)


def test_a_classifier_hardly_better_than_a_coin_is_not_corrected_for() -> None:
    with pytest.raises(AdjustmentRefused, match=r"0\.090 is below 0\.1"):
        rogan_gladen(0.3, 0.59, 0.5)
    with pytest.raises(AdjustmentRefused):
        lang_reiczigel(30, 100, Pooled(50, 100), Pooled(50, 100))
    with pytest.raises(AdjustmentRefused, match="typical subject"):
        draw_slide_rates(SubjectTallies((50,) * 8, (100,) * 8), SubjectTallies((50,) * 12, (100,) * 12))


@given(counted.filter(lambda count: count[1] >= 50), st.floats(0.75, 1), st.floats(0.75, 1))
def test_the_pooled_interval_stays_in_range_and_rises_with_each_blast(count: tuple[int, int], se: float, sp: float) -> None:
    x, n = count
    sensitivity, specificity = Pooled(round(400 * se), 400), Pooled(round(300 * sp), 300)
    fraction, interval = lang_reiczigel(x, n, sensitivity, specificity)
    assert 0 <= interval.low <= interval.high <= 1 and 0 <= fraction <= 1
    if x < n:
        more_fraction, more = lang_reiczigel(x + 1, n, sensitivity, specificity)
        assert more_fraction >= fraction and more.low >= interval.low - 1e-9 and more.high >= interval.high - 1e-9


def test_pooled_rates_known_exactly_and_free_of_error_leave_the_interval_of_agresti_and_coull() -> None:
    _, interval = lang_reiczigel(40, 200, Pooled(10**9, 10**9), Pooled(10**9, 10**9))
    middle = (40 + 1.959964**2 / 2) / (200 + 1.959964**2)
    half = 1.959964 * (middle * (1 - middle) / (200 + 1.959964**2)) ** 0.5
    assert (interval.low, interval.high) == pytest.approx((middle - half, middle + half), abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(counted.filter(lambda count: count[1] >= 50))
def test_the_interval_over_subjects_is_where_the_observed_count_stops_being_odd(count: tuple[int, int]) -> None:
    """Its ends are checked with scipy's binomial, draw by draw, which the code interpolates in a table."""
    x, n = count
    rates = draw_slide_rates(BLASTS, OTHERS)

    def at_most(pi: float) -> float:
        called = pi * rates.sensitivity + (1 - pi) * (1 - rates.specificity)
        return float(np.mean(binom.cdf(x, n, called) - binom.pmf(x, n, called) / 2))

    as_low, as_high = at_most(0), 1 - at_most(1)
    if min(as_low, as_high) < 0.00249:
        with pytest.raises(AdjustmentRefused, match=r"does not explain so (low|high) a count"):
            adjust_by_subjects(x, n, rates)
    elif min(as_low, as_high) > 0.00251:
        found = adjust_by_subjects(x, n, rates)
        assert found.interval.low <= found.fraction <= found.interval.high
        assert found.interval.high > 0 and found.interval.low < 1
        for end, level in ((found.interval.low, 1 - 0.025 * min(1, 2 * as_high)), (found.interval.high, 0.025 * min(1, 2 * as_low))):
            reached = at_most(end)
            assert reached == pytest.approx(level, abs=3e-5) or (end == 0 and reached < level) or (end == 1 and reached > level)


def test_a_slide_that_reads_less_than_blasts_free_slides_do_keeps_an_upper_limit() -> None:
    """The 2.5 % point alone would state 0 % with an upper limit of 0 %; no blast in 200 cells leaves about 1.5 % possible."""
    spread = SubjectTallies((85, 99, 70, 92, 96, 60, 88, 97, 93, 80, 99, 90), (100,) * 12)
    found = adjust_by_subjects(0, 200, draw_slide_rates(BLASTS, spread))
    assert found.fraction == 0 and found.unclipped < 0
    assert 0.010 < found.interval.high < 0.030


def test_a_count_that_no_subject_explains_is_not_adjusted() -> None:
    bad = SubjectTallies((60,) * 12, (100,) * 12)
    with pytest.raises(AdjustmentRefused, match="does not explain so low a count"):
        adjust_by_subjects(0, 5000, draw_slide_rates(BLASTS, bad))


# Far into the tails the ends rest on a handful of draws and may waver by a point. Between a twentieth and four fifths
# of the cells they do not, and some pair of rates explains every count: none is refused.
explained = st.integers(50, 3000).flatmap(lambda n: st.tuples(st.integers(n // 20, n * 4 // 5), st.just(n)))


@settings(deadline=None, max_examples=60)
@given(explained, st.floats(0, 1))
def test_over_subjects_more_blasts_never_mean_less(count: tuple[int, int], threshold: float) -> None:
    x, n = count
    rates = draw_slide_rates(BLASTS, OTHERS)
    fewer, more = adjust_by_subjects(x, n, rates), adjust_by_subjects(x + 1, n, rates)
    assert fewer.fraction <= more.fraction
    assert fewer.interval.low <= more.interval.low + 1e-6 and fewer.interval.high <= more.interval.high + 1e-6
    assert confidence_at_least(threshold, x, n, rates) <= confidence_at_least(threshold, x + 1, n, rates) + 1e-6


@settings(deadline=None, max_examples=60)
@given(explained, st.sampled_from([0.01, 0.05, 0.1, 0.2]))
def test_a_verdict_goes_with_the_confidence_it_needs(count: tuple[int, int], threshold: float) -> None:
    x, n = count
    rates = draw_slide_rates(BLASTS, OTHERS)
    confidence, said = confidence_at_least(threshold, x, n, rates), verdict(adjust_by_subjects(x, n, rates).interval, threshold)
    slack = 1e-4
    assert said != "above" or confidence >= 0.975 - slack
    assert said != "below" or confidence <= 0.025 + slack


def test_the_interval_over_subjects_is_wider_than_the_pooled_one_and_forgets_the_order_of_work() -> None:
    rates = draw_slide_rates(BLASTS, OTHERS)
    over_subjects = adjust_by_subjects(40, 200, rates).interval
    _, pooled = lang_reiczigel(40, 200, Pooled(sum(BLASTS.right), sum(BLASTS.cells)), Pooled(sum(OTHERS.right), sum(OTHERS.cells)))
    assert over_subjects.high - over_subjects.low > 1.3 * (pooled.high - pooled.low)
    draw_slide_rates.cache_clear()
    draw_slide_rates(OTHERS, BLASTS)
    again = draw_slide_rates(BLASTS, OTHERS)
    assert np.array_equal(again.sensitivity, rates.sensitivity) and np.array_equal(again.specificity, rates.specificity)


def test_draws_follow_the_subjects() -> None:
    """Many subjects with many cells leave no doubt: the draws then have the mean and the spread of the truth."""
    rng = np.random.default_rng(3)
    mean, sd = 0.85, 0.10
    weight = mean * (1 - mean) / sd**2 - 1
    right = rng.binomial(400, rng.beta(mean * weight, (1 - mean) * weight, 400))
    rates = draw_slide_rates(BLASTS, SubjectTallies(tuple(right.tolist()), (400,) * 400))
    assert rates.specificity.mean() == pytest.approx(mean, abs=0.012)
    assert rates.specificity.std() == pytest.approx(sd, abs=0.012)


def test_subjects_that_contradict_themselves_are_refused() -> None:
    for right, cells in (((5,), (4,)), ((1, 2), (3,)), ((0,), (0,))):
        with pytest.raises(ValueError, match="do not go with"):
            SubjectTallies(right, cells)


def test_the_design_effect_of_ten_tiles_by_hand() -> None:
    cells, blasts = np.full(10, 10), np.array([10] + [0] * 9)
    # p = 0.1; sum (x - p n)^2 = 9^2 + 9 * 1^2 = 90; V = 10/9 * 90 / 100^2 = 0.01; binomial 0.09 / 100.
    assert design_effect(sum_tiles(cells, blasts)) == pytest.approx(0.01 / 0.0009)


@given(st.lists(st.integers(0, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1, max_size=60))
def test_the_design_effect_is_its_formula_and_never_below_one(tiles: list[tuple[int, int]]) -> None:
    cells, blasts = np.array(tiles).T
    found = design_effect(sum_tiles(cells, blasts))
    held = cells > 0
    n, x, c = cells[held], blasts[held], int(held.sum())
    if c < 10 or x.sum() in (0, n.sum()):
        assert found is None
        return
    p = x.sum() / n.sum()
    variance = c / (c - 1) * ((x - p * n) ** 2).sum() / n.sum() ** 2
    assert found == pytest.approx(max(1.0, variance / (p * (1 - p) / n.sum())))


def test_halves_of_an_even_slide_agree_and_those_of_a_patchy_one_do_not() -> None:
    rng = np.random.default_rng(1)
    cells = rng.integers(5, 15, 60)
    assert 0.7 < (halves_ratio(cells, rng.binomial(cells, 0.2)) or 0) < 1.4
    patchy = np.where(np.arange(60) < 12, cells, 0)
    assert (halves_ratio(cells, patchy) or 0) > 2
    assert halves_ratio(cells, patchy) == halves_ratio(cells, patchy)
    assert halves_ratio(cells[:9], patchy[:9]) is None and halves_ratio(cells, np.zeros(60, int)) is None


def test_more_blasts_than_cells_in_a_tile_is_a_mistake() -> None:
    for cells, blasts in (([1], [2]), ([0], [1])):
        with pytest.raises(ValueError, match="more blasts than cells"):
            sum_tiles(np.array(cells), np.array(blasts))


def test_the_limit_of_blank_says_how_it_was_found() -> None:
    many = [0.01 * i for i in range(21)]
    limit, how = limit_of_blank(many)
    assert limit == pytest.approx(0.19) and how == "95th percentile of 21 negative slides"
    limit, how = limit_of_blank([0.0, 0.02, 0.04])
    assert limit == pytest.approx(0.02 + 1.645 * 0.02) and how == "mean + 1.645 SD of only 3 negative slides"
    assert limit_of_blank([0.1])[0] is None and limit_of_blank([])[1].startswith("none:")


def test_a_threshold_that_the_low_end_touches_is_reached() -> None:
    assert verdict(Interval(0.05, 0.1), 0.05) == "above"
    assert verdict(Interval(0.01, 0.05), 0.05) == "indeterminate"
    assert verdict(Interval(0.01, 0.0499), 0.05) == "below"


@pytest.mark.parametrize(
    ("n", "band"),
    [(0, "no_cells"), (1, "insufficient"), (99, "insufficient"), (100, "limited"), (199, "limited"), (200, "standard"), (500, "decision")],
)
def test_bands(n: int, band: str) -> None:
    assert cells_band(n) == band


def test_the_calibration_alarm_needs_more_than_chance_and_more_than_a_trifle() -> None:
    assert calibration_alarm(0.2, 0.1, Interval(0.08, 0.12))
    assert not calibration_alarm(0.2, 0.1, Interval(0.01, 0.3))
    assert not calibration_alarm(0.11, 0.1, Interval(0.099, 0.101))


def test_windows_taken_for_cells_state_an_interval_that_is_too_narrow() -> None:
    """Each cell lies in four windows of 112 px at a step of 56: the interval halves, the truth does not come closer."""

    def covered(windows_a_cell: int, n: int, p: float) -> float:
        intervals = [wilson(windows_a_cell * x, windows_a_cell * n) for x in range(n + 1)]
        return float(sum(binom.pmf(x, n, p) for x, each in enumerate(intervals) if each.low <= p <= each.high))

    table = [(n, p) for n in (100, 200, 500) for p in (0.02, 0.05, 0.1, 0.2)]
    assert covered(4, 100, 0.02) == pytest.approx(0.72, abs=0.01)
    assert 0.55 < np.mean([covered(4, n, p) for n, p in table]) < 0.75
    assert 0.93 < np.mean([covered(1, n, p) for n, p in table]) < 0.97
