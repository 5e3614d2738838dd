"""Every published layout is recognised by its files and read with the right classes, subjects and groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from classifiers.card import ModelCard
from classifiers.datasets import DatasetError, Samples, load
from classifiers.datasets.finding import KINDS, find_kind

Put = Callable[..., Path]
Draw = Callable[..., np.ndarray]


def card_of(samples: Samples) -> ModelCard:
    """Classes, roles and the positive class must be such that a card can be made of them."""
    return ModelCard(
        name="t", summary="", classes=samples.classes, roles=samples.roles, positive_class=samples.positive_class,
        activation="sigmoid" if len(samples.classes) == 2 else "softmax", network={}, crop_px=32,
    )  # fmt: skip


CNMC_NAMES = {
    "fold_0/all": ["UID_20_1_1_all.bmp", "UID_21_1_1_all.bmp", "UID_11_10_1_all.bmp"],
    "fold_0/hem": ["UID_H6_1_2_hem.bmp", "UID_H10_4_1_hem.bmp"],
    "fold_1/hem": ["UID_h3_16_1_hem.bmp", "UID_H22_1_1_hem.bmp"],
}


def plant_cnmc(root: Path, put: Put, draw: Draw, *, kaggle: bool) -> Path:
    training = root / ("C-NMC_Leukemia/training_data" if kaggle else "C-NMC_training_data")
    for folder, names in CNMC_NAMES.items():
        for name in names:
            put(training / folder / name, draw(len(name), 40, 60))
    preliminary = root / ("C-NMC_Leukemia/validation_data" if kaggle else "C-NMC_test_prelim_phase_data")
    pictures = preliminary / "C-NMC_test_prelim_phase_data" if kaggle else preliminary
    put(pictures / "1.bmp", draw(1, 40, 60))
    put(pictures / "2.bmp", draw(2, 40, 60))
    (preliminary / "C-NMC_test_prelim_phase_data_labels.csv").write_text(
        "Patient_ID,new_names,labels\nUID_57_29_1_all.bmp,1.bmp,1\nUID_H57_2_9_hem.bmp,2.bmp,0\n"
    )
    put(root / "testing_data" / "1.bmp", draw(5, 40, 60))  # without labels
    return root


@pytest.mark.parametrize("kaggle", [False, True])
def test_cnmc_as_the_archive_and_kaggle_give_it(tmp_path: Path, put: Put, draw: Draw, kaggle: bool) -> None:
    samples = load(plant_cnmc(tmp_path, put, draw, kaggle=kaggle))
    assert find_kind(tmp_path) == "cnmc"
    assert len(samples) == 9
    assert samples.classes == ("normal", "blast"), "whatever order the folders have"
    by_name = {Path(file).name: row for row, file in enumerate(samples.files)}
    blasts = {name for name, row in by_name.items() if samples.labels[row] == 1}
    assert blasts == {"UID_20_1_1_all.bmp", "UID_21_1_1_all.bmp", "UID_11_10_1_all.bmp", "1.bmp"}
    assert samples.subjects[by_name["UID_h3_16_1_hem.bmp"]] == "H3"
    assert samples.subjects[by_name["1.bmp"]] == "A57"
    groups = {name: samples.groups[row] for name, row in by_name.items()}
    assert groups["UID_20_1_1_all.bmp"] == groups["UID_21_1_1_all.bmp"] == "A20+A21"
    assert groups["UID_h3_16_1_hem.bmp"] == groups["UID_H10_4_1_hem.bmp"]
    assert groups["UID_11_10_1_all.bmp"] == "A11"
    assert Counter(samples.parts) == {"fold_0": 5, "fold_1": 2, "preliminary test": 2}
    assert samples.read(0).shape == (60, 60, 3)
    card_of(samples)


def test_cnmc_in_the_wrong_folder_is_refused(tmp_path: Path, put: Put, draw: Draw) -> None:
    put(tmp_path / "fold_0" / "hem" / "UID_11_10_1_all.bmp", draw(1, 40, 60))
    with pytest.raises(DatasetError, match=r"UID_11_10_1_all.bmp is named for one class and stands in the folder of the other"):
        load(tmp_path)


def test_cnmc_labels_that_contradict_a_name_are_refused(tmp_path: Path, put: Put, draw: Draw) -> None:
    put(tmp_path / "1.bmp", draw(1, 40, 60))
    table = tmp_path / "C-NMC_test_prelim_phase_data_labels.csv"
    table.write_text("Patient_ID,new_names,labels\nUID_57_29_1_all.bmp,1.bmp,0\n")
    with pytest.raises(DatasetError, match="named for another class than its label '0'"):
        load(tmp_path)
    table.write_text("Patient_ID,new_names,labels\nUID_57_29_1_all.bmp,7.bmp,1\n")
    with pytest.raises(DatasetError, match=r"names 7\.bmp, which lies in none of"):
        load(tmp_path)


def test_cnmc_cut_out(tmp_path: Path, put: Put, draw: Draw) -> None:
    put(tmp_path / "blast" / "UID_11_1_1_all.png", draw(1, 80))
    (tmp_path / "manifest.csv").write_text(
        "file,label,subject,split_group,fold,left,top,width,height,source_sha256\nblast/UID_11_1_1_all.png,blast,A11,A11,fold_0,100,50,80,70,0\n"
    )
    samples = load(tmp_path)
    whole = samples.read(0)
    assert whole.shape == (450, 450, 3)
    assert not whole[:50].any()
    assert whole[50:130, 100:180].any(axis=2).all()
    assert samples.cell_px is not None
    assert samples.cell_px.tolist() == [80]
    (tmp_path / "manifest.csv").write_text(
        "file,label,subject,split_group,fold,left,top,width,height\nblast/UID_11_1_1_all.png,blast,A11,A11,fold_0,x,50,80,70\n"
    )
    with pytest.raises(DatasetError, match="must be whole numbers"):
        load(tmp_path)


def test_a_folder_above_the_cut_out_cells_is_not_taken_for_whole_pictures(tmp_path: Path, put: Put, draw: Draw) -> None:
    """Their names are those of the published tree, but without the manifest nobody knows where they lay, nor how large they are."""
    put(tmp_path / "sets" / "cnmc" / "blast" / "UID_11_1_1_all.png", draw(1, 80))
    (tmp_path / "sets" / "cnmc" / "manifest.csv").write_text("file,label,subject,split_group,fold,left,top,width,height\n")
    with pytest.raises(DatasetError, match=r"Give its folder, .*cnmc, as the data"):
        load(tmp_path / "sets")


@pytest.mark.data
def test_cnmc_here(data_folder: Path) -> None:
    samples = load(data_folder / "cnmc")
    assert np.bincount(samples.labels).tolist() == [2018, 4163]
    assert [len({samples.groups[row] for row in np.flatnonzero(samples.labels == label)}) for label in (0, 1)] == [12, 25]
    assert len(set(samples.subjects)) == 43
    assert samples.read(0).shape == (450, 450, 3)
    from classifiers.datasets.cnmc import GROUP

    grouped = {subject: group for subject, group in zip(samples.subjects, samples.groups, strict=True) if group != subject}
    for subject, group in grouped.items():
        assert set(GROUP[subject].split("+")) == set(group.split("+")), "the names in the tree are joined as the manifest joins them"


def plant_all_idb1(root: Path, put: Put) -> Path:
    field = np.full((224, 336, 3), 230, np.uint8)
    put(root / "ALL_IDB1" / "im" / "Im001_1.jpg", field)
    put(root / "ALL_IDB1" / "im" / "Im034_0.jpg", field)
    (root / "ALL_IDB1" / "xyc").mkdir()
    (root / "ALL_IDB1" / "xyc" / "Im001_1.xyc").write_text("56\t57 \n300\t200\n\n")
    (root / "ALL_IDB1" / "xyc" / "Im034_0.xyc").write_text("0\t0\n")
    return root


def test_all_idb1_as_windows(tmp_path: Path, put: Put) -> None:
    samples = load(plant_all_idb1(tmp_path, put))
    assert find_kind(tmp_path) == "all-idb1"
    assert len(samples) == 2 * 5 * 3, "(336 - 112) / 56 + 1 by (224 - 112) / 56 + 1"
    assert samples.boxes is not None
    held = {tuple(samples.boxes[row][:2].tolist()) for row in np.flatnonzero(samples.labels == 1)}
    assert held == {(0, 0), (56, 0), (0, 56), (56, 56), (224, 112)}
    assert (56, 57) not in held
    assert all(samples.labels[row] == 0 for row in range(len(samples)) if samples.subjects[row] == "Im034_0")
    assert set(samples.groups) == {"Im001_1", "Im034_0"}
    assert samples.read(0).shape == (112, 112, 3)
    card_of(samples)


def test_the_window_table_of_the_paper_needs_a_step_of_50() -> None:
    from classifiers.datasets.all_idb import _windows

    assert [len(_windows(size, 112, 50)) for size in ((1712, 1368), (2592, 1944))] == [858, 1850]
    assert 33 * 858 + 16 * 1850 == 57_914


def test_all_idb1_as_boxes_round_centres(tmp_path: Path, put: Put) -> None:
    samples = load(plant_all_idb1(tmp_path, put), take="cells", window_px="80")
    assert samples.labels.tolist() == [1, 1]
    assert samples.boxes is not None
    assert samples.boxes.tolist() == [[16, 17, 96, 97], [260, 160, 340, 240]]
    assert samples.read(1).shape == (80, 80, 3), "what lies beyond the field is mirrored"


def test_all_idb1_without_places(tmp_path: Path, put: Put) -> None:
    root = plant_all_idb1(tmp_path, put)
    (root / "ALL_IDB1" / "xyc" / "Im001_1.xyc").write_text("56 x\n")
    with pytest.raises(DatasetError, match=r"Im001_1.xyc is no list of centres"):
        load(root)
    (root / "ALL_IDB1" / "xyc" / "Im001_1.xyc").unlink()
    with pytest.raises(DatasetError, match=r"has no Im001_1.xyc, which says where its blasts are"):
        load(root, "all-idb1")


def test_all_idb2(tmp_path: Path, put: Put, draw: Draw) -> None:
    for name in ("Im001_1.tif", "Im002_1.tif", "Im131_0.tif"):
        put(tmp_path / "ALL_IDB2" / "img" / name, draw(len(name), 60))
    samples = load(tmp_path)
    assert find_kind(tmp_path) == "all-idb2"
    assert samples.labels.tolist() == [1, 1, 0]
    assert samples.subjects == ("", "", "")
    assert len(set(samples.groups)) == 3
    assert samples.read(2).shape == (60, 60, 3)
    card_of(samples)


def plant_munich(root: Path, put: Put, draw: Draw) -> Path:
    put(root / "BM_cytomorphology_data" / "ABE" / "ABE_00001.jpg", draw(1, 50))
    for folder, name in (("0001-1000", "BLA_00001"), ("1001-2000", "BLA_01001")):
        put(root / "BM_cytomorphology_data" / "BLA" / folder / f"{name}.jpg", draw(2, 50))
    put(root / "BM_cytomorphology_data" / "NGS" / "0001-1000" / "NGS_00001.jpg", draw(3, 50))
    return root


def test_munich(tmp_path: Path, put: Put, draw: Draw) -> None:
    samples = load(plant_munich(tmp_path, put, draw))
    assert find_kind(tmp_path) == "munich"
    assert len(samples.classes) == 21, "a copy without some classes keeps the order of the others"
    assert [samples.classes[label] for label in samples.labels] == ["ABE", "BLA", "BLA", "NGS"]
    assert samples.positive_class == "BLA"
    assert samples.groupings == {"neutrophil line": {"NEU": ("PMO", "MYB", "MMZ", "NGB", "NGS")}}
    assert set(samples.groupings["neutrophil line"]["NEU"]) <= set(samples.classes)
    assert {name for name, role in samples.roles.items() if role == "excluded"} == {"ART", "EBO", "KSC", "NIF", "OTH", "PEB"}
    assert not any(samples.subjects)
    assert find_kind(tmp_path / "BM_cytomorphology_data") == "munich"
    card_of(samples)


def test_a_munich_cell_in_the_wrong_folder_is_refused(tmp_path: Path, put: Put, draw: Draw) -> None:
    put(plant_munich(tmp_path, put, draw) / "BM_cytomorphology_data" / "BLA" / "NGS_00009.jpg", draw(9, 50))
    with pytest.raises(DatasetError, match=r"NGS_00009.jpg is not named for the class BLA"):
        load(tmp_path)


def plant_aria(root: Path, put: Put, draw: Draw) -> Path:
    for form in ("Original", "Segmented"):
        for folder, name in (("Benign", "WBC-Benign-001"), ("Early", "WBC-Malignant-Early-001"), ("Pro", "WBC-Malignant-Pro-002")):
            put(root / form / folder / f"{name}.jpg", draw(1, 50))
    return root


def test_aria_gives_one_form_at_a_time(tmp_path: Path, put: Put, draw: Draw) -> None:
    root = plant_aria(tmp_path, put, draw)
    assert find_kind(root) == "aria"
    samples = load(root)
    assert samples.files == (
        "Original/Benign/WBC-Benign-001.jpg",
        "Original/Early/WBC-Malignant-Early-001.jpg",
        "Original/Pro/WBC-Malignant-Pro-002.jpg",
    )
    assert [samples.classes[label] for label in samples.labels] == ["Benign", "Early", "Pro"]
    assert all(file.startswith("Segmented/") for file in load(root, form="Segmented").files)
    assert len(load(root / "Original")) == 3
    card_of(samples)
    with pytest.raises(DatasetError, match="not 'Grey'"):
        load(root, form="Grey")


def test_nothing_known_names_all_that_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(DatasetError, match="holds no labelled cells") as raised:
        load(tmp_path)
    assert all(f"{name}: " in str(raised.value) for name in KINDS)
    with pytest.raises(DatasetError, match="does not exist"):
        load(tmp_path / "gone")
    with pytest.raises(DatasetError, match=r"no kind of data set named 'cmnc'\. Known: cnmc, "):
        load(tmp_path, "cmnc")


def test_options_are_known_and_of_their_kind(tmp_path: Path, put: Put) -> None:
    root = plant_all_idb1(tmp_path, put)
    with pytest.raises(DatasetError, match=r"kind all-idb1 has no option 'stride'\. Known: step_px, take, window_px"):
        load(root, stride=4)
    with pytest.raises(DatasetError, match="step_px of data of kind all-idb1 must be a whole number, not 'ten'"):
        load(root, step_px="ten")
    with pytest.raises(DatasetError, match="take 'all' must be one of windows, cells"):
        load(root, take="all")
