"""Lambda's entry point of `watch`: measures queues and slots, and writes CloudWatch's embedded metric format."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field

from functions.watch.age import Memory, oldest
from functions.watch.queues import kind, read_queues
from urlshot.adapters.logs import logger
from urlshot.adapters.s3 import s3_client
from urlshot.adapters.secrets import Credentials, read_credentials
from urlshot.adapters.slots import Slots
from urlshot.core.lease import lease_seconds
from urlshot.core.messages import QUEUE, QUEUE_BULK
from urlshot.core.settings import Settings

AGES = {QUEUE: "pdf.queue.age", QUEUE_BULK: "pdf.queue.bulk.age"}
"""The names of the metrics for the age of the oldest message, by work queue."""

log = logger()
metrics = Metrics()


class WatchSettings(Settings):
    """Holds the settings of `watch`; `render_timeout` is in seconds."""

    broker_console: str
    broker_watch_secret: str
    bucket: str
    renders: int = Field(ge=1, le=1000)
    render_timeout: int = Field(gt=0, le=600)

    @property
    def lease(self) -> int:
        """Returns the length of a claim's lease in seconds."""
        return lease_seconds(self.render_timeout)


@dataclass(frozen=True)
class Dependencies:
    """Holds what each measurement needs."""

    settings: WatchSettings
    user: Credentials
    memory: Memory
    slots: Slots


@cache
def bootstrap() -> Dependencies:
    """Reads the settings and the secret once per process."""
    settings = WatchSettings.read(os.environ)
    s3 = s3_client()
    slots = Slots(settings.bucket, s3, "slot", settings.renders, timedelta(seconds=settings.lease))
    return Dependencies(settings, read_credentials(settings.broker_watch_secret), Memory(settings.bucket, s3), slots)


@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Measures the slots, and then all queues of urlshot.

    Raises:
        Transient, Broken: the broker or the bucket does not answer or refuses. The metrics that were measured until
            then are published, and an alarm reports the missing ones.
    """
    deps = bootstrap()
    _measure_slots(deps.slots)
    try:
        _measure_queues(deps)
    except Exception:
        bootstrap.cache_clear()  # the password may have changed, so the next run reads it again
        raise


def _measure_slots(slots: Slots) -> None:
    metrics.add_metric("pdf.slots", MetricUnit.Count, slots.count)
    metrics.add_metric("pdf.slots.used", MetricUnit.Count, slots.count - len(slots.list_free()))


def _measure_queues(deps: Dependencies) -> None:
    queues = read_queues(deps.settings.broker_console, deps.user)
    log.info("queues: measured", extra={"queues": [asdict(queue) for queue in queues]})
    by_kind = {
        name: [queue for queue in queues if kind(queue.name, deps.settings.lease) == name]
        for name in ("work", "returned", "retry", "parked", "dead")
    }
    to_dispatch = by_kind["work"] + by_kind["returned"]
    metrics.add_metric("pdf.queue.ready", MetricUnit.Count, sum(queue.ready for queue in to_dispatch))
    metrics.add_metric("pdf.queue.unacked", MetricUnit.Count, sum(queue.unacked for queue in to_dispatch))
    metrics.add_metric("pdf.queue.retrying", MetricUnit.Count, sum(queue.ready for queue in by_kind["retry"]))
    metrics.add_metric("pdf.queue.parked", MetricUnit.Count, sum(queue.ready for queue in by_kind["parked"]))
    metrics.add_metric("pdf.queue.dead", MetricUnit.Count, sum(queue.ready for queue in by_kind["dead"]))
    before = deps.memory.read()
    ages = {queue.name: oldest(queue, before.get(queue.name), time.time()) for queue in by_kind["work"]}
    for name, (age, _) in ages.items():
        metrics.add_metric(AGES[name], MetricUnit.Seconds, age)
    deps.memory.write({name: history for name, (_, history) in ages.items()})
