"""A checkpoint is whole, is of this training, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from classifiers.base import ClassifierError
from classifiers.training.checkpoint import Checkpoint, Standing
from classifiers.training.progress import Epoch

IDENTITY = {"data": "a", "recipe": "b", "seed": "0"}
EPOCH = Epoch(1, 1, 0.1, 0.5, 0.8, 0.6, 0.7)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "training" / "checkpoint.pt", IDENTITY, 60)
    assert checkpoint.read() is None
    standing = Standing(stage=1, epoch=2, batch=3, history=[EPOCH], best=EPOCH, best_weights={"w": torch.arange(3.0)})
    checkpoint.write(
        standing, {"network": {"w": torch.ones(2)}, "optimiser": {"state": {0: {"step": torch.tensor(4.0)}}, "param_groups": []}}
    )
    found = checkpoint.read()
    assert found is not None
    again, parts = found
    assert (again.stage, again.epoch, again.batch, again.history, again.best) == (1, 2, 3, [EPOCH], EPOCH)
    torch.testing.assert_close(again.best_weights["w"], torch.arange(3.0))
    torch.testing.assert_close(parts["network"]["w"], torch.ones(2))
    assert [path.name for path in checkpoint.path.parent.iterdir()] == ["checkpoint.pt"], "no unfinished file is left"


def test_another_training_is_refused_by_the_names_of_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "training" / "checkpoint.pt"
    Checkpoint(path, IDENTITY, 60).write(Standing(), {})
    with pytest.raises(ClassifierError, match=r"whose recipe and seed was not the same.*--overwrite"):
        Checkpoint(path, {**IDENTITY, "recipe": "c", "seed": "1"}, 60).read()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", IDENTITY, 60)
    checkpoint.write(Standing(), {"network": {"w": torch.ones(1000)}})
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:700] if content is None else content)
    with pytest.raises(ClassifierError, match=r"cannot be read.*--overwrite"):
        checkpoint.read()


def test_a_checkpoint_that_takes_long_is_written_rarely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", IDENTITY, 60)
    assert checkpoint.due(at_epoch_end=True)
    assert not checkpoint.due(at_epoch_end=False)
    now[0] += 61
    assert checkpoint.due(at_epoch_end=False)
    save = torch.save

    def slow_save(content: object, file: object) -> None:
        now[0] += 10
        save(content, file)  # type: ignore[arg-type]

    monkeypatch.setattr("torch.save", slow_save)
    checkpoint.write(Standing(), {})
    now[0] += 100
    assert not checkpoint.due(at_epoch_end=True), "10 s in 100 would be a tenth of the time"
    now[0] += 101
    assert checkpoint.due(at_epoch_end=True)
