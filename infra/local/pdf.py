"""Implements `make pdf`: starts the stack, prints one URL, saves the PDF, and shows the result of each consumer."""

import asyncio
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
from aiohttp import web

from infra.local.console import Console
from infra.local.host.ports import listen
from infra.local.host.waits import first_of
from infra.local.settings import Settings
from infra.local.stack import Stack, StackFailed

DEMO = Path(__file__).parent / "demo"
JOB_SECONDS = 240.0  # more than render's limit and one retry
_FAN_OUT_SECONDS = 20.0
_POLL_SECONDS = 20
_REQUEST_SECONDS = 35.0


class JobFailed(Exception):
    """Reports that there is no PDF; the text has the reason from the API."""


class FanOut:
    """Collects the results of the consumers from their logs.

    Attributes:
        done: A future for each consumer, by its function's name. Its result is a line for the user.
    """

    def __init__(self, stack: Stack) -> None:
        loop = asyncio.get_running_loop()
        self._mails = Path(stack.access.mails)
        self.done: dict[str, asyncio.Future[str]] = {
            rule.function: loop.create_future()
            for rule in stack.application.rules
            if rule.function in stack.lambdas.functions
        }
        self._said: dict[str, str] = {}

    def heard(self, function: str, line: str) -> None:
        """Handles a log line. A consumer is done when Lambda reports that its invocation succeeded."""
        waiting = self.done.get(function)
        if waiting is None or waiting.done() or not line.startswith("{"):
            return
        record = json.loads(line)
        if "_aws" in record:
            names = [metric["Name"] for part in record["_aws"]["CloudWatchMetrics"] for metric in part["Metrics"]]
            shown = sorted(name for name in names if not name.startswith("pdf.phase."))
            self._said[function] = ", ".join(shown)
        elif record.get("type") == "local.undelivered":
            waiting.set_result(f"failed after {record['attempts']} attempts: {record.get('error', '')[:200]}")
        elif record.get("type") == "platform.report":
            if record["record"]["status"] == "success":
                waiting.set_result(self._mail() if "Mail" in function else self._said.get(function, "done"))
        elif "message" in record and "Mail" not in function:
            self._said.setdefault(function, str(record["message"]))

    def _mail(self) -> str:
        files = sorted(self._mails.glob("*.eml"))
        if not files:
            return "no mail was sent"
        mail = message_from_bytes(files[-1].read_bytes(), policy=policy.default)
        return f"to {mail['To']}: {mail['Subject']}"


async def make_pdf(settings: Settings, url: str | None, out: Path, console: Console) -> None:
    """Prints a URL to a file.

    Args:
        settings: The settings of the stack.
        url: The URL; None prints the demo page.
        out: The file for the PDF.
        console: Prints the progress.

    Raises:
        JobFailed: There is no PDF.
        StackFailed: The stack failed while it ran.
        Exception: The stack did not start; see `Stack`.
    """
    async with AsyncExitStack() as exit_stack:
        if url is None:
            host = await _serve_demo(exit_stack)
            url = f"http://{host}/"
            settings = replace(settings, allow=(*settings.allow, host))
        stack = await exit_stack.enter_async_context(Stack(settings, console))
        fan_out = FanOut(stack)
        stack.logs.listeners.append(fan_out.heard)
        job = asyncio.create_task(_job(stack, url, out, console, fan_out))
        failed = asyncio.create_task(stack.failed())
        try:
            await first_of(job, failed, seconds=JOB_SECONDS)
            if failed.done():
                await failed
            if not job.done():
                raise JobFailed(f"no PDF after {JOB_SECONDS:.0f} s; the functions' logs are in {stack.access.logs}")
            await job
        finally:
            job.cancel()
            failed.cancel()
            await asyncio.gather(job, failed, return_exceptions=True)


async def _job(stack: Stack, url: str, out: Path, console: Console, fan_out: FanOut) -> None:
    timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        console.say(f"POST /pdf  {url}", "1")
        answer, location = await _json(http, "POST", f"{stack.access.endpoint}/pdf", json={"url": url})
        shown = _show(answer, None, console.say)
        while answer.get("state") not in ("done", "failed"):
            # The API answers when the job has ended or the wait is over, so this makes about three requests a minute.
            answer, _ = await _json(http, "GET", f"{location}?wait={_POLL_SECONDS}")
            if answer.get("state") == shown:
                await asyncio.sleep(0.1)  # in case the API answers immediately
            shown = _show(answer, shown, console.say)
        if answer["state"] == "failed":
            raise JobFailed(_failure(answer))
        links = answer.get("links") or {}
        link = links.get("pdf") or links.get("file")
        if not link:
            raise JobFailed(f"the job is done, but its answer has no link: {json.dumps(answer)[:500]}")
        size = await _download(http, urljoin(location, link), out)
    console.say(f"{out}  {size:,} bytes", "32;1")
    await _show_fan_out(fan_out, console)


async def _json(http: aiohttp.ClientSession, method: str, url: str, **request: Any) -> tuple[dict[str, Any], str]:
    """Returns the API's answer and the address of the job.

    Raises:
        JobFailed: The answer is not a success.
    """
    async with http.request(method, url, **request) as response:
        text = await response.text()
        if response.status not in (200, 202):
            raise JobFailed(_problem(method, url, response, text))
        answer = json.loads(text)
        links = answer.get("links") or {}
        location = response.headers.get("Location") or links.get("self") or str(response.url.with_query(None))
        return answer, urljoin(url, location)


def _problem(method: str, url: str, response: aiohttp.ClientResponse, text: str) -> str:
    """Formats an unsuccessful answer: the API's problem details (RFC 9457), or the text of the answer."""
    if response.content_type == "application/problem+json":
        return _failure({"error": json.loads(text)})
    return f"{method} {url}: {response.status} {text[:1000]}"


def _show(answer: dict[str, Any], shown: str | None, say: Callable[[str], None]) -> str | None:
    state = answer.get("state")
    if state != shown:
        say(f"job {str(answer.get('id', ''))[:8]}: {state}")
    return state


def _failure(answer: dict[str, Any]) -> str:
    error = answer.get("error") or {}
    parts = [f"{error.get('title', 'The PDF could not be made')} ({error.get('code', 'unknown')})"]
    parts += [str(error[key]) for key in ("detail", "remedy") if error.get(key)]
    if error.get("code") == "blocked_target":
        parts.append("On this machine, ALLOW=host:port allows a private address.")
    return "\n".join(parts)


async def _download(http: aiohttp.ClientSession, link: str, out: Path) -> int:
    """Saves the PDF of a link to a file, completely or not at all.

    Returns:
        The size of the PDF in bytes.

    Raises:
        JobFailed: The download failed.
    """
    async with http.get(link) as response:
        content = await response.read()
        if response.status != 200 or not content.startswith(b"%PDF-"):
            raise JobFailed(f"the link gave no PDF: {response.status}, {content[:200]!r}")
    _write_whole(out, content)
    return len(content)


def _write_whole(out: Path, content: bytes) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(scratch, 0o644)
        os.replace(scratch, out)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


async def _show_fan_out(fan_out: FanOut, console: Console) -> None:
    if not fan_out.done:
        return
    await asyncio.wait(fan_out.done.values(), timeout=_FAN_OUT_SECONDS)
    missing = [name for name, waiting in fan_out.done.items() if not waiting.done()]
    for name, waiting in fan_out.done.items():
        if waiting.done():
            console.of_function(name, waiting.result())
    if missing:
        raise JobFailed(f"the PDF is saved, but these consumers did not finish: {', '.join(missing)}")


async def _serve_demo(exit_stack: AsyncExitStack) -> str:
    """Serves the demo page on a free port of this machine.

    Returns:
        Its address as host:port.
    """

    async def page(_: web.Request) -> web.FileResponse:
        return web.FileResponse(DEMO / "index.html")

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_static("/", DEMO)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    exit_stack.push_async_callback(runner.cleanup)
    listening = listen()
    await web.SockSite(runner, listening).start()
    return f"127.0.0.1:{listening.getsockname()[1]}"


__all__ = ["JobFailed", "StackFailed", "make_pdf"]
