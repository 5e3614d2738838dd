"""Published sets of labelled cells, and a laboratory's own, as `Samples`.

samples = load("path/to/folder")             # which set it is, is found out from its files
samples = load("cells.csv", kind="csv")
"""

from __future__ import annotations

from classifiers.datasets.base import DatasetError, Frame, Samples
from classifiers.datasets.finding import KINDS, load

__all__ = ["KINDS", "DatasetError", "Frame", "Samples", "load"]
