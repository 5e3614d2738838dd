"""The numbers a slide report states: one function for each definition, pure arithmetic, nothing known of slides.

binomial     Wilson and exact limits of a fraction, and what can be said where nothing was seen   D1 D2 D10
clustering   how much less cells that lie together tell than cells that do not                     D3 D16
adjustment   a fraction corrected for pooled sensitivity and specificity                           D4 D5
subjects     the same where both differ from subject to subject, the default                       D6
decisions    limit of blank, verdicts, bands, calibration alarm, overlap of windows                D7 D8 D11 D13
"""

from smearscan.intervals.adjustment import MINIMUM_J, AdjustmentRefused, Pooled, lang_reiczigel, rogan_gladen
from smearscan.intervals.binomial import clopper_pearson, upper_limit_of_none_seen, wilson, wilson_effective
from smearscan.intervals.clustering import MINIMUM_TILES, design_effect, halves_ratio, sum_tiles
from smearscan.intervals.decisions import (
    COUNTS_ONLY_BELOW,
    calibration_alarm,
    cells_band,
    limit_of_blank,
    overlap_factor,
    verdict,
)
from smearscan.intervals.subjects import (
    CONTRADICTION,
    MINIMUM_BLAST_SUBJECTS,
    MINIMUM_OTHER_SUBJECTS,
    SlideRates,
    SubjectAdjustment,
    SubjectTallies,
    adjust_by_subjects,
    confidence_at_least,
    draw_slide_rates,
)

__all__ = [
    "CONTRADICTION",
    "COUNTS_ONLY_BELOW",
    "MINIMUM_BLAST_SUBJECTS",
    "MINIMUM_J",
    "MINIMUM_OTHER_SUBJECTS",
    "MINIMUM_TILES",
    "AdjustmentRefused",
    "Pooled",
    "SlideRates",
    "SubjectAdjustment",
    "SubjectTallies",
    "adjust_by_subjects",
    "calibration_alarm",
    "cells_band",
    "clopper_pearson",
    "confidence_at_least",
    "design_effect",
    "draw_slide_rates",
    "halves_ratio",
    "lang_reiczigel",
    "limit_of_blank",
    "overlap_factor",
    "rogan_gladen",
    "sum_tiles",
    "upper_limit_of_none_seen",
    "verdict",
    "wilson",
    "wilson_effective",
]
