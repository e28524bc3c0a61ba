"""Functions as Lambda runs them: instances side by side up to a limit, replaced when they die, ended when idle.

Source: "Understanding Lambda function scaling", "How Lambda handles errors and retries with asynchronous invocation"
and "Lambda quotas" in the Lambda developer guide.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from infra.local.runtime import Answer, InitError, Instance, Launch

SYNC_LIMIT = 6 * 1024 * 1024  # bytes of a synchronous request
ASYNC_LIMIT = 1024 * 1024  # bytes of an asynchronous one (256 KB until October 2025)
IDLE_SECONDS = 300.0
# Lambda waits a minute before the first retry of an asynchronous event and two before the second.
ASYNC_BACKOFF = (1.0, 2.0)
ASYNC_MAX_AGE = 6 * 3600.0
THROTTLE_BACKOFF = 0.2


class UnknownFunction(Exception):
    """No function of that name."""


class Throttled(Exception):
    """As many instances as may run at once are busy."""


class TooLarge(Exception):
    """The event is larger than Lambda takes; the text names the limit."""


@dataclass(frozen=True)
class Undelivered:
    """An asynchronous event that was given up, for the function's on-failure destination."""

    function: str
    request_id: str
    payload: bytes
    answer: Answer | None
    attempts: int
    condition: str


class Function:
    """The instances of one function."""

    def __init__(self, launch: Launch, limit: int, listener: Callable[[str, str], None]) -> None:
        self.launch = launch
        self.limit = limit
        self.instances: list[Instance] = []
        self._idle: list[Instance] = []
        self._idle_ends: dict[str, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._listener = listener
        self._freed = asyncio.Event()

    async def room(self) -> None:
        """Returns when an instance has come free since a `Throttled`; another may take it first."""
        self._freed.clear()
        await self._freed.wait()

    async def invoke(self, payload: bytes, request_id: str) -> Answer:
        """Runs the event on an idle instance or a new one. Errors: `Throttled`; a function's error is an answer."""
        try:
            instance = self._take() or await self._new()
        except InitError as error:
            return Answer(error.answer.payload, error.answer.error, request_id)
        return await self._shielded(instance, payload, request_id)

    async def warm(self) -> None:
        """Has one instance initialised before the first event, as Lambda sometimes does of itself."""
        if not self.instances:
            try:
                self._give_back(await self._new())
            except InitError:
                return  # the first event will meet it again, and its sender is told

    async def end(self) -> None:
        for handle in self._idle_ends.values():
            handle.cancel()
        await asyncio.gather(*(instance.end() for instance in list(self.instances)))
        if self._ending:
            await asyncio.wait(self._ending, timeout=5)
        self.instances.clear()
        self._idle.clear()

    async def _shielded(self, instance: Instance, payload: bytes, request_id: str) -> Answer:
        # A caller that goes away does not stop the function, here as on Lambda.
        work = asyncio.ensure_future(instance.invoke(payload, request_id))
        work.add_done_callback(lambda _: self._give_back(instance))
        return await asyncio.shield(work)

    def _take(self) -> Instance | None:
        while self._idle:
            instance = self._idle.pop()  # the one used last: the others may cool down and end
            self._idle_ends.pop(instance.id).cancel()
            if instance.usable:
                return instance
            self._drop(instance)
        return None

    async def _new(self) -> Instance:
        if len(self.instances) >= self.limit:
            raise Throttled(self.launch.function)
        instance = Instance(self.launch, lambda line: self._listener(self.launch.function, line))
        self.instances.append(instance)
        try:
            await instance.start()
        except BaseException:
            self._drop(instance)
            raise
        return instance

    def _give_back(self, instance: Instance) -> None:
        if not instance.usable:
            self._drop(instance)
            return
        instance.freeze()
        self._idle.append(instance)
        self._freed.set()
        loop = asyncio.get_running_loop()
        self._idle_ends[instance.id] = loop.call_later(IDLE_SECONDS, self._retire, instance)

    def _retire(self, instance: Instance) -> None:
        if instance in self._idle:
            self._idle.remove(instance)
            self._idle_ends.pop(instance.id)
            self._drop(instance)

    def _drop(self, instance: Instance) -> None:
        if instance in self.instances:
            self.instances.remove(instance)
            self._freed.set()
        task = asyncio.ensure_future(instance.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


class Lambdas:
    """All functions of the stack, by name.

    `undelivered` is awaited with every asynchronous event that was given up.
    """

    def __init__(
        self,
        launches: Mapping[str, Launch],
        *,
        reserved: Mapping[str, int] | None = None,
        retries: Mapping[str, int] | None = None,
        default_limit: int = 10,
        listener: Callable[[str, str], None],
        undelivered: Callable[[Undelivered], Awaitable[None]] | None = None,
    ) -> None:
        limits = reserved or {}
        self.functions = {
            name: Function(launch, limits.get(name, default_limit), listener) for name, launch in launches.items()
        }
        self._retries = retries or {}
        self._listener = listener
        self._undelivered = undelivered
        self._tasks: set[asyncio.Task[None]] = set()

    async def invoke(self, name: str, payload: bytes) -> Answer:
        """RequestResponse. Errors: `UnknownFunction`, `Throttled`, `TooLarge`."""
        function = self._function(name)
        if len(payload) > SYNC_LIMIT:
            raise TooLarge(f"Request must be smaller than {SYNC_LIMIT} bytes for the InvokeFunction operation")
        return await function.invoke(payload, str(uuid.uuid4()))

    async def invoke_in_turn(self, name: str, payload: bytes) -> Answer:
        """Like `invoke`, but waits while all instances are busy; bounded by the caller. Errors: as there."""
        while True:
            try:
                return await self.invoke(name, payload)
            except Throttled:
                await self._function(name).room()

    def invoke_async(self, name: str, payload: bytes) -> str:
        """Event: accepted now, delivered at once, up to two retries. Errors: `UnknownFunction`, `TooLarge`."""
        self._function(name)
        if len(payload) > ASYNC_LIMIT:
            raise TooLarge(f"Request must be smaller than {ASYNC_LIMIT} bytes for the InvokeFunction operation")
        request_id = str(uuid.uuid4())
        task = asyncio.ensure_future(self.deliver(name, payload, request_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return request_id

    async def deliver(self, name: str, payload: bytes, request_id: str) -> None:
        """The life of one asynchronous event, until it has been handled or given up."""
        function, retries = self._function(name), self._retries.get(name, 2)
        began, attempts, answer, condition = time.monotonic(), 0, None, "RetriesExhausted"
        while attempts <= retries:
            try:
                answer = await function.invoke(payload, request_id)
            except Throttled:  # costs no attempt
                if time.monotonic() - began > ASYNC_MAX_AGE:
                    condition = "EventAgeExceeded"
                    break
                await asyncio.sleep(THROTTLE_BACKOFF)
                continue
            attempts += 1
            if answer.error is None:
                return
            if attempts <= retries:
                await asyncio.sleep(ASYNC_BACKOFF[min(attempts, len(ASYNC_BACKOFF)) - 1])
        note = {"type": "local.undelivered", "requestId": request_id, "condition": condition, "attempts": attempts}
        if answer is not None:
            note["error"] = answer.payload.decode("utf-8", "replace")[:2000]
        self._listener(name, json.dumps(note))
        if self._undelivered is not None:
            await self._undelivered(Undelivered(name, request_id, payload, answer, attempts, condition))

    async def warm(self, *names: str) -> None:
        await asyncio.gather(*(self._function(name).warm() for name in names))

    async def end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(function.end() for function in self.functions.values()))

    def _function(self, name: str) -> Function:
        if name not in self.functions:
            raise UnknownFunction(name)
        return self.functions[name]
