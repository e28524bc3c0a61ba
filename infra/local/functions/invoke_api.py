"""Serves Lambda's Invoke API over HTTP, and a list of the running instances for fault tests.

A synchronous call gets 429 if every instance is busy. Asynchronous events are accepted: Lambda keeps the events of a
throttled function in its own queue, and refuses them only above request rates that one machine does not reach.

Source: "Invoke" in the Lambda API reference; "Lambda quotas" in the developer guide.
"""

import json
import re

from aiohttp import web

from infra.local.functions.async_events import TooLarge, UnknownFunction
from infra.local.functions.function import Throttled
from infra.local.functions.lambdas import Lambdas

_NAME = re.compile(r"(?:(?:arn:[^:]+:lambda:[^:]+:)?\d{12}:function:|arn:[^:]+:lambda:[^:]+:\d{12}:function:)?"
                   r"(?P<name>[A-Za-z0-9_-]+)(?::(?:\$LATEST|[A-Za-z0-9_-]+))?")  # fmt: skip


def invoke_app(lambdas: Lambdas) -> web.Application:
    """Returns an app with POST /2015-03-31/functions/{name}/invocations and GET /_local/instances."""
    app = web.Application(client_max_size=16 * 1024 * 1024)

    async def invoke(request: web.Request) -> web.Response:
        found = _NAME.fullmatch(request.match_info["name"])
        name = found["name"] if found else request.match_info["name"]
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        try:
            payload = await request.read() or b"{}"
            json.loads(payload)
            if kind == "Event":
                request_id = lambdas.invoke_async(name, payload)
                return web.Response(status=202, headers={"x-amzn-RequestId": request_id})
            if kind != "RequestResponse":
                return _error(400, "InvalidParameterValueException", f"the local stack knows no {kind} invocation")
            answer = await lambdas.invoke(name, payload)
        except UnknownFunction:
            return _error(404, "ResourceNotFoundException", f"Function not found: {name}", Type="User")
        except Throttled:
            reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
            return _error(429, "TooManyRequestsException", "Rate Exceeded.", Reason=reason, Type="User")
        except (TooLarge, web.HTTPRequestEntityTooLarge) as error:
            return _error(413, "RequestTooLargeException", str(error), Type="User")
        except ValueError as error:
            message = f"Could not parse request body into json: {error}"
            return _error(400, "InvalidRequestContentException", message, Type="User")
        except OSError as error:
            return _error(500, "ServiceException", f"no instance of {name} can be started: {error}", Type="Service")
        headers = {"x-amzn-RequestId": answer.request_id, "X-Amz-Executed-Version": "$LATEST"}
        if answer.error is not None:
            headers["X-Amz-Function-Error"] = answer.error
        return web.Response(body=answer.payload, content_type="application/json", headers=headers)

    async def instances(_: web.Request) -> web.Response:
        running = [
            {"function": name, "pid": instance.pid, "state": instance.state, "id": instance.id}
            for name, function in lambdas.functions.items()
            for instance in function.instances
        ]
        return web.json_response(running)

    app.router.add_post("/2015-03-31/functions/{name}/invocations", invoke)
    app.router.add_get("/_local/instances", instances)
    return app


def _error(status: int, kind: str, message: str, **more: str) -> web.Response:
    """Returns an error that the SDKs convert to an exception of this kind."""
    body = json.dumps({"message": message, "Message": message, **more})
    return web.Response(status=status, text=body, content_type="application/json", headers={"x-amzn-ErrorType": kind})
