"""The report as pages: one of the whole run, one a slide.

Each page is one file that opens from disk without a network; pictures lie beside it. A page is made from what the
report folder holds and from nothing else, so that it can be made again without a model or a slide.
"""

from smearscan.reports.pages.batch_page import batch_page
from smearscan.reports.pages.files import PageFiles, find_files
from smearscan.reports.pages.slide_page import slide_page
from smearscan.reports.pages.writer import SlidePage, write_page

__all__ = ["PageFiles", "SlidePage", "batch_page", "find_files", "slide_page", "write_page"]
