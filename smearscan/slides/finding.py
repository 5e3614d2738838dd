"""List the slides below what a person names: each once, in a fixed order, and nothing passed over in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from smearscan.errors import ConfigError
from smearscan.results import NOTICE
from smearscan.slides.damage import Damaged, describe
from smearscan.slides.dicom_header import is_dicom, read_dicom_header
from smearscan.slides.formats import OTHER_SLIDES, PICTURE_SUFFIXES, SLIDE_SUFFIXES, UNFINISHED_SUFFIXES, Kind, is_zarr, kind_of, read_head
from smearscan.slides.side_files import HAMAMATSU, MIRAX, side_files

NOT_A_SLIDE = "neither its name nor its first bytes are those of a slide or picture"
RESULTS = ("slide.json", "comparison.json")  # lie in a folder with what was found on slides


@dataclass(frozen=True)
class FoundSlide:
    """A slide to open; `key` names it in every output: its path below the folder that was given, with forward slashes."""

    path: Path
    key: str


@dataclass(frozen=True)
class NotASlide:
    """Something that was found and is not scanned."""

    path: Path
    reason: str  # a sentence's second half: "x.txt: neither its name ..."
    may_be_slide: bool = False  # a person should look: a folder that cannot be listed, a slide format that is not read


@dataclass(frozen=True)
class Found:
    """What lies below the paths that were given, sorted by key and by path."""

    slides: tuple[FoundSlide, ...]
    rejected: tuple[NotASlide, ...]


@dataclass(frozen=True)
class _Candidate:
    path: Path
    parts: int  # how many of the path's last parts are the key


def find_slides(paths: Sequence[Path]) -> Found:
    """Find slides among files and, recursively, folders.

    What is named like a slide is one, even if it is damaged: opening it will say so. A slide of several files counts once,
    a file reached on two ways counts once, hidden files and folders below a given folder are left alone. So are results of
    smearscan: whoever has the report put beside the slides must not find its thumbnails scanned the next night.
    """
    search = _Search()
    for path in paths:
        search.take_given(Path(path))
    search.follow_links()
    candidates = _drop_side_files(search)
    candidates = _one_a_series(candidates, search.rejected)
    candidates = _one_a_file(candidates, search.rejected)
    keys = _keys(candidates)
    slides = sorted((FoundSlide(candidate.path, key) for candidate, key in zip(candidates, keys, strict=True)), key=lambda found: found.key)
    return Found(tuple(slides), tuple(sorted(set(search.rejected), key=lambda rejected: (str(rejected.path), rejected.reason))))


def first_of_series(folder: Path) -> Path:
    """Return the file to open for a folder that is one DICOM series; raises `Damaged` for any other folder."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and is_dicom(read_head(file)))
    candidates = _one_a_series([_Candidate(file, 1) for file in files], [])
    if not candidates:
        raise Damaged("it is a folder, and neither OME-Zarr nor a DICOM whole-slide series")
    if len(candidates) > 1:
        raise Damaged(f"it is a folder with {len(candidates)} DICOM series: name a file of the one to open")
    return candidates[0].path


class _Search:
    """Walks folders; what is found is sorted out afterwards."""

    def __init__(self) -> None:
        self.candidates: list[_Candidate] = []
        self.rejected: list[NotASlide] = []
        self._seen: set[tuple[int, int]] = set()
        self._links: list[tuple[Path, int]] = []

    def take_given(self, path: Path) -> None:
        """Take a path that a person named; one that is not there is their mistake."""
        path = path.absolute()
        try:
            if not path.exists():
                raise ConfigError(f"{path} does not exist. Name a slide or a folder of slides.")
            self._take_existing(path)
        except OSError as error:
            self._reject(path, f"it cannot be looked at: {describe(error)}", may_be_slide=True)

    def _take_existing(self, path: Path) -> None:
        mirax = path.parent / (path.name + MIRAX)
        if not path.is_dir():
            self._take_file(path, 1)
        elif mirax.is_file():
            self._take_file(mirax, 1)  # the folder beside an MRXS is a part of it
        elif is_zarr(path):
            self.candidates.append(_Candidate(path, 1))
        else:
            self._walk(path, 1)

    def follow_links(self) -> None:
        """Look into linked folders, after all others, so that a folder is known by its own name and loops end."""
        while self._links:
            folder, parts = self._links.pop(0)
            self._walk(folder, parts)

    def _walk(self, folder: Path, parts: int) -> None:
        try:
            status = folder.stat()
            entries = sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=lambda entry: entry.name)
        except OSError as error:
            self._reject(folder, f"the folder cannot be looked into: {describe(error)}", may_be_slide=True)
            return
        if (status.st_dev, status.st_ino) in self._seen:
            return
        self._seen.add((status.st_dev, status.st_ino))
        if any(entry.name in RESULTS and _is_ours(entry) for entry in entries):
            self._reject(folder, "it holds results of smearscan: their pictures are no slides")
            return
        for entry in entries:
            try:
                self._take_entry(entry, parts)
            except OSError as error:
                self._reject(entry, f"it cannot be looked at: {describe(error)}", may_be_slide=True)

    def _take_entry(self, entry: Path, parts: int) -> None:
        if not entry.is_dir():
            self._take_file(entry, parts)
        elif is_zarr(entry):
            self.candidates.append(_Candidate(entry, parts))
        elif (entry.parent / (entry.name + MIRAX)).is_file():
            return  # a part of that MRXS
        elif entry.is_symlink():
            self._links.append((entry, parts + 1))
        else:
            self._walk(entry, parts + 1)

    def _take_file(self, path: Path, parts: int) -> None:
        suffix = path.suffix.lower()
        if not path.exists():
            self._reject(path, "it is a link that points to nothing", may_be_slide=True)
        elif not path.is_file():
            self._reject(path, "it is no regular file")
        elif suffix in UNFINISHED_SUFFIXES:
            self._reject(path, "it is a file that is still being written, or was given up", may_be_slide=True)
        elif suffix in SLIDE_SUFFIXES or suffix in PICTURE_SUFFIXES:
            self.candidates.append(_Candidate(path, parts))
        elif suffix in OTHER_SLIDES:
            self._reject(path, f"{OTHER_SLIDES[suffix]} is not read here: export it as OME-TIFF or tiled TIFF", may_be_slide=True)
        else:
            self._take_unnamed(path, parts)

    def _take_unnamed(self, path: Path, parts: int) -> None:
        """Take a file whose name says nothing, if its first bytes do: scanners write DICOM without a suffix."""
        try:
            head = read_head(path)
        except OSError as error:
            self._reject(path, f"it cannot be read: {describe(error)}", may_be_slide=True)
            return
        if head and kind_of(path, head) is not Kind.UNKNOWN:
            self.candidates.append(_Candidate(path, parts))
        else:
            self._reject(path, NOT_A_SLIDE if head else "it is empty (0 bytes)")

    def _reject(self, path: Path, reason: str, *, may_be_slide: bool = False) -> None:
        self.rejected.append(NotASlide(path, reason, may_be_slide))


def _is_ours(path: Path) -> bool:
    """Return whether smearscan wrote a file of results, and not somebody else one of that name."""
    try:
        return NOTICE in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _drop_side_files(search: _Search) -> list[_Candidate]:
    """Leave out the files that are a part of an MRXS, VMS or VMU."""
    parts_of_others: set[Path] = set()
    for candidate in search.candidates:
        if candidate.path.suffix.lower() in (MIRAX, *HAMAMATSU):
            try:
                parts_of_others |= side_files(candidate.path)
            except OSError:
                continue  # opening the slide will say why
    search.rejected[:] = [rejected for rejected in search.rejected if rejected.path not in parts_of_others]
    return [candidate for candidate in search.candidates if candidate.path not in parts_of_others]


def _one_a_series(candidates: Iterable[_Candidate], rejected: list[NotASlide]) -> list[_Candidate]:
    """Keep one file of each DICOM series in a folder: the first that holds a level of the pyramid."""
    kept: list[_Candidate] = []
    series: dict[tuple[Path, str], list[tuple[bool, str, _Candidate]]] = {}
    for candidate in candidates:
        try:
            if candidate.path.is_dir() or not is_dicom(read_head(candidate.path)):
                kept.append(candidate)
                continue
            header = read_dicom_header(candidate.path)
        except (Damaged, OSError):
            kept.append(candidate)  # opening it will say why
            continue
        if not header.is_whole_slide:
            rejected.append(NotASlide(candidate.path, "it is DICOM, but no whole-slide image"))
            continue
        series.setdefault((candidate.path.parent, header.series), []).append((not header.is_volume, candidate.path.name, candidate))
    kept.extend(min(files, key=lambda file: file[:2])[2] for files in series.values())
    return kept


def _one_a_file(candidates: Sequence[_Candidate], rejected: list[NotASlide]) -> list[_Candidate]:
    """Keep one way to each file, the one without links if there is one."""
    ways: dict[Path, list[_Candidate]] = {}
    for candidate in candidates:
        ways.setdefault(candidate.path.resolve(), []).append(candidate)
    kept = []
    for real, same in ways.items():
        chosen = next((candidate for candidate in same if candidate.path == real), same[0])
        kept.append(chosen)
        others = {candidate.path for candidate in same} - {chosen.path}
        rejected.extend(NotASlide(path, f"it is the same file as {chosen.path.name}, which is scanned") for path in others)
    return kept


def _keys(candidates: Sequence[_Candidate]) -> list[str]:
    """Return each candidate's key; those that would be equal get the names of the folders above until they differ."""
    parts = [candidate.parts for candidate in candidates]
    while True:
        keys = ["/".join(candidate.path.parts[-count:]) for candidate, count in zip(candidates, parts, strict=True)]
        times = Counter(keys)
        clashing = [index for index, key in enumerate(keys) if times[key] > 1 and parts[index] < len(candidates[index].path.parts) - 1]
        if not clashing:
            return keys
        for index in clashing:
            parts[index] += 1
