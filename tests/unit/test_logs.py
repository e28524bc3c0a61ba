"""`LogLevel` works in processes with the environment and the logging setup that Lambda gives a function."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.deployment.whole import deployment
from tests.unit.stacks import EVERYTHING, PROJECT, stack, variables

LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"]
ENDED = """
import json, logging, os, sys
if "AWS_LAMBDA_LOG_LEVEL" in os.environ:
    logging.getLogger().setLevel(os.environ["AWS_LAMBDA_LOG_LEVEL"])  # as Lambda's runtime does
    logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))
from functions.log.app import handler
from functions.metric import app
for name in ("log", "metric"):  # a PDF that was made, and one that was not
    with open(f"tests/events/{name}.json") as file:
        event = json.load(file)
    handler(event, None)
    app.handler(event, None)
"""


def environment(level: str) -> dict[str, str]:
    """What a function of a stack of this level finds in its environment."""
    function = stack(LogLevel=level).functions["LogFunction"]
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "PYTHONPATH": os.pathsep.join(sys.path),
        "POWERTOOLS_METRICS_NAMESPACE": "urlshot",
        "POWERTOOLS_SERVICE_NAME": "urlshot",
        "POWERTOOLS_LOG_LEVEL": variables(function)["POWERTOOLS_LOG_LEVEL"],
        "AWS_LAMBDA_LOG_LEVEL": function.require("LoggingConfig")["ApplicationLogLevel"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
    }


def run(level: str, code: str) -> str:
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    given = environment(level)
    done = subprocess.run(command, cwd=PROJECT, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("level", LEVELS)
def test_function_writes_lines_of_its_level_and_above(level: str) -> None:
    written = lines(run(level, ENDED))
    found = {line["level"] for line in written if "level" in line}
    assert found == {"DEBUG", "INFO", "ERROR"} & set(LEVELS[LEVELS.index(level) :])
    metrics = {name for line in written if "_aws" in line for name in line}
    assert {"pdf.generated.success", "pdf.generated.error"} <= metrics  # alarms do not depend on the level


@pytest.mark.parametrize("level", LEVELS)
def test_lambda_filters_no_line_of_any_function(level: str) -> None:
    """Lambda's own filter lets through what the function writes, and lines without a level, which count as INFO."""
    for function in deployment({**EVERYTHING, "LogLevel": level}).functions.values():
        logging = function.require("LoggingConfig")
        assert (logging["LogFormat"], logging["ApplicationLogLevel"]) == (
            "JSON",
            "DEBUG" if level == "DEBUG" else "INFO",
        )
        assert function.require("Environment")["Variables"]["POWERTOOLS_LOG_LEVEL"] == level


HOSTILE = [
    'a\r\n{"level": "ERROR"}',
    "\u2028\u2029\x85\x0b\x0c",
    "\x1b[31m\x00",
    "\u202e",
    "${jndi:ldap://x}",
    "\ud800",
]
STRANGERS = f"""
import json, logging, sys
logging.getLogger().setLevel("DEBUG")
logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))
from functions.log.app import handler
from urlshot.adapters.logs import logger
for text in {HOSTILE!r}:
    for name in ("log", "metric"):
        with open(f"tests/events/{{name}}.json") as file:
            event = json.load(file)
        event["detail"]["url"] = "https://example.com/" + text
        if event["detail"]["error"]:
            event["detail"]["error"]["detail"] = text
        handler(event, None)
    logger().info("message: refused", extra={{"correlation_id": text, "reason": text}})
"""


def test_strangers_text_adds_no_line_to_the_log() -> None:
    """A line break in a URL, an error or an AMQP client's correlation id would look like a line of the function."""
    text = run("DEBUG", STRANGERS)
    assert text.isascii()
    found = [json.loads(line) for line in text.splitlines()]  # a line that a text broke in two is no JSON
    ends = [line for line in found if "The PDF has" in line["message"]]
    assert [line["url"].removeprefix("https://example.com/") for line in ends] == [one for one in HOSTILE for _ in "12"]
    assert [line["reason"] for line in found if line["message"] == "message: refused"] == HOSTILE
    assert {line["level"] for line in found} == {"DEBUG", "INFO", "ERROR"}


CALLS = """
import logging, sys
logging.getLogger().setLevel("DEBUG")
logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))
from moto import mock_aws
from urlshot.adapters.aws import client
with mock_aws():
    secrets = client("secretsmanager")
    secrets.create_secret(Name="a", SecretString="hidden-value")
    assert secrets.get_secret_value(SecretId="a")["SecretString"] == "hidden-value"
    try:
        secrets.get_secret_value(SecretId="b")
    except secrets.exceptions.ResourceNotFoundException:
        pass
print(logging.getLogger("botocore").isEnabledFor(logging.DEBUG))
"""


def test_debug_lines_name_calls_and_hold_no_secret() -> None:
    text = run("DEBUG", CALLS)
    called = [line for line in lines(text) if line["message"] == "aws: called"]
    assert [(one["operation"], one["status"] == 200) for one in called] == [
        ("CreateSecret", True), ("GetSecretValue", True), ("GetSecretValue", False)
    ]  # fmt: skip
    assert all(one["service"] == "secretsmanager" and one["milliseconds"] >= 0 for one in called)
    assert "hidden-value" not in text
    assert text.splitlines()[-1] == "False"
