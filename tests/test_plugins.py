"""Plug-ins: built-ins, other packages' entry points, and what goes wrong with them."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from smearscan import plugins
from smearscan.errors import PluginError


def offer(monkeypatch: pytest.MonkeyPatch, **references: str) -> None:
    points = [EntryPoint(name, value, "smearscan.detectors") for name, value in references.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point for point in points if point.group == group])


@pytest.mark.parametrize("group", sorted(plugins.BUILT_IN))
def test_every_built_in_loads(group: str) -> None:
    for name in plugins.BUILT_IN[group]:
        assert callable(plugins.find(group, name))


def test_another_package_is_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, mine="smearscan.testing.detectors:FakeDetector")
    assert plugins.find("smearscan.detectors", "mine").__name__ == "FakeDetector"
    assert plugins.names("smearscan.detectors") == ["mine", "nuclei", "window", "yolo"]


def test_an_entry_point_may_name_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, mine="smearscan.testing.detectors:FakeDetector [fast]")
    assert plugins.find("smearscan.detectors", "mine").__name__ == "FakeDetector"


def test_a_built_in_wins_over_a_stranger_of_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, nuclei="smearscan.testing.detectors:FakeDetector")
    assert plugins.find("smearscan.detectors", "nuclei").__name__ == "NucleiDetector"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(PluginError, match=r"There is no detector named 'nucleii'\. Known: nuclei, window, yolo"):
        plugins.find("smearscan.detectors", "nucleii")


@pytest.mark.parametrize("reference", ["no_such_package:Detector", "detectors:NoSuchDetector"])
def test_what_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch, reference: str) -> None:
    offer(monkeypatch, mine=reference)
    with pytest.raises(PluginError, match=f"'mine' is registered as '{reference}', which cannot be loaded"):
        plugins.find("smearscan.detectors", "mine")


def test_two_packages_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("mine", value, "smearscan.detectors") for value in ("a:A", "b:B")]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    with pytest.raises(PluginError, match="Two installed packages offer 'mine'"):
        plugins.find("smearscan.detectors", "mine")
