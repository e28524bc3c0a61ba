"""A full disk refuses every write, and takes writes again when it is freed."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.small_disk import SmallDisk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    (tmp_path / "tmp" / "instance").mkdir(parents=True)
    disk = SmallDisk(tmp_path / "tmp")
    if not disk.mounted:
        pytest.skip(f"no file system can be mounted here: {disk.reason}")
    yield disk
    disk.close()


def test_full_disk_has_no_space_until_it_is_freed(disk: SmallDisk, tmp_path: Path) -> None:
    file = tmp_path / "tmp" / "instance" / "file"
    file.write_bytes(b"x" * 100_000)
    assert disk.fill()
    with pytest.raises(OSError) as refused:
        file.with_name("more").write_bytes(b"x" * 100_000)
    assert refused.value.errno == errno.ENOSPC
    assert len(file.read_bytes()) == 100_000
    disk.free()
    file.with_name("more").write_bytes(b"x" * 100_000)


def test_machine_that_refuses_a_mount_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    disk = SmallDisk(tmp_path / "tmp")
    assert (disk.mounted, disk.reason, disk.fill()) == (False, "mount cannot be run", False)
    disk.free()
    disk.close()
