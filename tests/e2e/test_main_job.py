"""`make pdf`, the first command of the README, runs as a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from pypdf import PdfReader

from infra.local.broker.rabbitmq import Rabbit, with_credentials
from tests.e2e.conftest import PROJECT


async def run(*arguments: str, **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "infra.local", "pdf", *arguments,
        cwd=PROJECT, env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 100)
    return process.returncode or 0, output.decode()


@pytest.mark.timeout(150)
async def test_demo_page_is_printed_with_an_existing_broker(tmp_path: Path) -> None:
    """With URLSHOT_AMQP_URL the command starts no broker. Everything else is the same."""
    node = Rabbit(tmp_path / "node", lambda _: None)
    await node.start("somebody", "somebodys-password")
    try:
        code, output = await run(
            "--out", str(tmp_path / "out.pdf"),
            URLSHOT_AMQP_URL=with_credentials(node.amqp, "somebody", "somebodys-password"),
            URLSHOT_RABBITMQ_API=node.console,
            URLSHOT_PARAMS="MailTo=someone@example.com",  # as `make` passes PARAMS
        )  # fmt: skip
    finally:
        await node.stop()
    assert code == 0, output
    pages = PdfReader(tmp_path / "out.pdf").pages
    assert len(pages) == 2
    assert "urlshot" in pages[0].extract_text()
    for word in (
        "queued",
        "done",
        "OK - The PDF has been generated",
        "mail      to someone@example.com",
        "pdf.generated.success",
    ):
        assert word in output
    assert "RabbitMQ is up" not in output


@pytest.mark.timeout(150)
async def test_forbidden_url_ends_with_its_reason(tmp_path: Path) -> None:
    code, output = await run("--url", "http://192.168.0.1/", "--out", str(tmp_path / "out.pdf"))
    assert code == 1
    assert "not on the public internet" in output
    assert not (tmp_path / "out.pdf").exists()
