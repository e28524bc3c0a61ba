"""Answers the calls about jobs."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from functions.api import answers, requests
from functions.api.answers import NO_STORE, REVALIDATE
from functions.api.dependencies import Dependencies
from functions.api.http import Answer, Call, json_answer
from functions.api.requests import Wanted
from functions.api.waiting import WAIT_SECONDS
from urlshot.adapters.logs import error_fields, logger
from urlshot.adapters.store import Pdf
from urlshot.core import events, records
from urlshot.core.errors import Rejected, Transient, UrlshotError
from urlshot.core.events import Detail
from urlshot.core.identity import is_job_id
from urlshot.core.records import Record
from urlshot.lifecycle import withdrawal
from urlshot.lifecycle.accept import Accepted, Outcome, Request

PATIENCE_SECONDS = records.PUBLISH_LEASE.total_seconds() + 1
"""How long a request waits while another request publishes the same job."""

BATCH_THREADS = 8  # not more than the pool of S3 connections has
BATCH_SECONDS = 12.0
"""After this time no further request of a batch is begun, so that the last ends before API Gateway's limit of 29 s."""

REFUSED = "refused"
"""The outcome of a request that was not accepted; `Outcome` has those of accepted requests."""

log = logger()


def post(deps: Dependencies, call: Call) -> Answer:
    """Accepts a request for a PDF; answers 200 if there is a fresh one, else 202."""
    wanted = requests.from_body(call, deps.rules)
    accepted = accept(deps, wanted)
    return replace(_accepted(deps, call, wanted.request, accepted), outcomes={accepted.outcome.value: 1})


def post_batch(deps: Dependencies, call: Call) -> Answer:
    """Accepts a batch of requests; each is answered as it would be alone."""
    begun = time.monotonic()
    queue_down = threading.Event()

    def one(value: object) -> tuple[str, Answer]:
        try:
            wanted = requests.from_value(value, call, deps.rules, "bulk")
            if queue_down.is_set():
                raise Transient("queue_unavailable", internal="not tried: another request of the batch failed so")
            if time.monotonic() - begun > BATCH_SECONDS:
                raise Transient("busy", "There was no time left for this request of the batch.")
            accepted = accept(deps, wanted)
            return accepted.outcome.value, _accepted(deps, call, wanted.request, accepted)
        except UrlshotError as error:
            if error.code.name == "queue_unavailable":
                queue_down.set()
            log.info(f"request: {error.code.name}", extra=error_fields(error))
            return REFUSED, answers.problem(call, error)

    with ThreadPoolExecutor(BATCH_THREADS) as threads:
        results = list(threads.map(one, requests.batch_of(call)))
    counts = Counter(outcome for outcome, _ in results)
    body = {
        "results": [
            {"index": index, "status": answer.status, "body": answer.value} for index, (_, answer) in enumerate(results)
        ],
        "counts": {name: counts[name] for name in (*(outcome.value for outcome in Outcome), REFUSED)},
    }
    return replace(json_answer(200, body, NO_STORE), outcomes=counts)


def download(deps: Dependencies, call: Call) -> Answer:
    """Answers the direct download of the talk: waits for the job, then redirects the client to the PDF."""
    until = time.monotonic() + WAIT_SECONDS
    wanted, hops = requests.from_query(call, deps.rules)
    request = wanted.request
    # After a redirect to the same request, the client waits for its first job and starts no other.
    record = _waited(deps, request.id, until) if hops else None
    if record is not None:
        return _downloaded(deps, call, request, record, hops)
    accepted = accept(deps, wanted)
    record = accepted.record
    if accepted.outcome in (Outcome.QUEUED, Outcome.JOINED):
        record = _waited(deps, request.id, until)
    answer = _downloaded(deps, call, request, record, hops, there=accepted.outcome is Outcome.HIT)
    return replace(answer, outcomes={accepted.outcome.value: 1})


def get(deps: Dependencies, call: Call) -> Answer:
    """Answers with a job, when it has ended or after `wait` seconds."""
    job_id = _id(call)
    found = deps.waiting.follow(job_id, _wait_seconds(call.query.get("wait", "0")))
    at = records.now()
    if found is None:
        pdf = deps.store.head_pdf(job_id)
        if pdf is None:
            raise Rejected("not_found", "There is no job with this id.")
        return deps.answers.hit(call, job_id, "", pdf, at)
    record, etag = found
    return deps.answers.job(call, record, _pdf_of(deps, record), at, etag=etag)


def delete(deps: Dependencies, call: Call) -> Answer:
    """Deletes a job: subscriptions, PDF and record."""
    job_id = _id(call)
    if not deps.settings.require_api_key:
        raise Rejected("forbidden", "This endpoint requires no API keys, so anyone could delete any PDF.")
    found, pdf = deps.store.read(job_id), deps.store.head_pdf(job_id)
    if found is None and pdf is None:
        raise Rejected("not_found", "There is no job with this id.")
    deps.subscriptions.delete_all(job_id)
    if found is None:
        if pdf is not None and deps.store.read(job_id) is None:
            deps.store.delete_pdf(job_id, pdf.etag)
        return Answer(204, "", NO_STORE)
    later = withdrawal.delete(deps.store, found, pdf)
    if later is not None:
        deps.acceptor.restore(later, call.request_id)
    log.info("job: deleted", extra={"job_id": job_id})
    return Answer(204, "", NO_STORE)


def report(deps: Dependencies, call: Call) -> Answer:
    """Answers with the report of the published PDF."""
    job_id = _id(call)
    found = deps.store.read(job_id)
    if found is None:
        raise Rejected("not_found", "There is no job with this id.")
    record = found[0]
    known = (record.generation, record.report) if record.state == "done" else None
    if known is None and record.last_good is not None:
        known = record.last_good.generation, record.last_good.report
    if known is None or known[1] is None or deps.store.head_pdf(job_id) is None:
        raise Rejected("report_not_found")
    headers = {**REVALIDATE, "ETag": f'"{known[0]}"'}
    if call.has(headers["ETag"]):
        return Answer(304, "", headers)
    return json_answer(200, known[1].model_dump(mode="json", exclude_none=True), headers)


def file(deps: Dependencies, call: Call) -> Answer:
    """Redirects the client to a new signed link; with `download=1` to one with which a browser saves the file."""
    job_id = _id(call)
    if not deps.links.opens(job_id, call.query.get("token")):
        raise Rejected("forbidden", "The address has no token, or a wrong one.")
    save = call.query.get("download", "0")
    if save not in ("0", "1"):
        raise Rejected("invalid_request", "download: must be 0 or 1.", field="download")
    if deps.store.head_pdf(job_id) is None:
        raise Rejected("pdf_not_found")
    found = deps.store.read(job_id)
    url = found[0].url if found else ""
    location = deps.answers.sign(job_id, url, head=call.method == "HEAD", save=save == "1")
    return answers.redirect(302, location)


def accept(deps: Dependencies, wanted: Wanted) -> Accepted:
    """Accepts one request and its subscriptions.

    If the job has ended already, the event for the subscribers is put on the bus immediately. If the request is not
    accepted, its subscriptions are deleted again.
    """
    request = wanted.request
    with deps.subscriptions.asking(request.id, wanted.subscribers, request.at) as names:
        accepted = deps.acceptor.accept(request, patience=PATIENCE_SECONDS)
        if names and accepted.outcome in (Outcome.HIT, Outcome.FAILED):
            deps.bus.put([_event_of_earlier_end(deps, request, accepted, names)])
    log.info(f"request: {accepted.outcome.value}", extra={"job_id": request.id, "url": request.url})
    return accepted


def _event_of_earlier_end(deps: Dependencies, request: Request, accepted: Accepted, names: tuple[str, ...]) -> Detail:
    """Returns the event about an end that came before the request, for the subscriptions `names`."""
    bucket, record = deps.store.bucket, accepted.record
    if accepted.outcome is Outcome.FAILED and record is not None:
        return events.announced_again(events.detail(record, bucket), names)
    found = deps.store.read(request.id)
    known = found[0] if found is not None else None
    report = known.report if known is not None and known.state == "done" else None
    return events.cached(request.id, request.url, bucket, request.at, report, names)


def _accepted(deps: Dependencies, call: Call, request: Request, accepted: Accepted) -> Answer:
    if accepted.outcome is Outcome.HIT and accepted.pdf is not None:
        return deps.answers.hit(call, request.id, request.url, accepted.pdf, request.at)
    if accepted.record is None:
        raise AssertionError(f"{accepted.outcome} without a record")
    if accepted.outcome is Outcome.FAILED:
        return _failed(deps, call, accepted.record)
    return deps.answers.job(call, accepted.record, _pdf_of(deps, accepted.record), records.now(), status=202)


def _failed(deps: Dependencies, call: Call, record: Record) -> Answer:
    return deps.answers.failed_recently(call, record, _pdf_of(deps, record), records.now())


def _pdf_of(deps: Dependencies, record: Record) -> Pdf | None:
    """Looks for the PDF of a done job, or the older PDF of any other; asks S3 only if there may be one."""
    return deps.store.head_pdf(record.id) if record.state == "done" or record.last_good else None


def _downloaded(
    deps: Dependencies, call: Call, request: Request, record: Record | None, hops: int, *, there: bool = False
) -> Answer:
    """Answers the direct download: redirects to the PDF or to the same request again, or answers with the failure."""
    if there or (record is not None and record.state == "done"):
        return answers.redirect(303, deps.answers.sign(request.id, request.url, head=call.method == "HEAD"))
    if record is not None and record.state == "failed":
        return _failed(deps, call, record)
    if hops < requests.MAX_HOPS:
        return answers.redirect(303, call.again(hops + 1))
    raise Transient("not_ready", f"The job is still under way; follow it at {call.job(request.id)}.")


def _waited(deps: Dependencies, job_id: str, until: float) -> Record | None:
    found = deps.waiting.follow(job_id, until - time.monotonic(), or_refuse=True)
    return found[0] if found is not None else None


def _wait_seconds(text: str) -> float:
    try:
        wait = float(text)
    except ValueError:
        wait = -1.0
    if not 0 <= wait <= WAIT_SECONDS:
        raise Rejected("invalid_request", f"wait: must be from 0 to {WAIT_SECONDS:g} seconds.", field="wait")
    return wait


def _id(call: Call) -> str:
    job_id = call.parameters["id"]
    if not is_job_id(job_id):
        raise Rejected("not_found", "This is not the id of a job.")
    return job_id
