"""Samples memory, open files, connections and channels of a running stack, and finds those that grow."""

from __future__ import annotations

import json
import os
import statistics
import urllib.request
from base64 import b64encode
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.bench.local import LocalStack
from tests.bench.usage import kinds, memory

SHARE = 0.10
"""How much the median of the last third of the samples may exceed that of the third before it."""
SLACK = {
    "MB": 8.0, "files": 5.0, "processes": 2.0, "instances": 3.0, "connections": 3.0, "channels": 3.0, "queues": 1.0,
}  # fmt: skip
"""What is allowed besides: the samples of a few processes vary by so much."""
STORES = ("aws MB",)
"""The AWS stand-in keeps the bucket in memory, so its memory grows by what is stored."""


def sample(stack: LocalStack) -> dict[str, float]:
    """Returns one sample by name: the instances of each function, and memory, files and processes of one instance.

    The names end with the unit, such as `api MB`. Those of the broker's own counts are `connections`, `channels` and
    `queues`. The number of instances depends on how many requests come at the same time, so it is counted by itself.
    """
    instances = Counter(str(one["function"]).removesuffix("Function").lower() for one in stack.instances())
    found: dict[str, float] = {f"{kind} instances": float(count) for kind, count in instances.items()}
    files: Counter[str] = Counter()
    for pid, kind in kinds(stack).items():
        with suppress(OSError):
            files[kind] += len(os.listdir(f"/proc/{pid}/fd"))
    for kind, (count, megabytes) in memory(stack).items():
        if kind != "other":  # programs that run for a moment
            each = instances[kind] or 1
            found |= {f"{kind} MB": megabytes / each, f"{kind} files": files[kind] / each}
            found[f"{kind} processes"] = count / each
    return found | _broker(stack)


def _broker(stack: LocalStack) -> dict[str, float]:
    address = urlsplit(stack.ready["amqp_url"])
    login = b64encode(f"{address.username}:{address.password}".encode()).decode()
    request = urllib.request.Request(
        f"{stack.ready['management_url']}/api/overview", headers={"Authorization": f"Basic {login}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        totals = json.load(answer)["object_totals"]
    return {name: float(totals[name]) for name in ("connections", "channels", "queues")}


@dataclass(frozen=True)
class Growth:
    """The medians of the last two thirds of a run; `grew` if the last one is too large."""

    name: str
    before: float
    after: float

    @property
    def grew(self) -> bool:
        allowed = self.before * (1 + SHARE) + SLACK[self.name.rpartition(" ")[2]]
        return self.name not in STORES and self.after > allowed


def growths(samples: list[dict[str, float]]) -> list[Growth]:
    """Compares the last third of the samples with the third before it; the first third is the start-up.

    Raises:
        ValueError: There are fewer than nine samples.
    """
    if len(samples) < 9:
        raise ValueError(f"{len(samples)} samples do not show whether anything grows")
    third = len(samples) // 3
    earlier, later = samples[-2 * third : -third], samples[-third:]
    return [
        Growth(name, _median(earlier, name), _median(later, name))
        for name in sorted({key for one in later for key in one})
    ]


def _median(samples: list[dict[str, float]], name: str) -> float:
    """Returns the median; a kind of process that is not there counts as 0."""
    return statistics.median(one.get(name, 0.0) for one in samples)
