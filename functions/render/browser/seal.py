"""Hides this process's secrets from the browser, a child process of the same user."""

from __future__ import annotations

import ctypes
from collections.abc import MutableMapping

from urlshot.core.errors import Broken

_PR_SET_DUMPABLE = 4  # <linux/prctl.h>

_KEPT = {"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV"}


def seal(environ: MutableMapping[str, str]) -> None:
    """Closes this process's /proc entries and drops its AWS credentials. Call it before any child process starts.

    A child of the same user can read its parent's /proc/<pid>/environ, which shows the first environment even after
    changes. The environment, memory and open files of a process that is not dumpable are not readable there (prctl(2),
    PR_SET_DUMPABLE). The credentials are also deleted, so that no child inherits them. The variables AWS_LAMBDA_* are
    not secret and stay, because Lambda's runtime client reads them for every event.

    Args:
        environ: The environment of this process.

    Raises:
        Broken: The kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise Broken(f"prctl(PR_SET_DUMPABLE) failed with errno {ctypes.get_errno()}")
    for name in [name for name in environ if name.startswith("AWS_")]:
        if name not in _KEPT and not name.startswith("AWS_LAMBDA_"):
            del environ[name]
