"""Lambda's entry point of `metric`, the metric consumer of the talk; writes CloudWatch's embedded metric format."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from urlshot.adapters.logs import logger
from urlshot.core.events import Detail

log = logger()
metrics = Metrics()

PHASES = ("queue", "wait", "hand_over", "start", "navigate", "settle", "print", "check", "upload")
"""The phases of a report that become metrics; a closed list, because each new metric name costs money."""


@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Counts one event: the end of a job, or a repeated announcement of an older end as `pdf.asked.again`."""
    detail = Detail.model_validate(event["detail"])
    log.debug("event: received", extra={"event_id": event.get("id"), "event_key": detail.event_key})
    metrics.add_metadata("job_id", detail.id)
    if detail.cached:
        metrics.add_metric("pdf.asked.again", MetricUnit.Count, 1)
        return
    metrics.add_metric("pdf.generated.error" if detail.error else "pdf.generated.success", MetricUnit.Count, 1)
    metrics.add_metric("pdf.queue.time", MetricUnit.Seconds, detail.queue_seconds)
    metrics.add_metric("pdf.render.time", MetricUnit.Seconds, detail.render_seconds)
    if detail.error is not None:
        _count("pdf.error", "code", str(detail.error.get("code")))
    if detail.report is None:
        return
    _count("pdf.verdict", "verdict", detail.report.verdict)
    for phase in PHASES:
        if phase in detail.report.phases:
            metrics.add_metric(f"pdf.phase.{phase}", MetricUnit.Milliseconds, detail.report.phases[phase])
    if detail.report.gb_seconds:
        metrics.add_metric("pdf.gb_seconds", MetricUnit.NoUnit, detail.report.gb_seconds)


def _count(name: str, dimension: str, value: str) -> None:
    """Counts one under a dimension, in a separate line, because a dimension applies to all metrics of its line."""
    with single_metric(name, MetricUnit.Count, 1, namespace=metrics.namespace) as line:
        line.add_dimension(dimension, value)
