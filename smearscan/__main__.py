"""`python -m smearscan` and the `smearscan` command."""

from __future__ import annotations

import os


def main() -> None:
    """Run the command line."""
    # Before anything loads OpenMP: threads that spin while they wait take the cores from the processes that read slides.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from smearscan.cli import smearscan

    smearscan.main(prog_name="smearscan")


if __name__ == "__main__":
    main()
