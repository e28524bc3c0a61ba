"""Lambda's entry point of `log`, the log consumer of the talk."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from urlshot.adapters.logs import logger
from urlshot.core.events import Detail

log = logger()


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Writes the line about one event; a repeated event writes it again with the same `event_key`."""
    detail = Detail.model_validate(event["detail"])
    log.debug("event: received", extra={"event_id": event.get("id"), "event_key": detail.event_key})
    fields: dict[str, Any] = {
        "job_id": detail.id,
        "url": detail.url,
        "event_key": detail.event_key,
        "attempts": detail.attempts,
        "cached": detail.cached,
        "audience": detail.audience,
        "queue_seconds": detail.queue_seconds,
        "render_seconds": detail.render_seconds,
    }
    if detail.error is not None:
        fields |= {"error_code": detail.error.get("code"), "error_detail": detail.error.get("detail")}
        log.error(f"ERROR - The PDF has not been generated - {detail.id} - {detail.url}", extra=fields)
        return
    if detail.report is not None:
        fields |= {"pages": detail.report.pages, "bytes": detail.report.bytes}
    log.info(f"OK - The PDF has been generated - {detail.id} - {detail.url}", extra=fields)
