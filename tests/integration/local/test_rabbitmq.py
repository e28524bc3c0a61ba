"""Tests that a private RabbitMQ node leaves no process."""

import asyncio
from pathlib import Path

from infra.local.broker.rabbitmq import Rabbit
from infra.local.host.processes import become_subreaper


async def test_node_stopped_during_its_start_leaves_no_process(tmp_path: Path) -> None:
    become_subreaper()
    rabbit = Rabbit(tmp_path / "rabbitmq", lambda _line: None)
    starting = asyncio.create_task(rabbit.start("admin", "a-password-of-sixteen"))
    await asyncio.sleep(1)  # the node is still starting
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await rabbit.stop()
    mine = str(tmp_path).encode()
    for process in Path("/proc").glob("[0-9]*/environ"):
        try:
            assert mine not in process.read_bytes()
        except OSError:
            continue
