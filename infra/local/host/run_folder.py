"""Manages the folder of a run: rabbitmq/, mails/, logs/, functions/, instances/. Every run has its own folder."""

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

KEPT_RUNS = 3


class RunFolder:
    """Creates a new folder under `parent`, and locks it while this process uses it."""

    def __init__(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        prune(parent, KEPT_RUNS - 1)
        # Lock the folder before it gets its final name. Otherwise a stack that starts at the same moment could take it
        # for an unused folder and remove it.
        scratch = Path(tempfile.mkdtemp(dir=parent, prefix="."))
        scratch.chmod(0o755)
        self._lock = _lock(scratch)
        self.path = scratch.rename(parent / f"{time.strftime('%Y%m%d-%H%M%S')}-{scratch.name.removeprefix('.')}")
        for name in ("mails", "logs"):
            (self.path / name).mkdir()

    def remove(self, *, keep_records: bool) -> None:
        """Removes the folder, or everything except mails/ and logs/."""
        if keep_records:
            for entry in self.path.iterdir():
                if entry.name not in ("mails", "logs", "lock"):
                    _remove(entry)
        if self._lock is not None:
            self._lock.close()
        if not keep_records:
            _remove(self.path)


def prune(parent: Path, keep: int) -> None:
    """Removes all runs except the last `keep` ones and those that are in use."""
    runs = sorted(entry for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    for old in runs[: max(0, len(runs) - keep)]:
        lock = _lock(old)
        if lock is not None:
            with suppress(FileNotFoundError):  # another process has removed it
                _remove(old.rename(old.with_name(f".{old.name}")))
            lock.close()


def _lock(folder: Path) -> TextIO | None:
    """Returns the open file of the lock; None if a process holds it, or if the folder has just been removed."""
    try:
        file = (folder / "lock").open("a", encoding="utf-8")
    except FileNotFoundError:
        return None
    os.set_inheritable(file.fileno(), False)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
