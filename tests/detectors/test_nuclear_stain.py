"""What is told of a smear's stain by the nuclei that were found on it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.nuclear_stain import ENOUGH_LOBED, Nuclei, inside, measure_nuclei
from detectors.stain import learn

MPP = 0.25
WELL_STAINED = np.array([[0.8, 1.7, 0.6], [0.82, 1.72, 0.62], [0.78, 1.68, 0.58]])
GLASS, NUCLEUS, PALER = (240, 238, 236), (96, 45, 130), (130, 90, 150)


def told(densities: NDArray[np.float64], lobed: int = 0) -> NDArray[np.float64]:
    """Return what nuclei tell of which the first few are lobed."""
    return np.asarray(np.median(Nuclei(densities, np.arange(len(densities)) < lobed).telling(), axis=0))


def test_lobed_nuclei_alone_tell_the_stain_where_there_are_enough() -> None:
    lymphocytes = np.repeat([[0.5, 1.2, 0.4]], 200, axis=0)
    granulocytes = np.repeat(WELL_STAINED, 4, axis=0)
    np.testing.assert_allclose(told(np.concatenate([granulocytes, lymphocytes]), lobed=len(granulocytes)), (0.8, 1.7, 0.6))
    few = granulocytes[: ENOUGH_LOBED - 1]
    assert not Nuclei(few, np.ones(len(few), np.bool_)).told_by_lobed
    np.testing.assert_allclose(told(np.concatenate([few, lymphocytes]), lobed=len(few)), (0.5, 1.2, 0.4))


def test_pale_nuclei_change_nothing_as_long_as_they_are_no_more_than_half() -> None:
    usual = told(WELL_STAINED)
    np.testing.assert_allclose(usual, (0.81, 1.71, 0.61))
    np.testing.assert_allclose(told(np.concatenate([WELL_STAINED, WELL_STAINED * 0.4, [[0.5, 0.9, 0.0]]])), usual, atol=0.02)


def test_one_nucleus_says_what_it_is_and_none_says_nothing() -> None:
    np.testing.assert_array_equal(told(WELL_STAINED[:1]), (0.8, 1.7, 0.6))
    assert len(Nuclei.joined([]).telling()) == 0


def test_a_stronger_stain_is_told_as_one() -> None:
    np.testing.assert_allclose(told(WELL_STAINED * 1.3) / told(WELL_STAINED), 1.3)


def test_a_nucleus_is_lobed_by_its_shape_unless_the_picture_cuts_it() -> None:
    picture = np.full((400, 600, 3), GLASS, np.uint8)
    cv2.circle(picture, (60, 60), 18, NUCLEUS, cv2.FILLED)  # 64 um2: a lymphocyte's
    cv2.ellipse(picture, (180, 60), (18, 18), 0, 0, 250, NUCLEUS, 14)  # a horseshoe
    cv2.circle(picture, (300, 60), 10, NUCLEUS, cv2.FILLED)  # 20 um2: one lobe
    cv2.ellipse(picture, (420, 60), (24, 20), 30, 0, 360, PALER, cv2.FILLED)  # a blast's, paler
    cv2.circle(picture, (598, 300), 12, NUCLEUS, cv2.FILLED)  # half of one, cut by the edge
    found = measure_nuclei(picture, learn(picture), MPP)
    assert len(found) == 5
    assert int(found.lobed.sum()) == 2
    darkest = found.densities[found.lobed]
    np.testing.assert_allclose(darkest, np.broadcast_to(np.log((np.array(GLASS) + 1) / (np.array(NUCLEUS) + 1)), darkest.shape), atol=0.05)


def test_a_blurred_picture_tells_the_same_stain() -> None:
    picture = np.full((400, 600, 3), GLASS, np.uint8)
    for x in range(60, 560, 60):
        cv2.ellipse(picture, (x, 200), (15, 9), 30, 0, 360, NUCLEUS, cv2.FILLED)  # 26 um2: a lobe
    blurred = np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.6), np.uint8)
    sharp, soft = (measure_nuclei(each, learn(picture), MPP).telling() for each in (picture, blurred))
    np.testing.assert_allclose(np.median(soft, axis=0), np.median(sharp, axis=0), rtol=0.03)


def test_the_inside_of_the_smallest_nucleus_still_has_pixels() -> None:
    lobe = np.zeros((20, 20), np.bool_)
    lobe[8:12, 2:18] = True
    assert inside(lobe, MPP).any()
    assert not inside(lobe, MPP)[8].any()
