"""Runs the instances of one function as Lambda does: up to a limit, replaced when they die, ended when idle.

Source: "Understanding Lambda function scaling" in the Lambda developer guide.
"""

import asyncio
from collections.abc import Callable

from infra.local.functions.instance import Answer, InitError, Instance, Launch

IDLE_SECONDS = 300.0


class Throttled(Exception):
    """Reports that the maximum number of instances is busy."""


class Function:
    """Runs the instances of one function.

    Args:
        launch: How instances start.
        limit: The maximum number of instances.
        listener: Gets the function's name and a line of its log.
    """

    def __init__(self, launch: Launch, limit: int, listener: Callable[[str, str], None]) -> None:
        self.launch = launch
        self.limit = limit
        self.instances: list[Instance] = []
        self._idle: list[Instance] = []
        self._idle_ends: dict[str, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._listener = listener
        self._turn = asyncio.Lock()  # asyncio's locks are fair, so callers get instances in order of arrival
        self._freed = asyncio.Event()

    def take(self) -> Instance:
        """Returns an idle instance, or a new one that `run` will start. The caller must pass it to `run`.

        Raises:
            Throttled: All instances are busy.
        """
        while self._idle:
            instance = self._idle.pop()  # the last one used, so that the others can reach their idle limit
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
        """Does the same as `take`, but waits for an instance, in order of arrival. The caller limits the wait."""
        async with self._turn:
            while True:
                try:
                    return self.take()
                except Throttled:
                    self._freed.clear()
                    await self._freed.wait()

    async def run(self, instance: Instance, payload: bytes, request_id: str) -> Answer:
        """Runs an event on an instance from `take`. An error of the function is an answer, not an exception.

        Raises:
            OSError: A new instance cannot be started.
        """
        try:
            await self._start(instance)
        except InitError as error:
            return error.answer(request_id)
        # As on Lambda, the function continues if the caller goes away.
        work = asyncio.ensure_future(instance.invoke(payload, request_id))
        work.add_done_callback(lambda _: self._give_back(instance))
        return await asyncio.shield(work)

    async def warm(self) -> None:
        """Starts one instance before the first event, as Lambda sometimes does."""
        if self.instances or self.limit == 0:
            return
        instance = self.take()
        try:
            await self._start(instance)
        except InitError:
            return  # the first event will cause the same error, and its sender gets it
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
