"""Known mistakes in the protocol. The simulation must find each of them."""

from __future__ import annotations

from functions.api import job_calls
from functions.dispatch.app import Dispatcher
from functions.dispatch.handover import HandOver
from functions.dispatch.invoke import Renderer
from functions.settle.settle import Settler
from tests.simulation.mutant import Mutant
from tests.simulation.mutants_of_consumers import CONSUMER_MUTANTS
from urlshot.adapters import s3
from urlshot.adapters.slots import Slots
from urlshot.adapters.store import Store
from urlshot.core import records
from urlshot.lifecycle import withdrawal
from urlshot.lifecycle.accept import Acceptor
from urlshot.lifecycle.announce import Announcer

PARK = "self._parking.park(message, delivery.queue, self._parking.lease, delivery.correlation_id)"
POSTPONE = "self._parking.postpone(delivery.body, delivery.queue, delivery.correlation_id)"

SETTLE_IGNORES_GENERATION = Mutant(
    "settle does not check the generation",
    records,
    "settlement",
    "record is None or record.generation != generation",
    "record is None",
)

MUTANTS = (
    # Without the check in dispatch alone, an old message only does the work of the new one, and no history goes wrong.
    Mutant(
        "no function checks the generation",
        records,
        "decide",
        "record.generation != generation",
        "False",
        also=SETTLE_IGNORES_GENERATION,
    ),
    SETTLE_IGNORES_GENERATION,
    Mutant(
        "the message is acknowledged although it was not parked",
        HandOver,
        "_hand_over",
        PARK,
        f"with suppress(UrlshotError): {PARK}",
    ),
    Mutant("the message is never parked", HandOver, "_hand_over", PARK, "pass"),
    Mutant("the message is parked and postponed", HandOver, "_hand_over", PARK, f"{PARK}; {POSTPONE}"),
    Mutant(
        "a message that is too early is parked and postponed",
        HandOver,
        "_not_now",
        'return "parked"',
        f'{POSTPONE}; return "parked"',
    ),
    Mutant(
        "the end is announced before it is written",
        Settler,
        "_publish",
        "return self._announce(invocation, done, self._store.change(done, etag))",
        "from urlshot.core.events import detail; self._announcer.announce_event(detail(done, self._store.bucket), ''); "
        "return self._announce(invocation, done, self._store.change(done, etag))",
    ),
    Mutant(
        "the attempt replaces the claim",
        records,
        "running",
        "claim=new_claim()",
        'claim=f"{record.generation}.{record.attempt + 1}"',
    ),
    Mutant("settle accepts the answer of an older claim", records, "settlement", "record.claim != claim", "False"),
    Mutant(
        "an end that is not announced is dropped",
        records,
        "decide",
        "Step.DROP if record.announced else Step.ANNOUNCE",
        "Step.DROP",
    ),
    Mutant(
        "an end is recorded as announced before it is announced",
        Announcer,
        "announce",
        'if record.state == "failed":',
        'etag = self._store.change(record.with_(announced=True), etag)\n    if record.state == "failed":',
    ),
    Mutant(
        "a job is taken over before its end is announced",
        records,
        "look",
        "unannounced = record.ended",
        "unannounced = False and record.ended",
    ),
    Mutant("409 counts as success", s3, "put_if", "continue", 'return "none"'),
    Mutant(
        "a slot is freed without its ETag",
        Slots,
        "give_back",
        "delete_if(self._s3, self._bucket, self._key(slot.number), slot.etag)",
        "with s3_errors('delete'): self._s3.delete_object(Bucket=self._bucket, Key=self._key(slot.number))",
    ),
    Mutant("a slot is taken without a condition", Slots, "take", "holder, free.etag)", "holder, None)"),
    Mutant(
        "records are written without a condition",
        Store,
        "change",
        "return self._put(record, etag)",
        "body = record.model_dump_json(exclude_none=True).encode(); "
        "s3 = self._s3\n    with s3_errors('write'): "
        "return s3.put_object(Bucket=self.bucket, Key=job_key(record.id), Body=body, ContentType='')['ETag']",
    ),
    Mutant(
        "render uploads to the published key",
        Store,
        "upload_form",
        "upload_key(record.id, record.claim)",
        "pdf_key(record.id)",
        Mutant("and settle copies nothing", Store, "publish_pdf", 'with s3_errors("copy"):', 'if "copy" == "":'),
    ),
    Mutant(
        "done is written before the PDF is published",
        Settler,
        "_publish",
        "    try:\n        if not _is_published(",
        "    early = records.done(record, report, self._clock(), self._parking.lease, invocation.etag)\n"
        "    etag = self._store.change(early, etag)\n"
        "    try:\n        if not _is_published(",
    ),
    Mutant(
        "a PDF that the delete of an equal one removed is not restored",
        withdrawal,
        "restore",
        "store.publish_pdf(record, record.upload, None)",
        "pass",
    ),
    Mutant(
        "a PDF is restored from any upload",
        withdrawal,
        "restore",
        "store.publish_pdf(record, record.upload, None)",
        "store.publish_pdf(record, store.upload_etag(record), None)",
    ),
    Mutant(
        "the last message of a job does not restore its PDF",
        HandOver,
        "_not_now",
        "elif record is not None:",
        "elif False:",
    ),
    Mutant(
        "a delete does not restore the PDF of a later request",
        job_calls,
        "delete",
        "if later is not None:",
        "if False:",
    ),
    Mutant(
        "the PDF of a generation that was taken over stays",
        withdrawal,
        "clear",
        "if pdf.generation != record.generation:",
        "if pdf.generation != record.generation: return\n        if False:",
    ),
    Mutant("a stray PDF stays", withdrawal, "withdraw", "store.delete_pdf(job_id, pdf.etag)", "pass"),
    Mutant(
        "the PDF of a failed job stays",
        Announcer,
        "announce",
        'if record.state == "failed":',
        "if False:",
    ),
    Mutant(
        "202 without a confirmed publish",
        Acceptor,
        "_publish",
        "            self._write(records.unpublished(record, error, self._clock()), etag)\n        raise",
        "            pass",
    ),
    Mutant(
        "a failed publish ends the job that it took over",
        Acceptor,
        "_publish",
        "if over is None or over.ended:",
        "if True:",
    ),
    Mutant(
        "the last message of a job is dropped while the job is taken over",
        records,
        "decide",
        'if record.state == "publishing"',
        "if False",
    ),
    Mutant(
        "the copy replaces any published PDF",
        Store,
        "publish_pdf",
        "**condition,",
        "",
    ),
    Mutant(
        "a second run of a claim replaces the first one's PDF",
        Settler,
        "_publish",
        "published is not None and published.claim == record.claim",
        "False",
    ),
    Mutant(
        "an end that is not announced is taken over after a minute",
        records,
        "look",
        "record.lease_until + ANNOUNCE_WITHIN",
        "record.lease_until + GRACE",
    ),
    Mutant(
        "a delete removes any PDF",
        Store,
        "delete_pdf",
        "delete_if(self._s3, self.bucket, pdf_key(job_id), etag)",
        "with s3_errors('delete'): self._s3.delete_object(Bucket=self.bucket, Key=pdf_key(job_id))",
    ),
    Mutant(
        "a job whose message the broker gave up is left open",
        HandOver,
        "give_up",
        "return self._fail(message, delivery, record, etag, error)",
        'return "dropped"',
    ),
    Mutant(
        "a bare message that the broker gave up is dropped",
        Dispatcher,
        "_handle_one",
        "raise _given_up(delivery)",
        'return Handled("dropped")',
    ),
    Mutant("409 to a delete counts as another object", s3, "delete_if", "continue", "raise Conflict from None"),
    Mutant(
        "the PDF of a job that failed meanwhile stays",
        records,
        "is_stray",
        'return record.state == "failed"',
        "return False",
    ),
    Mutant(
        "an answer that is lost counts as refused",
        Renderer,
        "hand_over",
        "log.warning(",
        "raise Transient('throttled') from error; log.warning(",
    ),
    *CONSUMER_MUTANTS,
)
