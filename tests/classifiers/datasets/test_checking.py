"""Planted duplicates and leaks are found, whatever was done to the picture; cells that only look alike are left alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from classifiers.datasets import Samples, load
from classifiers.datasets.checking import LeakError, check, joined, refuse_leaks
from classifiers.datasets.duplicates import LIKE, Seen, _compare, _near, _unturned, texture
from classifiers.splits import PARTS, Split

Put = Callable[..., Path]
Draw = Callable[..., np.ndarray]
PATTERN = r"^(\d+)_"


def read_back(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def encoded(picture: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def load_ward(ward: Path) -> Samples:
    return load(ward, "folders", subject_pattern=PATTERN)


def test_a_clean_set_has_no_pairs(ward: Path) -> None:
    seen: list[int] = []
    report = check(load_ward(ward), show=seen.append)
    assert seen == list(range(1, 41))
    assert report.pairs == ()
    assert report.joins == ()
    assert report.repeated == 0
    assert report.unreadable == ()
    assert report.size_range() == ((96, 96), (96, 96), (96, 96))
    assert [(each.name, each.role, each.cells, each.subjects, each.groups) for each in report.classes] == [
        ("normal", "other", 20, 4, 4),
        ("lymphoblast", "blast", 20, 4, 4),
    ]


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "turned": lambda cell: np.ascontiguousarray(np.rot90(cell)),
    "upside down": lambda cell: np.ascontiguousarray(cell[::-1]),
    "mirrored and turned": lambda cell: np.ascontiguousarray(np.rot90(cell[:, ::-1], 3)),
    "written as JPEG": lambda cell: encoded(cell, 60),
    "made smaller": lambda cell: cv2.resize(cell, (64, 64), interpolation=cv2.INTER_AREA),
    "brighter": lambda cell: np.clip(cell * 1.1, 0, 255).astype(np.uint8),
    "turned, smaller and written as JPEG": lambda cell: encoded(cv2.resize(np.rot90(cell, 2), (70, 70), interpolation=cv2.INTER_AREA), 75),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_under_another_subject_is_found(ward: Path, put: Put, change: str) -> None:
    put(ward / "lymphoblast" / "5_9.png", CHANGES[change](read_back(ward / "lymphoblast" / "3_2.png")))
    samples = load_ward(ward)
    report = check(samples)
    assert [(pair.how, {samples.files[pair.first], samples.files[pair.second]}) for pair in report.pairs] == [
        ("nearly identical", {"lymphoblast/3_2.png", "lymphoblast/5_9.png"})
    ]
    assert LIKE <= report.pairs[0].likeness <= 1
    assert report.joins == (("3", "5"),)


def test_the_same_file_and_the_same_pixels_are_told_apart(ward: Path, put: Put) -> None:
    shutil.copy(ward / "normal" / "0_0.png", ward / "normal" / "2_9.png")
    put(ward / "normal" / "4_9.bmp", read_back(ward / "normal" / "0_1.png"))
    shutil.copy(ward / "normal" / "6_0.png", ward / "normal" / "6_9.png")
    samples = load_ward(ward)
    report = check(samples)
    found = {(pair.how, samples.files[pair.first], samples.files[pair.second]) for pair in report.pairs}
    assert found == {
        ("same file", "normal/0_0.png", "normal/2_9.png"),
        ("same pixels", "normal/0_1.png", "normal/4_9.bmp"),
    }, "a copy under the same subject is no pair"
    assert report.repeated == 3
    assert report.joins == (("0", "2", "4"),)


def test_a_cell_in_a_black_frame_is_known_again_out_of_it(tmp_path: Path, put: Put, draw: Draw) -> None:
    whole = draw(7, 120, 300)
    put(tmp_path / "blast" / "1_1.png", whole)
    put(tmp_path / "blast" / "2_1.png", whole[90:210, 90:210])
    put(tmp_path / "normal" / "3_1.png", draw(8, 120, 300))
    report = check(load_ward(tmp_path))
    assert report.joins == (("1", "2"),)


def test_pictures_without_texture_are_compared_by_pixels_only(tmp_path: Path, put: Put) -> None:
    for subject, (name, level) in enumerate((("blast", 120), ("normal", 121), ("normal", 121))):
        put(tmp_path / name / f"{subject}_1.png", np.full((40, 40, 3), level, np.uint8))
    report = check(load_ward(tmp_path))
    assert [pair.how for pair in report.pairs] == ["same file"]
    assert report.joins == (("1", "2"),)


def test_every_unreadable_file_is_named(ward: Path) -> None:
    (ward / "normal" / "0_0.png").write_bytes(b"no picture")
    (ward / "normal" / "2_1.png").write_bytes(b"")
    whole = (ward / "normal" / "4_1.png").read_bytes()
    (ward / "normal" / "4_1.png").write_bytes(whole[:20])
    samples = load_ward(ward)
    report = check(samples)
    assert {samples.files[row] for row, _ in report.unreadable} == {"normal/0_0.png", "normal/2_1.png", "normal/4_1.png"}
    assert all(samples.files[row] in reason for row, reason in report.unreadable)
    assert (report.sizes > 0).all(axis=1).sum() == 37


def test_joined_groups_keep_what_is_alike_together(ward: Path, put: Put) -> None:
    put(ward / "lymphoblast" / "5_9.png", np.rot90(read_back(ward / "lymphoblast" / "3_2.png")))
    samples = load_ward(ward)
    after = joined(samples, check(samples))
    assert set(after.groups) == {"0", "1", "2", "3+5", "4", "6", "7"}
    assert check(after).pairs == ()
    for tested in ("3+5", "7"):
        refuse_leaks(after, Split("given", np.array([3 * (group == tested) for group in after.groups], np.int8), leaky=False))


def leaky_split(samples: Samples, kind: str = "given") -> Split:
    """All of subject 5 in the test, but for nothing else; its copy of subject 3 stays in training."""
    parts = np.zeros(len(samples), np.int8)
    parts[[row for row, subject in enumerate(samples.subjects) if subject in {"5", "6"}]] = PARTS.index("test")
    return Split(kind, parts, leaky=False)  # type: ignore[arg-type]


def test_a_planted_leak_is_refused_with_its_cells_named(ward: Path, put: Put) -> None:
    samples = load_ward(ward)
    refuse_leaks(samples, leaky_split(samples))
    put(ward / "lymphoblast" / "5_9.png", np.rot90(read_back(ward / "lymphoblast" / "3_2.png")))
    samples = load_ward(ward)
    split = leaky_split(samples)
    with pytest.raises(LeakError, match=r"1 pictures .*lymphoblast/3_2.png in train, lymphoblast/5_9.png in test.*2 of 41 cells"):
        refuse_leaks(samples, split)
    leak = check(samples, split).leak
    assert leak is not None
    assert {samples.files[row] for row in leak.rows} == {"lymphoblast/3_2.png", "lymphoblast/5_9.png"}
    refuse_leaks(samples, leaky_split(samples, "random"))  # marked leaky wherever its numbers stand


def test_a_parted_subject_is_a_leak(ward: Path) -> None:
    samples = load_ward(ward)
    split = leaky_split(samples)
    split.parts[samples.files.index("normal/6_3.png")] = PARTS.index("train")
    with pytest.raises(LeakError, match=r"1 of 8 groups of subjects \(6\): 5 of 40 cells"):
        refuse_leaks(samples, split)


def test_a_copy_in_the_same_part_is_no_leak(ward: Path) -> None:
    shutil.copy(ward / "lymphoblast" / "3_2.png", ward / "lymphoblast" / "1_9.png")
    samples = load_ward(ward)
    refuse_leaks(samples, leaky_split(samples))
    assert check(samples).joins == (("1", "3"),)


def test_the_short_cut_misses_no_pair(draw: Draw) -> None:
    """What is compared first is the same for all eight ways, and never farther apart than the pictures are."""
    rng = np.random.default_rng(3)
    textures = np.stack([texture(draw(seed)) for seed in range(40)])
    assert np.allclose(_unturned(textures[:1]), _unturned(np.rot90(textures[:1], 1, (1, 2))), atol=1e-5)
    assert np.allclose(_unturned(textures[:1]), _unturned(np.ascontiguousarray(textures[:1, ::-1])), atol=1e-5)
    noisy = textures + rng.normal(0, 0.006, textures.shape).astype(np.float32)
    noisy /= np.linalg.norm(noisy, axis=(1, 2), keepdims=True)
    whole = np.concatenate([textures, np.stack([np.rot90(each, turn % 4) for turn, each in enumerate(noisy)])]).astype(np.float32)
    n = len(whole)
    seen = Seen(("",) * n, ("",) * n, np.zeros((n, 2), np.int32), whole, np.zeros((n, 8, 8, 3), np.uint8), {})
    first, second = np.triu_indices(n, 1)
    alike = _compare(seen, first, second)[1]
    every = set(zip(first[alike].tolist(), second[alike].tolist(), strict=True))
    assert len(every) > 20
    assert {(one, other) for one, other, _ in _near(seen, np.arange(n), [str(row) for row in range(n)])} == every


def test_round_cells_on_pale_ground_are_not_one_cell(draw: Draw) -> None:
    """Their edge is the same, and by far the strongest thing in the picture."""
    cells = [draw(seed) for seed in range(60)]
    textures = np.stack([texture(cell) for cell in cells])
    n = len(cells)
    seen = Seen(("",) * n, ("",) * n, np.zeros((n, 2), np.int32), textures, np.zeros((n, 8, 8, 3), np.uint8), {})
    assert list(_near(seen, np.arange(n), [str(row) for row in range(n)])) == []


@pytest.mark.slow
@pytest.mark.data
def test_cnmc_has_the_same_cells_under_several_subjects(data_folder: Path) -> None:
    samples = load(data_folder / "cnmc")
    report = check(samples)
    assert [(each.cells, each.groups) for each in report.classes] == [(2018, 12), (4163, 25)]
    assert report.unreadable == ()
    assert report.repeated == 0
    assert {pair.how for pair in report.pairs} == {"nearly identical"}
    assert report.joins == (("A1", "A15", "A16", "A17", "A20+A21"), ("A43", "A44"))
