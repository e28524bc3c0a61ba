"""All functions of the stack, invoked by name: synchronously, in turn, or as asynchronous events.

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
    """The functions.

    launches       how instances start, by the function's name
    reserved       how many instances may run at once, where it is not `default_limit`
    asynchronous   settings for asynchronous events, where they are not Lambda's defaults
    other_names    further names of functions, e.g. those that the template declares
    to_queue, listener, say   as `AsyncEvents` takes them
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
        """RequestResponse. Errors: `UnknownFunction`, `Throttled`, `TooLarge`; OSError when no instance starts."""
        function = self._function(name, payload)
        return await function.run(function.take(), payload, str(uuid.uuid4()))

    async def invoke_in_turn(self, name: str, payload: bytes) -> Answer:
        """Like `invoke`, but waits while all instances are busy; the caller bounds the wait."""
        function = self._function(name, payload)
        return await function.run(await function.take_in_turn(), payload, str(uuid.uuid4()))

    def invoke_async(self, name: str, payload: bytes) -> str:
        """Event: accepted now, handled later; the request id. Errors: `UnknownFunction`, `TooLarge`."""
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
