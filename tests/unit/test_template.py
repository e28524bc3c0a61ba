"""template.yaml against the code that it wires: handlers, settings, names and times."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path

import pytest

from functions.api.app import ROUTES
from functions.api.jobs import BATCH_SECONDS
from functions.api.parts import ApiSettings
from functions.api.waiting import SLOT_LEASE, WAIT_SECONDS
from functions.callback.app import SIDE_BY_SIDE, CallbackSettings
from functions.callback.post import ATTEMPT_SECONDS, DROP_SECONDS
from functions.callback.work import DELAYS, KEPT_SECONDS
from functions.dispatch.app import ALONE_SECONDS, DispatchSettings
from functions.dispatch.pool import WAIT_SECONDS as SLOT_SECONDS
from functions.mail.app import MailSettings
from functions.render.settings import RenderSettings
from functions.settle.app import SettleSettings
from functions.topology.app import TopologySettings
from functions.topology.cloudformation import ANSWER_SECONDS
from functions.topology.description import Wanted
from functions.topology.management import PATIENCE_SECONDS
from functions.watch.app import WatchSettings
from infra.local.addresses import LocalAddresses
from infra.local.model import Asynchronous, Destination, Wiring
from infra.local.settings import default_parameters
from infra.local.template import Template, TemplateError
from infra.local.wiring import read_wiring
from tests.contract import Answer, Contract, Request
from tests.unit.stacks import EVERYTHING, stack
from urlshot import events, lease, messages, records
from urlshot.broker import PUBLISH_SECONDS
from urlshot.errors import CODES
from urlshot.lease import lease_seconds
from urlshot.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
ADDRESSES = LocalAddresses(aws="http://127.0.0.1:1", amqp="amqp://127.0.0.1:2", console="http://127.0.0.1:3")
GATEWAY_SECONDS = 29  # API Gateway's integration time-out
SETTINGS: dict[str, type[Settings] | None] = {
    "ApiFunction": ApiSettings,
    "DispatchFunction": DispatchSettings,
    "RenderFunction": RenderSettings,
    "SettleFunction": SettleSettings,
    "MailFunction": MailSettings,
    "CallbackFunction": CallbackSettings,
    "TopologyFunction": TopologySettings,
    "LogFunction": None,
    "MetricFunction": None,
    "WatchFunction": WatchSettings,
}


def wiring_with(**parameters: str) -> Wiring:
    given = {**default_parameters(parameters), **parameters}
    return read_wiring(Template(PROJECT / "template.yaml", ADDRESSES, given), ADDRESSES)


@pytest.fixture(scope="module")
def wiring() -> Wiring:
    return wiring_with(**EVERYTHING, QueueWatch="enabled")


def test_every_room_is_a_function_and_every_function_a_room(wiring: Wiring) -> None:
    rooms = {path.parent.name for path in (PROJECT / "functions").glob("*/app.py")}
    assert set(wiring.functions) == {f"{room.capitalize()}Function" for room in rooms} == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_handler_exists_and_takes_an_event_and_a_context(wiring: Wiring, name: str) -> None:
    module, _, attribute = wiring.functions[name].handler.rpartition(".")
    handler = getattr(importlib.import_module(module), attribute)
    assert list(inspect.signature(handler).parameters) == ["event", "context"]


@pytest.mark.parametrize("name", [name for name, settings in SETTINGS.items() if settings])
def test_a_functions_environment_satisfies_its_settings(wiring: Wiring, name: str) -> None:
    settings = SETTINGS[name]
    assert settings is not None
    assert settings.read(wiring.functions[name].environment)


@pytest.mark.parametrize("name", [name for name, settings in SETTINGS.items() if settings])
def test_no_variable_is_set_that_nobody_reads(wiring: Wiring, name: str) -> None:
    settings = SETTINGS[name]
    assert settings is not None
    read = {field.upper() for field in settings.model_fields}
    assert {key for key in wiring.functions[name].environment if not key.startswith("POWERTOOLS_")} <= read


def test_what_is_for_the_local_stack_cannot_be_set_by_the_template() -> None:
    texts = [path.read_text() for path in (PROJECT / "template.yaml", *(PROJECT / "infra").glob("*.yaml"))]
    assert not any("LOCAL_" in text for text in texts)


def test_addresses_of_aws_are_named_for_sam_local_and_not_set(wiring: Wiring) -> None:
    assert "AWS_ENDPOINT_URL: " in (PROJECT / "template.yaml").read_text()
    assert not [name for function in wiring.functions.values() for name in function.environment if "AWS_" in name]


def test_the_declared_queues_are_the_ones_that_are_consumed() -> None:
    wiring = wiring_with(QueueLimit="77", BatchSize="7", RetryDelays="1,2")
    [topology] = wiring.custom_resources
    wanted = Wanted.model_validate({key: str(value) for key, value in topology.properties.items()})
    assert (wanted.limit, wanted.delays) == (77, (1, 2))
    assert [mapping.queue for mapping in wiring.mappings] == list(messages.QUEUES.values())
    for mapping in wiring.mappings:
        assert mapping.function == "DispatchFunction"
        assert mapping.batch_size == DispatchSettings.read(wiring.functions["DispatchFunction"].environment).batch_size
        assert mapping.window == 0  # unset, Lambda would wait for half a second
        assert mapping.secret.endswith("-DispatchSecret")


def test_all_parts_agree_on_delays_lease_and_slots() -> None:
    """A message that is parked goes to a queue that was declared, and watch counts slots as dispatch takes them."""
    wiring = wiring_with(RetryDelays="1,2", Renders="9", QueueWatch="enabled")
    [topology] = wiring.custom_resources
    wanted = Wanted.model_validate({key: str(value) for key, value in topology.properties.items()})
    dispatch = DispatchSettings.read(wiring.functions["DispatchFunction"].environment)
    settle = SettleSettings.read(wiring.functions["SettleFunction"].environment)
    watch = WatchSettings.read(wiring.functions["WatchFunction"].environment)
    assert wanted.delays == dispatch.retry_delays == settle.retry_delays
    timeouts = {wanted.render_timeout, dispatch.render_timeout, settle.render_timeout, watch.render_timeout}
    assert timeouts == {wiring.functions["RenderFunction"].timeout}
    assert lease_seconds(dispatch.render_timeout) in wanted.steps
    assert (dispatch.renders, watch.renders) == (9, 9)
    assert dispatch.max_attempts == settle.max_attempts


def test_what_uses_the_queues_comes_after_what_declares_them() -> None:
    template = Template(PROJECT / "template.yaml", ADDRESSES, default_parameters())
    for name in ("ApiFunction", "DispatchFunction", "SettleFunction", "WorkMapping", "BulkMapping"):
        assert template.resources[name].body["DependsOn"] == "Topology"


def test_results_of_render_go_to_settle_whatever_they_are(wiring: Wiring) -> None:
    render = wiring.functions["RenderFunction"].asynchronous
    assert (render.retries, render.max_age) == (0, lease.EVENT_AGE_SECONDS)
    assert render.on_success == render.on_failure == Destination("Lambda", "SettleFunction")


def test_settle_keeps_no_event_that_it_gave_up(wiring: Wiring) -> None:
    """An event may hold the secrets of a private job."""
    assert wiring.functions["SettleFunction"].asynchronous == Asynchronous(retries=2, max_age=3600.0)


def test_the_rules_match_our_events_and_no_others(wiring: Wiring) -> None:
    made = stack(**EVERYTHING)
    assert {rule.function for rule in wiring.rules} == made.fed_by("EventBridgeRule")
    assert {mapping.function for mapping in wiring.sqs_mappings} == made.fed_by("SQS")
    for rule in (*wiring.rules, *wiring.queue_rules):
        assert rule.pattern == {"source": [events.SOURCE], "detail-type": ["ShotCompleted", "ShotFailed"]}


def test_the_waits_of_a_job_fit_into_one_another(wiring: Wiring) -> None:
    """Each wait ends before the one around it."""
    functions = wiring.functions
    dispatch, render = functions["DispatchFunction"], functions["RenderFunction"]
    # a batch waits for slots; then messages that were delivered before follow, each with time enough of its own
    assert dispatch.timeout > SLOT_SECONDS + ALONE_SECONDS
    assert dispatch.timeout <= 14 * 60  # Lambda's limit for Amazon MQ mappings
    whole = lease_seconds(render.timeout)
    assert lease.EVENT_AGE_SECONDS + render.timeout + functions["SettleFunction"].timeout < whole
    assert dispatch.timeout < whole  # a slot of a batch that died is not free before the batch could have ended
    job_age = DispatchSettings.read(dispatch.environment).max_job_age
    assert job_age > 3 * whole
    assert WAIT_SECONDS < GATEWAY_SECONDS < functions["ApiFunction"].timeout < SLOT_LEASE.total_seconds()
    assert BATCH_SECONDS + PUBLISH_SECONDS < GATEWAY_SECONDS
    assert records.PUBLISH_LEASE.total_seconds() < GATEWAY_SECONDS
    topology, [resource] = functions["TopologyFunction"], wiring.custom_resources
    assert topology.timeout > PATIENCE_SECONDS + ANSWER_SECONDS
    assert topology.asynchronous.retries == 0
    assert topology.timeout + topology.asynchronous.max_age < resource.timeout <= 3600


def test_defaults_fit_an_account_of_ten_instances() -> None:
    """Renders and waiting requests hold their instances for long; the others have to share what is left."""
    given = stack().template.parameters
    assert int(given["Renders"]) + int(given["MaxWaiting"]) <= 7
    assert {given[f"{name}Concurrency"] for name in ("Api", "Render", "Settle")} == {"0"}
    assert stack().functions["CallbackFunction"].require("Events")["Callbacks"]["Properties"]["ScalingConfig"] == {
        "MaximumConcurrency": given["CallbackConcurrency"]
    }
    assert int(given["CallbackConcurrency"]) == 2  # Lambda's least


def test_render_is_given_no_secret_and_no_address_of_ours(wiring: Wiring) -> None:
    environment = wiring.functions["RenderFunction"].environment
    assert not [value for value in environment.values() if "arn:" in value or "amqp" in value]


def test_callbacks_come_by_a_queue_that_is_theirs_alone(wiring: Wiring) -> None:
    [rule], [mapping] = wiring.queue_rules, wiring.sqs_mappings
    assert (mapping.function, mapping.partial) == ("CallbackFunction", True)
    assert rule.queues == (mapping.queue,)
    assert mapping.batch_size == SIDE_BY_SIDE
    [queue] = [queue for queue in wiring.queues if queue.arn == mapping.queue]
    environment = wiring.functions["CallbackFunction"].environment
    assert environment["CALLBACK_QUEUE"].endswith(f"/{queue.name}")
    timeout = wiring.functions["CallbackFunction"].timeout
    assert timeout > 2 * (ATTEMPT_SECONDS + DROP_SECONDS)
    assert int(queue.attributes["VisibilityTimeout"]) >= 6 * timeout  # Lambda's guide for SQS mappings
    redrive = json.loads(queue.attributes["RedrivePolicy"])
    assert redrive["maxReceiveCount"] == len(DELAYS) + 1
    assert list(DELAYS) == sorted(DELAYS)
    assert DELAYS[-1] * 1.1 + timeout < 12 * 3600  # the longest that SQS hides a message after it was received
    [dead] = [queue for queue in wiring.queues if queue.arn == redrive["deadLetterTargetArn"]]
    # A subscription outlives the dead letter about it, so that it can be tried anew from there.
    kept = int(dead.attributes["MessageRetentionPeriod"]) / 86_400
    rules = bucket_rules()
    assert rules["sub/"] > kept
    assert rules["claim/"] * 86_400 > KEPT_SECONDS


def bucket_rules() -> dict[str, int]:
    """Days after which what begins so is deleted."""
    template = Template(PROJECT / "template.yaml", ADDRESSES, default_parameters())
    [bucket] = [one for one in template.everything() if one.type == "AWS::S3::Bucket"]
    rules = bucket.require("LifecycleConfiguration")["Rules"]
    return {rule["Prefix"]: int(rule["ExpirationInDays"]) for rule in rules if "Prefix" in rule}


@pytest.mark.parametrize(
    ("to", "allow", "there"), [("", "", False), ("a@b.example", "", True), ("", "@b.example", True)]
)
def test_there_are_mails_where_there_can_be_recipients(to: str, allow: str, there: bool) -> None:
    functions = wiring_with(MailTo=to, NotifyAllow=allow).functions
    assert ("MailFunction" in functions) == there
    assert "MailFunction" not in wiring_with(MailTo=to, NotifyAllow=allow, MailFrom="").functions


def test_links_have_tokens_where_keys_are_required() -> None:
    for name in ("MailFunction", "CallbackFunction"):
        assert wiring_with(RequireApiKey="true").functions[name].environment["LINK_SECRET"].endswith("LinkSecret")
        assert wiring_with(RequireApiKey="false").functions[name].environment["LINK_SECRET"] == ""


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("NotifyAllow", "", True),
        ("NotifyAllow", "a@example.com, @example.org", True),
        ("NotifyAllow", "example.com", False),
        ("NotifyAllow", "@", False),
        ("SymmetricWebhookSecretArn", "", True),
        ("SymmetricWebhookSecretArn", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:hooks/v1-AbCdEf", True),
        ("SymmetricWebhookSecretArn", "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:v1-AbCdEf", True),
        ("SymmetricWebhookSecretArn", "whsec_c2VjcmV0", False),
        ("SymmetricWebhookSecretArn", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:*", False),
        ("Zones", "", True),
        ("Zones", "us-east-1a,us-east-1c", True),
        ("Zones", "us-gov-west-1a,us-gov-west-1b", True),
        ("Zones", "us-east-1a", False),
        ("Zones", "us-east-1a,us-east-1a", False),
        ("Zones", "us-east-1a,us-east-1b,us-east-1c", False),
        ("Zones", "use1-az1,use1-az2", False),
        ("CallbackHosts", "", True),
        ("CallbackHosts", "a.example, b.example:8443,[::1]:443", True),
        ("CallbackHosts", "https://a.example", False),
        ("CallbackHosts", "*.example", False),
    ],
)
def test_parameters_are_checked_on_deploy(name: str, value: str, right: bool) -> None:
    if right:
        assert ApiSettings.read(wiring_with(**{name: value}).functions["ApiFunction"].environment)
    else:
        with pytest.raises(TemplateError):
            wiring_with(**{name: value})


def test_callback_is_given_the_symmetric_secret() -> None:
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:hooks-AbCdEf"
    for given, read in (({"SymmetricWebhookSecretArn": arn}, arn), ({}, "")):
        environment = wiring_with(**given).functions["CallbackFunction"].environment
        assert CallbackSettings.read(environment).symmetric_webhook_secret == read


OPEN = {"/", "/page/{name}", "/health", "/openapi.json", "/webhook-keys", "/pdf/{id}/file"}


@pytest.mark.parametrize("required", ["true", "false"])
def test_every_route_goes_to_the_api_and_asks_for_a_key_if_required(required: str) -> None:
    api = wiring_with(RequireApiKey=required).api
    assert api is not None
    assert {route.path for route in api.routes} == set(ROUTES)
    assert {route.function for route in api.routes} == {"ApiFunction"}
    closed = {(route.method, route.path) for route in api.routes if route.needs_key}
    assert closed == ({("ANY", path) for path in set(ROUTES) - OPEN} if required == "true" else set())
    # A browser's preflight carries no key (Fetch Standard), so that it has to be let through by itself.
    assert {route.path for route in api.routes if route.method == "OPTIONS"} == set(ROUTES) - OPEN


@pytest.mark.parametrize("origin", ["", "https://app.example.com"])
def test_the_gateways_own_errors_can_be_read_where_ours_can(origin: str) -> None:
    api = wiring_with(CorsOrigin=origin).api
    assert api is not None
    for response in api.gateway_responses.values():
        shown = response["responseParameters"].get("gatewayresponse.header.Access-Control-Allow-Origin")
        assert shown == (f"'{origin}'" if origin else None)


def test_the_gateways_own_errors_are_problems_like_ours(wiring: Wiring) -> None:
    assert wiring.api is not None
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} <= set(wiring.api.gateway_responses)
    for name, response in wiring.api.gateway_responses.items():
        body = response["responseTemplates"]["application/json"].replace("$context.error.messageString", '"text"')
        problem = json.loads(body)
        code = CODES[problem["code"]]
        status = {} if name == "DEFAULT_4XX" else {"status": code.status}
        assert {**problem, "detail": "", "request_id": ""} == {
            "type": f"urn:urlshot:problem:{code.name}", **status, "code": code.name, "title": code.title, "detail": "",
            "remedy": code.remedy, "retryable": code.retryable, "request_id": "",
        }  # fmt: skip
        parameters = response["responseParameters"]
        assert parameters["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        assert parameters["gatewayresponse.header.X-Request-Id"] == "context.requestId"
        assert "statusCode" not in response if not status else int(response["statusCode"]) == code.status


STATUSES = {"DEFAULT_4XX": 401}
"""Where the template leaves the status to API Gateway: one that it may choose."""


def test_the_gateways_own_errors_are_of_the_contract(wiring: Wiring) -> None:
    assert wiring.api is not None
    described = Contract()
    for name, response in wiring.api.gateway_responses.items():
        target = "/no/such/path" if name == "MISSING_AUTHENTICATION_TOKEN" else "/pdf"
        text = response["responseTemplates"]["application/json"].replace("$context.error.messageString", '"text"')
        headers = {
            key.removeprefix("gatewayresponse.header."): str(value).strip("'")
            for key, value in response["responseParameters"].items()
        }
        answer = Answer(int(response.get("statusCode") or STATUSES[name]), headers, text.encode())
        assert described.faults(Request("POST", target, b"{}"), answer) == [], name
