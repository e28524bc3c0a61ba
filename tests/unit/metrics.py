"""Reads metrics in CloudWatch's embedded metric format, which functions print (CloudWatch user guide)."""

from __future__ import annotations

import json

Emitted = dict[tuple[object, ...], float]
"""Values by metric name and (dimension, value) pairs, without the dimension `service`, which all metrics have."""


def read_metrics(printed: str) -> Emitted:
    """Returns the metrics of the namespace `urlshot` in the lines that a function printed."""
    found: Emitted = {}
    for line in printed.splitlines():
        value = json.loads(line)
        for directive in value.get("_aws", {}).get("CloudWatchMetrics", []):
            assert directive["Namespace"] == "urlshot"
            [names] = directive["Dimensions"]
            dimensions = tuple((name, value[name]) for name in names if name != "service")
            for one in directive["Metrics"]:
                numbers = value[one["Name"]]
                [number] = numbers if isinstance(numbers, list) else [numbers]
                found[(one["Name"], *dimensions)] = number
    return found
