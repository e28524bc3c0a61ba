"""Lambda's entry: the talk's metric consumer, as lines of CloudWatch's embedded metric format."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from urlshot.events import Detail

metrics = Metrics()


@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Counts the job's end. An event that only repeats what had ended before is counted apart."""
    detail = Detail.model_validate(event["detail"])
    metrics.add_metadata("job_id", detail.id)
    if detail.cached:
        metrics.add_metric("pdf.asked.again", MetricUnit.Count, 1)
        return
    metrics.add_metric("pdf.generated.error" if detail.error else "pdf.generated.success", MetricUnit.Count, 1)
    metrics.add_metric("pdf.queue.time", MetricUnit.Seconds, detail.queue_seconds)
    metrics.add_metric("pdf.render.time", MetricUnit.Seconds, detail.render_seconds)
