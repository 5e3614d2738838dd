"""A run's pages name its models and lead to their cards, which lie in the report, the same bytes each time."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from smearscan import night, rebuilding
from smearscan.config import ScanConfig
from smearscan.ledger import read_records
from smearscan.slides import find_slides
from smearscan.testing.cards import write_full_model, write_small_detector


@dataclass(frozen=True)
class Scanned:
    """A finished run and what it was made with."""

    out: Path
    slides: Path
    config: ScanConfig


def scan(slides: Path, out: Path, config: ScanConfig) -> None:
    found = find_slides([slides])
    night.run(night.prepare(config, out, found.slides, found.rejected, {}), lambda sight: None, lambda line: None)


@pytest.fixture(scope="module")
def scanned(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """One smear, a classifier with the fullest card, and a detector that has learnt nothing."""
    place = tmp_path_factory.mktemp("linked")
    write_full_model(place / "full")
    detector = write_small_detector(place / "small")
    config = ScanConfig(
        classifier=str(place / "full"), proposals="yolo", detector=str(detector), confidence=0.9, overlays=0, workers=1, device="cpu"
    )
    scan(drawn / "case1", place / "report", config)
    return Scanned(place / "report", drawn / "case1", config)


def links(page: Path) -> Iterator[Path]:
    """Yield where the links of a page to model cards lead."""
    for href in re.findall(r'<a href="([^"#]*models/[^"]*)"', page.read_text(encoding="utf-8")):
        yield (page.parent / href).resolve()


def test_every_page_names_its_models_and_leads_to_their_cards(scanned: Scanned) -> None:
    pages = [scanned.out / "index.html", *scanned.out.glob("slides/**/index.html")]
    assert len(pages) == 2
    for page in pages:
        found = list(links(page))
        assert [each.parent.name[:9] for each in found] == ["full-card", "small-" + each_digest(scanned)[:3]]
        assert all(each.is_file() for each in found), page
        assert "small (yolo)" in page.read_text(encoding="utf-8")
    for card in links(pages[0]):
        text = card.read_text(encoding="utf-8")
        (home,) = re.findall(r'<a href="([^"]*index\.html)">All slides', text)
        assert (card.parent / home).resolve() == pages[0].resolve()
        assert (card.parent / "card.json").is_file()
    assert (next(links(pages[0])).parent / "failures" / "0.png").is_file()


def each_digest(scanned: Scanned) -> str:
    (record,) = read_records(scanned.out).values()
    digest: str = record["detector"]["sha256"]
    return digest


def test_the_record_of_a_slide_does_not_carry_what_is_for_readers_only(scanned: Scanned) -> None:
    (record,) = read_records(scanned.out).values()
    assert record["classifier"]["extra"] == {}
    assert record["classifier"]["subjects"], "the numbers rest on these"
    assert set(record["card_pages"]) == {"classifier", "detector"}


@pytest.mark.slow
def test_another_run_writes_the_same_cards(scanned: Scanned, tmp_path: Path) -> None:
    scan(scanned.slides, tmp_path / "again", scanned.config)
    first, second = (
        {path.relative_to(out): path.read_bytes() for path in (out / "models").rglob("*") if path.is_file()}
        for out in (scanned.out, tmp_path / "again")
    )
    assert len(first) >= 7
    assert first == second


def test_a_threshold_of_the_run_leaves_the_card_as_it_is(scanned: Scanned) -> None:
    found = find_slides([scanned.slides])
    config = ScanConfig(classifier="drawn-cells", proposals="nuclei", threshold=0.3)
    order = night.prepare(config, scanned.out, found.slides, found.rejected, {})
    assert order.classifier.card.threshold == 0.3
    assert b"= 0.79 on" in order.cards[0].files["index.html"]


def test_a_report_is_rebuilt_with_its_cards(scanned: Scanned, tmp_path: Path) -> None:
    out = tmp_path / "report"
    shutil.copytree(scanned.out, out)
    cards = sorted((out / "models").iterdir())
    before = [(card / "index.html").read_bytes() for card in cards]
    for card in cards:
        (card / "index.html").unlink()
    assert rebuilding.rebuild(out).missing == []
    assert [(card / "index.html").read_bytes() for card in cards] == before
    shutil.rmtree(cards[0])
    (missing,) = rebuilding.rebuild(out).missing
    assert missing == f"The card of the classifier in {cards[0].name} is gone: run again with the slides."
