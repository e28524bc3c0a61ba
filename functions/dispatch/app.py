"""Lambda's entry: takes a batch, handles its messages side by side, and answers for each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field

from functions.dispatch.batch import Delivery, deliveries
from functions.dispatch.renderer import Renderer, lambda_client
from functions.dispatch.work import Policy, Worker
from urlshot.accept import Door
from urlshot.broker import Publisher
from urlshot.bus import Bus
from urlshot.errors import Broken, UrlshotError
from urlshot.logs import error_fields, logger
from urlshot.messages import MAX_SHARDS, Delays
from urlshot.secrets import read_credentials
from urlshot.settings import EgressSettings
from urlshot.store import Store, s3_client

log = logger()


class DispatchSettings(EgressSettings):
    bucket: str
    broker_url: str
    broker_secret: str
    shards: int = Field(ge=1, le=MAX_SHARDS)
    bus: str
    render_function: str
    render_timeout: float = Field(gt=0, le=600)
    batch_size: int = Field(ge=1, le=50)
    max_attempts: int = Field(ge=1, le=10)
    max_age: int = Field(ge=1)
    retry_delays: Delays


@cache
def bootstrap() -> tuple[Worker, ThreadPoolExecutor]:
    """Makes the worker and its threads, once a process."""
    settings = DispatchSettings.read(os.environ)
    store = Store(settings.bucket, s3_client(pool=settings.batch_size))
    publisher = Publisher(settings.broker_url, lambda: read_credentials(settings.broker_secret))
    worker = Worker(
        store=store,
        publisher=publisher,
        door=Door(store, publisher, settings.shards),
        bus=Bus(settings.bus),
        renderer=Renderer(settings.render_function, lambda_client(settings.render_timeout, settings.batch_size)),
        policy=Policy(
            egress=settings.egress,
            max_age=settings.max_age,
            max_attempts=settings.max_attempts,
            delays=settings.retry_delays,
            render_timeout=settings.render_timeout,
        ),
    )
    return worker, ThreadPoolExecutor(max_workers=settings.batch_size)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Handles one batch and returns how many messages came to which end.

    A message that was delivered before is handled alone, after the fresh ones: if it is what brought the last batch
    down, it shall not take its neighbours along again.

    Raises:
        Broken: some messages may not be acknowledged, because storage, bus or broker would not take what has to be
            written first. Lambda then returns the whole batch to the queue; those that ended are found by their
            records.
    """
    worker, threads = bootstrap()
    batch = deliveries(event)
    ends: Counter[str] = Counter()
    ends.update(threads.map(partial(_settled, worker.handle), [one for one in batch if not one.redelivered]))
    for one in (one for one in batch if one.redelivered):
        in_time = context.get_remaining_time_in_millis() / 1000 > worker.policy.lease.total_seconds()
        ends[_settled(worker.handle if in_time else worker.postpone, one)] += 1
    log.info("batch: handled", extra={"messages": len(batch), "ends": dict(ends)})
    if ends["left"]:
        raise Broken(f"{ends['left']} of {len(batch)} messages have to come again")
    return dict(ends)


def _settled(handle: Callable[[Delivery], str], delivery: Delivery) -> str:
    """What became of one message; whatever goes wrong with it is its own affair, and not its neighbours'."""
    log.thread_safe_append_keys(correlation_id=delivery.correlation_id)
    try:
        return handle(delivery)
    except UrlshotError as error:
        log.exception("message: left in the queue", extra=error_fields(error))
    except Exception:
        log.exception("message: left in the queue")
    finally:
        log.thread_safe_clear_keys()
    return "left"


if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # in Lambda's init phase, which has more CPU than a request
    bootstrap()
