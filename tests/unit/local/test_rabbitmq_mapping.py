"""A mapping closes its batches as Lambda does."""

import asyncio

from infra.local.functions.lambdas import SYNC_LIMIT, Lambdas
from infra.local.sources.rabbitmq_mapping import Arrived, Poller
from infra.local.template.model import QueueMapping

MAPPING = QueueMapping("F", "broker", "q", "/", batch_size=4, window=0, secret="s")


class Filled:
    """A poller with messages that have arrived already. The sizes of the messages are in bytes."""

    def __init__(self, *sizes: int) -> None:
        lambdas = Lambdas({}, listener=lambda _name, _line: None, say=lambda _text: None)
        self._poller = Poller(MAPPING, "amqp://127.0.0.1:1", lambdas, lambda _text: None)
        self._arrived: asyncio.Queue[Arrived] = asyncio.Queue()
        self._held: Arrived | None = None
        for tag, size in enumerate(sizes):
            self.arrives(tag, size)

    def arrives(self, tag: int, size: int = 10) -> None:
        self._arrived.put_nowait(Arrived(tag, b"x" * size))

    async def batch(self) -> list[int]:
        """Returns the delivery tags of the next batch."""
        found, self._held = await asyncio.wait_for(self._poller._batch(self._arrived, self._held), 10)
        return [message.tag for message in found]


async def test_window_of_zero_takes_all_messages_that_have_arrived() -> None:
    assert await Filled(10, 10, 10).batch() == [0, 1, 2]


async def test_window_of_zero_does_not_wait_for_a_second_message() -> None:
    filled = Filled(10)
    assert await filled.batch() == [0]
    filled.arrives(1)
    assert await filled.batch() == [1]


async def test_batch_holds_no_more_messages_than_its_size() -> None:
    filled = Filled(*[10] * 6)
    assert [await filled.batch(), await filled.batch()] == [[0, 1, 2, 3], [4, 5]]


async def test_message_that_does_not_fit_begins_the_next_batch() -> None:
    filled = Filled(10, SYNC_LIMIT // 2, SYNC_LIMIT // 2, 10)
    assert [await filled.batch(), await filled.batch()] == [[0, 1], [2, 3]]
