"""smearscan reads large blood-smear images, counts white cells and blasts, and writes a report to check."""

__version__ = "0.1.0"
