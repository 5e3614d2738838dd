"""overlays/: what there is to see of the cells that are shown, as pictures.

| file | what |
|---|---|
| cell-ID.png | crop, heat map on it, surroundings, colour bar, score, names and notices: the overlay that cells.csv names |
| crop-ID.png | the crop as the classifier saw it, nothing else, for a page to show |
| heat-ID.png | the heat map on the crop, nothing else, of the same size |

ID is the cell's id in cells.csv. Without a heat map there is no heat-ID.png, and cell-ID.png has two panels.
Each file says the research-use line as its comment; where there is room, on cell-ID.png, it is to be seen as well.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2

from smearscan.reports.base import ReportWriter, SlideReport
from smearscan.reports.overlay_sheet import Facts, draw_sheet, heat
from smearscan.reports.picture_notice import with_notice
from smearscan.results import CellPicture, Picture, Scanned

FOLDER = "overlays"
ENCODERS = 4  # threads; most of the time of a picture goes into its compression
# A third of the time of level 3, for an eighth more bytes; measured on drawn cells.
PNG_EFFORT = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP)


class OverlayPictures(ReportWriter):
    """Writes the pictures of a slide's cells."""

    name = "overlays"

    def write(self, slide: SlideReport, folder: Path) -> None:
        if not isinstance(slide.outcome, Scanned) or not slide.outcome.pictures:
            return
        (folder / FOLDER).mkdir(exist_ok=True)
        # Drawn here, encoded in threads: OpenCV's fonts, drawn with by two at once, give other letters each time.
        with ThreadPoolExecutor(ENCODERS) as encoders:
            written = []
            for picture in slide.outcome.pictures:
                cell = slide.cell_ids[picture.row]
                sheet = draw_sheet(picture, _facts(slide, slide.outcome, picture))
                written.append(encoders.submit(write_png, folder / overlay_file(cell), sheet))
                write_png(folder / FOLDER / f"crop-{cell}.png", picture.crop)
                if picture.heat_map is not None:
                    write_png(folder / FOLDER / f"heat-{cell}.png", heat(picture.crop, picture.heat_map))
            for each in written:
                each.result()  # a full disk is met here


def overlay_file(cell: str) -> str:
    """Return where in its slide's folder the overlay of a cell lies, as `SlideReport.overlays` and cells.csv name it."""
    return f"{FOLDER}/cell-{cell}.png"


def _facts(slide: SlideReport, outcome: Scanned, picture: CellPicture) -> Facts:
    row, card = picture.row, slide.card
    score = card.blast_probability(outcome.cells.probabilities[[row]])[0]
    called, excluded = outcome.called[row], outcome.excluded[row]
    flagged = bool(outcome.flagged[row])
    outcome_of_call = "left out" if excluded else "flagged" if flagged else "not flagged"
    return Facts(
        slide=slide.key,
        cell=slide.cell_ids[row],
        model=card.name,
        score=f"{card.positive_class} {_probability(float(score))}",
        call=f"called {called}, {outcome_of_call}",
        kind="excluded" if excluded else "blast" if flagged else "other",
        explained=card.positive_class,
        mpp=outcome.info.mpp,
    )


def _probability(value: float) -> str:
    """Write three digits, and no certainty that comes of rounding."""
    return "> 0.999" if value > 0.9995 else "< 0.001" if value < 0.0005 else f"{value:.3f}"


def write_png(path: Path, picture: Picture) -> None:
    """Write a PNG without times or program names; through bytes, since OpenCV writes nothing and says nothing when a disk is full."""
    encoded, content = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), PNG_EFFORT)
    if not encoded:
        raise ValueError(f"{path.name} cannot be made of a picture of shape {picture.shape} and type {picture.dtype}.")
    path.write_bytes(with_notice(content.tobytes()))
