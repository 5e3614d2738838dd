"""`python -m smearscan` and the `smearscan` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from smearscan.cli import smearscan

    smearscan.main(prog_name="smearscan")


if __name__ == "__main__":
    main()
