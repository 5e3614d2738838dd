"""What a report cost, as far as its run noted it; what was not noted is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass, replace

from smearscan.compare.report_folder import Report, ReportSlide


@dataclass(frozen=True)
class SlideCost:
    """What one slide took."""

    seconds: float | None = None  # from its opening to its report; slides in work at once share the machine
    crops: int | None = None  # that the classifier scored
    pixels: float | None = None  # level-0 pixels that were looked at closely, margins of tiles not counted
    cells: int | None = None

    @property
    def crops_per_cell(self) -> float | None:
        return None if self.crops is None or not self.cells else self.crops / self.cells


@dataclass(frozen=True)
class RunCost:
    """What the whole run took, and on what; None of a run that found slides already done, for then it says little."""

    seconds: float | None = None
    scoring_seconds: float | None = None
    peak_memory_bytes: int | None = None
    device: str = ""
    cores: int | None = None
    note: str = ""  # why there is nothing


def slide_cost(slide: ReportSlide) -> SlideCost:
    """Return what a slide took; every proposal is scored once, so the crops are the proposals."""
    count, area = slide.count, slide.record.get("area")
    pixels = None
    if area and area["unit"] == "px":
        pixels = area["scanned"]
    elif area and slide.mpp:
        pixels = area["scanned"] * 1e6 / slide.mpp**2
    return SlideCost(
        seconds=slide.times.get("total"),
        crops=count["proposals"] if count else None,
        pixels=pixels,
        cells=count["cells"] if count else None,
    )


def run_cost(report: Report) -> RunCost:
    """Return what a run took, from its run.json."""
    engines, machine, classifier = (report.run.get(name) or {} for name in ("engines", "machine", "classifier"))
    kept = report.run.get("kept_from_earlier_runs")
    bare = RunCost(device=str(classifier.get("device") or ""), cores=machine.get("usable_cores"))
    if not engines:
        return replace(bare, note="run.json does not say what the run took")
    if kept:
        return replace(bare, note=f"{kept} of its slides were done by an earlier run")
    return replace(
        bare,
        seconds=engines.get("seconds"),
        scoring_seconds=engines.get("scoring_seconds"),
        peak_memory_bytes=machine.get("peak_memory_bytes"),
    )
