"""What is told of a smear's stain by the nuclei that were found on it."""

from __future__ import annotations

import numpy as np

from detectors.nuclear_stain import typical

WELL_STAINED = np.array([[0.8, 1.7, 0.6], [0.82, 1.72, 0.62], [0.78, 1.68, 0.58]])


def test_pale_nuclei_change_nothing_as_long_as_they_are_no_more_than_half() -> None:
    usual = typical(WELL_STAINED)
    np.testing.assert_allclose(usual, (0.81, 1.71, 0.61))
    smudged = np.concatenate([WELL_STAINED, WELL_STAINED * 0.4, [[0.5, 0.9, 0.0]]])
    np.testing.assert_allclose(typical(smudged), usual, atol=0.02)


def test_one_nucleus_says_what_it_is() -> None:
    assert typical(WELL_STAINED[:1]) == (0.8, 1.7, 0.6)


def test_a_stronger_stain_is_told_as_one() -> None:
    np.testing.assert_allclose(np.array(typical(WELL_STAINED * 1.3)) / typical(WELL_STAINED), 1.3)
