"""A night in a few milliseconds, to be killed: `python night.py OUT SETTING [SLIDES]` publishes small slides.

Every file says which setting it was made with, so that a mix of two runs is seen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from smearscan.ledger import Keep, Ledger, read_records

FILES = ("cells.csv", "maps/cell-1.png", "maps/cell-2.png")


def slides(number: int) -> list[str]:
    return [f"{'monday/' if each % 2 else ''}{each:02d}.tif" for each in range(number)]


def content(key: str, setting: str, name: str) -> str:
    return f"{setting} {key} {name} " * 50 + f"end of {setting}\n"


def scan(out: Path, setting: str, number: int = 2, say: Callable[[str], None] = lambda line: None) -> dict[str, str]:
    """Go through the slides as a run does, saying which one is being scanned; return what was decided."""
    decided, rows = {}, {}
    with Ledger(out, slides(number)) as ledger:
        for key in slides(number):
            decision = ledger.decide(key, f"sha256:{key}", {"setting": setting})
            if isinstance(decision, Keep):
                decided[key], record = "kept", decision.record
            else:
                decided[key] = decision.reason
                say(key)

                def fill(folder: Path, key: str = key) -> None:
                    (folder / "maps").mkdir()
                    for name in FILES:
                        (folder / name).write_text(content(key, setting, name))

                facts = {"status": "ok", "input_digest": f"sha256:{key}", "science": {"setting": setting}, "reports": []}
                record = ledger.publish(key, fill, facts, {"seconds": 1.0})
            rows[key] = f"{key},{record['science']['setting']}\n"
            ledger.write("summary.csv", "".join(rows.values()) + "end\n")
        ledger.write_run({"slides": decided})
    return decided


def assert_whole(out: Path) -> None:
    """Every file that is there is whole, and every slide is of one run."""
    for key, record in read_records(out).items():
        setting, folder = record["science"]["setting"], out / record["folder"]
        assert sorted(record["files"]) == sorted(FILES)
        assert json.loads((folder / "times.json").read_text()) == {"seconds": 1.0}
        for name in FILES:
            assert (folder / name).read_text() == content(key, setting, name), f"{name} of {key} is not of {setting}"
    for table in out.glob("summary.csv"):
        assert table.read_text().endswith("end\n")
    for facts in out.glob("run.json"):
        assert json.loads(facts.read_text())["program"] == "smearscan"


def tree(out: Path) -> dict[str, bytes]:
    """Return every file that a reader may look at; run.json tells of this run, and may differ."""
    found = (path for path in sorted(out.rglob("*")) if path.is_file())
    names = {path.relative_to(out).as_posix(): path.read_bytes() for path in found}
    return {name: data for name, data in names.items() if not name.startswith(".smearscan/") and name != "run.json"}


if __name__ == "__main__":
    scan(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), say=lambda line: print(line, flush=True))
