"""Records what was promised and what happened, and checks whether the two agree.

The books see every write of a record that S3 accepted, every event of the bus, every end on the exchange and every
callback. A life is one generation of one job.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.faults.effects import CLOCKS, Post
from tests.faults.project import LEASE
from tests.simulation.books import Violation

ENDS = ("done", "failed")
RENEWED = {"answers_until"}
"""The time of the announcement, which is another one when an end is announced again."""


@dataclass
class Life:
    id: str
    generation: str
    state: str = ""
    attempt: int = 0
    ends: set[tuple[str, str]] = field(default_factory=set)
    """The state, and the hash of the report or the code of the error."""
    accepted: bool = False
    """Whether it was seen as queued or running."""
    announced: bool = False
    refused: bool = False
    """Whether its request got an error at once, so that its end is not announced."""
    written: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.generation} of {self.id[:8]}"


@dataclass(frozen=True)
class Promise:
    """A request with 202, or a confirmed message: an event must come after `at`, in seconds since the epoch."""

    at: float
    what: str
    id: str = ""
    url: str = ""
    """For jobs whose id is not known, such as private messages."""


class Books:
    """Thread-safe records of a run."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lives: dict[tuple[str, str], Life] = {}
        self.promises: list[Promise] = []
        self.bad: set[str] = set()
        """The correlation ids of confirmed messages that must be refused."""
        self.events: dict[str, list[tuple[float, dict[str, Any]]]] = defaultdict(list)
        """When each event was put on the bus, and its detail, by event_key."""
        self.completions: Counter[str] = Counter()
        """The ends on the exchange, by event_key."""
        self.refusals: Counter[str] = Counter()
        """The refusals on the exchange, by correlation id."""
        self.posts: list[Post] = []
        self.subscribed: set[str] = set()
        """The paths of the callbacks of accepted requests."""
        self.answers: Counter[str] = Counter()
        self._newest: dict[str, str] = {}
        """The newest generation of each job."""

    # ---- while it happens --------------------------------------------------------------------------------------------

    def record_written(self, record: dict[str, Any]) -> None:
        """Notes a record that S3 has stored."""
        with self.lock:
            name = (record["id"], record["generation"])
            if name not in self.lives:
                self.lives[name] = Life(*name)
                self._newest[record["id"]] = record["generation"]
            life = self.lives[name]
            life.state, life.attempt, life.written = record["state"], record["attempt"], time.time()
            life.accepted |= record["state"] in ("queued", "running")
            if record["state"] in ENDS:
                error = record.get("error") or {}
                sha256 = (record.get("report") or {}).get("sha256")
                life.ends.add((record["state"], sha256 if record["state"] == "done" else error.get("code", "")))
                life.refused = error.get("code") == "queue_unavailable"
                life.announced |= bool(record["announced"])

    def promise(self, promise: Promise) -> None:
        with self.lock:
            self.promises.append(promise)

    def event(self, sent: float, detail: dict[str, Any]) -> None:
        """Notes an event of the bus; `sent` is in seconds since the epoch."""
        with self.lock:
            self.events[detail["event_key"]].append((sent, detail))

    def completion(self, event: dict[str, Any], correlation_id: str) -> None:
        """Notes a message on `shot_direct.completed` or `shot_direct.failed`."""
        with self.lock:
            if event.get("id") is None:
                self.refusals[correlation_id] += 1
            else:
                self.completions[event["event_key"]] += 1

    # ---- at the end --------------------------------------------------------------------------------------------------

    def unfinished(self) -> list[str]:
        """Returns what has not ended yet; empty if all promises are kept."""
        with self.lock:
            found = [f"{life.name} is {life.state}" for life in self.lives.values() if self._open(life)]
            found += [f"no event for {promise.what}" for promise in self._unkept()]
            found += [f"{one} was not refused" for one in self.bad if not self.refusals[one]]
            return found

    def _open(self, life: Life) -> bool:
        return life.accepted and not life.refused and not (life.ends and life.announced) and not self._replaced(life)

    def open_jobs(self) -> int:
        """Returns how many accepted jobs have not ended yet."""
        with self.lock:
            return sum(self._open(life) and not life.ends for life in self.lives.values())

    def _replaced(self, life: Life) -> bool:
        """Whether a request took the job over before it ended; the event of the newer generation answers everyone."""
        return not life.ends and self._newest[life.id] != life.generation

    def _unkept(self) -> list[Promise]:
        by_id: dict[str, float] = defaultdict(float)
        by_url: dict[str, float] = defaultdict(float)
        for found in self.events.values():
            for sent, detail in found:
                by_id[detail["id"]] = max(by_id[detail["id"]], sent)
                by_url[detail["url"]] = max(by_url[detail["url"]], sent)
        return [
            one
            for one in self.promises
            if (by_id[one.id] if one.id else by_url[one.url]) < one.at - CLOCKS  # 0 if there is no event
        ]

    def check(self, max_attempts: int) -> list[Violation]:
        """Checks the lives, the events and the promises."""
        with self.lock:
            return [
                *self._check_lives(max_attempts),
                *(Violation("lost", f"no event for {one.what}, promised at {one.at:.1f}") for one in self._unkept()),
                *(Violation("lost", f"{one} was not refused") for one in sorted(self.bad) if not self.refusals[one]),
                *self._check_events(),
            ]

    def _check_lives(self, max_attempts: int) -> Iterator[Violation]:
        for life in self.lives.values():
            if life.refused or not (life.accepted or life.ends) or self._replaced(life):
                continue
            if not life.ends:
                yield Violation("lost", f"{life.name} is still {life.state}, attempt {life.attempt}")
            elif len(life.ends) > 1:
                yield Violation("two ends", f"{life.name}: {sorted(life.ends)}")
            else:
                [(state, _)] = life.ends
                key = f"{life.id}:{life.generation}:{state}"
                if not self.events[key]:
                    yield Violation("no event", f"{life.name} is {state}, and no event says so")
                if not self.completions[key]:
                    yield Violation("no event", f"{life.name} is {state}, and no AMQP message says so")
                if not life.announced:
                    yield Violation("open", f"{life.name} is {state} and not noted as announced")
            if life.attempt > max_attempts:
                yield Violation("attempts", f"{life.name}: attempt {life.attempt} of {max_attempts}")

    def _check_events(self) -> Iterator[Violation]:
        ends: dict[str, set[str]] = defaultdict(set)
        for key, found in self.events.items():
            name, _, state = key.rpartition(":")
            if found and not found[0][1]["cached"]:
                ends[name].add(state)
            first = found[0][1] if found else {}
            differ = {name for _, detail in found for name in detail if detail[name] != first.get(name)}
            if differ - RENEWED:
                yield Violation("two events", f"the events of {key} differ in {', '.join(sorted(differ))}")
        for name, states in ends.items():
            if len(states) > 1:
                yield Violation("two ends", f"{name} was announced as {' and '.join(sorted(states))}")

    def counts(self) -> Counter[str]:
        """Returns how many lives and refused messages were accepted, and how they ended."""
        with self.lock:
            found: Counter[str] = Counter()
            for life in self.lives.values():
                if life.accepted and not life.refused and not self._replaced(life):
                    found["accepted"] += 1
                    found.update({min(life.ends)[0]: 1} if life.ends else {})
            refused = sum(bool(self.refusals[one]) for one in self.bad)
            found.update(accepted=len(self.bad), failed=refused)
            return found

    def events_of_jobs(self) -> Counter[str]:
        """Returns how many events with different keys each job had."""
        with self.lock:
            return Counter(found[0][1]["id"] for found in self.events.values() if found)


def slots_in_use(s3: Any, bucket: str) -> list[str]:
    """Returns the keys of the slots that are held. A slot whose holder has died is free when its lease is over."""
    over = datetime.now(UTC) - timedelta(seconds=LEASE)
    held = s3.list_objects_v2(Bucket=bucket, Prefix="slot/").get("Contents", [])
    return [entry["Key"] for entry in held if entry["LastModified"] > over]


def check_bucket(s3: Any, bucket: str) -> Iterator[Violation]:
    """Checks that each PDF is the one of its record, and that all slots are free."""
    keys = [
        entry["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for entry in page.get("Contents", [])
    ]
    for key in slots_in_use(s3, bucket):
        yield Violation("open", f"{key} is still in use")
    pdfs = {key[4:-4] for key in keys if key.startswith("pdf/")}
    for key in keys:
        if not key.startswith("job/"):
            continue
        record = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        kept = record if record["state"] == "done" else record.get("last_good")
        if kept is None:
            continue
        if record["id"] not in pdfs:
            yield Violation(
                "no PDF", f"{record['generation']} of {record['id'][:8]} is {record['state']} without its PDF"
            )
            continue
        pdfs.discard(record["id"])
        answer = s3.get_object(Bucket=bucket, Key=f"pdf/{record['id']}.pdf")
        body, about = answer["Body"].read(), answer["Metadata"]
        if about.get("generation") != kept["generation"]:
            yield Violation("wrong PDF", f"{key} keeps {kept['generation']}, the PDF is of {about.get('generation')}")
        elif hashlib.sha256(body).hexdigest() != kept["report"]["sha256"]:
            yield Violation("wrong PDF", f"{key}: the PDF has other bytes than the report says")
    for job_id in pdfs:
        yield Violation("stray PDF", f"pdf/{job_id}.pdf belongs to no record")
