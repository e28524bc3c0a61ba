"""Puts the temporary folders of all functions on a file system of their own, which can be made full.

A full disk is real then: a function gets ENOSPC for what it writes to TMPDIR, which is /tmp on Lambda. The services and
the logs are elsewhere.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from contextlib import suppress
from pathlib import Path

SIZE = "8g"
"""Each instance of `render` inflates its binaries there, about 0.3 GB. Only what is written takes memory."""
_SECONDS = 30.0
_TRIES = 20
_CLONE_NEWNS, _MS_REC_PRIVATE = 0x00020000, 16384 | 1 << 18  # <sched.h>, <sys/mount.h>


def own_mounts() -> None:
    """Gives this process mounts of its own, which end with it. Call it before any thread starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) == 0:
        libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None)


class SmallDisk:
    """A tmpfs over the folder of the instances' temporary folders; `mounted` is false if this machine refuses it.

    Args:
        folder: The folder, in which instances may have folders already.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        there = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        folder.mkdir(parents=True, exist_ok=True)
        self.mounted, self.reason = _ran("mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "faults", str(folder))
        for name in there if self.mounted else ():
            (folder / name).mkdir()

    def fill(self) -> bool:
        """Leaves no byte free, until `free`; says whether that could be done."""
        for _ in range(_TRIES if self.mounted else 0):
            found = os.statvfs(self._folder)
            used = (found.f_blocks - found.f_bfree) * found.f_frsize
            if self._resize(str(used)):  # refused if more was written meanwhile
                return True
        return False

    def free(self) -> None:
        """Makes the file system large again."""
        if self.mounted:
            self._resize(SIZE)

    def _resize(self, size: str) -> bool:
        return _ran("mount", "-o", f"remount,size={size}", str(self._folder))[0]

    def close(self) -> None:
        if self.mounted:
            self.mounted = False
            _ran("umount", "--lazy", str(self._folder))


def _ran(*command: str) -> tuple[bool, str]:
    """Runs a program; returns whether it succeeded, and the last line that it wrote."""
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        return done.returncode == 0, (done.stderr.strip().splitlines() or [""])[-1]
    return False, f"{command[0]} cannot be run"
