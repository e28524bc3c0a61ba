"""Tests the local Lambda's Invoke API with boto3, custom resources, and the local API Gateway."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import boto3
import pytest
from aiohttp import web
from botocore.config import Config
from botocore.exceptions import ClientError
from yarl import URL

from infra.local.cloudformation import CustomResources, DeploymentError
from infra.local.functions.invoke_api import invoke_app
from infra.local.host.ports import listen
from infra.local.http.gateway import GatewayRunner, gateway_app
from infra.local.http.proxy_event import ApiKey
from infra.local.template.addresses import LocalAddresses, function_arn
from infra.local.template.model import Api, CustomResource, Route


class Server:
    """Serves aiohttp applications for one test."""

    def __init__(self) -> None:
        self._runners: list[web.AppRunner] = []

    async def start(self, app: web.Application) -> str:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        self._runners.append(runner)
        listening = listen()
        await web.SockSite(runner, listening).start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    async def end(self) -> None:
        for runner in self._runners:
            await runner.cleanup()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    yield server
    await server.end()


def client(url: str) -> Any:
    config = Config(retries={"total_max_attempts": 1})
    session = boto3.session.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
    return session.client("lambda", endpoint_url=url, config=config)


async def test_boto3_gets_answers_errors_and_exceptions(harness: Any, server: Server) -> None:
    lambdas = harness.lambdas(limit=1)
    boto = await asyncio.to_thread(client, await server.start(invoke_app(lambdas)))

    def invoke(name: str, kind: str = "RequestResponse", **event: Any) -> Any:
        return boto.invoke(FunctionName=name, InvocationType=kind, Payload=json.dumps(event))

    answer = await asyncio.to_thread(invoke, function_arn("Probe"), do="echo", n=1)
    assert (answer["StatusCode"], "FunctionError" in answer) == (200, False)
    assert json.loads(answer["Payload"].read())["event"]["n"] == 1
    failed = await asyncio.to_thread(invoke, "Probe", do="fail")
    assert (failed["StatusCode"], failed["FunctionError"]) == (200, "Unhandled")
    with pytest.raises(ClientError) as caught:
        await asyncio.to_thread(invoke, "Nobody")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
    both = await asyncio.gather(
        *(asyncio.to_thread(invoke, "Probe", do="sleep", seconds=0.5) for _ in range(2)), return_exceptions=True
    )
    (throttled,) = [item for item in both if isinstance(item, ClientError)]
    assert throttled.response["Error"]["Code"] == "TooManyRequestsException"
    assert throttled.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    accepted = await asyncio.to_thread(invoke, "Probe", "Event")
    assert (accepted["StatusCode"], accepted["Payload"].read()) == (202, b"")


async def test_event_is_accepted_with_zero_concurrency(harness: Any, server: Server) -> None:
    lambdas = harness.lambdas(limit=0)
    url = await server.start(invoke_app(lambdas)) + "/2015-03-31/functions/{}/invocations"
    headers = {"X-Amz-Invocation-Type": "Event"}
    async with aiohttp.ClientSession(headers=headers) as http:
        for name in ("Probe", "urlshot-probe", "Probe:$LATEST", function_arn("urlshot-probe")):
            async with http.post(url.format(name), data=b'{"a": 1}') as answer:
                assert (answer.status, await answer.read()) == (202, b""), name
                assert answer.headers["x-amzn-RequestId"]
        for name, data, status, kind in [
            ("Nobody", b"{}", 404, "ResourceNotFoundException"),
            ("Probe", b'"' + b"x" * 1024 * 1024 + b'"', 413, "RequestTooLargeException"),
            ("Probe", b"{", 400, "InvalidRequestContentException"),
            ("Probe", b'"\xff"', 400, "InvalidRequestContentException"),
        ]:
            async with http.post(url.format(name), data=data) as answer:
                assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (status, kind)


async def test_running_instances_are_listed(harness: Any, server: Server) -> None:
    lambdas = harness.lambdas()
    url = await server.start(invoke_app(lambdas))
    pid = json.loads((await lambdas.invoke("Probe", b"{}")).payload)["pid"]
    async with aiohttp.ClientSession() as http, http.get(f"{url}/_local/instances") as answer:
        (instance,) = await answer.json()
    assert (instance["function"], instance["pid"], instance["state"]) == ("Probe", pid, "frozen")


@pytest.mark.parametrize(
    ("answers", "reason"),
    [({"Status": "SUCCESS", "Data": {"k": "v"}}, None), ({"Status": "FAILED", "Reason": "no!"}, "no!")],
)
async def test_custom_resource_answers_at_its_url(
    harness: Any, server: Server, answers: dict[str, Any], reason: str | None
) -> None:
    lambdas = harness.lambdas("probe.custom")
    custom = CustomResources(lambdas, LocalAddresses("http://a", "amqp://b", "http://c"))
    app = invoke_app(lambdas)
    custom.routes(app)
    url = await server.start(app)
    resource = CustomResource("Topology", "Custom::X", "Probe", {"ServiceToken": "arn", "N": 1, "Answer": answers}, 20)
    if reason is None:
        assert await custom.create(resource, url) == {"k": "v"}
    else:
        with pytest.raises(DeploymentError, match=reason):
            await custom.create(resource, url)


async def test_custom_resource_fails_with_its_function(harness: Any, server: Server) -> None:
    lambdas = harness.lambdas("broken.handler")
    custom = CustomResources(lambdas, LocalAddresses("http://a", "amqp://b", "http://c"))
    with pytest.raises(DeploymentError, match="not today"):
        await custom.create(
            CustomResource("T", "Custom::X", "Probe", {"ServiceToken": "arn"}, 20), "http://127.0.0.1:1"
        )


KEY = ApiKey("key-1", "s3cret-key")


async def test_gateway_makes_its_own_answers_like_api_gateway(harness: Any, server: Server) -> None:
    routes = (Route("POST", "/run", "Probe"),)
    api = Api("Api", "prod", routes, (), {"MISSING_AUTHENTICATION_TOKEN": {
        "statusCode": 404,
        "responseParameters": {
            "gatewayresponse.header.X-Request-Id": "context.requestId",
            "gatewayresponse.header.X-Said": "'by the gateway'",
        },
        "responseTemplates": {"application/problem+json": '{"title": $context.error.messageString}'},
    }})  # fmt: skip
    lambdas = harness.lambdas("probe.proxy")
    url = await server.start(gateway_app(api, lambdas, key=KEY, stage_in_path=True, say=lambda _text: None))
    async with aiohttp.ClientSession() as http:

        async def post(path: str, body: Any) -> tuple[int, str, str]:
            async with http.post(url + path, json=body) as answer:
                return answer.status, answer.content_type, await answer.text()

        assert await post("/prod/run", {"statusCode": 201, "body": "made"}) == (201, "application/json", "made")
        assert await post("/prod/run", {"nothing": 1}) == (
            502,
            "application/json",
            '{"message":"Internal server error"}',
        )
        assert (await post("/run", {}))[0] == 403
        async with http.post(URL(url + "/prod/o%0Ather", encoded=True), json={}) as answer:
            assert answer.content_type == "application/problem+json"
        async with http.post(url + "/prod/other", json={}) as answer:
            assert (answer.status, answer.content_type) == (404, "application/problem+json")
            assert (await answer.json(content_type=None))["title"] == "Missing Authentication Token"
            assert answer.headers["X-Request-Id"] == answer.headers["x-amzn-RequestId"]
            assert answer.headers["X-Said"] == "by the gateway"
        async with http.post(url + "/prod/run", data=b"x" * 10_500_000) as answer:
            assert answer.status == 413


@pytest.mark.parametrize(
    ("sent", "status", "title"),
    [
        (b"POST /run HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n", 400, "Invalid request body"),
        (b"GET /" + b"a" * 11_000 + b" HTTP/1.1\r\n", 413, "Request Too Long"),
        (b"GET /run HTTP/1.1\r\nA: " + b"b" * 11_000 + b"\r\n", 413, "Request Too Long"),
        (b"GET /run HTTP/1.1\r\nContent-Length: many\r\n", 400, "Bad Request"),
    ],
)
async def test_malformed_request_gets_an_answer_of_the_gateway(
    harness: Any, sent: bytes, status: int, title: str
) -> None:
    template = {"responseTemplates": {"application/problem+json": '{"title": $context.error.messageString}'}}
    api = Api("Api", "prod", (Route("POST", "/run", "Probe"),), (), {"DEFAULT_4XX": template})
    app = gateway_app(api, harness.lambdas("probe.proxy"), key=KEY, stage_in_path=False, say=lambda _text: None)
    runner = GatewayRunner(app, api)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        await web.SockSite(runner, listening).start()
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(sent + b"Host: x\r\nConnection: close\r\n\r\nhello")
        answer = await asyncio.wait_for(reader.read(-1), 30)
        writer.close()
        await runner.cleanup()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.split(b" ")[1]) == status
    assert b"Content-Type: application/problem+json" in head
    assert b"x-amzn-RequestId" in head
    assert json.loads(body) == {"title": title}


async def test_route_that_needs_a_key_is_refused_without_it(harness: Any, server: Server) -> None:
    routes = (Route("ANY", "/run", "Probe", needs_key=True), Route("OPTIONS", "/run", "Probe"))
    api = Api("Api", "prod", routes, (), {})
    lambdas = harness.lambdas("probe.proxy")
    url = await server.start(gateway_app(api, lambdas, key=KEY, stage_in_path=False, say=lambda _text: None))
    async with aiohttp.ClientSession() as http:
        for method, key, status in [
            ("POST", None, 403), ("POST", "wrong", 403), ("POST", "schl\u00fcssel", 403), ("POST", KEY.value, 200),
            ("PUT", KEY.value, 200), ("OPTIONS", None, 200),
        ]:  # fmt: skip
            headers = {"x-api-key": key} if key else {}
            async with http.request(method, url + "/run", json={"statusCode": 200}, headers=headers) as answer:
                assert answer.status == status, (method, key)
