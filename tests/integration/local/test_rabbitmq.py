"""A private node, and what it leaves."""

import asyncio
from pathlib import Path

from infra.local.processes import become_subreaper
from infra.local.rabbitmq import Rabbit


async def test_a_node_leaves_nothing_behind(tmp_path: Path) -> None:
    become_subreaper()
    rabbit = Rabbit(tmp_path / "rabbitmq", lambda _line: None)
    starting = asyncio.create_task(rabbit.start("admin", "a-password-of-sixteen"))
    await asyncio.sleep(1)  # in the middle of its start
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await rabbit.stop()
    mine = str(tmp_path).encode()
    for process in Path("/proc").glob("[0-9]*/environ"):
        try:
            assert mine not in process.read_bytes()
        except OSError:
            continue
