"""Prints progress with the elapsed time, and the logs of the functions as readable lines."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

_COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "31;1"}


class Console:
    """Prints lines with the seconds since the start. It uses colours on a terminal only."""

    def __init__(self, stream: TextIO = sys.stderr, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._began = time.monotonic()
        self._colours = stream.isatty()

    @property
    def elapsed(self) -> float:
        """Seconds since this object was created."""
        return time.monotonic() - self._began

    def say(self, text: str, colour: str = "") -> None:
        """Prints a message with the elapsed time; further lines are indented."""
        if not self._quiet:
            first, *rest = text.split("\n")
            print(f"{self.paint(f'{self.elapsed:6.1f} s', '2')}  {self.paint(first, colour)}", file=self._stream)
            for line in rest:
                print(f"{'':10}{line}", file=self._stream)
            self._stream.flush()

    def paint(self, text: str, colour: str) -> str:
        """Returns the text in a colour (an ANSI code such as "31;1") if the output is a terminal."""
        return f"\x1b[{colour}m{text}\x1b[0m" if colour and self._colours else text

    def of_function(self, function: str, text: str, colour: str = "") -> None:
        """Prints a message about a function, with the function's name in every line."""
        self.say("\n".join(f"{label(function)} {line}" for line in text.split("\n")), colour)

    def log_line(self, function: str, line: str) -> None:
        """Prints a function's log line as level, job id and message. A line that is not JSON is printed unchanged."""
        record = _json(line)
        if record is None:
            if line.strip():
                self.of_function(function, line)
            return
        if record.get("type") == "platform.report":
            return
        if "_aws" in record:
            self.of_function(function, f"{'METRIC':7} {str(record.get('job_id') or '')[:8]:8} {_metrics(record)}")
            return
        if record.get("type") == "local.undelivered":
            attempts = "1 attempt" if record["attempts"] == 1 else f"{record['attempts']} attempts"
            reason = record.get("error") or record["condition"]
            self.of_function(function, f"gave up an event after {attempts}: {reason}", "31")
            return
        level = str(record.get("level", "INFO"))
        text = record.get("message", record.get("errorMessage", ""))
        if isinstance(text, dict | list):
            text = json.dumps(text)
        job = str(record.get("job_id") or "")[:8]
        error = f" {record['exception']}" if record.get("exception") else ""
        self.of_function(function, f"{self.paint(f'{level:7}', _COLOURS.get(level, ''))} {job:8} {text}{error}")


def label(function: str) -> str:
    """Returns the label of a function's lines, padded to a fixed width: "render" for "RenderFunction"."""
    return f"{function.removesuffix('Function').lower():9}"


class LogFiles:
    """Writes each function's lines to logs/<Function>.log, and passes them to the listeners."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, TextIO] = {}
        self.listeners: list[Callable[[str, str], None]] = []

    def write(self, name: str, line: str) -> None:
        if name not in self._files:
            self._files[name] = (self._folder / f"{name}.log").open("a", encoding="utf-8", buffering=1)
        self._files[name].write(line + "\n")
        for listener in self.listeners:
            listener(name, line)

    def only_file(self, name: str) -> Callable[[str], None]:
        """Returns a function that writes the lines of a process to its file, and not to the listeners."""

        def write(line: str) -> None:
            if name not in self._files:
                self._files[name] = (self._folder / f"{name}.log").open("a", encoding="utf-8", buffering=1)
            self._files[name].write(line + "\n")

        return write

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()


def _metrics(record: dict[str, Any]) -> str:
    """Formats the metrics of a line in CloudWatch's embedded metric format, such as `pdf.generated.success 1`."""
    names = [one["Name"] for group in record["_aws"]["CloudWatchMetrics"] for one in group["Metrics"]]
    values = {name: record.get(name) for name in names}
    return ", ".join(f"{name} {value[0] if isinstance(value, list) else value:g}" for name, value in values.items())


def _json(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
