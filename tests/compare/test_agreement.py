"""Golden values, worked by hand from the definitions or taken from the tables of the papers that define them."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from scipy.stats import pearsonr

from smearscan.compare.agreement import Calls, bland_altman, lin_concordance


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [
        (0, 0, 1.0),
        (1, 8, 2 * (comb(9, 0) + comb(9, 1)) / 2**9),  # 20/512 = 0.0390625
        (8, 1, 0.0390625),
        (5, 5, 1.0),
        (0, 6, 2 / 64),
        (3, 12, 2 * sum(comb(15, k) for k in range(4)) / 2**15),  # 0.03515625
    ],
)
def test_mcnemar(only_a: int, only_b: int, p: float) -> None:
    assert Calls(40, only_a, only_b, 30).mcnemar_p == pytest.approx(p, rel=1e-12)


def test_kappa_by_hand() -> None:
    # 50 cells: both 20, A alone 5, B alone 10, neither 15. Observed 0.7, by chance (25*30 + 25*20) / 2500 = 0.5.
    calls = Calls(20, 5, 10, 15)
    assert calls.kappa == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert calls.agreement == pytest.approx(0.7)
    assert calls.changed == 15
    assert calls.agreement_interval is not None
    assert calls.agreement_interval.low == pytest.approx(0.562, abs=5e-4)  # Wilson, 35 of 50
    assert calls.agreement_interval.high == pytest.approx(0.809, abs=5e-4)


def test_kappa_of_calls_that_are_one_s_all() -> None:
    assert Calls(12, 0, 0, 30).kappa == 1.0
    assert Calls(0, 0, 0, 30).kappa is None
    assert Calls(30, 0, 0, 0).kappa is None
    assert Calls(0, 1, 0, 30).kappa == pytest.approx(0.0)


def test_no_cells_say_nothing() -> None:
    nothing = Calls()
    assert (nothing.kappa, nothing.agreement, nothing.agreement_interval, nothing.mcnemar_p) == (None, None, None, None)


def test_bland_altman_by_hand() -> None:
    # Differences 0.01, 0.03, -0.01, 0.05: mean 0.02, squares about it 1, 1, 9, 9 (e-4), SD = sqrt(20e-4 / 3) = 0.0258199.
    found = bland_altman([0.10, 0.20, 0.30, 0.40], [0.11, 0.23, 0.29, 0.45])
    assert found is not None
    assert found.slides == 4
    assert found.bias == pytest.approx(0.02)
    assert found.sd == pytest.approx(0.025819889)
    assert found.low == pytest.approx(0.02 - 1.96 * 0.025819889)
    assert found.high == pytest.approx(0.02 + 1.96 * 0.025819889)


def test_bland_altman_of_one_slide_has_no_limits() -> None:
    found = bland_altman([0.1], [0.3])
    assert found is not None
    assert (found.bias, found.sd, found.low) == (pytest.approx(0.2), None, None)
    assert bland_altman([], []) is None


def test_lin_by_hand() -> None:
    # x = 1, 2, 3 and y = 2, 4, 6: covariance 4/3, variances 2/3 and 8/3, means 2 and 4: 2 * 4/3 / (10/3 + 4) = 4/11.
    assert lin_concordance([1, 2, 3], [2, 4, 6]) == pytest.approx(4 / 11)


def test_lin_is_correlation_times_accuracy() -> None:
    rng = np.random.default_rng(3)
    a = rng.random(40)
    b = 0.8 * a + 0.05 + 0.1 * rng.random(40)
    scale, shift = b.std() / a.std(), (b.mean() - a.mean()) / np.sqrt(a.std() * b.std())
    bias_correction = 2 / (scale + 1 / scale + shift**2)
    assert lin_concordance(a.tolist(), b.tolist()) == pytest.approx(pearsonr(a, b).statistic * bias_correction)


def test_lin_where_it_cannot_be_said() -> None:
    assert lin_concordance([0.2], [0.2]) is None
    assert lin_concordance([0.2, 0.2], [0.2, 0.2]) is None
    assert lin_concordance([0.2, 0.2], [0.3, 0.3]) == 0
    assert lin_concordance([0.2, 0.4, 0.1], [0.2, 0.4, 0.1]) == pytest.approx(1)
