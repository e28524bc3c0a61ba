"""Serves the routes of the template over HTTP by proxy events, with API Gateway's own answers for errors.

Source: "Lambda proxy integrations", "Gateway responses" and "API Gateway quotas" in the API Gateway developer guide.
"""

import asyncio
import json
import re
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler, RequestPayloadError

from infra.local.functions.async_events import TooLarge
from infra.local.functions.lambdas import Lambdas
from infra.local.http.proxy_event import ApiKey, HttpRequest, MalformedAnswer, proxy_answer, proxy_event
from infra.local.template.model import Api, Route

BODY_LIMIT = 10 * 1024 * 1024  # bytes
HEAD_LIMIT = 10_240  # bytes of a request line, and of a header's value
INTEGRATION_SECONDS = 29.0
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "content-length"}
_CONTEXT = re.compile(r"\$context\.([A-Za-z.]+)")


@dataclass(frozen=True)
class GatewayError:
    """Describes an answer of API Gateway itself, with its response type, status and message."""

    type: str
    status: int
    message: str
    error_type: str = ""


UNKNOWN_ROUTE = GatewayError(
    "MISSING_AUTHENTICATION_TOKEN", 403, "Missing Authentication Token", "MissingAuthenticationTokenException"
)
NO_KEY = GatewayError("INVALID_API_KEY", 403, "Forbidden", "ForbiddenException")
BODY_TOO_LARGE = GatewayError("REQUEST_TOO_LARGE", 413, "Request Too Long", "RequestTooLargeException")
HEAD_TOO_LARGE = GatewayError("DEFAULT_4XX", 413, "Request Too Long", "RequestTooLargeException")
BAD_BODY = GatewayError("BAD_REQUEST_BODY", 400, "Invalid request body", "BadRequestException")
NO_HTTP = GatewayError("DEFAULT_4XX", 400, "Bad Request", "BadRequestException")
BAD_ANSWER = GatewayError("DEFAULT_5XX", 502, "Internal server error", "InternalServerErrorException")
NO_ANSWER = GatewayError("INTEGRATION_TIMEOUT", 504, "Endpoint request timed out", "InternalServerErrorException")


@dataclass(frozen=True)
class Matcher:
    """Matches paths with one route. `rank` sorts literal parts before parameters, and parameters before {proxy+}."""

    route: Route
    pattern: re.Pattern[str]
    names: tuple[str, ...]
    rank: tuple[int, ...] = field(default=())

    @classmethod
    def of(cls, route: Route) -> "Matcher":
        parts, names, rank = [], [], []
        for part in route.path.strip("/").split("/"):
            found = re.fullmatch(r"\{([^}+]+)(\+?)\}", part)
            if found is None:
                parts.append(re.escape(part))
            else:
                names.append(found[1])
                parts.append("(.+)" if found[2] else "([^/]+)")
            rank.append(0 if found is None else 2 if found[2] else 1)
        return cls(route, re.compile("/" + "/".join(parts) + "/?"), tuple(names), tuple(rank))


def gateway_app(
    api: Api, lambdas: Lambdas, *, key: ApiKey, stage_in_path: bool, say: Callable[[str], None]
) -> web.Application:
    """Returns an app with the routes of the API.

    Args:
        api: The API.
        lambdas: The functions.
        key: The only API key.
        stage_in_path: Whether paths start with /<stage>, as at an execute-api address.
        say: Prints a line for the user.
    """
    # A route with a method precedes one with ANY.
    matchers = sorted(
        (Matcher.of(route) for route in api.routes), key=lambda one: (one.rank, one.route.method == "ANY")
    )

    async def serve(request: web.Request) -> web.Response:
        request_id = str(uuid.uuid4())
        path, prefix = request.rel_url.raw_path, f"/{api.stage}"
        if stage_in_path:
            if path != prefix and not path.startswith(prefix + "/"):
                forbidden = GatewayError("ACCESS_DENIED", 403, "Forbidden", "ForbiddenException")
                return _own_answer(api, forbidden, request_id, path)
            path = path.removeprefix(prefix) or "/"
        found = _match(matchers, request.method, path)
        if found is None:
            return _own_answer(api, UNKNOWN_ROUTE, request_id, path)
        matcher, parameters = found
        shown = request.headers.get("x-api-key", "")
        if matcher.route.needs_key and not secrets.compare_digest(shown.encode(), key.value.encode()):
            return _own_answer(api, NO_KEY, request_id, path)
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _own_answer(api, BODY_TOO_LARGE, request_id, path)
        except RequestPayloadError:  # such as an invalid gzip body
            return _own_answer(api, BAD_BODY, request_id, path)
        event = proxy_event(
            HttpRequest(
                method=request.method,
                path=unquote(path),
                query=request.rel_url.raw_query_string,
                headers=_forwarded(request),
                body=body,
                source_ip=request.remote or "127.0.0.1",
                host=request.headers.get("Host", "localhost"),
                protocol=f"HTTP/{request.version.major}.{request.version.minor}",
            ),
            resource=matcher.route.path,
            parameters=parameters,
            stage=api.stage,
            stage_in_path=stage_in_path,
            binary_types=api.binary_types,
            request_id=request_id,
            api_key=key if matcher.route.needs_key else None,
        )
        try:
            # AWS would start a hundred instances for a hundred callers. This machine has a few cores, so callers wait
            # for an instance instead of getting 429.
            invocation = lambdas.invoke_in_turn(matcher.route.function, json.dumps(event).encode())
            answer = await asyncio.wait_for(invocation, INTEGRATION_SECONDS)
            response = proxy_answer(answer, accept=request.headers.get("Accept", ""), binary_types=api.binary_types)
        except TimeoutError:
            return _own_answer(api, NO_ANSWER, request_id, path)
        except TooLarge:
            return _own_answer(api, BODY_TOO_LARGE, request_id, path)
        except MalformedAnswer as error:
            say(f"{request.method} {path}: 502, {matcher.route.function} answered: {error}")
            return _own_answer(api, BAD_ANSWER, request_id, path)
        sent = web.Response(status=response.status, body=response.body)
        sent.headers.popall("Content-Type", None)
        for name, value in response.headers:
            if name.lower() not in _HOP_BY_HOP:
                sent.headers.add(name, value)
        sent.headers["x-amzn-RequestId"] = request_id
        sent.headers["x-amz-apigw-id"] = "local="
        return sent

    app = web.Application(client_max_size=BODY_LIMIT)
    app.router.add_route("*", r"/{path:[\s\S]*}", serve)  # a path may contain an encoded line break
    return app


class GatewayRunner(web.AppRunner):
    """Runs the gateway's app, and answers malformed requests, which do not reach the app, as API Gateway does."""

    __slots__ = ("_api",)

    def __init__(self, app: web.Application, api: Api) -> None:
        super().__init__(
            app, access_log=None, shutdown_timeout=0.5, max_line_size=HEAD_LIMIT, max_field_size=HEAD_LIMIT
        )
        self._api = api

    async def _make_server(self) -> web.Server:
        api = self._api

        class Handler(RequestHandler):
            __slots__ = ()

            def handle_error(
                self,
                request: web.BaseRequest,
                status: int = 500,
                exc: BaseException | None = None,
                message: str | None = None,
            ) -> web.StreamResponse:
                if status >= 500 or request.writer.output_size > 0:
                    return super().handle_error(request, status, exc, message)
                error = HEAD_TOO_LARGE if isinstance(exc, LineTooLong) else NO_HTTP
                answer = _own_answer(api, error, str(uuid.uuid4()), "")
                answer.force_close()
                return answer

        class Server(web.Server):
            def __call__(self) -> RequestHandler:
                handler = super().__call__()
                handler.__class__ = Handler  # aiohttp has no other way to replace the handler
                return handler

        server = await super()._make_server()
        server.__class__ = Server
        return server


def _forwarded(request: web.Request) -> list[tuple[str, str]]:
    """Returns the headers of a request with those that API Gateway adds. It drops a client's own X-Forwarded-Proto."""
    dropped = {*_HOP_BY_HOP, "x-forwarded-proto", "x-forwarded-port"}
    headers = [(name, value) for name, value in request.headers.items() if name.lower() not in dropped]
    before = request.headers.get("X-Forwarded-For")
    remote = request.remote or "127.0.0.1"
    port = str(request.url.port or 80)
    return [
        *(item for item in headers if item[0].lower() != "x-forwarded-for"),
        ("X-Amzn-Trace-Id", f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"),
        ("X-Forwarded-For", f"{before}, {remote}" if before else remote),
        ("X-Forwarded-Port", port),
        ("X-Forwarded-Proto", request.scheme),
    ]


def _match(matchers: list[Matcher], method: str, path: str) -> tuple[Matcher, Mapping[str, str]] | None:
    for matcher in matchers:
        found = matcher.pattern.fullmatch(path)
        if found and matcher.route.method in (method, "ANY"):
            return matcher, {name: unquote(value) for name, value in zip(matcher.names, found.groups(), strict=True)}
    return None


def _own_answer(api: Api, error: GatewayError, request_id: str, path: str) -> web.Response:
    """Returns an answer of API Gateway, in the form of the template's gateway responses if there are any."""
    general = "DEFAULT_4XX" if error.status < 500 else "DEFAULT_5XX"
    custom: Mapping[str, Any] = api.gateway_responses.get(error.type) or api.gateway_responses.get(general) or {}
    templates = custom.get("responseTemplates") or {"application/json": '{"message":$context.error.messageString}'}
    media, template = next(iter(templates.items()))
    context = {
        "error.message": error.message,
        "error.messageString": json.dumps(error.message),
        "error.responseType": error.type,
        "requestId": request_id,
        "extendedRequestId": "local=",
        "path": path,
        "stage": api.stage,
    }
    text = _CONTEXT.sub(lambda found: context.get(found[1].rstrip("."), ""), template)
    headers = {"x-amzn-RequestId": request_id, "Content-Type": media}
    if error.error_type:
        headers["x-amzn-ErrorType"] = error.error_type
    for name, value in (custom.get("responseParameters") or {}).items():
        # A parameter is a quoted text, or the name of a context variable.
        text_of = str(value).strip("'") if str(value).startswith("'") else context[str(value).removeprefix("context.")]
        headers[name.removeprefix("gatewayresponse.header.")] = text_of
    return web.Response(status=int(custom.get("statusCode", error.status)), body=text.encode(), headers=headers)
