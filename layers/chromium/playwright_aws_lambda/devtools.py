"""A client of Chromium's DevTools protocol over two pipes (https://chromedevtools.github.io/devtools-protocol/).

Chromium reads commands from its file descriptor 3 and writes answers and events to 4, each as JSON that ends with a
zero byte (`--remote-debugging-pipe`). Unlike the port for DevTools, no other process can reach a pipe.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
from collections import deque
from collections.abc import Callable
from typing import Any

_CHUNK = 1 << 20
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031  # <linux/fcntl.h>
_EVENT = b'{"method":"'
"""The beginning of an event; an answer begins with its `id`."""
_FREE = 10
"""Ends of pipes get numbers from here on, so that none of them is 3 or 4."""
_NAVIGATED = re.compile("navigated|context was destroyed|[Cc]annot find (default execution )?context|uniqueContextId")
_GONE = re.compile("[Ss]ession with given id|closed|crashed|[Nn]o target with|detached|[Nn]o frame")

Handler = Callable[[dict[str, Any]], None]


class DevToolsError(Exception):
    """Chromium answered a command with an error, or a script failed in the page. `message` is Chromium's text."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Gone(DevToolsError):
    """The page, its frame or its browser has gone."""


class Navigated(DevToolsError):
    """Another document has taken the place of the one that the command was for."""


def error_for(method: str, message: str) -> DevToolsError:
    """Returns the error for a command that Chromium answered with an error."""
    text = f"{method}: {message}"
    if _NAVIGATED.search(message):
        return Navigated(text)
    return Gone(text) if _GONE.search(message) else DevToolsError(text)


class Session:
    """The commands and events of one target: the browser, a page, a frame with a process of its own, or a worker."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self.id = name
        """Chromium's id of the session; empty for the browser's."""
        self._handlers: dict[str, list[Handler]] = {}

    def on(self, event: str, handler: Handler) -> None:
        """Calls `handler` with the parameters of each event of this name."""
        self._handlers.setdefault(event, []).append(handler)
        self._connection.expect(event)

    def call(self, method: str, params: dict[str, Any] | None = None) -> asyncio.Future[Any]:
        """Sends a command, and returns a future for its result.

        The future raises:
            Gone: The target has gone.
            Navigated: Another document is there.
            DevToolsError: Chromium refuses the command.
        """
        return self._connection.call(self.id, method, params)

    def post(self, method: str, params: dict[str, Any] | None = None) -> None:
        """Sends a command whose result does not matter."""
        self._connection.post(self.id, method, params)

    def child(self, name: str) -> Session:
        """Returns the session of another target in the same browser."""
        return self._connection.session(name)

    def end(self, reason: str) -> None:
        """Fails all calls under way with `Gone`, and sends no more events."""
        self._connection.forget(self.id, reason)

    def deliver(self, method: str, params: dict[str, Any]) -> None:
        """Calls the handlers of an event."""
        for handler in self._handlers.get(method, ()):
            handler(params)


class Connection:
    """The pipes to one browser; it belongs to the running event loop."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        """Makes the pipes.

        Args:
            on_end: Called when the browser has closed its end, but not after `close()`.
        """
        self._on_end = on_end
        self._number = 0
        self._calls: dict[int, tuple[str, str, asyncio.Future[Any]]] = {}
        self._sessions: dict[str, Session] = {}
        self._expected: set[bytes] = set()
        self._read: list[bytes] = []
        self._unwritten: deque[bytes] = deque()
        self._ended = False
        (theirs_in, self._out), (self._in, theirs_out) = _pipe(), _pipe()
        self.theirs = theirs_in, theirs_out
        """The browser's ends: the one that it reads and the one that it writes."""
        for end in (self._out, self._in):
            os.set_blocking(end, False)
        self.browser = self.session("")
        """The session of the browser itself."""

    def start(self) -> None:
        """Begins to read, after the browser has been started; closes the browser's ends in this process."""
        self._close_theirs()
        asyncio.get_running_loop().add_reader(self._in, self._readable)

    def session(self, name: str) -> Session:
        """Returns the session with this id; each id has one."""
        found = self._sessions.get(name)
        if found is None:
            found = self._sessions[name] = Session(self, name)
        return found

    def call(self, session: str, method: str, params: dict[str, Any] | None) -> asyncio.Future[Any]:
        """Sends a command of a session; see `Session.call`."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._ended or session not in self._sessions:
            future.set_exception(Gone(f"{method}: the page has gone"))
            return future
        self._number += 1
        self._calls[self._number] = session, method, future
        self._send(session, method, params)
        return future

    def expect(self, event: str) -> None:
        """Parses events of this name from now on. Others, which are half of all messages, are skipped."""
        self._expected.add(event.encode())

    def post(self, session: str, method: str, params: dict[str, Any] | None) -> None:
        """Sends a command of a session, whose answer is ignored."""
        if not self._ended:
            self._number += 1
            self._send(session, method, params)

    def forget(self, session: str, reason: str) -> None:
        """Ends a session."""
        self._sessions.pop(session, None)
        for number in [number for number, (owner, _, _) in self._calls.items() if owner == session]:
            _, method, future = self._calls.pop(number)
            _fail(future, Gone(f"{method}: {reason}"))

    def close(self) -> None:
        """Closes the pipes, and fails all calls under way with `Gone`."""
        if self._ended:
            return
        self._ended = True
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._in)
        loop.remove_writer(self._out)
        self._close_theirs()
        os.close(self._in)
        os.close(self._out)
        for _, method, future in self._calls.values():
            _fail(future, Gone(f"{method}: the browser has ended"))
        self._calls.clear()
        self._sessions.clear()

    def _close_theirs(self) -> None:
        for end in self.theirs:
            os.close(end)
        self.theirs = ()  # type: ignore[assignment] # closed

    def _send(self, session: str, method: str, params: dict[str, Any] | None) -> None:
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        self._unwritten.append(json.dumps(message).encode() + b"\0")
        if len(self._unwritten) == 1 and not self._write():
            asyncio.get_running_loop().add_writer(self._out, self._writable)

    def _writable(self) -> None:
        if self._write():
            asyncio.get_running_loop().remove_writer(self._out)

    def _write(self) -> bool:
        """Writes until the pipe is full; returns whether everything is written."""
        try:
            while self._unwritten:
                data = self._unwritten[0]
                written = os.write(self._out, data)
                if written == len(data):
                    self._unwritten.popleft()
                else:
                    self._unwritten[0] = data[written:]
        except BlockingIOError:
            return False
        except BrokenPipeError:  # the end of the other pipe reports it
            self._unwritten.clear()
        return True

    def _readable(self) -> None:
        try:
            data = os.read(self._in, _CHUNK)
        except BlockingIOError:
            return
        if not data:
            self.close()
            self._on_end()
            return
        start = 0
        while (end := data.find(b"\0", start)) >= 0:
            self._read.append(data[start:end])
            message = self._read[0] if len(self._read) == 1 else b"".join(self._read)
            self._read = []
            start = end + 1
            if self._is_expected(message):
                self._receive(json.loads(message))
                if self._ended:
                    return
        if start < len(data):
            self._read.append(data[start:])

    def _is_expected(self, message: bytes) -> bool:
        """Returns whether a message is an answer, or an event for which there is a handler."""
        if not message.startswith(_EVENT):
            return True
        begin = len(_EVENT)
        return message[begin : message.find(b'"', begin)] in self._expected

    def _receive(self, message: dict[str, Any]) -> None:
        number = message.get("id")
        if number is None:
            session = self._sessions.get(message.get("sessionId", ""))
            if session is not None:
                session.deliver(message["method"], message["params"])
            return
        call = self._calls.pop(number, None)
        if call is None or call[2].done():
            return
        if "error" in message:
            _fail(call[2], error_for(call[1], message["error"].get("message", "")))
        else:
            call[2].set_result(message.get("result"))


def _fail(future: asyncio.Future[Any], error: DevToolsError) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # so that asyncio does not report an error that nobody waits for


def _pipe() -> tuple[int, int]:
    """Returns the reading and the writing end of a pipe, as large as an unprivileged process may make it."""
    made = os.pipe()
    reading, writing = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FREE) for end in made)
    for end in made:
        os.close(end)
    with contextlib.suppress(OSError):  # the user's pipes have too many pages together (pipe(7))
        fcntl.fcntl(writing, _F_SETPIPE_SZ, _PIPE_BYTES)
    return reading, writing
