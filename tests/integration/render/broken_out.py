"""Shows what a page that owns the browser can read: `python -m ... LAYER SCRATCH`, as root.

The renderer runs as a user without rights, as on Lambda. A spy with the browser's user and environment then looks at
each process and file. It looks once before the process is sealed too, which shows that it can find something.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import itertools
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from .restricted import restrict

_SEIZE, _SET_DUMPABLE = 0x4206, 4  # <sys/ptrace.h>, <linux/prctl.h>
_LARGEST = 64 << 20
"""Bytes of the largest file that is read."""
_PAGE, _PIECE = os.sysconf("SC_PAGE_SIZE"), 1 << 24
_SECONDS = 120.0
"""How long reading the memory of one process may take."""
_SECTIONS = ("environ", "cmdline", "auxv", "maps")
PAGE = "<title>t</title><h1>printed</h1><script>setInterval(() => fetch('/x').catch(() => 0), 50)</script>"


def spy(root: int, folders: list[str], needles: list[bytes]) -> dict[str, Any]:
    """Looks for texts in each process but this one and in folders, and tries to trace a process."""
    found: list[tuple[int, str]] = []
    denied: list[tuple[int, str]] = []
    read: dict[int, list[str]] = {}
    for pid in sorted(int(entry.name) for entry in Path("/proc").glob("[0-9]*")):
        for name in (*_SECTIONS, "mem", "fd") if pid != os.getpid() else ():
            try:
                texts = memory(pid) if name == "mem" else [links(pid) if name == "fd" else section(pid, name)]
                if any(needle in text for text in texts for needle in needles):
                    found.append((pid, name))
            except OSError:
                denied.append((pid, name))
            else:
                read.setdefault(pid, []).append(name)
    files = (path for folder in folders for path in Path(folder).rglob("*") if path.is_file())
    small = (path for path in files if path.stat().st_size < _LARGEST)
    found += [(0, str(path)) for path in small if any(needle in path.read_bytes() for needle in needles)]
    libc = ctypes.CDLL(None, use_errno=True)
    # Unlike PTRACE_ATTACH, this does not stop the process; it ends with this one (ptrace(2)).
    traced = libc.ptrace(_SEIZE, root, 0, 0)
    error = ctypes.get_errno()
    return {"found": found, "denied": denied, "read": read, "traced": traced == 0, "errno": error, "uid": os.getuid()}


def section(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def links(pid: int) -> bytes:
    """Returns the names of the open files of a process."""
    return "\n".join(os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()).encode()


def memory(pid: int) -> Iterator[bytes]:
    """Yields the writable memory of a process, in pieces.

    Only pages that are in memory or swapped out are read, as its page map says (proc_pid_pagemap(5)). A browser
    reserves hundreds of gigabytes that it never touches.

    Raises:
        OSError: The process may not be read.
        RuntimeError: It took too long.
    """
    until = time.monotonic() + _SECONDS
    spans = re.findall(
        r"^([0-9a-f]+)-([0-9a-f]+) rw\S+ \S+ \S+ \S+ *(.*)$", section(pid, "maps").decode(), re.MULTILINE
    )
    with open(f"/proc/{pid}/mem", "rb", 0) as file, open(f"/proc/{pid}/pagemap", "rb", 0) as pages:
        for first, last, path in spans:
            if path.startswith("/dev/") and not path.startswith("/dev/shm/"):  # noqa: S108
                continue  # a device, whose memory may block
            for start, end in _present(pages, int(first, 16), int(last, 16)):
                if time.monotonic() > until:
                    raise RuntimeError(f"the memory of process {pid} was not read within {_SECONDS:g} s")
                with contextlib.suppress(OSError, ValueError, OverflowError):  # a piece may be gone, or not readable
                    file.seek(start)
                    yield file.read(end - start)


def _present(pages: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yields the parts of a mapping that are in memory or swapped out, each of at most `_PIECE` bytes."""
    for at in range(start, end, _PIECE):
        pages.seek(at // _PAGE * 8)
        flags = pages.read((min(end, at + _PIECE) - at) // _PAGE * 8)
        used = [flag >> 6 != 0 for flag in flags[7::8]]  # bits 63 and 62 of each entry
        number = 0
        for there, group in itertools.groupby(used):
            count = len(list(group))
            if there:
                yield at + number * _PAGE, at + (number + count) * _PAGE
            number += count


def elsewhere(root: int, folders: list[str], needles: list[str]) -> dict[str, Any]:
    """Runs the spy in a child of its own, which has the same user, and returns what it found.

    The child does not start another program, because the user may not be able to read any.
    """
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            seen = spy(root, folders, [needle.encode() for needle in needles])
            with os.fdopen(writer, "w") as out:
                json.dump(seen, out)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as given:
        seen = json.load(given)
    os.wait()
    return dict(seen)


def main(root: str, scratch: str) -> None:
    from aws_lambda_powertools import Logger

    from functions.render.renderer import Renderer
    from functions.render.settings import RenderSettings
    from playwright_aws_lambda import Layer
    from urlshot.core.render_contract import RenderJob

    # First without restrictions, to import all modules: the user without rights may not be able to read them.
    logger = Logger(service="spy", stream=io.StringIO())
    job = {"id": "a" * 40, "generation": "g", "upload": None, "url": "http://example.com/", "html": PAGE}
    warm = Renderer(RenderSettings.read({}), logger, Layer.at(Path(root)))
    warm.start()
    assert warm.render(RenderJob.model_validate(job), None).pdf is not None
    warm.close()

    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    layer = Layer(Path(root), Path(scratch))
    restrict(Path(scratch))
    os.environ["TMPDIR"] = tempfile.tempdir = scratch
    # As a function starts. The change of user made the process not dumpable (prctl(2)).
    ctypes.CDLL(None).prctl(_SET_DUMPABLE, 1, 0, 0, 0)
    Layer.here = classmethod(lambda cls: layer)  # type: ignore[method-assign, assignment]
    before = elsewhere(os.getpid(), [], [secret])
    renderer = Renderer.of(os.environ, logger)
    upload = f"{secret}-policy"
    private = {"headers": {"x-key": "of-this-job"}}
    answer = renderer.render(RenderJob.model_validate({**job, "private": private}), None)
    assert answer.pdf is not None, answer.error
    # The form of an upload, as the next job brings it; only this process may hold it.
    held = RenderJob.model_validate({**job, "upload": {"url": "https://s3.example.com/", "fields": {"policy": upload}}})
    chromium = renderer.browser.chromium
    assert held.upload is not None
    own = chromium.environment()
    folders = [own[name] for name in ("HOME", "TMPDIR", "FONTCONFIG_PATH")]
    after = elsewhere(os.getpid(), folders, [secret, held.upload.fields["policy"]])
    browser = min(chromium.processes())
    opened = sorted({os.readlink(f"/proc/{browser}/fd/{name}") for name in os.listdir(f"/proc/{browser}/fd")})
    json.dump(
        {
            "pdf": answer.pdf, "before": before, "after": after, "me": os.getpid(), "browsers": chromium.processes(),
            "opened": opened, "scratch": scratch, "own": sorted(own), "environ": sorted(os.environ),
        },
        sys.stdout,
    )  # fmt: skip
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
