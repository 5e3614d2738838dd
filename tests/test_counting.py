"""From scored cells to what a report states of a slide and of a specimen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from classifiers.card import ModelCard, SubjectCounts
from smearscan.counting import Called, call_cells, count_cells, count_windows, explain, explain_specimen, sum_counts
from smearscan.errors import PluginError
from smearscan.intervals import wilson
from smearscan.results import Cells, SlideCount

TILE = 1000
BINARY = ModelCard(
    name="two",
    summary="for tests",
    classes=("normal", "blast"),
    roles={"normal": "other", "blast": "blast"},
    positive_class="blast",
    activation="softmax",
    network={},
    crop_px=64,
)
MANY = replace(
    BINARY,
    name="many",
    classes=("myeloblast", "lymphocyte", "smudge", "lymphoblast", "neutrophil"),
    roles={"myeloblast": "blast", "lymphocyte": "other", "smudge": "excluded", "lymphoblast": "blast", "neutrophil": "other"},
    positive_class="myeloblast",
)
SUBJECTS = (
    *(SubjectCounts(f"b{i}", "blast", 100, called) for i, called in enumerate((96, 80, 91, 88, 99, 93))),
    *(SubjectCounts(f"h{i}", "other", 100, called) for i, called in enumerate((4, 1, 12, 3, 6, 2, 9, 1, 5, 7))),
)


def scored(probabilities: object, card: ModelCard = BINARY, centres: object = None) -> Cells:
    """Return cells of 20 px with these probabilities, at these centres or ten to a counting tile."""
    rows = np.asarray(probabilities, np.float32).reshape(-1, len(card.classes))
    places = np.arange(len(rows))
    where = np.stack([places // 10 * TILE + 500, np.full(len(rows), 500)], axis=1) if centres is None else np.asarray(centres)
    boxes = np.concatenate([where - 10, where + 10], axis=1).astype(np.float32).reshape(-1, 4)
    return Cells(boxes, np.ones(len(rows), np.float32), rows, card.classes)


def binary(blast: Sequence[float] | NDArray[np.float64], centres: object = None) -> Cells:
    p = np.asarray(blast, np.float64)
    return scored(np.stack([1 - p, p], axis=1), BINARY, centres)


def state(cells: Cells, card: ModelCard = BINARY, **more: object) -> SlideCount:
    return count_cells(cells, call_cells(cells, card), card, proposals=len(cells) + 3, duplicates=3, counting_tile_px=TILE, **more)  # type: ignore[arg-type]


def spread(blasts: int, cells: int, high: float = 0.9, low: float = 0.1) -> Cells:
    """Return a slide with its blasts dealt evenly over the tiles."""
    chosen = np.full(cells, low)
    chosen[np.linspace(0, cells - 1, blasts).round().astype(int)] = high
    return binary(chosen)


class TestCalling:
    def test_the_threshold_is_reached_by_equality_at_the_six_digits_that_files_carry(self) -> None:
        called = call_cells(binary([0.5, 0.4999997, 0.499999, 0.9]), BINARY)
        assert called.blast.tolist() == [True, True, False, True]
        assert called.classes == ("blast", "blast", "normal", "blast") and called.excluded == ("",) * 4

    def test_another_threshold_replaces_the_cards(self) -> None:
        cells = binary([0.3, 0.6, 0.8])
        assert call_cells(cells, replace(BINARY, threshold=0.7)).blast.tolist() == [False, False, True]
        assert call_cells(cells, BINARY, threshold=0.2).blast.tolist() == [True, True, True]
        with pytest.raises(ValueError, match="between 0 and 1"):
            call_cells(cells, BINARY, threshold=1.0)

    @pytest.mark.parametrize(
        ("probabilities", "name", "excluded", "blast"),
        [
            ((0.30, 0.40, 0.00, 0.25, 0.05), "myeloblast", "", True),  # no blast class is on top, but their sum is
            ((0.10, 0.40, 0.00, 0.15, 0.35), "lymphocyte", "", False),
            ((0.05, 0.35, 0.30, 0.30, 0.00), "lymphoblast", "", True),  # 0.35 against 0.35 once smudge is divided away
            ((0.30, 0.10, 0.35, 0.25, 0.00), "smudge", "smudge", False),  # found not to be a white cell, whatever the sum
        ],
    )
    def test_roles_decide(self, probabilities: tuple[float, ...], name: str, excluded: str, blast: bool) -> None:
        called = call_cells(scored([probabilities], MANY), MANY)
        assert (called.classes, called.excluded, called.blast.tolist()) == ((name,), (excluded,), [blast])

    def test_a_probability_that_is_no_number_stops_the_run(self) -> None:
        with pytest.raises(PluginError, match="1 of 2 cells"):
            call_cells(binary([0.3, float("nan")]), BINARY)

    def test_another_cards_cells_are_not_called(self) -> None:
        with pytest.raises(ValueError, match="cannot be called"):
            call_cells(binary([0.3]), MANY)

    def test_no_cells_are_called_nothing(self) -> None:
        called = call_cells(binary([]), BINARY)
        assert called.classes == called.excluded == () and len(called.blast) == 0


class TestSlide:
    def test_no_cells_leave_every_percentage_empty(self) -> None:
        count = state(binary([]))
        assert (count.band, count.cells, count.blasts, count.proposals) == ("no_cells", 0, 0, 3)
        stated = (count.fraction, count.wilson, count.exact, count.deff, count.clustered, count.adjusted.fraction, count.no_blast_upper)
        assert stated == (None,) * 7 and count.mean_probability is None and count.below_limit_of_blank is None
        assert {each.verdict for each in count.verdicts} == {"insufficient"} and len(count.verdicts) == 4
        assert explain(count) == ()

    def test_below_fifty_cells_there_are_counts_only(self) -> None:
        few, enough = state(spread(7, 49), replace(BINARY, subjects=SUBJECTS)), state(spread(7, 50), replace(BINARY, subjects=SUBJECTS))
        assert (few.band, few.cells, few.blasts, few.fraction, few.adjusted.fraction) == ("insufficient", 49, 7, None, None)
        assert {each.verdict for each in few.verdicts} == {"insufficient"} and few.adjusted.method == "none: 49 cells are too few"
        assert all(each.fraction is None for each in few.classes) and [each.cells for each in few.classes] == [42, 7]
        assert enough.band == "insufficient" and enough.fraction == 7 / 50 and "insufficient" not in {v.verdict for v in enough.verdicts}

    def test_a_plain_slide(self) -> None:
        count = state(spread(40, 200))
        assert (count.proposals, count.duplicates, count.cells, count.blasts, count.band) == (203, 3, 200, 40, "standard")
        assert count.fraction == 0.2 and count.wilson == wilson(40, 200) and count.exact is not None and count.exact.low < 0.1505
        assert count.deff == 1.0 and count.deff_note == "" and count.clustered is not None
        assert count.adjusted.method == "none: the card carries no per-subject counts at threshold 0.5"
        assert count.verdict_basis == "clustered"
        assert [each.verdict for each in count.verdicts] == ["above", "above", "above", "indeterminate"]
        assert all(each.probability is None for each in count.verdicts) and count.no_blast_upper is None
        assert count.mean_probability == pytest.approx(0.9 * 0.2 + 0.1 * 0.8)

    def test_no_blast_has_an_upper_limit_and_no_design_effect(self) -> None:
        count = state(spread(0, 200))
        assert count.no_blast_upper == pytest.approx(0.0149, abs=5e-5) and count.fraction == 0
        assert (count.deff, count.deff_note, count.clustered, count.verdict_basis) == (None, "deff_unavailable", None, "wilson")
        assert [each.verdict for each in count.verdicts] == ["indeterminate", "below", "below", "below"]

    def test_blasts_in_one_corner_widen_the_interval_and_are_pointed_out(self) -> None:
        count = state(binary([0.9] * 20 + [0.1] * 180))
        assert count.deff is not None and count.deff > 5 and count.heterogeneity is not None and count.heterogeneity > 2
        assert count.wilson is not None and count.clustered is not None and count.clustered.high > 1.3 * count.wilson.high
        said = " | ".join(explain(count))
        assert "tell as much as" in said and "heterogeneous: " in said

    def test_the_counting_grid_goes_by_centres_and_not_by_the_order_of_cells(self) -> None:
        rng = np.random.default_rng(2)
        centres, blast = rng.uniform(0, 20 * TILE, (400, 2)).round(), rng.uniform(0, 1, 400).round(3)
        order = rng.permutation(400)
        count, shuffled = state(binary(blast, centres)), state(binary(blast[order], centres[order]))
        assert shuffled.mean_probability == pytest.approx(count.mean_probability)
        assert replace(shuffled, mean_probability=None) == replace(count, mean_probability=None)
        border = state(binary([0.9, 0.1], [(TILE - 0.5, 10), (TILE, 10)]))
        assert border.tiles.tiles == 2

    def test_excluded_cells_are_named_and_not_in_the_denominator(self) -> None:
        rows = [(0.9, 0.1, 0, 0, 0)] * 6 + [(0, 0.9, 0, 0.1, 0)] * 60 + [(0, 0, 1, 0, 0)] * 40 + [(0, 0, 0, 0.2, 0.8)] * 34
        count = state(scored(rows, MANY), MANY)
        assert (count.cells, count.blasts, count.excluded) == (100, 6, {"smudge": 40})
        assert [(each.name, each.role, each.cells, each.fraction) for each in count.classes] == [
            ("myeloblast", "blast", 6, 0.06),
            ("lymphocyte", "other", 60, 0.6),
            ("smudge", "excluded", 40, None),
            ("lymphoblast", "blast", 0, 0.0),
            ("neutrophil", "other", 34, 0.34),
        ]
        assert count.classes[1].wilson == wilson(60, 100) and count.classes[2].wilson is None
        assert "40 of 140 cells were left out of the count: 40 smudge" in explain(count)

    def test_a_cell_left_out_for_another_reason_is_reported_by_it(self) -> None:
        cells = spread(10, 100)
        called = call_cells(cells, BINARY)
        left = Called(called.classes, ("cut off by the slide's edge", *called.excluded[1:]), np.r_[False, called.blast[1:]])
        count = count_cells(cells, left, BINARY, proposals=100, duplicates=0, counting_tile_px=TILE)
        assert count.cells == 99 and count.excluded == {"cut off by the slide's edge": 1}
        assert sum(each.cells for each in count.classes) == 99

    def test_columns_that_do_not_belong_together_are_refused(self) -> None:
        with pytest.raises(ValueError, match="do not belong together"):
            count_cells(spread(1, 60), call_cells(spread(1, 61), BINARY), BINARY, proposals=61, duplicates=0, counting_tile_px=TILE)


class TestAdjustment:
    def test_enough_subjects_are_taken_as_subjects(self) -> None:
        count = state(spread(40, 200), replace(BINARY, subjects=SUBJECTS))
        assert count.adjusted.method == "subjects" and count.verdict_basis == "adjusted" and count.adjusted.interval is not None
        assert count.adjusted.fraction is not None and 0.1 < count.adjusted.fraction < 0.2
        chances = [each.probability for each in count.verdicts]
        assert None not in chances and chances == sorted(chances, reverse=True)  # type: ignore[type-var]

    def test_too_few_subjects_are_pooled_and_marked(self) -> None:
        count = state(spread(40, 200), replace(BINARY, subjects=SUBJECTS[2:]))
        assert count.adjusted.method == "pooled_validation_optimistic" and count.verdict_basis == "adjusted"
        assert all(each.probability is None for each in count.verdicts)

    def test_counts_of_one_kind_do_not_suffice(self) -> None:
        assert state(spread(9, 90), replace(BINARY, subjects=SUBJECTS[:6])).adjusted.method == (
            "none: the card carries no per-subject counts of other cells at threshold 0.5"
        )

    def test_a_useless_classifier_is_not_corrected_for(self) -> None:
        coins = tuple(SubjectCounts(f"s{i}", "blast" if i < 6 else "other", 100, 50) for i in range(20))
        for subjects in (coins, coins[4:12]):
            count = state(spread(40, 200), replace(BINARY, subjects=subjects))
            assert count.adjusted.fraction is None and count.adjusted.method.startswith("none: ") and "below 0.1" in count.adjusted.method
            assert count.verdict_basis == "clustered"

    def test_clustered_cells_widen_the_adjusted_interval_too(self) -> None:
        card = replace(BINARY, subjects=SUBJECTS)
        even, patchy = state(spread(100, 500), card), state(binary([0.9] * 100 + [0.1] * 400), card)
        assert even.adjusted.interval is not None and patchy.adjusted.interval is not None
        assert patchy.adjusted.interval.high - patchy.adjusted.interval.low > 1.2 * (
            even.adjusted.interval.high - even.adjusted.interval.low
        )

    def test_a_fraction_cut_off_at_zero_is_said(self) -> None:
        count = state(spread(1, 200), replace(BINARY, subjects=SUBJECTS))
        assert count.adjusted.fraction == 0 and count.adjusted.clipped and (count.adjusted.unclipped or 0) < 0
        assert any("cut off at 0 %" in sentence and "1 of 200 (0.5 %)" in sentence for sentence in explain(count))

    def test_a_count_that_validation_does_not_explain_falls_back_and_is_said(self) -> None:
        noisy = tuple(replace(each, called_blast=55) if each.role == "other" else each for each in SUBJECTS)
        count = state(spread(10, 6000), replace(BINARY, subjects=noisy))
        assert count.adjusted.fraction is None and count.verdict_basis == "clustered"
        assert any("does not explain so low a count" in sentence for sentence in explain(count))

    def test_the_order_of_subjects_does_not_matter_and_one_named_twice_is_one(self) -> None:
        split = (*SUBJECTS[1:], SubjectCounts("b0", "blast", 40, 38), SubjectCounts("b0", "blast", 60, 58))
        assert state(spread(40, 200), replace(BINARY, subjects=split)) == state(spread(40, 200), replace(BINARY, subjects=SUBJECTS))


class TestFlags:
    def test_flagged_cells_in_one_tile(self) -> None:
        count = state(binary([0.9] * 6 + [0.1] * 54 + [0.9, 0.1] * 3 + [0.1] * 60))
        assert "6 of 9 flagged cells lie in one tile" in explain(count)
        assert not any("in one tile" in sentence for sentence in explain(state(spread(9, 126))))

    def test_a_fraction_that_negative_slides_reach(self) -> None:
        card = replace(BINARY, blank_fractions=tuple(np.linspace(0.0, 0.06, 25).tolist()))
        inside, outside = state(spread(8, 200, low=0.01), card), state(spread(20, 200, low=0.01), card)
        assert (
            inside.limit_of_blank == pytest.approx(0.057) and inside.below_limit_of_blank is True and outside.below_limit_of_blank is False
        )
        limit = "their limit of 5.7 % (95th percentile of 25 negative slides)"
        assert explain(inside) == (f"not distinguishable from negative slides: 8 of 200 (4.0 %) is within {limit}",)
        assert explain(outside) == ()

    def test_scores_that_disagree_with_the_calls(self) -> None:
        count = state(spread(4, 200, high=0.6, low=0.45))
        assert "scores and calls disagree: the mean blast score is 45 %, but 4 of 200 (2.0 %) were called blast" in explain(count)

    def test_an_unremarkable_slide_has_no_flags(self) -> None:
        assert explain(state(spread(40, 200, high=1.0, low=0.0))) == ()


class TestSpecimen:
    @settings(deadline=None, max_examples=40)
    @given(st.lists(st.integers(0, 120).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=6))
    def test_slides_add_up_to_what_their_cells_would_give_together(self, slides: list[tuple[int, int]]) -> None:
        card = replace(BINARY, subjects=SUBJECTS)
        parts = [spread(blasts, cells) for blasts, cells in slides]
        offsets = [np.float32(100 * TILE * number) for number in range(len(parts))]
        together = Cells(
            np.concatenate([part.boxes + offset for part, offset in zip(parts, offsets, strict=True)]),
            np.concatenate([part.objectness for part in parts]),
            np.concatenate([part.probabilities for part in parts]),
            card.classes,
        )
        pooled = sum_counts([state(part, card) for part in parts], card)
        direct = count_cells(
            together, call_cells(together, card), card,
            proposals=len(together) + 3 * len(parts), duplicates=3 * len(parts), counting_tile_px=TILE,
        )  # fmt: skip
        assert pooled.mean_probability == pytest.approx(direct.mean_probability)
        same = {"heterogeneity": None, "mean_probability": None}
        assert replace(pooled, **same) == replace(direct, **same)  # type: ignore[arg-type]

    def test_slides_that_differ_weigh_as_clusters_once_there_are_ten(self) -> None:
        parts = [state(spread(blasts, 100)) for blasts in (1, 30) * 5]
        nine, ten = sum_counts(parts[:9], BINARY), sum_counts(parts, BINARY)
        assert nine.deff is not None and ten.deff is not None and ten.deff > 3 * nine.deff

    def test_slides_that_differ_are_named(self) -> None:
        said = explain_specimen({"a.tif": state(spread(4, 200)), "b.tif": state(spread(40, 200)), "c.tif": state(spread(3, 20))})
        assert said == ("its slides differ more than chance allows: 4 of 200 (2.0 %) on a.tif, 40 of 200 (20 %) on b.tif",)
        assert explain_specimen({"a.tif": state(spread(20, 200)), "b.tif": state(spread(22, 200))}) == ()
        assert explain_specimen({"a.tif": state(spread(0, 200)), "b.tif": state(spread(0, 200))}) == ()

    def test_a_specimen_needs_a_slide(self) -> None:
        with pytest.raises(ValueError, match="without a slide"):
            sum_counts([], BINARY)


class TestWindows:
    def test_windows_are_counted_beside_the_cells_and_never_as_cells(self) -> None:
        windows = binary([0.9] * 8 + [0.1] * 72)
        nucleus = np.arange(80) < 40
        nucleus[0] = False
        count = count_windows(windows, call_cells(windows, BINARY), nucleus, 112, 56)
        assert (count.windows, count.blast_windows, count.nucleus_windows, count.blast_nucleus_windows) == (80, 8, 39, 7)
        assert (count.window_fraction, count.nucleus_window_fraction, count.overlap_factor) == (0.1, 7 / 39, 4.0)
        kept = state(spread(3, 60), windows=count)
        assert kept.windows is count and kept.fraction == 3 / 60

    def test_windows_of_a_specimen_add_where_they_are_alike(self) -> None:
        windows = binary([0.9] * 8 + [0.1] * 72)
        called, nucleus = call_cells(windows, BINARY), np.ones(80, bool)
        first, other = count_windows(windows, called, nucleus, 112, 56), count_windows(windows, called, nucleus, 112, 50)
        both = sum_counts([state(spread(3, 60), windows=first)] * 2, BINARY).windows
        assert both is not None and (both.windows, both.blast_windows, both.window_fraction) == (160, 16, 0.1)
        assert sum_counts([state(spread(3, 60), windows=first), state(spread(3, 60), windows=other)], BINARY).windows is None

    def test_no_windows_have_no_fraction(self) -> None:
        none = count_windows(binary([]), call_cells(binary([]), BINARY), np.zeros(0, bool), 112, 50)
        assert none.window_fraction is None and none.nucleus_window_fraction is None
        with pytest.raises(ValueError, match="do not belong together"):
            count_windows(binary([0.5]), call_cells(binary([0.5]), BINARY), np.zeros(0, bool), 112, 50)
