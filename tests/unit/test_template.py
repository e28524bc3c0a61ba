"""template.yaml fits the code: handlers, settings, names and durations."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path

import pytest

from functions.api.app import ROUTES
from functions.api.dependencies import ApiSettings
from functions.api.job_calls import BATCH_SECONDS
from functions.api.waiting import SLOT_LEASE, WAIT_SECONDS
from functions.callback.app import SIDE_BY_SIDE, CallbackSettings
from functions.callback.post import ATTEMPT_SECONDS, DROP_SECONDS
from functions.callback.work import DELAYS
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
from infra.local.settings import default_parameters
from infra.local.template.addresses import LocalAddresses
from infra.local.template.application import read_application
from infra.local.template.evaluator import Template, TemplateError
from infra.local.template.model import Application, Asynchronous, Destination
from tests.contract import Answer, Contract, Request
from tests.unit.stacks import EVERYTHING, stack
from urlshot.adapters.broker import PUBLISH_SECONDS
from urlshot.core import events, lease, messages, records
from urlshot.core.errors import CODES
from urlshot.core.lease import lease_seconds
from urlshot.core.settings import Settings

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


def application_with(**parameters: str) -> Application:
    given = {**default_parameters(parameters), **parameters}
    return read_application(Template(PROJECT / "template.yaml", ADDRESSES, given), ADDRESSES)


@pytest.fixture(scope="module")
def application() -> Application:
    return application_with(**EVERYTHING, QueueWatch="enabled")


def test_every_function_has_a_package_and_every_package_a_function(application: Application) -> None:
    packages = {path.parent.name for path in (PROJECT / "functions").glob("*/app.py")}
    assert set(application.functions) == {f"{package.capitalize()}Function" for package in packages} == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_handler_exists_and_takes_an_event_and_a_context(application: Application, name: str) -> None:
    module, _, attribute = application.functions[name].handler.rpartition(".")
    handler = getattr(importlib.import_module(module), attribute)
    assert list(inspect.signature(handler).parameters) == ["event", "context"]


@pytest.mark.parametrize("name", [name for name, settings in SETTINGS.items() if settings])
def test_environment_of_a_function_satisfies_its_settings(application: Application, name: str) -> None:
    settings = SETTINGS[name]
    assert settings is not None
    assert settings.read(application.functions[name].environment)


@pytest.mark.parametrize("name", [name for name, settings in SETTINGS.items() if settings])
def test_function_reads_every_variable_that_is_set(application: Application, name: str) -> None:
    settings = SETTINGS[name]
    assert settings is not None
    read = {field.upper() for field in settings.model_fields}
    assert {key for key in application.functions[name].environment if not key.startswith("POWERTOOLS_")} <= read


def test_template_sets_no_variable_of_the_local_stack() -> None:
    texts = [path.read_text() for path in (PROJECT / "template.yaml", *(PROJECT / "infra").glob("*.yaml"))]
    assert not any("LOCAL_" in text for text in texts)


def test_endpoints_of_aws_are_declared_for_sam_local_and_not_set(application: Application) -> None:
    assert "AWS_ENDPOINT_URL: " in (PROJECT / "template.yaml").read_text()
    assert not [name for function in application.functions.values() for name in function.environment if "AWS_" in name]


def test_declared_queues_are_those_that_are_consumed() -> None:
    application = application_with(QueueLimit="77", BatchSize="7", RetryDelays="1,2")
    [topology] = application.custom_resources
    wanted = Wanted.model_validate({key: str(value) for key, value in topology.properties.items()})
    assert (wanted.limit, wanted.delays) == (77, (1, 2))
    assert [mapping.queue for mapping in application.mappings] == [*messages.QUEUES.values(), messages.RETURNED]
    for mapping in application.mappings:
        assert mapping.function == "DispatchFunction"
        assert (
            mapping.batch_size
            == DispatchSettings.read(application.functions["DispatchFunction"].environment).batch_size
        )
        assert mapping.window == 0  # Lambda's default is half a second
        assert mapping.secret.endswith("-DispatchSecret")


def test_all_parts_agree_on_delays_lease_and_slots() -> None:
    """A parked message needs a declared queue, and watch must count the slots that dispatch takes."""
    application = application_with(RetryDelays="1,2", Renders="9", QueueWatch="enabled")
    [topology] = application.custom_resources
    wanted = Wanted.model_validate({key: str(value) for key, value in topology.properties.items()})
    dispatch = DispatchSettings.read(application.functions["DispatchFunction"].environment)
    settle = SettleSettings.read(application.functions["SettleFunction"].environment)
    watch = WatchSettings.read(application.functions["WatchFunction"].environment)
    assert wanted.delays == dispatch.retry_delays == settle.retry_delays
    timeouts = {wanted.render_timeout, dispatch.render_timeout, settle.render_timeout, watch.render_timeout}
    assert timeouts == {application.functions["RenderFunction"].timeout}
    assert lease_seconds(dispatch.render_timeout) in wanted.steps
    assert (dispatch.renders, watch.renders) == (9, 9)
    assert dispatch.max_attempts == settle.max_attempts


def test_users_of_the_queues_depend_on_their_declaration() -> None:
    template = Template(PROJECT / "template.yaml", ADDRESSES, default_parameters())
    for name in ("ApiFunction", "DispatchFunction", "SettleFunction", "WorkMapping", "BulkMapping", "ReturnedMapping"):
        assert template.resources[name].body["DependsOn"] == "Topology"


def test_every_result_of_render_goes_to_settle(application: Application) -> None:
    render = application.functions["RenderFunction"].asynchronous
    assert (render.retries, render.max_age) == (0, lease.EVENT_AGE_SECONDS)
    assert render.on_success == render.on_failure == Destination("Lambda", "SettleFunction")


def test_settle_keeps_no_failed_event(application: Application) -> None:
    """An event may hold the secrets of a private job."""
    assert application.functions["SettleFunction"].asynchronous == Asynchronous(retries=2, max_age=3600.0)


def test_the_rules_match_our_events_and_no_others(application: Application) -> None:
    made = stack(**EVERYTHING)
    assert {rule.function for rule in application.rules} == made.fed_by("EventBridgeRule")
    assert {mapping.function for mapping in application.sqs_mappings} == made.fed_by("SQS")
    for rule in (*application.rules, *application.queue_rules):
        assert rule.pattern == {"source": [events.SOURCE], "detail-type": ["ShotCompleted", "ShotFailed"]}


def test_waits_of_a_job_are_nested(application: Application) -> None:
    """Each wait ends before the wait around it."""
    functions = application.functions
    dispatch, render = functions["DispatchFunction"], functions["RenderFunction"]
    # a batch waits for slots; then it handles redelivered messages one by one, each with enough time
    assert dispatch.timeout > SLOT_SECONDS + ALONE_SECONDS
    assert dispatch.timeout <= 14 * 60  # Lambda's limit for Amazon MQ mappings
    whole = lease_seconds(render.timeout)
    assert lease.EVENT_AGE_SECONDS + render.timeout + functions["SettleFunction"].timeout < whole
    assert dispatch.timeout < whole  # the slot of a batch that died becomes free only after the batch could have ended
    job_age = DispatchSettings.read(dispatch.environment).max_job_age
    assert job_age > 3 * whole
    assert WAIT_SECONDS < GATEWAY_SECONDS < functions["ApiFunction"].timeout < SLOT_LEASE.total_seconds()
    assert BATCH_SECONDS + PUBLISH_SECONDS < GATEWAY_SECONDS
    assert records.PUBLISH_LEASE.total_seconds() < GATEWAY_SECONDS
    topology, [resource] = functions["TopologyFunction"], application.custom_resources
    assert topology.timeout > PATIENCE_SECONDS + ANSWER_SECONDS
    assert topology.asynchronous.retries == 0
    assert topology.timeout + topology.asynchronous.max_age < resource.timeout <= 3600


def test_defaults_fit_an_account_of_ten_instances() -> None:
    """Renders and waiting requests occupy instances for long. The other functions share the remaining ones."""
    given = stack().template.parameters
    assert int(given["Renders"]) + int(given["MaxWaiting"]) <= 7
    assert {given[f"{name}Concurrency"] for name in ("Api", "Render", "Settle")} == {"0"}
    assert stack().functions["CallbackFunction"].require("Events")["Callbacks"]["Properties"]["ScalingConfig"] == {
        "MaximumConcurrency": given["CallbackConcurrency"]
    }
    assert int(given["CallbackConcurrency"]) == 2  # Lambda's minimum


def test_render_gets_no_secret_and_no_internal_address(application: Application) -> None:
    environment = application.functions["RenderFunction"].environment
    assert not [value for value in environment.values() if "arn:" in value or "amqp" in value]


def test_callback_has_a_queue_of_its_own(application: Application) -> None:
    [rule], [mapping] = application.queue_rules, application.sqs_mappings
    assert (mapping.function, mapping.partial) == ("CallbackFunction", True)
    assert rule.queues == (mapping.queue,)
    assert mapping.batch_size == SIDE_BY_SIDE
    [queue] = [queue for queue in application.queues if queue.arn == mapping.queue]
    environment = application.functions["CallbackFunction"].environment
    assert environment["CALLBACK_QUEUE"].endswith(f"/{queue.name}")
    timeout = application.functions["CallbackFunction"].timeout
    assert timeout > 2 * (ATTEMPT_SECONDS + DROP_SECONDS)
    assert int(queue.attributes["VisibilityTimeout"]) >= 6 * timeout  # Lambda's guide for SQS mappings
    redrive = json.loads(queue.attributes["RedrivePolicy"])
    assert redrive["maxReceiveCount"] == len(DELAYS) + 1
    assert list(DELAYS) == sorted(DELAYS)
    assert DELAYS[-1] * 1.1 + timeout < 12 * 3600  # SQS's longest visibility time-out
    [dead] = [queue for queue in application.queues if queue.arn == redrive["deadLetterTargetArn"]]
    # A subscription outlives its dead letter, so that the callback can be tried again from there.
    kept = int(dead.attributes["MessageRetentionPeriod"]) / 86_400
    rules = bucket_rules()
    assert rules["sub/"] > kept
    assert rules["claim/"] * 86_400 > int(queue.attributes["MessageRetentionPeriod"])


def bucket_rules() -> dict[str, int]:
    """Returns the days after which objects are deleted, by the prefix of their keys."""
    template = Template(PROJECT / "template.yaml", ADDRESSES, default_parameters())
    [bucket] = [one for one in template.everything() if one.type == "AWS::S3::Bucket"]
    rules = bucket.require("LifecycleConfiguration")["Rules"]
    return {rule["Prefix"]: int(rule["ExpirationInDays"]) for rule in rules if "Prefix" in rule}


@pytest.mark.parametrize(
    ("to", "allow", "there"), [("", "", False), ("a@b.example", "", True), ("", "@b.example", True)]
)
def test_mail_function_exists_if_there_can_be_recipients(to: str, allow: str, there: bool) -> None:
    functions = application_with(MailTo=to, NotifyAllow=allow).functions
    assert ("MailFunction" in functions) == there
    assert "MailFunction" not in application_with(MailTo=to, NotifyAllow=allow, MailFrom="").functions


def test_links_have_tokens_where_keys_are_required() -> None:
    for name in ("MailFunction", "CallbackFunction"):
        assert application_with(RequireApiKey="true").functions[name].environment["LINK_SECRET"].endswith("LinkSecret")
        assert application_with(RequireApiKey="false").functions[name].environment["LINK_SECRET"] == ""


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
        assert ApiSettings.read(application_with(**{name: value}).functions["ApiFunction"].environment)
    else:
        with pytest.raises(TemplateError):
            application_with(**{name: value})


def test_callback_gets_the_symmetric_secret() -> None:
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:hooks-AbCdEf"
    for given, read in (({"SymmetricWebhookSecretArn": arn}, arn), ({}, "")):
        environment = application_with(**given).functions["CallbackFunction"].environment
        assert CallbackSettings.read(environment).symmetric_webhook_secret == read


OPEN = {"/", "/page/{name}", "/health", "/openapi.json", "/webhook-keys", "/pdf/{id}/file"}


@pytest.mark.parametrize("required", ["true", "false"])
def test_every_route_goes_to_the_api_and_needs_a_key_if_required(required: str) -> None:
    api = application_with(RequireApiKey=required).api
    assert api is not None
    assert {route.path for route in api.routes} == set(ROUTES)
    assert {route.function for route in api.routes} == {"ApiFunction"}
    closed = {(route.method, route.path) for route in api.routes if route.needs_key}
    assert closed == ({("ANY", path) for path in set(ROUTES) - OPEN} if required == "true" else set())
    # A browser's preflight carries no key (Fetch Standard), so it must pass without one.
    assert {route.path for route in api.routes if route.method == "OPTIONS"} == set(ROUTES) - OPEN


@pytest.mark.parametrize("origin", ["", "https://app.example.com"])
def test_errors_of_the_gateway_allow_the_same_origin_as_ours(origin: str) -> None:
    api = application_with(CorsOrigin=origin).api
    assert api is not None
    for response in api.gateway_responses.values():
        shown = response["responseParameters"].get("gatewayresponse.header.Access-Control-Allow-Origin")
        assert shown == (f"'{origin}'" if origin else None)


def test_errors_of_the_gateway_are_problems_like_ours(application: Application) -> None:
    assert application.api is not None
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} <= set(application.api.gateway_responses)
    for name, response in application.api.gateway_responses.items():
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
"""For responses whose status API Gateway chooses: an example of such a status."""


def test_errors_of_the_gateway_conform_to_the_contract(application: Application) -> None:
    assert application.api is not None
    described = Contract()
    for name, response in application.api.gateway_responses.items():
        target = "/no/such/path" if name == "MISSING_AUTHENTICATION_TOKEN" else "/pdf"
        text = response["responseTemplates"]["application/json"].replace("$context.error.messageString", '"text"')
        headers = {
            key.removeprefix("gatewayresponse.header."): str(value).strip("'")
            for key, value in response["responseParameters"].items()
        }
        answer = Answer(int(response.get("statusCode") or STATUSES[name]), headers, text.encode())
        assert described.faults(Request("POST", target, b"{}"), answer) == [], name
