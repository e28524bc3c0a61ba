"""Runs one instance of a function: its processes with AWS's runtime interface client, and their Runtime API.

Source: "Using the Lambda runtime API for custom runtimes" and "Understanding the Lambda execution environment
lifecycle" in the Lambda developer guide.
"""

import asyncio
import json
import shutil
import signal
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from infra.local.host.processes import Child, freeze_tree, set_session_niceness, thaw
from infra.local.host.waits import first_of
from infra.local.template.addresses import function_arn

RESPONSE_LIMIT = 6 * 1024 * 1024  # bytes of a synchronous answer
# Lambda limits the start to 10 s. Here several functions and the broker start at the same time on a few cores, so a
# start can take much longer.
INIT_SECONDS = 40.0
_API = "/2018-06-01/runtime"


@dataclass(frozen=True)
class Answer:
    """Holds the answer of an invocation. `error` is the value of X-Amz-Function-Error: "Unhandled", or None."""

    payload: bytes
    error: str | None
    request_id: str


def failure(request_id: str, kind: str, message: str) -> Answer:
    """Returns the answer for an error that Lambda itself reports."""
    body = {"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {message}"}
    return Answer(json.dumps(body).encode(), "Unhandled", request_id)


@dataclass(frozen=True)
class Launch:
    """Describes how instances of a function start. Each instance adds its own TMPDIR and Runtime API address.

    Attributes:
        function: The name of the function.
        command: The command of its process.
        environment: All its environment variables.
        task_root: The working directory, with the package.
        scratch: The folder for the instances' temporary folders.
        timeout: The longest invocation in seconds.
        niceness: The nice value of its processes.
    """

    function: str
    command: Sequence[str]
    environment: Mapping[str, str]
    task_root: Path
    scratch: Path
    timeout: float
    niceness: int = 0


class InitError(Exception):
    """Reports that an instance could not be initialised.

    Args:
        reported: The error that the runtime posted; None if it posted none.
        kind: The type of the error that Lambda reports in that case.
        message: The text of that error.
    """

    def __init__(self, reported: bytes | None, kind: str = "", message: str = "") -> None:
        super().__init__(f"{kind}: {message}" if reported is None else reported.decode("utf-8", "replace"))
        self._reported = reported
        self._kind = kind
        self._message = message

    def answer(self, request_id: str) -> Answer:
        """Returns the answer for the invoker."""
        if self._reported is not None:
            return Answer(self._reported, "Unhandled", request_id)
        return failure(request_id, self._kind, self._message)


class Instance:
    """Runs one execution environment. Its states are starting, busy, frozen and ended.

    `invoke` supports one caller at a time. Between invocations, all its processes are stopped as on Lambda, so code
    that depends on a background thread or an open connection fails here too.
    """

    def __init__(self, launch: Launch, listener: Callable[[str], None]) -> None:
        self.launch = launch
        self.id = uuid.uuid4().hex
        self.state = "starting"
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pid: int | None = None
        self._listener = listener
        self._child: Child | None = None
        self._runner: web.ServerRunner | None = None
        self._folder = launch.scratch / self.id
        self._frozen: list[int] = []
        self._asked = asyncio.Event()  # set while the runtime waits in /next
        self._event: asyncio.Future[tuple[str, bytes, float]] | None = None
        self._request_id: str | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._init_error: bytes | None = None
        self._init_ms: float | None = None

    # ---- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Starts the process and waits until it requests its first event.

        Raises:
            InitError: The function could not be loaded in time.
            OSError: The process could not be started.
        """
        began = time.monotonic()
        self._folder.mkdir(parents=True)
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0.5)
        await self._runner.setup()
        listening = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(self._runner, listening).start()
        environment = {
            **self.launch.environment,
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{listening.getsockname()[1]}",
            "AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d')}/[$LATEST]{self.id}",
            "TMPDIR": str(self._folder),
        }
        self._child = await Child.start(
            self.launch.command,
            environment=environment,
            directory=self.launch.task_root,
            listener=self._listener,
            subreaper=True,
            niceness=self.launch.niceness,
        )
        self.pid = self._child.pid
        asked = asyncio.ensure_future(self._asked.wait())
        try:
            await first_of(asked, self._child.exited, seconds=INIT_SECONDS)
        finally:
            asked.cancel()
        if not self._asked.is_set():
            if self._init_error is not None:
                error = InitError(self._init_error)
            elif self._child.alive:
                error = InitError(None, "Sandbox.Timedout", f"Init timed out after {INIT_SECONDS:.2f} seconds")
            else:
                error = InitError(None, "Runtime.ExitError", _exit_text(self._child.exited.result()))
            await self.end()
            raise error
        self._init_ms = (time.monotonic() - began) * 1000

    def freeze(self) -> None:
        if self._child is not None and self._child.alive and not self._frozen:
            self._frozen = freeze_tree(self._child.pid)
            if self.launch.niceness:
                for pid in self._frozen:  # a browser has a session of its own
                    set_session_niceness(pid, self.launch.niceness)
            self.state = "frozen"

    async def end(self) -> None:
        """Ends all processes and removes the folder. It may be called twice."""
        if self.state == "ended":
            await asyncio.shield(self.ended)
            return
        self.state = "ended"
        try:
            if self._child is not None:
                await self._child.end()
            if self._event is not None and not self._event.done():
                self._event.cancel()
            if self._runner is not None:
                await self._runner.cleanup()
            shutil.rmtree(self._folder, ignore_errors=True)
        finally:
            self.ended.set_result(None)

    @property
    def usable(self) -> bool:
        return self.state != "ended" and self._child is not None and self._child.alive

    # ---- one event --------------------------------------------------------------------------------------------------

    async def invoke(self, payload: bytes, request_id: str) -> Answer:
        """Passes an event to the runtime, and waits for its answer and until it requests the next event.

        The invocation is over then, as on Lambda. If the function exceeds its timeout or exits, its processes are
        ended, and the answer is an error (Sandbox.Timedout, Runtime.ExitError).
        """
        child, event = self._child, self._event
        if child is None or event is None:
            raise RuntimeError("the instance has not been started")
        loop = asyncio.get_running_loop()
        began, deadline = time.monotonic(), time.time() + self.launch.timeout
        limit = loop.time() + self.launch.timeout
        self.state = "busy"
        answer: asyncio.Future[Answer] = loop.create_future()
        self._answer = answer
        self._request_id = request_id
        self._asked.clear()
        thaw(self._frozen)
        self._frozen = []
        event.set_result((request_id, payload, deadline))
        await first_of(answer, child.exited, seconds=self.launch.timeout)
        if answer.done():
            asked = asyncio.ensure_future(self._asked.wait())
            rest = max(0.0, limit - loop.time())
            await first_of(asked, child.exited, seconds=rest)
            asked.cancel()
            result, status = answer.result(), "error" if answer.result().error else "success"
        elif child.alive:
            message = f"Task timed out after {self.launch.timeout:.2f} seconds"
            result, status = failure(request_id, "Sandbox.Timedout", message), "timeout"
        else:
            result, status = failure(request_id, "Runtime.ExitError", _exit_text(child.exited.result())), "failure"
        self._request_id = None
        if not self._asked.is_set():  # it timed out, exited, or did not request the next event
            await self.end()
        self._report(request_id, status, (time.monotonic() - began) * 1000)
        return result

    def _report(self, request_id: str, status: str, duration_ms: float) -> None:
        """Writes a line like Lambda's platform.report."""
        metrics = {"durationMs": round(duration_ms, 2)}
        if self._init_ms is not None:
            metrics["initDurationMs"], self._init_ms = round(self._init_ms, 2), None
        record = {"requestId": request_id, "status": status, "metrics": metrics}
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._listener(json.dumps({"time": now, "type": "platform.report", "record": record}))

    # ---- Runtime API ------------------------------------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        # invocation/next | invocation/<id>/response | invocation/<id>/error | init/error
        path = request.path.removeprefix(_API)
        if request.method == "GET" and path == "/invocation/next":
            return await self._next()
        if request.method != "POST":
            return web.json_response({"errorType": "NotFound"}, status=404)
        body = await _read(request, RESPONSE_LIMIT)
        if path == "/init/error":
            self._init_error = body or b"{}"
            return web.json_response({"status": "OK"}, status=202)
        if self._request_id is None or self._answer is None or self._answer.done():
            return web.json_response({"errorType": "InvalidStateTransition"}, status=403)
        if path == f"/invocation/{self._request_id}/response":
            if body is None:
                text = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes)."
                self._answer.set_result(failure(self._request_id, "Function.ResponseSizeTooLarge", text))
                return web.json_response({"errorType": "RequestEntityTooLarge", "errorMessage": text}, status=413)
            self._answer.set_result(Answer(body, None, self._request_id))
        elif path == f"/invocation/{self._request_id}/error":
            self._answer.set_result(Answer(body or b"{}", "Unhandled", self._request_id))
        else:
            return web.json_response({"errorType": "InvalidRequestID"}, status=400)
        return web.json_response({"status": "OK"}, status=202)

    async def _next(self) -> web.Response:
        self._event = asyncio.get_running_loop().create_future()
        self._asked.set()
        request_id, payload, deadline = await self._event
        return web.Response(
            body=payload,
            content_type="application/json",
            headers={
                "Lambda-Runtime-Aws-Request-Id": request_id,
                "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": function_arn(self.launch.function),
                "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
            },
        )


def _exit_text(code: int) -> str:
    """Returns Lambda's text for the end of a process. Signal names are in lower case, such as "signal: killed"."""
    if code == 0:
        return "Runtime exited without providing a reason"
    if code > 0:
        return f"Runtime exited with error: exit status {code}"
    return f"Runtime exited with error: signal: {(signal.strsignal(-code) or str(-code)).lower()}"


async def _read(request: web.BaseRequest, limit: int) -> bytes | None:
    """Returns the body; None if it is longer than `limit` bytes. A longer body is read to its end and dropped."""
    parts, size = [], 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size <= limit:
            parts.append(chunk)
    return b"".join(parts) if size <= limit else None
