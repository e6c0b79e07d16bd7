"""Checkpoints: whole at every moment, checked when read, rare enough."""

import errno
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from variate.errors import CheckpointError, OutputError
from variate.training import checkpoint
from variate.training.checkpoint import CheckpointWriter, read_checkpoint, remove_checkpoint

PRINT = {"seed": 3, "learning_rate": 0.1, "budget": "Steps(total=7)"}


def state():
    shared = torch.arange(6.0)
    return {
        "float": torch.randn(3, 4),
        "double": torch.randn(2, dtype=torch.float64),
        "half": torch.randn(5).bfloat16(),
        "whole": torch.tensor(7),
        "flag": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "shared": shared,
        "shared again": shared,
        "part": shared[2:4],
        "transposed": torch.randn(3, 4).T,
    }


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "folder" / "run.checkpoint"
    tensors, facts = state(), {"step": 5, "figure": float("-inf"), "seconds": 1 / 3}
    CheckpointWriter(path, 0.0, PRINT).write(tensors, facts, 0.0)
    return path, tensors, facts


def test_what_is_read_is_what_was_written_bit_by_bit(written):
    path, tensors, facts = written
    found = read_checkpoint(path, PRINT)
    assert found.facts == facts
    assert found.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("length", [0, 3, 100, -1])
def test_a_truncated_file_is_refused(written, length):
    path = written[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    with pytest.raises(CheckpointError, match=r"run\.checkpoint: the checkpoint is damaged"):
        read_checkpoint(path, PRINT)


@pytest.mark.parametrize("place", [10, -1, -40, -200])
def test_a_changed_byte_is_noticed(written, place):
    path = written[0]
    changed = bytearray(path.read_bytes())
    changed[place] ^= 0x10
    path.write_bytes(changed)
    with pytest.raises(CheckpointError, match=r"start afresh without resume"):
        read_checkpoint(path, PRINT)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "weights"
    save_file({"a": torch.ones(2)}, path)
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(path, PRINT)


def test_another_format_is_refused_with_its_number(written):
    path = written[0]
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["variate"])
    save_file(
        read_checkpoint(path, PRINT).tensors, path, {"variate": json.dumps(header | {"format": 9})}
    )
    with pytest.raises(CheckpointError, match=r"has format 9, .* reads format 1"):
        read_checkpoint(path, PRINT)


def test_another_run_is_refused_and_the_difference_named(written):
    with pytest.raises(CheckpointError, match=r"learning_rate was 0\.1, now 0\.2") as caught:
        read_checkpoint(written[0], PRINT | {"learning_rate": 0.2, "more": 1})
    assert "more was None, now 1" in str(caught.value)
    assert "seed" not in str(caught.value)


@pytest.mark.parametrize("failing", ["save_file", "_flush"])
def test_a_full_disk_is_an_error_that_leaves_the_last_checkpoint_whole(
    written, monkeypatch, failing
):
    path, _, facts = written

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = CheckpointWriter(path, 0.0, PRINT)
    monkeypatch.setattr(checkpoint, failing, full)
    with pytest.raises(OutputError, match="No space left"):
        writer.write(state(), {"step": 6}, 1.0)
    assert read_checkpoint(path, PRINT).facts == facts
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_place_that_cannot_be_written_is_told_at_the_start(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        CheckpointWriter(tmp_path / "file" / "run.checkpoint", 0.0, PRINT)


def test_checkpoints_cost_a_fiftieth_of_the_time_at_most(tmp_path):
    writer = CheckpointWriter(tmp_path / "run", 0.0, PRINT)
    writer.begin(10.0, {"big": torch.empty(10**6)})  # 4 MB: taken for 20 ms until measured
    assert not writer.due(10.9)
    assert writer.due(11.1)
    took = writer.write(state(), {}, 20.0)
    assert took > 0
    assert not writer.due(20.0 + took + 49 * took)
    assert writer.due(20.0 + took + 51 * took)


def test_checkpoints_are_not_written_more_often_than_asked(tmp_path):
    writer = CheckpointWriter(tmp_path / "run", 60.0, PRINT)
    writer.begin(0.0, {})
    assert not writer.due(59.0)
    assert writer.due(61.0)


def test_removing_is_quiet_about_what_is_not_there(written, tmp_path):
    remove_checkpoint(written[0])
    assert not written[0].exists()
    remove_checkpoint(tmp_path / "nothing")
