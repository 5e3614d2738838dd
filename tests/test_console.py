"""What a person reads: dated plain lines in a log, results alone on stdout."""

from __future__ import annotations

import json
import re

import pytest

from smearscan import console


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "0 s"), (42, "42 s"), (59.4, "59 s"), (61, "1 min"), (3540, "59 min"), (3600, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_a_duration_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert console.format_seconds(seconds) == said


@pytest.mark.parametrize(("count", "said"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_900_000, "2.9 MB"), (7.25e11, "725 GB")])
def test_a_size_is_said_as_people_say_it(count: float, said: str) -> None:
    assert console.format_bytes(count) == said


def test_in_a_log_every_line_is_dated_and_without_control_codes(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("blood [red] is read")
    console.warn("beware")
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d .*", line) for line in lines)
    assert lines[0].endswith("blood [red] is read")
    assert lines[1].endswith("warning: beware")


def test_a_table_shows_every_cell_and_takes_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console.table(("slide", "cells"), [("a [bold] name.tif", 12), ("day:a:1.tif", 3), ("none.tif", None)], right=("cells",))
    out, err = capsys.readouterr()
    assert out == ""
    assert "a [bold] name.tif" in err
    assert "day:a:1.tif" in err, "no name of an emoji either"
    assert re.search(r"none\.tif +-", err)
    assert "\x1b" not in err


def test_results_go_to_stdout_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    console.emit_json({"slides": ["blöd.tif"]})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"slides": ["blöd.tif"]}
    assert err == ""


def test_progress_in_a_log_is_one_line_in_a_while(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with console.progress("all slides", 100) as bar:
        for done in range(0, 100, 5):
            now[0] += 5
            bar.update(done, 100, {"blood.tif": "reading"})
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 100 / console.PLAIN_EVERY_S + 1
    assert re.search(r"all slides: 25 %, about 90 s|all slides: 25 %, about 2 min left; blood\.tif: reading", lines[0])
