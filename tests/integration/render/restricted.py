"""Prints one page in a sandbox like Lambda's, or a stricter one: `python -m ... MODE LAYER SCRATCH`, as root.

A foreign user, no capabilities, no new privileges, 1 MB of /dev/shm. MODE is `several` or `single` processes.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import sys
from pathlib import Path

FOREIGN = 65500
_CLONE_NEWNS, _MS_REC_PRIVATE, _PR_SET_NO_NEW_PRIVS = 0x00020000, 16384 | 1 << 18, 38


def restrict(scratch: Path) -> None:
    """Gives up the rights that a process on Lambda does not have.

    Raises:
        OSError: The kernel refuses a step.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    os.chown(scratch, FOREIGN, FOREIGN)
    steps = (
        lambda: libc.unshare(_CLONE_NEWNS),
        lambda: libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None),
        lambda: libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, b"size=1m"),
        lambda: libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
    )
    for number, step in enumerate(steps):
        if step() != 0:
            raise OSError(ctypes.get_errno(), f"step {number} of restricting")
    os.setgroups([])
    os.setresgid(FOREIGN, FOREIGN, FOREIGN)
    os.setresuid(FOREIGN, FOREIGN, FOREIGN)  # this also drops all capabilities (capabilities(7))


async def main(mode: str, root: str, scratch: str) -> None:
    from playwright_aws_lambda import Layer, launch_chromium
    from playwright_aws_lambda.launch import Chromium

    # First without restrictions, to import all modules: the foreign user may not be able to read them.
    for single in (False, True):
        warm = await launch_chromium(layer=Layer.at(Path(root)))
        warm.kill()
        warm.single_process = single
        await warm.start()
        await warm.dispose(await warm.new_page())
        await warm.close()
    restrict(Path(scratch))
    if mode == "single":  # as if the launch with several processes failed
        spawn = Chromium._spawn

        async def fails(self: Chromium, extra: list[str]) -> None:
            if not extra:
                raise TimeoutError
            await spawn(self, extra)

        Chromium._spawn = fails  # type: ignore[method-assign]
    chromium = await launch_chromium(layer=Layer(Path(root), Path(scratch)))
    sizes, status = [], ""
    for number in range(3):
        page = await chromium.new_page()
        page.session.post("Runtime.runIfWaitingForDebugger")
        html = f"<h1>page {number}</h1>" + "<p>" + "text " * 5000
        await page.session.call("Page.setDocumentContent", {"frameId": page.target, "html": html})
        sizes.append(len((await page.session.call("Page.printToPDF"))["data"]))
        # Before the page is closed, which ends the browser of a single process.
        status = Path(f"/proc/{min(chromium.processes())}/status").read_text()
        await chromium.dispose(page)
    await chromium.close()
    found = {line.partition(":")[0]: line.partition(":")[2].split() for line in status.splitlines()}
    shown = {name: found.get(name) for name in ("Uid", "CapEff", "NoNewPrivs")}
    json.dump({"sizes": sizes, "single": chromium.single_process, "version": chromium.version, **shown}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
