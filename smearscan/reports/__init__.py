"""What a run says of its slides, as files: one writer a format, each with one method.

    per slide, into the slide's folder                       of the whole run, from the slides' records
      cells.csv          CellsCsv, one row a cell              summary.csv    summary_row, summary_csv
      cells.geojson.gz   CellsGeojson, for QuPath              classes.csv    classes_csv
      scores.zarr        ScoreMap, in window mode              specimens.csv  SpecimenReport, specimens_csv
      traceback.txt      TracebackText, after a bug
      slide.json         slide_record, written by the ledger

The tables of the whole run are made from the records alone, so that a slide scanned last week and one scanned now
give the same row. Further writers come by name from the entry-point group `smearscan.reports`.
"""

from smearscan.reports.base import DetectorFacts, ReportWriter, SlideReport, cell_ids
from smearscan.reports.cell_table import CellTable
from smearscan.reports.cells_csv import CellsCsv
from smearscan.reports.cells_geojson import CellsGeojson, write_geojson
from smearscan.reports.classes_csv import classes_csv
from smearscan.reports.overlay_pictures import OverlayPictures, overlay_file
from smearscan.reports.score_map import ScoreMap
from smearscan.reports.slide_json import card_of, count_of, slide_record
from smearscan.reports.specimens_csv import SpecimenReport, specimens_csv
from smearscan.reports.summary_csv import summary_csv, summary_row
from smearscan.reports.traceback_text import TracebackText

__all__ = [
    "CellTable",
    "CellsCsv",
    "CellsGeojson",
    "DetectorFacts",
    "OverlayPictures",
    "ReportWriter",
    "ScoreMap",
    "SlideReport",
    "SpecimenReport",
    "TracebackText",
    "card_of",
    "cell_ids",
    "classes_csv",
    "count_of",
    "overlay_file",
    "slide_record",
    "specimens_csv",
    "summary_csv",
    "summary_row",
    "write_geojson",
]
