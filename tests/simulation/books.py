"""Records the promises of a history and what happened, and checks whether the two agree.

The books see every change of the bucket as it happens, every event on the bus and every run of `render`. Of the
product's code they know the form of records and events only.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import from_json

from tests.simulation.deliveries import Deliveries
from tests.simulation.s3 import Object

ENDS = ("done", "failed")
LOST = ("lost", "open", "no event", "no PDF", "not served", "restless")
"""Kinds of violations that count as lost; all others count as doubled."""


@dataclass(frozen=True)
class Violation:
    kind: str
    text: str

    @property
    def lost(self) -> bool:
        return self.kind in LOST


@dataclass
class Life:
    """One generation of one job."""

    id: str
    generation: str
    end: tuple[str, str] | None = None
    """The state, and the sha256 of the report."""
    code: str = ""
    accepted: bool = False
    """Whether the broker confirmed its message."""
    announced: bool = False
    deleted: bool = False
    taken_over: bool = False

    @property
    def name(self) -> str:
        return f"{self.generation} of {self.id[:6]}"

    @property
    def refused(self) -> bool:
        """Whether its request got an immediate error, so that its end is not announced."""
        return self.code == "queue_unavailable"


@dataclass
class Books:
    max_attempts: int
    renders: int
    same_bytes: bool = False
    """Whether all PDFs of a job are identical. Then a delete may take one that is published again at once."""
    lives: dict[tuple[str, str], Life] = field(default_factory=dict)
    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    accepted: list[tuple[str, str]] = field(default_factory=list)
    """The id and the generation of each job for which a request was accepted."""
    bare: list[tuple[float, str]] = field(default_factory=list)
    """When each bare message was published, and the id of its job."""
    refusals: list[tuple[float, str]] = field(default_factory=list)
    """When a bare message was refused for good, and the id of its job."""
    deletions: list[tuple[float, str]] = field(default_factory=list)
    """When each request to delete a job began or ended, and the id of the job."""
    half_deleted: set[str] = field(default_factory=set)
    """The processes that began to delete a job, and died or got an error: a record that they left may have no PDF."""
    deliveries: Deliveries = field(default_factory=lambda: Deliveries(frozenset()))
    """The books about the mails and callbacks that subscribers get."""
    found: list[Violation] = field(default_factory=list)
    unrestorable: int = 0
    """PDFs that a slow delete of an equal one removed after a second run had replaced their upload."""
    _withdrawn: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """The process that deleted the PDF of a claim, by the job's id, the generation and the claim."""
    settling: dict[str, tuple[dict[str, Any], timedelta]] = field(default_factory=dict)
    """The render job that each process of `settle` handles, and the length of the lease of a claim."""
    claims: set[str] = field(default_factory=set)
    _kept: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The generation and the claim whose PDF each record keeps."""
    _last: dict[str, Life] = field(default_factory=dict)
    """The generation that was written last to each record."""
    _running: set[str] = field(default_factory=set)
    _over: set[str] = field(default_factory=set)

    def violation(self, kind: str, text: str) -> None:
        self.found.append(Violation(kind, text))

    # ---- while it happens --------------------------------------------------------------------------------------------

    def object_changed(self, who: str, key: str, old: Object | None, new: Object | None) -> None:
        if key.startswith("pdf/"):
            job_id = key[4:-4]
            if new is not None:
                self._withdrawn.pop((job_id, *_owner(new)), None)
            elif old is not None:
                owner = _owner(old)
                self._withdrawn[job_id, *owner] = who
                if owner == self._kept.get(job_id) and not who.startswith("delete") and not self.same_bytes:
                    self.violation("no PDF", f"{who} withdrew the PDF of {owner[0]}, which the record keeps")
        if not key.startswith("job/"):
            return
        before = self._last.get(key) if old is not None else None
        if new is None:
            if before is not None:
                before.deleted = True
                self._kept.pop(before.id, None)
            return
        record = from_json(new.body)
        life = self._last[key] = self._life(record)
        if record["state"] == "done":
            self._kept[life.id] = (life.generation, record["claim"])
        elif record.get("last_good") is None:
            self._kept.pop(life.id, None)
        self.claims.add(record["claim"])
        if who in self.settling:
            self._judge_settle(who, life, record)
        if before is not None and before is not life:
            before.taken_over = True
        if record["attempt"] > self.max_attempts:
            self.violation("attempts", f"{life.name}: attempt {record['attempt']} of {self.max_attempts}")
        life.accepted |= record["state"] in ("queued", "running")
        end = (record["state"], (record.get("report") or {}).get("sha256", "")) if record["state"] in ENDS else None
        if life.end is not None and end != life.end:
            self.violation("two ends", f"{life.name}: {life.end} became {end or record['state']}")
        if end is not None:
            life.end, life.code = end, (record.get("error") or {}).get("code", "")
            life.announced = record["announced"]

    def _judge_settle(self, who: str, life: Life, record: dict[str, Any]) -> None:
        """Checks that `settle` changes a record only by the answer of the record's own claim.

        A claim is identified by its time here, so that a mistake in the product's names of claims is found.
        """
        job, lease = self.settling[who]
        claimed = datetime.fromisoformat(job["lease_until"]) - lease
        if job["generation"] != life.generation or claimed != datetime.fromisoformat(record["started_at"]):
            self.violation("another's answer", f"{who} changed {life.name} by the answer of {job['claim']}")

    def event_put(self, at: float, detail: dict[str, Any]) -> None:
        self.events.append((at, detail))

    def dispatched(self, who: str, deliveries: int, parked: int) -> None:
        """Checks that a handled batch has parked each of its messages at most once."""
        if parked > deliveries:
            self.violation("multiplied", f"{who} was given {deliveries} messages and parked {parked}")

    def render_changed(self, what: str, claim: str) -> None:
        """Checks the claim and the slots when a run of a claim begins or ends.

        A claim holds its slot until its first answer. A second run of the same event is Lambda's, and does not count.
        """
        if claim not in self.claims:
            self.violation("unclaimed", f"a page is rendered for {claim}, which no record has named")
        if what == "begin" and claim not in self._over:
            self._running.add(claim)
            if len(self._running) > self.renders:
                self.violation("slots", f"{len(self._running)} pages are rendered, {self.renders} may be")
        elif what == "end":
            self._running.discard(claim)
            self._over.add(claim)

    def delete_ended(self, who: str, job_id: str) -> None:
        """Checks that a successful delete has not removed the PDF of a job and left its record as done.

        The record can belong to a request that came during the delete. A delete may leave the job of such a request,
        but then it must leave the PDF too.
        """
        self.half_deleted.discard(who)
        life = self._last.get(f"job/{job_id}.json")
        if life is None or life.deleted or life.end is None or life.end[0] != "done" or self.same_bytes:
            return
        if self._withdrawn.get((job_id, *self._kept[job_id])) == who:
            self.violation("no PDF", f"{who} deleted the PDF of {life.generation} and left its record as done")

    def _life(self, record: dict[str, Any]) -> Life:
        name = (record["id"], record["generation"])
        life = self.lives.get(name)
        if life is None:
            life = self.lives[name] = Life(*name)
        return life

    # ---- at the end -------------------------------------------------------------------------------------------------

    def close(self, objects: dict[str, Object], left: int, *, operator: bool) -> list[Violation]:
        """Checks the whole history.

        Args:
            objects: The objects of the bucket.
            left: The number of messages in all queues except the dead one.
            operator: Whether the operator wants a mail about each event.
        """
        records = {key[4:-5]: from_json(one.body) for key, one in objects.items() if key.startswith("job/")}
        if left:
            self.violation("restless", f"{left} messages are left")
        announced = {detail["event_key"] for _, detail in self.events}
        self.found += self._open(records)
        self.found += self._unannounced(announced)
        self.found += self._doubled()
        self.found += self._pdfs(records, objects)
        self.found += self._promises()
        deleted = {(life.id, life.generation) for life in self.lives.values() if life.deleted}
        self.deliveries.close(self.events, deleted, operator=operator)
        self.found += [Violation(kind, text) for kind, text in self.deliveries.found]
        return self.found

    def _open(self, records: dict[str, dict[str, Any]]) -> Iterator[Violation]:
        for job_id, record in records.items():
            if record["state"] in ("queued", "running"):
                yield Violation("open", f"{self.lives[job_id, record['generation']].name} is still {record['state']}")

    def _unannounced(self, announced: set[str]) -> Iterator[Violation]:
        for life in self.lives.values():
            if life.end is None or life.refused:
                continue
            if f"{life.id}:{life.generation}:{life.end[0]}" not in announced and not life.deleted:
                how = "was taken over" if life.taken_over else "was not taken over"
                yield Violation("no event", f"{life.name} is {life.end[0]}, {how}, and no event says so")
            if not life.announced and not life.deleted and not life.taken_over:
                yield Violation("open", f"{life.name} is {life.end[0]} and not noted as announced")

    def _doubled(self) -> Iterator[Violation]:
        said: dict[tuple[str, str], tuple[str, str]] = {}
        for _, detail in self.events:
            if detail["cached"]:
                continue
            job_id, generation, state = detail["event_key"].split(":")
            now = (state, (detail.get("report") or {}).get("sha256", ""))
            before = said.setdefault((job_id, generation), now)
            life = self.lives[job_id, generation]
            if before != now:
                yield Violation("two events", f"{life.name} was announced as {before} and as {now}")
            elif life.end is not None and life.end != now:
                yield Violation("two events", f"{life.name} is {life.end} and was announced as {now}")
            elif life.end is None:
                yield Violation("two events", f"{life.name} was announced as {now} and has no end")

    def _pdfs(self, records: dict[str, dict[str, Any]], objects: dict[str, Object]) -> Iterator[Violation]:
        for key, pdf in objects.items():
            if not key.startswith("pdf/"):
                continue
            job_id = key[4:-4]
            record = records.get(job_id)
            generation = pdf.metadata.get("generation", "")
            if record is None:
                yield Violation("stray PDF", f"{job_id[:6]} has no record, and a PDF of {generation}")
                continue
            kept = record.get("last_good") or {}
            if record["state"] == "done":
                kept = {"generation": record["generation"], "report": record["report"]}
            if generation != kept.get("generation"):
                yield Violation(
                    "stray PDF",
                    f"{job_id[:6]} is {record['state']} with {record['generation']} and has a PDF of {generation}, "
                    f"claim {pdf.metadata.get('claim')}",
                )
            elif hashlib.sha256(pdf.body).hexdigest() != kept["report"]["sha256"]:
                yield Violation("other bytes", f"{job_id[:6]}: the PDF of {generation} is not the one of the report")
        for job_id, record in records.items():
            if record["state"] != "done" or f"pdf/{job_id}.pdf" in objects:
                continue
            life = self.lives[job_id, record["generation"]]
            who = self._withdrawn.get((job_id, record["generation"], record["claim"]), "nobody")
            upload = objects.get(f"upload/{job_id}/{record['claim']}.pdf") if self.same_bytes else None
            if upload is not None and hashlib.sha256(upload.body).hexdigest() != record["report"]["sha256"]:
                self.unrestorable += 1
                continue
            if who not in self.half_deleted:
                yield Violation("no PDF", f"{life.name} is done and has no PDF; {who} deleted it")

    def _promises(self) -> Iterator[Violation]:
        for job_id, generation in self.accepted:
            life = self.lives[job_id, generation]
            if life.end is None and not life.deleted and not life.taken_over:
                yield Violation("lost", f"{life.name} was accepted and has no end")
            if life.taken_over and life.end is None and not self._continued(life):
                yield Violation("lost", f"{life.name} was accepted and taken over, and no later generation ended")
        for at, job_id in self.bare:
            answered = any(
                detail["id"] == job_id and when >= at and detail["audience"] == "everyone"
                for when, detail in self.events
            )
            deleted = any(one == job_id and when >= at for when, one in self.deletions)
            refused = any(one == job_id and when >= at for when, one in self.refusals)
            if not answered and not deleted and not refused:
                yield Violation("lost", f"the bare message of {at:.2f} s for {job_id[:6]} has no event")

    def _continued(self, life: Life) -> bool:
        """Says whether a generation of the job after this one ended or was deleted."""
        lives = [one for one in self.lives.values() if one.id == life.id]
        later = lives[lives.index(life) + 1 :]
        return any(one.deleted or (one.end is not None and not one.refused) for one in later)

    def counts(self) -> Counter[str]:
        """Counts the accepted generations by their end: done, failed, or gone (deleted or taken over)."""
        counts: Counter[str] = Counter()
        for life in self.lives.values():
            if life.accepted:
                ended = life.end[0] if life.end is not None else ""
                counts["accepted"] += 1
                counts[ended or ("gone" if life.deleted or life.taken_over else "open")] += 1
        counts.update(self.deliveries.counts)
        counts["unrestorable"] = self.unrestorable
        counts["lost"] = sum(one.lost for one in self.found)
        counts["doubled"] = len(self.found) - counts["lost"]
        return counts


def _owner(pdf: Object) -> tuple[str, str]:
    """Returns the generation and the claim of a published PDF."""
    return pdf.metadata.get("generation", ""), pdf.metadata.get("claim", "")
