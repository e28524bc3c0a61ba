"""Invokes the functions of the stack by name: synchronously, after waiting for an instance, or asynchronously.

Source: "Invoke" in the Lambda API reference and "Lambda quotas" in the Lambda developer guide.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping

from infra.local.functions.async_events import AsyncEvents, NotDelivered, TooLarge, UnknownFunction
from infra.local.functions.function import Function
from infra.local.functions.instance import Answer, Launch
from infra.local.template.model import Asynchronous

SYNC_LIMIT = 6 * 1024 * 1024  # bytes of a synchronous request


async def no_queue(arn: str, _text: str) -> None:
    """Refuses every record, for a stack without SQS queues."""
    raise NotDelivered(f"there is no queue {arn}")


class Lambdas:
    """Runs all functions of the stack.

    Args:
        launches: How instances start, by the function's name.
        reserved: The maximum number of instances of functions with a reserved concurrency.
        asynchronous: The settings for asynchronous events that are not Lambda's defaults.
        other_names: Function names by other names, such as those that the template declares.
        default_limit: The maximum number of instances of all other functions.
        to_queue: See `AsyncEvents`.
        listener: See `AsyncEvents`.
        say: See `AsyncEvents`.
    """

    def __init__(
        self,
        launches: Mapping[str, Launch],
        *,
        reserved: Mapping[str, int] | None = None,
        asynchronous: Mapping[str, Asynchronous] | None = None,
        other_names: Mapping[str, str] | None = None,
        default_limit: int = 10,
        to_queue: Callable[[str, str], Awaitable[None]] = no_queue,
        listener: Callable[[str, str], None],
        say: Callable[[str], None],
    ) -> None:
        limits = reserved or {}
        self.functions = {
            name: Function(launch, limits.get(name, default_limit), listener) for name, launch in launches.items()
        }
        self._other_names = other_names or {}
        self._events = AsyncEvents(self.functions, asynchronous or {}, to_queue=to_queue, listener=listener, say=say)

    async def invoke(self, name: str, payload: bytes) -> Answer:
        """Invokes a function synchronously (RequestResponse).

        Raises:
            UnknownFunction: No function has this name.
            Throttled: All instances are busy.
            TooLarge: The payload exceeds the limit.
            OSError: An instance cannot be started.
        """
        function = self._function(name, payload)
        return await function.run(function.take(), payload, str(uuid.uuid4()))

    async def invoke_in_turn(self, name: str, payload: bytes) -> Answer:
        """Does the same as `invoke`, but waits while all instances are busy. The caller limits the wait."""
        function = self._function(name, payload)
        return await function.run(await function.take_in_turn(), payload, str(uuid.uuid4()))

    def invoke_async(self, name: str, payload: bytes) -> str:
        """Accepts an asynchronous event (Event) and returns the id of the request.

        Raises:
            UnknownFunction: No function has this name.
            TooLarge: The payload exceeds the limit.
        """
        return self._events.accept(self._other_names.get(name, name), payload)

    async def warm(self, *names: str) -> None:
        await asyncio.gather(*(self.functions[name].warm() for name in names))

    async def end(self) -> None:
        await self._events.end()
        await asyncio.gather(*(function.end() for function in self.functions.values()))

    def _function(self, name: str, payload: bytes) -> Function:
        function = self.functions.get(self._other_names.get(name, name))
        if function is None:
            raise UnknownFunction(name)
        if len(payload) > SYNC_LIMIT:
            raise TooLarge(f"Request must be smaller than {SYNC_LIMIT} bytes for the InvokeFunction operation")
        return function
