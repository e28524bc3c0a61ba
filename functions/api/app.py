"""Lambda's entry point of `api`: calls the function of the route, and adds what all answers have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.api import answers, job_calls, site
from functions.api.dependencies import Dependencies, bootstrap
from functions.api.http import Answer, Call, json_answer
from urlshot.adapters.logs import error_fields, logger
from urlshot.core.errors import Rejected, Transient, UrlshotError

log = logger()
metrics = Metrics()


def health(deps: Dependencies, call: Call) -> Answer:
    """Answers whether this function reaches its queue and its storage."""
    checks: dict[str, str] = {}
    probes: dict[str, Callable[[], object]] = {
        "queue": deps.publisher.check,
        "storage": partial(deps.store.head_pdf, "health"),
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
    return json_answer(200 if healthy else 503, body, answers.NO_STORE)


def page(deps: Dependencies, call: Call) -> Answer:
    """Answers with the web page."""
    origin = deps.store.link_origin()
    return site.index(call, requires_key=deps.settings.require_api_key, pdf_origin=origin)


def page_file(deps: Dependencies, call: Call) -> Answer:
    """Answers with a file of the web page."""
    return site.file(call, call.parameters["name"])


def contract(deps: Dependencies, call: Call) -> Answer:
    """Answers with the OpenAPI document of this endpoint."""
    return site.contract(call)


def webhook_keys(deps: Dependencies, call: Call) -> Answer:
    """Answers with the public keys that verify callbacks, the newest first."""
    return json_answer(200, {"keys": deps.webhook_keys.public()}, {"Cache-Control": "public, max-age=300"})


Handle = Callable[[Dependencies, Call], Answer]

# The keys are the routes of infra/api.yaml. HEAD is GET without the body.
ROUTES: Mapping[str, Mapping[str, Handle]] = {
    "/": {"GET": page},
    "/page/{name}": {"GET": page_file},
    "/health": {"GET": health},
    "/openapi.json": {"GET": contract},
    "/webhook-keys": {"GET": webhook_keys},
    "/pdf": {"GET": job_calls.download, "POST": job_calls.post},
    "/pdf/batch": {"POST": job_calls.post_batch},
    "/pdf/{id}": {"GET": job_calls.get, "DELETE": job_calls.delete},
    "/pdf/{id}/report": {"GET": job_calls.report},
    "/pdf/{id}/file": {"GET": job_calls.file},
}
ASKING = {("/pdf", "GET"), ("/pdf", "HEAD"), ("/pdf", "POST")}
"""The calls that ask for one PDF. If one of them is refused, it counts as one refused request in the metrics."""


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers an API Gateway REST proxy event."""
    call = Call.of(event)
    log.set_correlation_id(call.request_id)
    answer = _answer(call)
    for outcome, number in answer.outcomes.items():
        metrics.add_metric(f"pdf.request.{outcome}", MetricUnit.Count, number)
    if answer.outcomes:
        metrics.flush_metrics()
    return answer.with_headers(_common(call)).proxied(head=call.method == "HEAD")


def _answer(call: Call) -> Answer:
    try:
        methods = ROUTES[call.route]
        if call.method == "OPTIONS":
            return Answer(204, "", {"Allow": _allow(methods), **_preflight(methods)})
        handle = methods.get("GET" if call.method == "HEAD" else call.method)
        if handle is None:
            refused = answers.problem(call, Rejected("method_not_allowed", f"{call.method} is not offered here."))
            return refused.with_headers({"Allow": _allow(methods)})
        return handle(bootstrap(), call)
    except UrlshotError as error:
        level = log.info if isinstance(error, Rejected) else log.error
        level(f"request: {error.code.name}", extra=error_fields(error))
        refused = answers.problem(call, error)
    except Exception:
        log.exception("request: failed")
        refused = answers.problem(call, UrlshotError("internal"))
    return replace(refused, outcomes={job_calls.REFUSED: 1} if (call.route, call.method) in ASKING else {})


def _allow(methods: Mapping[str, Handle]) -> str:
    return ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])


def _preflight(methods: Mapping[str, Handle]) -> dict[str, str]:
    """Returns the headers that let pages of other origins call (Fetch Standard, "CORS-preflight request")."""
    if not bootstrap().settings.cors_origin:
        return {}
    return {
        "Access-Control-Allow-Methods": _allow(methods),
        "Access-Control-Allow-Headers": "content-type, if-none-match, x-api-key",
        "Access-Control-Max-Age": "3600",
    }


def _common(call: Call) -> dict[str, str]:
    """Returns the headers that every answer has."""
    headers = {"X-Request-Id": call.request_id, "X-Content-Type-Options": "nosniff"}
    origin = bootstrap().settings.cors_origin
    if origin:
        headers |= {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": "ETag, Location, Retry-After, X-Request-Id",
            **({} if origin == "*" else {"Vary": "Origin"}),
        }
    return headers


if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # Lambda's init phase has more CPU than an invocation
    bootstrap()
