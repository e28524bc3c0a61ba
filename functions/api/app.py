"""The routes: each reads its request, asks once, and answers."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field

from functions.api import answers, requests, site
from functions.api.answers import Place
from urlshot import records
from urlshot.accept import Accepted, Door, Outcome, Request
from urlshot.broker import Publisher
from urlshot.errors import Rejected, Transient, UrlshotError
from urlshot.identity import is_job_id
from urlshot.logs import error_fields, logger
from urlshot.records import Record
from urlshot.secrets import read_credentials
from urlshot.settings import EgressSettings
from urlshot.store import Store, s3_client

WAIT_SECONDS = 25.0
"""The longest that a request is kept waiting; API Gateway stops listening after 29 s."""

app = APIGatewayRestResolver()
log = logger()


class ApiSettings(EgressSettings):
    bucket: str
    broker_url: str
    broker_secret: str
    shards: int = Field(ge=1, le=64)
    max_age: int = Field(ge=1)
    link_seconds: int = Field(ge=60, le=3600)


@dataclass(frozen=True)
class Parts:
    """What the routes work with; tests hand in their own."""

    store: Store
    publisher: Publisher
    door: Door
    rules: requests.Rules
    link_seconds: int


@cache
def bootstrap() -> Parts:
    """Makes the parts, once a process."""
    settings = ApiSettings.read(os.environ)
    store = Store(settings.bucket, s3_client())
    publisher = Publisher(settings.broker_url, lambda: read_credentials(settings.broker_secret))
    return Parts(
        store=store,
        publisher=publisher,
        door=Door(store, publisher, settings.shards),
        rules=requests.Rules(settings.local_allow, settings.max_age),
        link_seconds=settings.link_seconds,
    )


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entry: an API Gateway REST proxy event in, its answer out."""
    request_id = (event.get("requestContext") or {}).get("requestId", context.aws_request_id)
    log.set_correlation_id(request_id)
    answer: dict[str, Any] = app.resolve(event, context)
    answer.setdefault("multiValueHeaders", {})["X-Request-Id"] = [request_id]
    return answer


@app.post("/pdf")
def post_pdf() -> Response[str]:
    """Asks for a PDF: 200 when a fresh one is there, else 202."""
    parts, place = bootstrap(), Place.of(app.current_event)
    event = app.current_event
    request = requests.from_body(event.body, is_base64=bool(event.is_base64_encoded), rules=parts.rules)
    accepted = _accept(parts, request)
    if accepted.outcome is Outcome.HIT and accepted.pdf is not None:
        links = answers.links(place, parts.store, request.id, request.url, parts.link_seconds, pdf=True)
        return answers.hit(request.id, request.url, accepted.pdf, request.at, links, parts.link_seconds)
    record = _record_of(accepted)
    if accepted.outcome is Outcome.FAILED:
        return answers.failed_recently(record, records.now(), place)
    links = answers.links(place, parts.store, request.id, request.url, parts.link_seconds, pdf=False)
    return answers.job(record, None, links, status=202)


@app.get("/pdf")
def get_pdf() -> Response[str]:
    """The talk's direct download: waits, then sends the client on to the file."""
    until = time.monotonic() + WAIT_SECONDS
    parts, place = bootstrap(), Place.of(app.current_event)
    query = {name: values[-1] for name, values in app.current_event.resolved_query_string_parameters.items()}
    request, hops = requests.from_query(query, parts.rules)
    # A client that was sent on to itself waits for the job that it asked for first, and asks for no other.
    record = _follow(parts.store, request.id, until) if hops else None
    if record is None:
        accepted = _accept(parts, request)
        record = accepted.record
        if accepted.outcome in (Outcome.QUEUED, Outcome.JOINED):
            record = _follow(parts.store, request.id, until)
        elif accepted.outcome is Outcome.HIT:
            return answers.redirect(303, answers.sign(parts.store, request.id, request.url, parts.link_seconds))
    if record is not None and record.state == "done":
        return answers.redirect(303, answers.sign(parts.store, request.id, request.url, parts.link_seconds))
    if record is not None and record.state == "failed":
        return answers.failed_recently(record, records.now(), place)
    if hops < requests.MAX_HOPS:
        return answers.redirect(303, place.again(query, hops + 1))
    raise Transient("not_ready", f"It is still under way; follow it at {place.job(request.id)}.")


@app.get("/pdf/<job_id>")
def get_job(job_id: str) -> Response[str]:
    """A job as it stands, or as it stands when it ends within `wait` seconds."""
    parts, place = bootstrap(), Place.of(app.current_event)
    wait = _wait_seconds(app.current_event.query_string_parameters.get("wait", "0"))
    record = _follow(parts.store, _checked(job_id), time.monotonic() + wait)
    if record is None:
        pdf = parts.store.head_pdf(job_id)
        if pdf is None:
            raise Rejected("not_found", "There is no job with this id.")
        links = answers.links(place, parts.store, job_id, "", parts.link_seconds, pdf=True)
        return answers.hit(job_id, "", pdf, records.now(), links, parts.link_seconds)
    pdf = parts.store.head_pdf(job_id) if record.state == "done" or record.last_good else None
    links = answers.links(place, parts.store, job_id, record.url, parts.link_seconds, pdf=pdf is not None)
    return answers.job(record, pdf, links)


@app.get("/pdf/<job_id>/file")
def get_file(job_id: str) -> Response[str]:
    """The address to keep: sends the client on to a link that was signed just now; `download=1` to one that saves."""
    parts = bootstrap()
    if parts.store.head_pdf(_checked(job_id)) is None:
        raise Rejected("pdf_not_found")
    found = parts.store.read(job_id)
    url = found[0].url if found else ""
    save = app.current_event.query_string_parameters.get("download") == "1"
    return answers.redirect(302, answers.sign(parts.store, job_id, url, parts.link_seconds, save=save))


@app.route("/", method=["GET", "HEAD"])
def get_page() -> Response[str]:
    """The page for people."""
    parts, place = bootstrap(), Place.of(app.current_event)
    return site.index(app.current_event, place.base, requires_key=False, pdf_origin=parts.store.link_origin())


@app.route("/page/<name>", method=["GET", "HEAD"])
def get_page_file(name: str) -> Response[str]:
    """A file of the page."""
    return site.file(app.current_event, name)


@app.get("/health")
def get_health() -> Response[str]:
    """Whether this function reaches its queue and its storage."""
    parts = bootstrap()
    checks: dict[str, str] = {}
    probes: dict[str, Callable[[], object]] = {
        "queue": parts.publisher.check,
        "storage": partial(parts.store.head_pdf, "health"),
    }
    for name, probe in probes.items():
        try:
            probe()
            checks[name] = "ok"
        except Transient as error:
            log.exception("health: not reachable", extra={"part": name, **error_fields(error)})
            checks[name] = error.code.name
    healthy = set(checks.values()) == {"ok"}
    body = {"status": "ok" if healthy else "failing", "checks": checks}
    return answers.answer(200 if healthy else 503, body, answers.NO_STORE)


@app.exception_handler(UrlshotError)
def on_error(error: UrlshotError) -> Response[str]:
    level = log.info if isinstance(error, Rejected) else log.error
    level(f"request: {error.code.name}", extra=error_fields(error))
    return answers.problem(error)


@app.exception_handler(Exception)
def on_surprise(error: Exception) -> Response[str]:
    log.error("request: broken", exc_info=error)
    return answers.problem(UrlshotError("internal"))


def _accept(parts: Parts, request: Request) -> Accepted:
    accepted = parts.door.accept(request, patience=records.PUBLISH_LEASE.total_seconds() + 1)
    log.info(f"request: {accepted.outcome.value}", extra={"job_id": request.id, "url": request.url})
    return accepted


def _record_of(accepted: Accepted) -> Record:
    if accepted.record is None:
        raise AssertionError(f"{accepted.outcome} without a record")
    return accepted.record


def _follow(store: Store, job_id: str, until: float) -> Record | None:
    """The job's record once it has ended, or as it is at `until` (monotonic seconds); None if there is none."""
    pause = 0.1
    while True:
        found = store.read(job_id)
        record = found[0] if found else None
        left = until - time.monotonic()
        if record is None or record.state in ("done", "failed") or left <= 0:
            return record
        time.sleep(min(pause, left) * random.uniform(0.7, 1))  # noqa: S311 - spreads the load, guards nothing
        pause = min(pause * 1.3, 2.0)  # S3 has nothing to wait on


def _wait_seconds(text: str) -> float:
    try:
        wait = float(text)
    except ValueError:
        wait = -1.0
    if not 0 <= wait <= WAIT_SECONDS:
        raise Rejected("invalid_request", f"wait: must be seconds from 0 to {WAIT_SECONDS:g}.", field="wait")
    return wait


def _checked(job_id: str) -> str:
    if not is_job_id(job_id):
        raise Rejected("not_found", "That is not the id of a job.")
    return job_id


if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # in Lambda's init phase, which has more CPU than a request
    bootstrap()
