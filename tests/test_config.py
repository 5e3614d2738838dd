"""Settings: a field, its TOML key and its flag are one; what makes no sense is refused with the value."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from smearscan.cli.run import run
from smearscan.cli.settings import flag
from smearscan.config import PLAUSIBLE_MPP, SETTINGS, ScanConfig, load_config
from smearscan.errors import ConfigError
from smearscan.slides.scale import is_plausible


def test_every_field_has_its_flag_and_every_flag_its_field() -> None:
    flags = {name: option.opts for option in run.params if (name := option.name) in SETTINGS}
    assert flags == {name: [flag(name)] for name in SETTINGS}
    assert {option.name for option in run.params} - set(SETTINGS) == {"slides", "out", "as_json", "config_file"}


def test_every_field_can_stand_in_toml(tmp_path: Path) -> None:
    text = """
        proposals = "window"
        window_size = 120
        window_step = "15um"
        detector = "cells"
        trust_weights = true
        confidence = 0.3
        nms_iou = 0.4
        classifier = "drawn-cells"
        threshold = 0.7
        gate = false
        overlays = 12
        cam = "scorecam"
        verdicts = [0.05, 0.2]
        mpp = 0.25
        scale_from_red_cells = false
        slides_csv = "slides.csv"
        device = "cpu"
        batch_size = 64
        precision = "fp32"
        workers = 3
        tile_size = 1024
        slide_timeout = "30m"
        stop_at = "06:30"
        overwrite = true
    """
    file = tmp_path / "run.toml"
    file.write_text(text)
    config = load_config(file, {})
    assert config == ScanConfig(
        proposals="window",
        window_size="120",
        window_step="15um",
        detector="cells",
        trust_weights=True,
        confidence=0.3,
        nms_iou=0.4,
        classifier="drawn-cells",
        threshold=0.7,
        gate=False,
        overlays=12,
        cam="scorecam",
        verdicts=(0.05, 0.2),
        mpp=0.25,
        scale_from_red_cells=False,
        slides_csv=tmp_path / "slides.csv",
        device="cpu",
        batch_size="64",
        precision="fp32",
        workers=3,
        tile_size=1024,
        slide_timeout="30m",
        stop_at="06:30",
        overwrite=True,
    )
    assert set(SETTINGS) - {"window_preset"} <= set(text.replace("=", " ").split())
    assert load_config(file, {"workers": 1, "window_step": "60"}).workers == 1


def test_a_window_in_micrometres_follows_the_scale() -> None:
    config = ScanConfig(window_size="28um", window_step="14 um")
    assert config.window_px(0.25) == (112, 56)
    assert config.window_px(0.5) == (56, 28)
    assert not config.needs_scale()
    assert ScanConfig(proposals="window", window_size="28um").needs_scale()
    assert ScanConfig(window_preset="112/50").window_px(None) == (112, 50)
    assert ScanConfig().window_px(None) == (112, 56)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"workers": 0}, "workers = 0"),
        ({"overlays": -1}, "overlays = -1"),
        ({"tile_size": 100}, "tile_size = 100"),
        ({"batch_size": "many"}, "batch_size = 'many'"),
        ({"threshold": 1.5}, "threshold = 1.5"),
        ({"mpp": 25.0}, "mpp = 25 must lie between 0.02 and 2"),
        ({"mpp": float("nan")}, "mpp = nan"),
        ({"window_size": "28in"}, "window_size = '28in'"),
        ({"window_size": "11.5"}, "whole number"),
        ({"window_step": "200"}, "step of 200"),
        ({"window_preset": "112/50", "window_step": "50"}, "window_preset"),
        ({"window_preset": "1/2"}, "window_preset = '1/2'"),
        ({"stop_at": "25:00"}, "stop_at = '25:00'"),
        ({"slide_timeout": "soon"}, "slide_timeout = 'soon'"),
        ({"verdicts": (0.2, 0.1)}, "verdicts"),
        ({"verdicts": ()}, "verdicts"),
        ({"precision": "fp8"}, "precision = 'fp8'"),
    ],
)
def test_nonsense_is_refused_with_its_name_and_value(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        ScanConfig(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("workrs = 2", "did you mean 'workers'"),
        ("workers = 'two'", "workers = 'two' has the wrong type"),
        ("gate = 1", "gate = 1 has the wrong type"),
        ("verdicts = 0.2", "verdicts = 0.2 has the wrong type"),
        ("mpp = '0.25'", "has the wrong type"),
        ("classifier = ['mine']", r"classifier = \['mine'\] has the wrong type"),
        ("workers = ", "is no TOML file"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "run.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said) as refused:
        load_config(file, {})
    assert str(file) in str(refused.value)


def test_the_limits_of_a_scale_are_the_slides_own() -> None:
    for limit in PLAUSIBLE_MPP:
        assert ScanConfig(mpp=limit).mpp == limit
        assert is_plausible(limit)


def test_a_number_is_the_same_from_the_file_and_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("mpp = 1")
    assert load_config(tmp_path / "run.toml", {}).science() == load_config(None, {"mpp": 1.0}).science()
    assert isinstance(load_config(tmp_path / "run.toml", {}).mpp, float)


def test_what_a_file_names_by_its_place_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = tmp_path / "conf"
    (conf / "beside").mkdir(parents=True)
    (tmp_path / "drawn-cells").mkdir()
    monkeypatch.chdir(tmp_path)
    places = {"models/mine": "conf/models/mine", "beside": "conf/beside", "/models/mine": "/models/mine", "drawn-cells": "drawn-cells"}
    for written, meant in places.items():
        (conf / "run.toml").write_text(f"classifier = '{written}'\ndetector = '{written}'\nslides_csv = 'slides.csv'")
        config = load_config(Path("conf/run.toml"), {})
        assert (config.classifier, config.detector) == (meant, meant)
        assert config.slides_csv == Path("conf/slides.csv")
        assert load_config(Path("conf/run.toml"), {"classifier": "models/mine"}).classifier == "models/mine", "a flag's is where one stands"


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read"):
        load_config(Path("nowhere.toml"), {})


def test_science_names_what_changes_a_count_and_nothing_else() -> None:
    science = ScanConfig().science()
    assert {"threshold", "gate", "window_step", "mpp"} <= set(science)
    assert not {"workers", "batch_size", "device", "tile_size", "overwrite", "stop_at"} & set(science)


def test_wrong_use_ends_with_exit_code_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(run, [str(tmp_path), "--out", str(tmp_path / "report"), "--workers", "two"])
    assert result.exit_code == 2
    assert "'two' is not a valid integer" in result.output
