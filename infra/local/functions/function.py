"""One function as Lambda runs it: instances side by side up to a limit, replaced when they die, ended when idle.

Source: "Understanding Lambda function scaling" in the Lambda developer guide.
"""

import asyncio
from collections.abc import Callable

from infra.local.functions.instance import Answer, InitError, Instance, Launch

IDLE_SECONDS = 300.0


class Throttled(Exception):
    """As many instances as may run at once are busy."""


class Function:
    """The instances of one function.

    launch    how an instance is started
    limit     how many may run at once
    listener  takes the function's name and a line of its log
    """

    def __init__(self, launch: Launch, limit: int, listener: Callable[[str, str], None]) -> None:
        self.launch = launch
        self.limit = limit
        self.instances: list[Instance] = []
        self._idle: list[Instance] = []
        self._idle_ends: dict[str, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._listener = listener
        self._turn = asyncio.Lock()  # asyncio's locks are fair, so callers get instances in the order they came in
        self._freed = asyncio.Event()

    def take(self) -> Instance:
        """An idle instance, or a new one that `run` starts; it is the caller's until then. Errors: `Throttled`."""
        while self._idle:
            instance = self._idle.pop()  # the one used last: the others may cool down and end
            self._idle_ends.pop(instance.id).cancel()
            if instance.usable:
                return instance
            self._drop(instance)
        if len(self.instances) >= self.limit:
            raise Throttled(self.launch.function)
        instance = Instance(self.launch, lambda line: self._listener(self.launch.function, line))
        self.instances.append(instance)
        return instance

    async def take_in_turn(self) -> Instance:
        """Like `take`, but waits until an instance comes free, in order of arrival; the caller bounds the wait."""
        async with self._turn:
            while True:
                try:
                    return self.take()
                except Throttled:
                    self._freed.clear()
                    await self._freed.wait()

    async def run(self, instance: Instance, payload: bytes, request_id: str) -> Answer:
        """Runs the event on an instance that `take` gave. An error of the function is an answer.

        Errors: OSError when a new instance cannot be started.
        """
        try:
            await self._start(instance)
        except InitError as error:
            return error.answer(request_id)
        # A caller that goes away does not stop the function, as on Lambda.
        work = asyncio.ensure_future(instance.invoke(payload, request_id))
        work.add_done_callback(lambda _: self._give_back(instance))
        return await asyncio.shield(work)

    async def warm(self) -> None:
        """Has one instance initialised before the first event, as Lambda sometimes does of itself."""
        if self.instances or self.limit == 0:
            return
        instance = self.take()
        try:
            await self._start(instance)
        except InitError:
            return  # the first event meets the error again, and its sender gets it
        self._give_back(instance)

    async def end(self) -> None:
        for handle in self._idle_ends.values():
            handle.cancel()
        await asyncio.gather(*(instance.end() for instance in list(self.instances)))
        if self._ending:
            await asyncio.wait(self._ending, timeout=5)
        self.instances.clear()
        self._idle.clear()

    async def _start(self, instance: Instance) -> None:
        if instance.state != "starting":
            return
        try:
            await instance.start()
        except BaseException:
            self._drop(instance)
            raise

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
