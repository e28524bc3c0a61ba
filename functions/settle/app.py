"""Lambda's entry point of `settle`, the destination of `render` on success and on failure."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field

from functions.settle.invocation import read
from functions.settle.settle import DROPPED, Settled, Settler
from urlshot.adapters.broker import Publisher
from urlshot.adapters.bus import Bus
from urlshot.adapters.logs import error_fields, logger
from urlshot.adapters.s3 import s3_client
from urlshot.adapters.secrets import read_credentials
from urlshot.adapters.slots import Slots
from urlshot.adapters.store import Store
from urlshot.core.errors import Broken
from urlshot.core.lease import lease_seconds
from urlshot.core.messages import Delays
from urlshot.core.settings import Settings
from urlshot.lifecycle.announce import Announcer
from urlshot.lifecycle.parking import Parking

log = logger()
metrics = Metrics()


class SettleSettings(Settings):
    """Holds the settings of `settle`; `render_timeout` and `retry_delays` are in seconds."""

    bucket: str
    broker_url: str
    broker_secret: str
    bus: str
    render_timeout: int = Field(gt=0, le=600)
    max_attempts: int = Field(ge=1, le=10)
    retry_delays: Delays


@cache
def bootstrap() -> Settler:
    """Makes the settler once per process."""
    settings = SettleSettings.read(os.environ)
    s3 = s3_client()
    store = Store(settings.bucket, s3)
    publisher = Publisher(settings.broker_url, lambda: read_credentials(settings.broker_secret))
    lease = lease_seconds(settings.render_timeout)
    parking = Parking(publisher, settings.retry_delays, lease)
    announcer = Announcer(store, publisher, Bus(settings.bus), parking)
    slots = Slots(settings.bucket, s3, "slot", 0, timedelta(seconds=lease))
    return Settler(store, slots, announcer, parking, settings.max_attempts)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str]:
    """Settles one invocation of `render` and returns the outcome.

    Raises:
        Transient, Broken: storage, bus or broker does not answer. Lambda calls again, up to twice. After that the
            parked message of the job comes back, and `dispatch` continues from the record.
    """
    log.remove_keys(["job_id", "correlation_id"])  # of the last invocation
    try:
        invocation = read(event)
    except Broken as error:  # a repetition would fail in the same way
        log.exception("settle: not understood", extra=error_fields(error))
        metrics.add_metric("pdf.settle.dropped", MetricUnit.Count, 1)
        metrics.flush_metrics()
        return {"outcome": DROPPED}
    job = invocation.job
    log.append_keys(job_id=job.id, correlation_id=job.correlation_id)
    settled = bootstrap().settle(invocation)
    _measure(settled)
    log.info("render: settled", extra={"outcome": settled.outcome, "claim": job.claim})
    return {"outcome": settled.outcome}


def _measure(settled: Settled) -> None:
    dropped = settled.outcome == DROPPED
    metrics.add_metric("pdf.settle.dropped" if dropped else "pdf.settled", MetricUnit.Count, 1)
    if settled.age is not None:
        metrics.add_metric("pdf.settle.age", MetricUnit.Milliseconds, round(settled.age * 1000, 1))
    metrics.flush_metrics()


if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # Lambda's init phase has more CPU than an invocation
    bootstrap()
