"""The folder of one run: rabbitmq/, mails/, logs/, functions/, instances/. Two stacks never share one."""

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
    """A new folder under `parent`, held by a lock for as long as this process uses it."""

    def __init__(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        prune(parent, KEPT_RUNS - 1)
        # Locked before it has a name that others look at: a stack that starts at the same moment would take it for one
        # that nobody uses.
        scratch = Path(tempfile.mkdtemp(dir=parent, prefix="."))
        scratch.chmod(0o755)
        self._lock = _lock(scratch)
        self.path = scratch.rename(parent / f"{time.strftime('%Y%m%d-%H%M%S')}-{scratch.name.removeprefix('.')}")
        for name in ("mails", "logs"):
            (self.path / name).mkdir()

    def remove(self, *, keep_records: bool) -> None:
        """Removes everything, or everything but mails/ and logs/."""
        if keep_records:
            for entry in self.path.iterdir():
                if entry.name not in ("mails", "logs", "lock"):
                    _remove(entry)
        if self._lock is not None:
            self._lock.close()
        if not keep_records:
            _remove(self.path)


def prune(parent: Path, keep: int) -> None:
    """Removes all but the last `keep` runs; one that is still in use is left alone."""
    runs = sorted(entry for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    for old in runs[: max(0, len(runs) - keep)]:
        lock = _lock(old)
        if lock is not None:
            with suppress(FileNotFoundError):  # another was quicker
                _remove(old.rename(old.with_name(f".{old.name}")))
            lock.close()


def _lock(folder: Path) -> TextIO | None:
    """The lock's open file, None if a living process holds it, or another has just removed the folder."""
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
