"""Structured log lines: JSON, one object a line, with the id of the job wherever there is one."""

from __future__ import annotations

from aws_lambda_powertools import Logger

from urlshot.errors import UrlshotError


def logger() -> Logger:
    """The function's logger; its level and service come from powertools' variables."""
    return Logger(utc=True, use_rfc3339=True)


def error_fields(error: UrlshotError) -> dict[str, str]:
    """What a log line says of an error, our half of it included."""
    return {"error_code": error.code.name, "error_detail": error.detail, "error_internal": error.internal}
