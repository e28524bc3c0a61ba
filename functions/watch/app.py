"""Lambda's entry: what waits on the broker, as lines of CloudWatch's embedded metric format."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from functools import cache
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.watch.age import Memory, oldest
from functions.watch.queues import kind, read_queues
from urlshot.logs import logger
from urlshot.s3 import s3_client
from urlshot.secrets import Credentials, read_credentials
from urlshot.settings import Settings

log = logger()
metrics = Metrics()


class WatchSettings(Settings):
    broker_console: str
    broker_watch_secret: str
    bucket: str


@cache
def bootstrap() -> tuple[WatchSettings, Credentials, Memory]:
    """Reads the settings and the secret, once a process."""
    settings = WatchSettings.read(os.environ)
    return settings, read_credentials(settings.broker_watch_secret), Memory(settings.bucket, s3_client())


@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Measures all queues of urlshot.

    Raises:
        Transient, Broken: broker or bucket do not answer or refuse. What was measured until then is published; the
            rest is missing, and an alarm looks for that.
    """
    settings, user, memory = bootstrap()
    try:
        queues = read_queues(settings.broker_console, user)
    except Exception:
        bootstrap.cache_clear()  # the password may have been changed
        raise
    by_kind = {name: [queue for queue in queues if kind(queue.name) == name] for name in ("work", "retry", "dead")}
    work = by_kind["work"]
    metrics.add_metric("pdf.queue.ready", MetricUnit.Count, sum(queue.ready for queue in work))
    metrics.add_metric("pdf.queue.unacked", MetricUnit.Count, sum(queue.unacked for queue in work))
    metrics.add_metric("pdf.queue.retrying", MetricUnit.Count, sum(queue.ready for queue in by_kind["retry"]))
    metrics.add_metric("pdf.queue.dead", MetricUnit.Count, sum(queue.ready for queue in by_kind["dead"]))
    log.info("queues: measured", extra={"queues": [asdict(queue) for queue in queues]})
    before = memory.read()
    ages = {queue.name: oldest(queue, before.get(queue.name), time.time()) for queue in work}
    metrics.add_metric("pdf.queue.age", MetricUnit.Seconds, max((age for age, _ in ages.values()), default=0.0))
    memory.write({name: history for name, (_, history) in ages.items()})
