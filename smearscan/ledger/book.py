"""The ledger of a report folder: what is done, what is to do, and the one way in which results get there."""

from __future__ import annotations

import filecmp
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self, TypeAlias

from smearscan.errors import OutputError
from smearscan.ledger.changes import differences
from smearscan.ledger.disk import output_errors, read_json, remove_tree, sync_folder, sync_tree, to_json, write_durably
from smearscan.ledger.folders import safe_path, slide_folders
from smearscan.ledger.lock import ReportLock
from smearscan.results import NOTICE, SCANNED

FORMAT = 2  # of the report folder; a record of another format is scanned again
LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}  # what file browsers leave behind; no reason to refuse a folder

Record: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Keep:
    """An earlier run finished this slide with the same input, weights and science settings."""

    record: Record


@dataclass(frozen=True)
class Scan:
    """This slide is to be scanned; `reason` says why again, and is empty for a new one."""

    reason: str = ""


Decision: TypeAlias = Keep | Scan


class Ledger:
    """One report folder, held by one run. Use it as a context manager; only one thread publishes.

    `keys` are all slides of the run: only so can two keys that differ in case alone be kept apart. Slides of earlier
    runs that are not among them keep their folders, and are in none of this run's tables.
    """

    def __init__(self, out: Path, keys: Iterable[str] = (), *, overwrite: bool = False) -> None:
        self.out = out
        self._overwrite = overwrite
        self._folders = slide_folders(keys)
        self._hidden = out / ".smearscan"
        self._staging = self._hidden / "staging"
        self._lock: ReportLock | None = None

    def __enter__(self) -> Self:
        with output_errors("use", self.out):
            self._claim()
        lock = ReportLock(self.out, self._hidden)
        lock.take()
        with ExitStack() as undo:
            undo.callback(lock.release)
            with output_errors("use", self.out):
                self._prepare(lock)
            undo.pop_all()
        self._lock = lock
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            with output_errors("leave", self.out):
                self._lock.release()

    def folder(self, key: str) -> Path:
        """Return where a slide's results are, or will be."""
        return self.out / "slides" / (self._folders.get(key) or safe_path(key))

    def decide(self, key: str, input_digest: str, science: Mapping[str, object], reports: Collection[str] = ()) -> Decision:
        """Say whether what is there of a slide still holds; `reports` names the writers whose files are wanted."""
        with output_errors("read the results in", self.folder(key)):
            record = self.record(key)
            if record is None:
                return Scan("its slide.json cannot be read" if (self.folder(key) / "slide.json").is_file() else "")
            if self._overwrite:
                return Scan("everything was to be scanned again")
            reason = _why_not(record, input_digest, science, reports) or self._what_is_lost(key, record)
        return Scan(reason) if reason else Keep(record)

    def record(self, key: str) -> Record | None:
        """Return what was published of a slide; None where nothing was, or nothing legible."""
        record = read_json(self.folder(key) / "slide.json")
        return record if record is not None and record.get("key") == key else None

    def times(self, key: str) -> Mapping[str, Any]:
        """Return what was published as a slide's times; they are in no record, for a record is the same in every run."""
        return read_json(self.folder(key) / "times.json") or {}

    def records(self) -> dict[str, Record]:
        """Return every published record by key, sorted, also of slides that are not of this run."""
        return read_records(self.out)

    def publish(
        self, key: str, fill: Callable[[Path], None], record: Mapping[str, object], times: Mapping[str, object] | None = None
    ) -> Record:
        """Let `fill` write a slide's files to an empty folder, and put that folder in place, whole or not at all.

        Returns the record as a later run will read it: with `folder`, and with `files` and their sizes. What `fill`
        raises passes through, an OSError as OutputError, and what was there before stays. Where only the last rename
        fails, the results wait in staging for the next run.
        """
        target = self.folder(key)
        staged = self._staging / hashlib.sha256(target.as_posix().encode("utf-8", "surrogatepass")).hexdigest()[:16]
        with output_errors("write the results to", target):
            whole = False
            try:
                published = _stage(staged, fill, {**record, "key": key, "format": FORMAT, "folder": self._relative(target)}, times)
                whole = True
            finally:
                if not whole:
                    remove_tree(staged)
            _install(staged, target)
        return published

    def amend(self, key: str, facts: Mapping[str, object]) -> Record:
        """Change facts of a published record that no number rests on, as the specimen's name; returns the record."""
        record = self.record(key)
        if record is None:
            raise OutputError(f"The record of {key} in {self.folder(key)} went away during the run.")
        changed = {**record, **facts}
        if changed != record:
            with output_errors("write the results to", self.folder(key)):
                write_durably(self.folder(key) / "slide.json", to_json(changed), self._staging)
        return changed

    def refresh(self, record: Record, fill: Callable[[Path], None], reports: Collection[str] = ()) -> tuple[Record, list[str]]:
        """Let `fill` write files of a published slide again, into an empty folder; replace those that differ.

        `reports` names the writers whose files are then there. Returns the record, with the files as they are now, and
        the names of those replaced. One file at a time: killed in between, the next run scans the slide again.
        """
        target = self.out / PurePosixPath(record["folder"])
        staged = self._staging / "refreshed"
        with output_errors("write the results to", target):
            remove_tree(staged)
            staged.mkdir()
            try:
                fill(staged)
                sync_tree(staged)
                files = dict(record.get("files", {}))
                replaced = [name for name in _files(staged) if _move_if_different(staged / name, target / name)]
                files |= {name: (target / name).stat().st_size for name in replaced}
                changed = {**record, "files": files, "reports": sorted({*record.get("reports", ()), *reports})}
                if changed != record:
                    write_durably(target / "slide.json", to_json(changed), self._staging)
            finally:
                remove_tree(staged)
        return changed, replaced

    def write(self, name: str, content: str | bytes | Mapping[str, object]) -> Path:
        """Write a file of the whole report, such as summary.csv, so that a reader finds the old one or the new one."""
        path = self.out / safe_path(name)
        if isinstance(content, Mapping):
            content = to_json(content)
        if isinstance(content, str):
            content = content.encode("utf-8", "backslashreplace")  # a file name need not be text
        with output_errors("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_durably(path, content, self._staging)
        return path

    def write_run(self, facts: Mapping[str, object]) -> Path:
        """Write run.json, by which a report is known as one."""
        return self.write("run.json", {**facts, "program": "smearscan", "format": FORMAT, "notice": NOTICE})

    def _relative(self, folder: Path) -> str:
        return folder.relative_to(self.out).as_posix()

    def _claim(self) -> None:
        """Make the folder ours, unless it is somebody else's."""
        if self.out.exists() and not self.out.is_dir():
            raise OutputError(f"{self.out} is a file: give --out a folder that is new, empty, or an earlier report.")
        if not self._hidden.is_dir() and self.out.is_dir() and not is_report(self.out):
            strange = sorted(each.name for each in self.out.iterdir() if each.name not in LITTER | {self._hidden.name})
            if strange:
                raise OutputError(
                    f"{self.out} holds {strange[0]!r} and is no smearscan report: "
                    "give --out a folder that is new, empty, or an earlier report."
                )
        self._hidden.mkdir(parents=True, exist_ok=True)

    def _prepare(self, lock: ReportLock) -> None:
        """With the lock held: check the format, and finish or remove what a dead run left."""
        marker = self._hidden / "format.json"
        found = (read_json(marker) or {}).get("format", FORMAT)
        if isinstance(found, int) and found > FORMAT:
            raise OutputError(f"{self.out} was written by a newer smearscan (format {found}): use that one, or choose another --out.")
        self._staging.mkdir(exist_ok=True)
        lock.sign(self._staging)
        if read_json(marker) != {"format": FORMAT}:
            write_durably(marker, to_json({"format": FORMAT}), self._staging)
        for left in sorted(self._staging.iterdir()):
            record = read_json(left / "new" / "slide.json")
            if record is not None:  # it was written last: this slide is whole but for the rename
                _install(left, self.out / PurePosixPath(record["folder"]))
            elif left.is_dir():
                remove_tree(left)
            else:
                left.unlink()

    def _what_is_lost(self, key: str, record: Record) -> str:
        """Return a phrase if a published file is gone or has another size."""
        for name, size in record.get("files", {}).items():
            try:
                there = (self.folder(key) / name).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return f"its {name} is gone"
            if there != size:
                return f"its {name} has {there} bytes and not {size}"
        return ""


def read_records(out: Path) -> dict[str, Record]:
    """Return every slide's record in a report folder by key, sorted; needs no lock, for records appear and vanish whole."""
    found = {}
    with output_errors("read", out):
        for where, folders, names in os.walk(out / "slides"):
            if "slide.json" in names:
                folders[:] = [name for name in folders if (Path(where) / name / "slide.json").is_file()]
                record = read_json(Path(where) / "slide.json")
                if record is not None and "key" in record:
                    found[record["key"]] = record
    return dict(sorted(found.items()))


def is_report(out: Path) -> bool:
    """Return whether a run has written here."""
    return (read_json(out / "run.json") or {}).get("program") == "smearscan"


def _why_not(record: Record, input_digest: str, science: Mapping[str, object], reports: Collection[str]) -> str:
    """Return why an earlier record does not hold any more, "" if it does."""
    if record.get("format") != FORMAT:
        return f"its record has format {record.get('format')} and not {FORMAT}"
    if record.get("status") not in SCANNED:
        return f"it was {record.get('status')} the last time"
    before = {"input": record.get("input_digest"), **record.get("science", {})}
    phrases = differences(before, {"input": input_digest, **science})
    phrases += [f"{name} files were not written" for name in sorted(set(reports) - set(record.get("reports", ())))]
    return "; ".join(phrases)


def _stage(staged: Path, fill: Callable[[Path], None], record: Mapping[str, object], times: Mapping[str, object] | None) -> Record:
    """Fill `staged`/new, its record last; what is in it then is on the disk, not on its way there."""
    remove_tree(staged)
    new = staged / "new"
    new.mkdir(parents=True)
    fill(new)
    files = {name: (new / name).stat().st_size for name in _files(new)}
    (new / "times.json").write_bytes(to_json(times or {}))
    sync_tree(new)
    write_durably(new / "slide.json", to_json({**record, "files": files}), staged)
    published = read_json(new / "slide.json")
    if published is None:
        raise OutputError(f"{new / 'slide.json'} does not read as it was written: check the disk.")
    return published


def _files(folder: Path) -> list[str]:
    """Return every file below `folder`, relative to it, sorted."""
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


def _move_if_different(new: Path, old: Path) -> bool:
    if old.is_file() and filecmp.cmp(new, old, shallow=False):
        return False
    old.parent.mkdir(parents=True, exist_ok=True)
    new.replace(old)
    sync_folder(old.parent)
    return True


def _install(staged: Path, target: Path) -> None:
    """Move `staged`/new to `target`, what stands there out of the way first: Windows replaces no folder by another."""
    target.parent.mkdir(parents=True, exist_ok=True)
    new, old = staged / "new", staged / "old"
    if target.exists():
        if not (target / "slide.json").is_file() and (not target.is_dir() or any(target.iterdir())):
            raise OutputError(f"{target} is in the way and holds no slide's results: move it elsewhere and run the same command again.")
        remove_tree(old)
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        with suppress(OSError):
            old.rename(target)
        raise
    sync_folder(target.parent)
    remove_tree(staged)
