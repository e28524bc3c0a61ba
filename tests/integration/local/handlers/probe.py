"""Handlers that do what their event says, to test the local Lambda; they use the standard library only."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    match event.get("do", "echo"):
        case "echo":
            return {"event": event, "pid": os.getpid(), "remaining_ms": context.get_remaining_time_in_millis()}
        case "environment":
            return {"environment": dict(os.environ), "path": sys.path, "cwd": os.getcwd()}
        case "sleep":
            print("going to sleep")
            time.sleep(event["seconds"])
            return {"pid": os.getpid()}
        case "child":  # a detached child with its own child, like a browser
            sleep = "import time; time.sleep(600)"
            script = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleep!r}]); {sleep}"
            child = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
            Path(event["pids"]).write_text(str(child.pid), "utf-8")
            if "seconds" in event:
                time.sleep(event["seconds"])
            if event.get("crash"):
                os._exit(7)
            return {"pid": os.getpid(), "child": child.pid}
        case "priority":
            return os.getpriority(os.PRIO_PROCESS, 0)
        case "crash":
            os._exit(event.get("code", 1))
        case "exit":
            sys.exit(event["code"])
        case "kill":
            os.kill(os.getpid(), event["signal"])
            return time.sleep(60)
        case "hold":  # returns when the pipe has no writer any more
            print(json.dumps({"holds": event["pipe"]}), flush=True)
            Path(event["pipe"]).read_bytes()
            return {"pid": os.getpid()}
        case "big":
            return "x" * event["bytes"]
        case "fail":
            raise ValueError("as told")
        case "count":  # fails for the first `failures` calls, counted in a file that outlives the instance
            file = Path(event["file"])
            count = int(file.read_text("utf-8") or 0) + 1 if file.exists() else 1
            file.write_text(str(count), "utf-8")
            if count <= event["failures"]:
                raise ValueError(f"failure {count}")
            return {"count": count}
        case other:
            raise ValueError(other)


def destination(event: dict[str, Any], context: Any) -> Any:
    """Prints the record that it gets, and fails if the original event says so in `then`."""
    print(json.dumps(event), flush=True)
    payload = event["requestPayload"]
    return handler({**payload["then"], "do": "count"}, context) if "then" in payload else "settled"


def detail(event: dict[str, Any], context: Any) -> Any:
    """Does what the detail of an EventBridge event says."""
    return handler(event["detail"], context)


def custom(event: dict[str, Any], context: Any) -> None:
    """Answers a custom resource's request with the resource's property `Answer`."""
    properties = event["ResourceProperties"]
    if properties["N"] != "1":
        raise ValueError(properties)
    body = json.dumps(properties["Answer"]).encode()
    request = urllib.request.Request(event["ResponseURL"], data=body, method="PUT")
    urllib.request.urlopen(request, timeout=10).close()


def proxy(event: dict[str, Any], context: Any) -> Any:
    """Answers an API's request with the answer in its body."""
    return json.loads(event["body"])
