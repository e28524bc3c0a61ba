"""Structured log lines: JSON, one object a line, with the id of the job wherever there is one."""

from __future__ import annotations

import logging
import os

from aws_lambda_powertools import Logger

from urlshot.errors import UrlshotError


def logger() -> Logger:
    """The function's logger; its level and service come from powertools' variables.

    Powertools prefers Lambda's own level (AWS_LAMBDA_LOG_LEVEL). The template never sets that above INFO, because
    Lambda counts lines without a level, such as metrics, as INFO. So the level is set here once more.

    Lambda's runtime sets the root logger to its own level. Here it stays at INFO or above, because botocore writes
    whole answers at DEBUG, secrets among them.
    """
    log = Logger(utc=True, use_rfc3339=True)
    level = logging.getLevelNamesMapping()[os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO").upper()]
    logging.getLogger(log.name).setLevel(level)
    root = logging.getLogger()
    root.setLevel(max(root.level, level, logging.INFO))
    return log


def error_fields(error: UrlshotError) -> dict[str, str]:
    """What a log line says of an error, our half of it included."""
    return {"error_code": error.code.name, "error_detail": error.detail, "error_internal": error.internal}
