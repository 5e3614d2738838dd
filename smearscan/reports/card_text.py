"""A model card as plain text, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from smearscan.reports.card_sections import Number, Source
from smearscan.reports.card_view import CardView, blank_text, common_place, counted_text, percents_text
from smearscan.results import NOTICE

WIDTH = 100
LEAST = 24  # characters that the last column of a table keeps


def card_text(view: CardView, width: int = WIDTH) -> str:
    """Return a card as lines of at most `width` characters, wherever words allow it."""
    lines = [view.name, "=" * len(view.name), *_wrapped(view.summary, width), ""]
    if view.alarm:
        lines += [*_wrapped(f"Its numbers are no numbers of unseen subjects: {view.alarm}.", width), ""]
    for title, body in _parts(view, width):
        if body:
            lines += [title, "-" * len(title), *body, ""]
    return "\n".join(line.rstrip() for line in [*lines, NOTICE]) + "\n"


def columns_text(rows: Sequence[Sequence[str]], width: int, heading: bool = True) -> list[str]:
    """Return rows as aligned lines; the last column takes what is left, and is wrapped."""
    if not rows:
        return []
    most = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    taken = sum(most[:-1]) + 2 * (len(most) - 1)
    if taken > width - LEAST:
        return _stacked(rows, width) if heading else [line for row in rows for line in _wrapped(": ".join(filter(None, row)), width)]
    lines = []
    for row in rows:
        last = textwrap.wrap(row[-1], width - taken, break_long_words=False, break_on_hyphens=False) or [""]
        lines.append("  ".join([*(cell.ljust(size) for cell, size in zip(row[:-1], most, strict=False)), last[0]]))
        lines += [" " * taken + more for more in last[1:]]
    return lines


def _stacked(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return a table that is too wide as a paragraph a row: its first cell, and the others under their column's name."""
    heading, *others = rows
    lines = []
    for row in others:
        said = "; ".join(f"{name} {cell}" for name, cell in zip(heading[1:], row[1:], strict=True) if cell)
        lines += _wrapped(f"{row[0]}: {said}", width, "  ")
    return lines


def _parts(view: CardView, width: int) -> Iterator[tuple[str, list[str]]]:
    sections = view.sections
    yield "What it is for", _list(sections.purpose, width)
    yield "What it is not for", _list(sections.not_for, width)
    yield "Limits", _list(sections.limits, width)
    classes = ", ".join(f"{name} ({role})" for name, role in view.classes)
    facts = [("Kind", view.kind), ("Classes", classes), *view.facts, ("Licence", view.licence or "not said"), ("sha256", view.sha256)]
    yield "What it is", columns_text(facts, width, heading=False)
    yield "Numbers", _numbers(sections.metrics, width)
    yield "Tests for shortcuts", _numbers(sections.shortcut_tests, width)
    if view.blank is not None:
        yield "Limit of blank", _wrapped(blank_text(view.blank), width)
    if sections.calibration_bins:
        bins = [(f"{each.said:.3f}", f"{each.true:.3f}", f"{each.cells:,.0f}") for each in sections.calibration_bins]
        yield "Calibration", columns_text([("said", "came true", "cells"), *bins], width)
    yield "Subjects that it never saw", _subjects(view, width)
    for table in sections.tables:
        yield table.title, columns_text([table.columns, *table.rows], width) + (_wrapped(table.note, width) if table.note else [])
    yield "Data", [line for source in sections.data for line in _source(source, width)]
    yield (
        "Printed again by",
        [line for each in sections.commands for line in _wrapped(": ".join(filter(None, reversed(each))), width, "  ")],
    )
    pictures = [(each.file, each.caption) for each in (*sections.failures, *sections.pictures)]
    yield "Pictures in its folder", columns_text(pictures, width, heading=False)


def _numbers(numbers: Sequence[Number], width: int) -> list[str]:
    """Return a line for each number; what they were all measured on is said once."""
    shared = common_place(numbers)
    lines = _wrapped(f"On {shared}, where nothing else is said; 95 % intervals in brackets.", width) if shared else []
    rows = []
    for each in numbers:
        remarks = [each.question, "" if each.on in ("", shared) else f"on {each.on}", each.note]
        value = f"{each.value} ({each.interval})" if each.interval else each.value or "-"
        rows.append((each.name, value, "; ".join(filter(None, remarks))))
    return lines + columns_text(rows, width, heading=False)


def _subjects(view: CardView, width: int) -> list[str]:
    lines = []
    for spread in view.spreads:
        lines += _wrapped(f"{spread.label}: {counted_text(spread)}, {percents_text(spread)}", width)
        worst = spread.worst
        said = f"; worst {worst.subject}, {counted_text(worst)}, {percents_text(worst)}" if worst else ""
        lines += _wrapped(f"  {spread.subjects} subjects: median {100 * spread.median:.3g} %{said}", width, "  ")
    rows = [
        (each.subject, each.role, counted_text(each), percents_text(each))
        for each in sorted(view.subjects, key=lambda each: (each.role, each.share, each.subject))
    ]
    if rows:
        lines += ["", *columns_text([("subject", "cells", "called right", "worst first"), *rows], width)]
    return lines


def _source(source: Source, width: int) -> list[str]:
    said = "; ".join(filter(None, [source.size, source.used_for, source.licence, source.citation]))
    return _wrapped(f"{source.name}: {said}" if said else source.name, width, "  ")


def _list(sentences: Sequence[str], width: int) -> list[str]:
    return [line for sentence in sentences for line in _wrapped(f"- {sentence}" if len(sentences) > 1 else sentence, width, "  ")]


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
