"""comparison.json: everything that a comparison states, for programs and for its page. It holds no time of its own."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from smearscan import __version__
from smearscan.compare.agreement import Calls
from smearscan.compare.comparison import Comparison, Side, SlideComparison, TruthRates
from smearscan.compare.cost import RunCost
from smearscan.compare.pairing import WINDOW_STEPS
from smearscan.compare.report_folder import Report
from smearscan.compare.sentences import summary
from smearscan.compare.truth import SIZES_UM, Hits, TruthTally
from smearscan.reports.slide_json import rounded
from smearscan.results import NOTICE


def comparison_record(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON values, floats rounded."""
    of_a, of_b = comparison.fraction_columns()
    record = {
        "notice": NOTICE,
        "smearscan": __version__,
        "summary": summary(comparison),
        "matching": _rule(comparison),
        "a": _report(comparison.a, comparison.cost_a, comparison.truth_a, [each.a for each in comparison.slides], fractions=of_a),
        "b": _report(comparison.b, comparison.cost_b, comparison.truth_b, [each.b for each in comparison.slides], fractions=of_b),
        "settings": list(comparison.settings),
        "cells": _sums(comparison),
        "calls": _calls(comparison.calls),
        "fractions": {
            "slides": len(comparison.fractions),
            "bland_altman": rounded(comparison.bland_altman),
            "lin": rounded(comparison.lin),
        },
        "slides": [slide_record(each) for each in comparison.slides],
    }
    found: dict[str, Any] = json.loads(json.dumps(record, allow_nan=False))
    return found


def _rule(comparison: Comparison) -> str:
    slides = [slide for each in comparison.at("cells") for slide in (each.pair.a, each.pair.b) if slide]
    windows = sorted({slide.windows["step"] for slide in slides if slide.windows})
    rule = "Two cells are one within half the smaller diameter (Hungarian matching)."
    if not windows:
        return rule
    steps = " or ".join(f"{WINDOW_STEPS * step:g}" for step in windows)
    return (
        f"{rule} A window says where its cell is no better than its grid: where one takes part, {steps} px, half a step, are added; "
        "how many pairs there are without stands beside."
    )


def _report(report: Report, cost: RunCost, truth: TruthRates | None, sides: list[Side], *, fractions: list[float]) -> dict[str, Any]:
    """Return what is said of one report; `fractions` are those of the slides that have one in both."""
    slides = [slide for slide in report.slides.values() if slide.count is not None]
    first = slides[0].record if slides else {}
    crops = [side.cost.crops for side in sides if side.cost.crops is not None]
    cells = sum(side.cells or 0 for side in sides)
    return {
        "name": report.name,
        "classifier": {name: first.get("classifier", {}).get(name) for name in ("name", "sha256", "threshold", "summary")},
        "detector": first.get("detector"),
        "smearscan": first.get("smearscan"),
        "slides": len(report.slides),
        "scanned": len(slides),
        "cells": cells,
        "blasts": sum(side.blasts or 0 for side in sides),
        "fraction": {"slides": len(fractions), "mean": rounded(sum(fractions) / len(fractions)) if fractions else None},
        "crops": sum(crops) if crops else None,
        "crops_per_cell": rounded(sum(crops) / cells) if crops and cells else None,
        "pixels": rounded(sum(side.cost.pixels or 0 for side in sides)) if any(side.cost.pixels for side in sides) else None,
        "cost": rounded(cost),
        "truth": _truth_rates(truth),
    }


def _truth_rates(found: TruthRates | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "slides": found.slides,
        "cells": rounded(found.cells),
        "blasts": rounded(found.blasts),
        "total": _tally(found.total),
        "fraction_error": rounded(found.fraction_error),
        "missed_by_size": [
            {"from_um": low, "to_um": high if high != float("inf") else None, "missed": missed, "cells": cells}
            for low, high, (missed, cells) in zip(SIZES_UM, SIZES_UM[1:], found.total.missed_by_size, strict=False)
            if cells
        ],
    }


def _tally(truth: TruthTally | None) -> dict[str, Any] | None:
    if truth is None:
        return None
    return {
        "true_cells": truth.true_cells,
        "true_blasts": truth.true_blasts,
        "true_fraction": rounded(truth.true_fraction),
        "cells": _hits(truth.cells),
        "blasts": _hits(truth.blasts),
    }


def _hits(hits: Hits | None) -> dict[str, Any] | None:
    if hits is None:
        return None
    shares = {"recall": rounded(hits.recall), "precision": rounded(hits.precision), "f1": rounded(hits.f1)}
    return {"found": hits.hit, "missed": hits.missed, "false": hits.false, **shares}


def _sums(comparison: Comparison) -> dict[str, int]:
    names = ("matched", "only_a", "only_b", "within_half_diameter", "left_out_by_a", "left_out_by_b")
    return {"slides": len(comparison.at("cells")), **{name: sum(getattr(each, name) or 0 for each in comparison.slides) for name in names}}


def _calls(calls: Calls | None) -> dict[str, Any] | None:
    if calls is None:
        return None
    return {
        **dataclasses.asdict(calls),
        "cells": calls.cells,
        "agreement": rounded(calls.agreement),
        "agreement_interval": rounded(calls.agreement_interval),
        "kappa": rounded(calls.kappa),
        "mcnemar_p": rounded(calls.mcnemar_p),
    }


def slide_record(slide: SlideComparison) -> dict[str, Any]:
    """Return what is said of one slide, as JSON values."""
    return {
        "slide": slide.key,
        "compared": slide.level,
        "reason": slide.reason,
        "a": _side(slide.a),
        "b": _side(slide.b),
        "difference": rounded(slide.difference),
        "verdict_changes": [
            {"threshold": threshold, "a": before, "b": after} for threshold, (before, after) in sorted(slide.verdict_changes.items())
        ],
        "cells": None
        if slide.calls is None
        else {
            name: getattr(slide, name) for name in ("matched", "only_a", "only_b", "within_half_diameter", "left_out_by_a", "left_out_by_b")
        },
        "calls": _calls(slide.calls),
    }


def _side(side: Side) -> dict[str, Any]:
    count: Mapping[str, Any] = side.count or {}
    return {
        "status": side.status,
        "cells": side.cells,
        "blasts": side.blasts,
        "fraction": side.fraction,
        "wilson": count.get("wilson"),
        "adjusted": (count.get("adjusted") or {}).get("fraction"),
        "verdicts": count.get("verdicts", []),
        "cost": {**dataclasses.asdict(side.cost), "crops_per_cell": rounded(side.cost.crops_per_cell)},
        "truth": _tally(side.truth),
    }
