"""What a person sees of the functions' logs: every line starts with the function's name."""

from __future__ import annotations

import io
import json

import pytest

from infra.local.console import Console

METRIC = {"_aws": {"CloudWatchMetrics": [{"Metrics": [{"Name": "pdf.queue.time"}]}]}, "pdf.queue.time": [2.5]}


def shown(function: str, line: str) -> list[str]:
    """The lines without the ten characters of the elapsed time."""
    stream = io.StringIO()
    Console(stream).log_line(function, line)
    return [text[10:] for text in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("no JSON", ["settle    no JSON"]),
        ("{no JSON", ["settle    {no JSON"]),
        ("  ", []),
        (json.dumps({"type": "platform.report", "record": {}}), []),
        (json.dumps({"level": "INFO", "message": "done", "job_id": "0123456789"}), ["settle    INFO    01234567 done"]),
        (json.dumps(METRIC), ["settle    METRIC           pdf.queue.time 2.5"]),
        (
            json.dumps({"type": "local.undelivered", "attempts": 1, "condition": "EventAgeExceeded"}),
            ["settle    gave up an event after 1 attempt: EventAgeExceeded"],
        ),
        (
            json.dumps({"level": "ERROR", "message": "failed", "exception": "Traceback:\n  line 1\nValueError"}),
            ["settle    ERROR            failed Traceback:", "settle      line 1", "settle    ValueError"],
        ),
    ],
)
def test_every_line_starts_with_the_name_of_its_function(line: str, expected: list[str]) -> None:
    assert shown("SettleFunction", line) == expected


def test_a_function_without_the_suffix_keeps_its_name() -> None:
    assert shown("Archive", "text") == ["archive   text"]
