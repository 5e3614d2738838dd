"""A slide's folder works on every file system, and no two slides meet in one."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smearscan.errors import OutputError
from smearscan.ledger import slide_folders
from smearscan.ledger.folders import safe_name, safe_path

NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=30).filter(lambda name: name not in {".", ".."})
KEYS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("blood smear 1 (copy).tif", "blood smear 1 (copy).tif"),
        ("Blut-Ausstrich_Ä.svs", "Blut-Ausstrich_Ä.svs"),
        ("a:b.tif", "a%3Ab.tif"),
        ('"<>|?*\\', "%22%3C%3E%7C%3F%2A%5C"),
        ("100%.tif", "100%25.tif"),
        ("dots...", "dots..%2E"),
        ("space ", "space%20"),
        ("con", "%63on"),
        ("NUL.tif", "%4EUL.tif"),
        ("COM1.ome.tif", "%43OM1.ome.tif"),
        ("console.tif", "console.tif"),
        ("tab\there", "tab%09here"),
    ],
)
def test_names_that_some_system_refuses_are_encoded(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert unquote(safe) == name


def test_a_name_that_is_no_text_is_encoded() -> None:
    assert safe_name("caf\udce9.tif").isascii()


def test_a_name_may_be_as_long_as_names_are_here_and_is_shortened_beyond() -> None:
    assert safe_name("x" * 200) == "x" * 200
    one, other = safe_name("x" * 250 + "1.tif"), safe_name("x" * 250 + "2.tif")
    assert one != other
    assert len(one.encode()) == len(other.encode()) == 200
    assert len(safe_name("ä" * 120).encode()) <= 200


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x.tif", "a/../../x.tif", "a//b.tif", "./a.tif", "a/", "a\0b"])
def test_a_key_that_leads_elsewhere_is_refused(key: str) -> None:
    with pytest.raises(OutputError, match="cannot name a slide's results"):
        safe_path(key)


@given(st.sets(KEYS, max_size=8))
def test_no_two_slides_meet_and_none_lies_in_another(keys: set[str]) -> None:
    folders = slide_folders(sorted(keys))
    folded = [PurePosixPath(str(folder).casefold()) for folder in folders.values()]
    assert len(set(folded)) == len(keys)
    assert not any(one in other.parents for one in folded for other in folded)
    assert slide_folders(sorted(keys, reverse=True)) == folders
    for folder in folders.values():
        for part in folder.parts:
            assert not set(part) & set('<>:"|?*\\')
            assert part.isprintable() or not part.isascii()
            assert part[-1] not in ". "
            assert len(part.encode()) <= 200


def test_keys_that_differ_in_case_alone_are_kept_apart() -> None:
    folders = {key: str(folder) for key, folder in slide_folders(["a/Blood.tif", "a/blood.tif", "a/other.tif"]).items()}
    assert folders["a/other.tif"] == "a/other.tif"
    assert folders["a/Blood.tif"].startswith("a/Blood.tif~")
    assert folders["a/blood.tif"].startswith("a/blood.tif~")
    assert folders["a/Blood.tif"].casefold() != folders["a/blood.tif"].casefold()


def test_a_slide_that_is_a_folder_with_another_slide_inside() -> None:
    folders = slide_folders(["series", "series/extra.tif"])
    assert str(folders["series/extra.tif"]) == "series/extra.tif"
    assert str(folders["series"]).startswith("series~")
