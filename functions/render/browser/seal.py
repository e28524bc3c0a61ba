"""What this process hides from the browser, which is a child of the same user."""

from __future__ import annotations

import ctypes
from collections.abc import MutableMapping

from urlshot.core.errors import Broken

_PR_SET_DUMPABLE = 4  # <linux/prctl.h>

_KEPT = {"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV"}


def seal(environ: MutableMapping[str, str]) -> None:
    """Closes this process's /proc entries and drops its AWS credentials. Call before anything is started.

    A child of the same user can read its parent's /proc/<pid>/environ, and the first environment stays readable there
    even after it was changed; a process that is not dumpable keeps that, its memory and its open files to itself
    (prctl(2), PR_SET_DUMPABLE). The credentials are dropped besides, so that no child inherits them. What Lambda's
    runtime client reads for every event (AWS_LAMBDA_*) is no secret and stays.

    Raises:
        Broken: the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise Broken(f"prctl(PR_SET_DUMPABLE) failed with errno {ctypes.get_errno()}")
    for name in [name for name in environ if name.startswith("AWS_")]:
        if name not in _KEPT and not name.startswith("AWS_LAMBDA_"):
            del environ[name]
