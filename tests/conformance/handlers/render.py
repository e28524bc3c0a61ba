"""Handlers that stand in for `render` and `settle` on the local Lambda; they use the standard library only."""

import json
import os
import time
from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    """Ends as the host of the job's URL says."""
    answer = {"version": 1, "id": event["id"], "generation": event["generation"]}
    match event["url"].split("/")[2]:
        case "done" | "unsettled":
            report = {
                "final_url": event["url"],
                "status": 200,
                "title": "",
                "pages": 1,
                "bytes": 8,
                "sha256": "",
                "phases": {},
                "network": {},
                "chromium": "",
                "cold": False,
            }
            return {**answer, "report": report, "etag": '"e"'}
        case "failed":
            return {**answer, "error": {"code": "connection_failed", "detail": "connection_failed"}}
        case "crash":
            os._exit(1)
        case "internal":
            raise KeyError("key")
        case _:
            return time.sleep(600)


def settle(event: dict[str, Any], context: Any) -> None:
    """Prints the record that it gets, and fails if the host of the job's URL says so."""
    print(json.dumps(event), flush=True)
    if event["requestPayload"]["url"].split("/")[2] == "unsettled":
        raise ValueError("unsettled")
