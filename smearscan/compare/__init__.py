"""Two reports of the same slides, held against each other: two proposal modes, models, thresholds or scanners.

    report_folder  reads a finished report            truth       recall and precision where something is known
    pairing        which slides, which cells are one  cost        seconds, crops, memory
    matching       the Hungarian matching of places   tables, record, gallery, sentences: what is written of it
    agreement      McNemar, kappa, Bland-Altman, Lin  publishing  the folder, whole or not at all
    comparison     all of it, slide by slide          variants    makes the reports first

A report folder is all that is known of a run: any two can be compared, whatever version made them, that have the
columns; where something stands in the way, that is said of the slide.
"""

from smearscan.compare.comparison import Comparison, compare
from smearscan.compare.report_folder import Report, read_report

__all__ = ["Comparison", "Report", "compare", "read_report"]
