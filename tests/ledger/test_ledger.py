"""What is kept, what is scanned again and why, and how results get into the folder."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from smearscan.errors import OutputError, UnreadableSlide
from smearscan.ledger import Keep, Ledger, Scan, read_records

KEY = "monday/blood.tif"
SCIENCE: Mapping[str, object] = {
    "threshold": 0.5,
    "gate": {"glass": 0.9, "names": ("a", "b")},
    "classifier_sha256": "a1" * 32,
    "verdicts": [0.01, 0.2],
}
RECORD: Mapping[str, object] = {"status": "ok", "input_digest": "sha256:11", "science": SCIENCE, "reports": ["cells"]}


def fill(folder: Path) -> None:
    (folder / "cells.csv").write_text("id\n1\n")
    (folder / "maps").mkdir()
    (folder / "maps" / "a.png").write_bytes(b"png")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A report with one slide."""
    with Ledger(tmp_path / "report", [KEY]) as ledger:
        ledger.publish(KEY, fill, RECORD, {"seconds": 2.5})
    return tmp_path / "report"


def decide(out: Path, digest: str = "sha256:11", overwrite: bool = False, **changed: object) -> Keep | Scan:
    with Ledger(out, [KEY], overwrite=overwrite) as ledger:
        return ledger.decide(KEY, digest, {**SCIENCE, **changed}, ["cells"])


def test_a_slide_s_folder_holds_its_files_its_record_and_its_times(out: Path) -> None:
    folder = out / "slides" / "monday" / "blood.tif"
    assert sorted(path.name for path in folder.iterdir()) == ["cells.csv", "maps", "slide.json", "times.json"]
    record = json.loads((folder / "slide.json").read_text())
    assert record == {
        **json.loads(json.dumps(RECORD)),
        "key": KEY,
        "format": 2,
        "folder": "slides/monday/blood.tif",
        "files": {"cells.csv": 5, "maps/a.png": 3},
    }
    assert (folder / "slide.json").read_text().endswith("\n")
    with Ledger(out, [KEY]) as ledger:
        assert ledger.times(KEY) == {"seconds": 2.5}
        assert ledger.record(KEY) == record
        assert ledger.records() == {KEY: record}


def test_what_publish_returns_is_what_a_later_run_reads(tmp_path: Path) -> None:
    with Ledger(tmp_path / "report", [KEY]) as ledger:
        assert ledger.publish(KEY, fill, RECORD) == ledger.record(KEY)
        assert ledger.times(KEY) == {}


def test_what_is_done_is_kept(out: Path) -> None:
    decision = decide(out)
    assert isinstance(decision, Keep)
    assert decision.record["science"]["threshold"] == 0.5


def test_a_new_slide_is_scanned_without_a_reason(tmp_path: Path) -> None:
    assert decide(tmp_path / "new") == Scan("")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"threshold": 0.6}, "threshold changed from 0.5 to 0.6"),
        ({"threshold": None}, "threshold changed from 0.5 to null"),
        ({"classifier_sha256": "c3" * 32}, "classifier_sha256 changed from a1a1a1a1… to c3c3c3c3…"),
        ({"gate": {"glass": 0.8, "names": ("a", "b")}}, "gate.glass changed from 0.9 to 0.8"),
        ({"gate": {"glass": 0.9, "names": ["a", "b"], "blur": 3}}, "gate.blur is new: 3"),
        ({"gate": {"names": ("a", "b")}}, "gate.glass is gone, it was 0.9"),
        (
            {"verdicts": [0.01, 0.05], "threshold": 1},
            "threshold changed from 0.5 to 1; verdicts changed from [0.01, 0.2] to [0.01, 0.05]",
        ),
        ({"text": "x" * 100}, 'text is new: "' + "x" * 38 + "…"),
    ],
)
def test_what_changed_is_named(out: Path, changed: dict[str, object], reason: str) -> None:
    assert decide(out, **changed) == Scan(reason)


def test_one_and_true_and_one_point_zero_are_different_settings(tmp_path: Path) -> None:
    with Ledger(tmp_path, [KEY]) as ledger:
        ledger.publish(KEY, fill, {**RECORD, "science": {"x": 1}})
        assert ledger.decide(KEY, "sha256:11", {"x": True}) == Scan("x changed from 1 to true")


def test_another_input_is_named(out: Path) -> None:
    assert decide(out, digest="sha256:" + "22" * 32) == Scan('input changed from "sha256:11" to sha256:22222222…')


@pytest.mark.parametrize("status", ["unreadable", "failed", "timed_out", "stopped"])
def test_what_was_not_done_is_tried_again(out: Path, status: str) -> None:
    with Ledger(out, [KEY]) as ledger:
        ledger.publish(KEY, lambda folder: None, {**RECORD, "status": status})
    assert decide(out) == Scan(f"it was {status} the last time")
    assert not (out / "slides" / KEY / "cells.csv").exists(), "nothing of the earlier scan is left beside it"


@pytest.mark.parametrize("status", ["ok", "partial", "insufficient", "no_cells"])
def test_what_was_done_is_not_tried_again(out: Path, status: str) -> None:
    with Ledger(out, [KEY]) as ledger:
        ledger.publish(KEY, fill, {**RECORD, "status": status})
    assert isinstance(decide(out), Keep)


def test_a_report_that_is_asked_for_now_and_was_not_then(out: Path) -> None:
    with Ledger(out, [KEY]) as ledger:
        assert ledger.decide(KEY, "sha256:11", SCIENCE, ["cells", "geojson"]) == Scan("geojson files were not written")
        assert isinstance(ledger.decide(KEY, "sha256:11", SCIENCE, []), Keep)


def test_overwrite_scans_everything(out: Path) -> None:
    assert decide(out, overwrite=True) == Scan("everything was to be scanned again")


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda folder: (folder / "maps" / "a.png").unlink(), "its maps/a.png is gone"),
        (lambda folder: (folder / "cells.csv").write_text("id"), "its cells.csv has 2 bytes and not 5"),
        (lambda folder: (folder / "slide.json").write_text('{"key": '), "its slide.json cannot be read"),
        (lambda folder: (folder / "slide.json").write_bytes(b"\xff"), "its slide.json cannot be read"),
        (lambda folder: (folder / "slide.json").write_text("[]"), "its slide.json cannot be read"),
        (lambda folder: (folder / "slide.json").unlink(), ""),
    ],
)
def test_a_harmed_result_is_not_kept(out: Path, harm: Callable[[Path], object], reason: str) -> None:
    harm(out / "slides" / KEY)
    assert decide(out) == Scan(reason)


def test_the_record_of_another_format_is_not_kept(out: Path) -> None:
    path = out / "slides" / KEY / "slide.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 0}))
    assert decide(out) == Scan("its record has format 0 and not 2")


def test_a_slide_renamed_in_case_alone_is_another_slide(out: Path) -> None:
    record = json.loads((out / "slides" / KEY / "slide.json").read_text())
    (out / "slides" / KEY / "slide.json").write_text(json.dumps({**record, "key": "monday/Blood.tif"}))
    with Ledger(out, [KEY]) as ledger:
        assert ledger.record(KEY) is None


def test_a_fact_that_no_number_rests_on_is_amended(out: Path) -> None:
    with Ledger(out, [KEY]) as ledger:
        before = ledger.record(KEY)
        assert before is not None
        assert ledger.amend(KEY, {"specimen": "monday"}) == {**before, "specimen": "monday"} == ledger.record(KEY)
        written = (ledger.folder(KEY) / "slide.json").stat().st_mtime_ns
        ledger.amend(KEY, {"specimen": "monday"})
        assert (ledger.folder(KEY) / "slide.json").stat().st_mtime_ns == written, "nothing to change, nothing written"
        assert isinstance(ledger.decide(KEY, "sha256:11", SCIENCE), Keep)
        with pytest.raises(OutputError, match=r"gone\.tif .* went away"):
            ledger.amend("gone.tif", {})


def test_slides_of_earlier_runs_stay(out: Path) -> None:
    with Ledger(out, ["other.tif"]) as ledger:
        ledger.publish("other.tif", fill, RECORD)
        assert list(ledger.records()) == [KEY, "other.tif"]
    assert (out / "slides" / KEY / "cells.csv").is_file()


# What fails while a slide is published


def disk_full(folder: Path) -> None:
    fill(folder)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "cells.csv"))


def unreadable(folder: Path) -> None:
    fill(folder)
    raise UnreadableSlide("blood.tif broke off")


def bug(folder: Path) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("broken", "error"), [(disk_full, OutputError), (unreadable, UnreadableSlide), (bug, ZeroDivisionError)], ids=lambda each: each.__name__
)
def test_a_writer_that_fails_leaves_what_was_there(out: Path, broken: Callable[[Path], None], error: type[Exception]) -> None:
    with Ledger(out, [KEY]) as ledger:
        with pytest.raises(error):
            ledger.publish(KEY, broken, {**RECORD, "science": {}})
        assert not list((out / ".smearscan" / "staging").iterdir())
    assert isinstance(decide(out), Keep)


def test_a_full_disk_is_said_with_the_path_and_what_to_do(out: Path) -> None:
    with (
        Ledger(out, [KEY]) as ledger,
        pytest.raises(OutputError, match=r"cells\.csv: No space left on device\. The disk is full: make room"),
    ):
        ledger.publish(KEY, disk_full, RECORD)


def test_a_record_that_json_cannot_hold_is_a_bug_and_publishes_nothing(out: Path) -> None:
    with Ledger(out, [KEY]) as ledger, pytest.raises(ValueError, match="Out of range float"):
        ledger.publish(KEY, fill, {**RECORD, "x": float("nan")})
    assert isinstance(decide(out), Keep)


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_rename_that_fails_leaves_what_was_there_and_the_next_run_finishes(
    out: Path, fails_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where a folder that somebody looks into cannot be renamed."""
    rename, calls = Path.rename, []

    def refusing(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == fails_at:
            raise PermissionError(errno.EACCES, "Permission denied", str(target))
        return rename(self, target)

    with Ledger(out, [KEY]) as ledger:
        monkeypatch.setattr(Path, "rename", refusing)
        with pytest.raises(OutputError, match="close programs that hold it open"):
            ledger.publish(KEY, fill, {**RECORD, "input_digest": "sha256:22"})
        monkeypatch.undo()
        assert (ledger.record(KEY) or {})["input_digest"] == "sha256:11"
        assert (out / "slides" / KEY / "cells.csv").is_file()
    assert isinstance(decide(out, digest="sha256:22"), Keep), "what was whole in staging was put in place"


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    with Ledger(tmp_path, [KEY]) as ledger:
        (tmp_path / "slides").mkdir()
        (tmp_path / "slides" / "monday").write_text("not a folder")
        with pytest.raises(OutputError, match="monday"):
            ledger.publish(KEY, fill, RECORD)


def test_a_folder_that_holds_something_else_is_not_replaced(tmp_path: Path) -> None:
    with Ledger(tmp_path, [KEY]) as ledger:
        ledger.folder(KEY).mkdir(parents=True)
        (ledger.folder(KEY) / "thesis.docx").write_text("years of work")
        with pytest.raises(OutputError, match="is in the way and holds no slide's results"):
            ledger.publish(KEY, fill, RECORD)
        assert (ledger.folder(KEY) / "thesis.docx").read_text() == "years of work"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    with Ledger(tmp_path, [KEY]) as ledger:
        ledger.folder(KEY).mkdir(parents=True)
        ledger.publish(KEY, fill, RECORD)
    assert list(read_records(tmp_path)) == [KEY]


# Whose folder it is


def test_somebody_else_s_folder_is_refused_and_not_touched(tmp_path: Path) -> None:
    (tmp_path / "photos.jpg").write_bytes(b"x")
    with pytest.raises(OutputError, match=r"holds 'photos\.jpg' and is no smearscan report"), Ledger(tmp_path, overwrite=True):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["photos.jpg"]


def test_what_a_file_browser_left_is_no_reason_to_refuse(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_bytes(b"x")
    with Ledger(tmp_path):
        pass


def test_a_file_is_no_report_folder(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("x")
    with pytest.raises(OutputError, match="is a file"), Ledger(tmp_path / "report"):
        pass


def test_a_report_that_was_copied_without_its_hidden_folder_is_known_by_run_json(out: Path) -> None:
    with Ledger(out) as ledger:
        ledger.write_run({"seconds": 1})
    (out / ".smearscan").rename(out.parent / "lost")
    assert isinstance(decide(out), Keep)


def test_another_program_s_run_json_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"program": "other"}')
    with pytest.raises(OutputError, match="no smearscan report"), Ledger(tmp_path):
        pass


def test_a_newer_format_is_refused(out: Path) -> None:
    (out / ".smearscan" / "format.json").write_text('{"format": 3}')
    with pytest.raises(OutputError, match="newer smearscan"), Ledger(out):
        pass
    (out / ".smearscan" / "format.json").write_text('{"format": 2}')
    assert isinstance(decide(out), Keep), "the refused one has let go"


# Files of the whole report


def test_tables_are_replaced_at_once(out: Path) -> None:
    with Ledger(out) as ledger:
        ledger.write("summary.csv", "old\n")
        with (out / "summary.csv").open() as reader:
            assert ledger.write("summary.csv", "new\n") == out / "summary.csv"
            assert reader.read() == "old\n", "who reads it keeps what he opened"
        ledger.write("pictures/map.png", b"\x89PNG")
    assert (out / "summary.csv").read_bytes() == b"new\n"
    assert (out / "pictures" / "map.png").read_bytes() == b"\x89PNG"


def test_run_json_says_whose_it_is_in_sorted_keys(out: Path) -> None:
    with Ledger(out) as ledger:
        path = ledger.write_run({"zebra": 1, "seconds": {"b": 1.5, "a": "µ"}})
    assert json.loads(path.read_text(encoding="utf-8"))["program"] == "smearscan"
    assert list(json.loads(path.read_text(encoding="utf-8"))) == ["format", "notice", "program", "seconds", "zebra"]
    assert "µ" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["../summary.csv", "/tmp/summary.csv", ""])
def test_no_file_is_written_outside(out: Path, name: str) -> None:
    with Ledger(out) as ledger, pytest.raises(OutputError):
        ledger.write(name, "x")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_name_that_is_no_text_goes_all_the_way(tmp_path: Path) -> None:
    key = os.fsdecode(b"caf\xe9/\xff.tif")
    with Ledger(tmp_path, [key]) as ledger:
        ledger.publish(key, fill, RECORD)
        ledger.write("summary.csv", f"{key}\n")
        assert list(ledger.records()) == [key]
        assert isinstance(ledger.decide(key, "sha256:11", SCIENCE), Keep)
    assert (tmp_path / "summary.csv").read_text(encoding="utf-8") == "caf\\udce9/\\udcff.tif\n"
