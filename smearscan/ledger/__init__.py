"""What was done to each slide, kept in the report folder so that a crash cannot lie and a second run goes on.

    out/.smearscan/                     lock, its holder, staging: nothing a reader needs
    out/slides/<slide's key>/slide.json the slide's record, beside its tables; there or not there, never half
    out/slides/<slide's key>/times.json how long it took; the one file there that differs from run to run
    out/summary.csv, run.json, ...      written at once, by `Ledger.write`

A slide's folder is filled in staging, its record is written last, and one rename publishes it. A run that was
killed leaves no lock and nothing half done; whatever it left in staging is finished or removed by the next run.
"""

from smearscan.ledger.book import Decision, Keep, Ledger, Scan, is_report, read_records
from smearscan.ledger.digests import input_digest
from smearscan.ledger.folders import slide_folders

__all__ = ["Decision", "Keep", "Ledger", "Scan", "input_digest", "is_report", "read_records", "slide_folders"]
