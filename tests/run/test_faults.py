"""What a night brings: damaged files, hung reads, crashing decoders, a wish to stop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import Detector, Proposals
from smearscan.conclusion import Rules
from smearscan.reading import SlideSpec
from smearscan.results import NotScanned, Scanned, SlideOutcome
from smearscan.scan import Engines, Job, ScanRequest, scan_slides
from smearscan.testing.classifiers import FakeClassifier, fake_card


class Trap(Detector):
    """Proposes one box in the middle of every piece, but at one place of one slide does harm."""

    name = "trap"

    def __init__(self, harm: str, at: int, sign: Path | None = None) -> None:
        self.harm, self.at, self.sign = harm, at, sign

    def propose(self, picture: NDArray[np.uint8], mpp: float | None = None, origin: tuple[int, int] = (0, 0)) -> Proposals:
        if origin[0] == self.at and not (self.sign and self.sign.exists()):
            if self.sign:
                self.sign.touch()
            self.do_harm()
        height, width = picture.shape[:2]
        box = [width / 2 - 20, height / 2 - 20, width / 2 + 20, height / 2 + 20]
        return Proposals(np.array([box], np.float32), np.ones(1, np.float32))

    def do_harm(self) -> None:
        if self.harm == "hang":
            time.sleep(3600)
        if self.harm == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.harm == "bug":
            raise ZeroDivisionError("a slip of the pen")

    def reach(self, mpp: float | None) -> int:
        return 30

    def settings(self) -> Mapping[str, object]:
        return {}


@dataclass(frozen=True)
class Choice:
    trap: Trap

    def __call__(self, mpp: float | None) -> Detector:
        return self.trap


@dataclass
class Notes:
    """A watch that wants everything and remembers what it was told."""

    outcomes: dict[str, SlideOutcome] = field(default_factory=dict)
    stop_after: int | None = None

    def wanted(self, spec: SlideSpec, digest: str) -> bool:
        return True

    def finished(self, spec: SlideSpec, outcome: SlideOutcome) -> None:
        assert spec.key not in self.outcomes, "each slide ends once"
        self.outcomes[spec.key] = outcome

    def progress(self, jobs: Sequence[Job], engines: Engines) -> None:
        pass

    def stop_reason(self) -> str | None:
        return "The run was told to" if self.stop_after is not None and len(self.outcomes) >= self.stop_after else None


def request(trap: Trap, **changes: object) -> ScanRequest:
    settings: dict[str, object] = {
        "detector": Choice(trap),
        "classifier": FakeClassifier(),
        "rules": lambda mpp: Rules(fake_card(), (0.2,)),
        "windows": False,
        "gated": False,
        "tile_size": 1024,
        "workers": 2,
        "slide_timeout_s": None,
    }
    return ScanRequest(**(settings | changes))  # type: ignore[arg-type]


def specs(folder: Path, names: Sequence[str]) -> list[SlideSpec]:
    return [SlideSpec(name, folder / name, None, None, scale_needed=False) for name in names]


@pytest.fixture
def three(drawn: Path) -> list[SlideSpec]:
    return specs(drawn, ["alone.tif", "case1/blood.tif", "case2/blood.tif"])


def left_of_second_tile(drawn: Path) -> int:
    return 1024 - 150  # its core begins at 1024, and it is read with a margin of 1.5 of the largest cells


def test_a_hung_read_is_ended_and_the_others_are_scanned(three: list[SlideSpec], drawn: Path, tmp_path: Path) -> None:
    notes = Notes()
    started = time.monotonic()
    trap = Trap("hang", left_of_second_tile(drawn), tmp_path / "hung once")
    scan_slides(three, request(trap, slide_timeout_s=20.0), notes, Engines())
    assert time.monotonic() - started < 120
    statuses = [outcome.status for outcome in notes.outcomes.values()]
    assert sorted(statuses) == ["insufficient", "insufficient", "timed_out"]
    late = next(outcome for outcome in notes.outcomes.values() if isinstance(outcome, NotScanned))
    assert "--slide-timeout 20 s" in late.reason
    assert "tiles were read" in late.reason


def test_slides_that_wait_behind_a_hung_one_are_not_late(three: list[SlideSpec], tmp_path: Path) -> None:
    """With one worker all three are begun before the first tile of the first one hangs."""
    notes = Notes()
    trap = Trap("hang", left_of_second_tile(tmp_path), tmp_path / "hung once")
    scan_slides(three, request(trap, slide_timeout_s=12.0, workers=1), notes, Engines())
    assert [outcome.status for outcome in notes.outcomes.values()] == ["timed_out", "insufficient", "insufficient"]


def test_a_wish_to_stop_does_not_wait_for_a_hung_read(three: list[SlideSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smearscan.scan.STOP_GRACE_S", 1.0)
    sign = tmp_path / "hung once"

    class StopWhenHung(Notes):
        def stop_reason(self) -> str | None:
            return "The run was told to" if sign.exists() else None

    notes = StopWhenHung()
    scan_slides(three, request(Trap("hang", left_of_second_tile(tmp_path), sign)), notes, Engines())
    assert len(notes.outcomes) == 3
    hung = [outcome for outcome in notes.outcomes.values() if "tiles were read" in outcome.reason]
    assert [outcome.status for outcome in hung][:1] == ["stopped"]


class Stumbling:
    def explain(self, crops: NDArray[np.uint8], class_name: str) -> NDArray[np.float32]:
        raise IndexError("no such layer")


def test_heat_maps_that_fail_cost_no_count(three: list[SlideSpec], tmp_path: Path) -> None:
    notes = Notes()
    scan_slides(three[:1], request(Trap("none", -1), explainer=Stumbling(), overlays=5), notes, Engines())
    (outcome,) = notes.outcomes.values()
    assert isinstance(outcome, Scanned)
    assert outcome.pictures
    assert any("heat maps cannot be made (IndexError: no such layer)" in flag for flag in outcome.flags)


def test_a_tile_whose_reader_crashes_is_tried_again(three: list[SlideSpec], drawn: Path, tmp_path: Path) -> None:
    notes, engines = Notes(), Engines()
    scan_slides(three[:1], request(Trap("crash", left_of_second_tile(drawn), tmp_path / "crashed once")), notes, engines)
    (outcome,) = notes.outcomes.values()
    assert isinstance(outcome, Scanned)
    assert outcome.area.unreadable_fraction == 0
    assert engines.workers_died == 1


def test_a_tile_that_always_crashes_is_counted_as_unreadable(three: list[SlideSpec], drawn: Path) -> None:
    notes = Notes()
    scan_slides(three[:1], request(Trap("crash", left_of_second_tile(drawn))), notes, Engines())
    (outcome,) = notes.outcomes.values()
    assert isinstance(outcome, Scanned)
    assert outcome.status == "partial"
    # Two tiles of the second column of three, of 2200 x 1600 px.
    assert outcome.area.unreadable_fraction == pytest.approx(1024 / 2200, abs=1e-3)
    assert "SIGSEGV" in outcome.reason
    assert outcome.slide_map is not None
    lost = outcome.slide_map.reasons == outcome.slide_map.names.index("unreadable")
    columns = np.flatnonzero(lost.any(axis=0)) * outcome.slide_map.square
    assert (columns.min(), columns.max()) == (1024, 2048 - 256), "the second column of tiles is marked, and no other"


def test_a_bug_costs_one_slide_and_keeps_its_traceback(three: list[SlideSpec], drawn: Path, tmp_path: Path) -> None:
    notes = Notes()
    scan_slides(three, request(Trap("bug", left_of_second_tile(drawn), tmp_path / "once")), notes, Engines())
    failed = [outcome for outcome in notes.outcomes.values() if isinstance(outcome, NotScanned)]
    assert len(failed) == 1
    assert len(notes.outcomes) == 3
    assert failed[0].status == "failed"
    assert failed[0].traceback is not None
    assert "a slip of the pen" in failed[0].traceback


def test_a_wish_to_stop_keeps_what_is_whole_and_names_the_rest(three: list[SlideSpec]) -> None:
    # Three are in work at once: on a busy machine all of them may be whole when the first is seen to be.
    nine = [replace(spec, key=f"{night}/{spec.key}") for night in range(3) for spec in three]
    notes = Notes(stop_after=1)
    scan_slides(nine, request(Trap("none", -1)), notes, Engines())
    statuses = [outcome.status for outcome in notes.outcomes.values()]
    assert len(statuses) == 9
    assert "stopped" in statuses
    assert statuses[0] == "insufficient"
    stopped = [outcome for outcome in notes.outcomes.values() if outcome.status == "stopped"]
    assert all("The run was told to" in outcome.reason and "goes on with it" in outcome.reason for outcome in stopped)  # type: ignore[union-attr]
