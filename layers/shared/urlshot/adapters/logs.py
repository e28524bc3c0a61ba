"""Makes loggers for structured log lines: one JSON object a line, with the job's id if there is one."""

from __future__ import annotations

import json
import logging
import os
from functools import partial

from aws_lambda_powertools import Logger

from urlshot.core.errors import UrlshotError


def logger() -> Logger:
    """Returns the function's logger; its level and service come from powertools' environment variables.

    Powertools prefers Lambda's level (AWS_LAMBDA_LOG_LEVEL). The template never sets that above INFO, because Lambda
    treats lines without a level, such as metrics, as INFO. So this function sets the level again.

    Lambda's runtime sets the root logger to Lambda's level. This function keeps it at INFO or above, because botocore
    logs whole answers at DEBUG, including secrets.

    Lines are ASCII, with all other characters escaped: strangers' text can neither break a line nor change how a
    terminal shows it, and a text that is no Unicode does not keep its line from being written.
    """
    log = Logger(utc=True, use_rfc3339=True, json_serializer=partial(json.dumps, default=str, separators=(",", ":")))
    level = logging.getLevelNamesMapping()[os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO").upper()]
    logging.getLogger(log.name).setLevel(level)
    root = logging.getLogger()
    root.setLevel(max(root.level, level, logging.INFO))
    return log


def error_fields(error: UrlshotError) -> dict[str, str]:
    """Returns the fields of a log line about an error, including its internal text."""
    return {"error_code": error.code.name, "error_detail": error.detail, "error_internal": error.internal}
