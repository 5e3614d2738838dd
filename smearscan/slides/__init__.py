"""Slides of every kind a laboratory has, as one type: lazy RGB pyramids with a scale.

Importing this loads no library that reads slides; opening one loads the one it needs.
"""

from smearscan.slides.base import Slide
from smearscan.slides.finding import Found, FoundSlide, NotASlide, find_slides
from smearscan.slides.opening import open_slide
from smearscan.slides.side_files import files_of
from smearscan.slides.slides_csv import SlideRow, read_slides_csv, row_of, unused_rows

__all__ = [
    "Found",
    "FoundSlide",
    "NotASlide",
    "Slide",
    "SlideRow",
    "files_of",
    "find_slides",
    "open_slide",
    "read_slides_csv",
    "row_of",
    "unused_rows",
]
