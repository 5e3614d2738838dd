"""Cells become numbers: which cell is called what, and what a report may state of a slide (STATISTICS D1 to D13, D16).

calling    probabilities -> the class each cell is called, or why it is left out
slides     called cells -> SlideCount; several counts -> that of their specimen
adjusting  the fraction corrected for what the card says of its classifier
windows    window mode's own count, which is never one of cells
flags      SlideCount -> reasons to look, in sentences
"""

from smearscan.counting.calling import Called, blast_probability, call_cells, count_blasts
from smearscan.counting.flags import explain, explain_specimen
from smearscan.counting.slides import THRESHOLDS, count_cells, sum_counts
from smearscan.counting.windows import count_windows

__all__ = [
    "THRESHOLDS",
    "Called",
    "blast_probability",
    "call_cells",
    "count_blasts",
    "count_cells",
    "count_windows",
    "explain",
    "explain_specimen",
    "sum_counts",
]
