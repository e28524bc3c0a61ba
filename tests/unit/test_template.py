"""template.yaml against the code that it wires: handlers, settings, names and times."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path

import pytest

from functions.api.app import WAIT_SECONDS, ApiSettings
from functions.dispatch.app import DispatchSettings
from functions.dispatch.work import THROTTLE_SECONDS, Policy
from functions.mail.app import MailSettings
from functions.render.settings import RenderSettings
from functions.topology.app import Properties, TopologySettings
from functions.watch.app import WatchSettings
from infra.local.addresses import LocalAddresses
from infra.local.model import Wiring
from infra.local.settings import default_parameters
from infra.local.template import Template
from infra.local.wiring import read_wiring
from urlshot import events, messages, records
from urlshot.errors import CODES
from urlshot.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
GATEWAY_SECONDS = 29  # API Gateway's integration time-out
SETTINGS: dict[str, type[Settings] | None] = {
    "ApiFunction": ApiSettings,
    "DispatchFunction": DispatchSettings,
    "RenderFunction": RenderSettings,
    "MailFunction": MailSettings,
    "TopologyFunction": TopologySettings,
    "LogFunction": None,
    "MetricFunction": None,
    "WatchFunction": WatchSettings,
}


def wiring_with(**parameters: str) -> Wiring:
    addresses = LocalAddresses(aws="http://127.0.0.1:1", amqp="amqp://127.0.0.1:2", console="http://127.0.0.1:3")
    return read_wiring(
        Template(PROJECT / "template.yaml", addresses, {**default_parameters(), **parameters}), addresses
    )


@pytest.fixture(scope="module")
def wiring() -> Wiring:
    return wiring_with(QueueWatch="enabled")


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


def test_private_addresses_cannot_be_opened_by_the_template() -> None:
    texts = [path.read_text() for path in (PROJECT / "template.yaml", *(PROJECT / "infra").glob("*.yaml"))]
    assert not any("LOCAL_ALLOW" in text for text in texts)


def test_the_queue_that_is_read_is_the_one_that_is_declared(wiring: Wiring) -> None:
    [topology] = wiring.custom_resources
    properties = Properties.model_validate({key: str(value) for key, value in topology.properties.items()})
    assert [mapping.queue for mapping in wiring.mappings] == [messages.queue_of(n) for n in range(properties.shards)]
    for name in ("ApiFunction", "DispatchFunction"):
        assert wiring.functions[name].environment["SHARDS"] == str(properties.shards)
    dispatch = DispatchSettings.read(wiring.functions["DispatchFunction"].environment)
    assert properties.delays == dispatch.retry_delays
    assert wiring.mappings[0].batch_size == dispatch.batch_size


def test_the_rules_match_our_events_and_no_others(wiring: Wiring) -> None:
    assert {rule.function for rule in wiring.rules} == {"LogFunction", "MailFunction", "MetricFunction"}
    for rule in wiring.rules:
        assert rule.pattern == {"source": [events.SOURCE], "detail-type": ["ShotCompleted", "ShotFailed"]}


def test_the_waits_of_a_job_fit_into_one_another(wiring: Wiring) -> None:
    """Each wait ends before the one around it."""
    functions = wiring.functions
    dispatch = DispatchSettings.read(functions["DispatchFunction"].environment)
    render = functions["RenderFunction"].timeout
    policy = Policy(dispatch.local_allow, 1, 1, dispatch.retry_delays, dispatch.render_timeout)
    lease = policy.lease.total_seconds()
    assert dispatch.render_timeout == render
    assert lease > THROTTLE_SECONDS + render + 10  # the Lambda client's read timeout is 10 s above the render's
    # a batch of fresh messages, side by side, and after it one that was delivered before
    assert functions["DispatchFunction"].timeout > 2 * lease
    assert functions["DispatchFunction"].timeout <= 14 * 60  # Lambda's limit for Amazon MQ mappings
    assert WAIT_SECONDS < GATEWAY_SECONDS < functions["ApiFunction"].timeout
    assert records.PUBLISH_LEASE.total_seconds() < GATEWAY_SECONDS


def test_render_is_given_no_secret_and_no_address_of_ours(wiring: Wiring) -> None:
    environment = wiring.functions["RenderFunction"].environment
    assert not [value for value in environment.values() if "arn:" in value or "amqp" in value]


def test_without_recipients_there_are_no_mails() -> None:
    assert "MailFunction" not in wiring_with(MailTo="").functions


def test_every_route_goes_to_the_api(wiring: Wiring) -> None:
    assert wiring.api is not None
    assert {(route.method.upper(), route.path) for route in wiring.api.routes} == {
        ("POST", "/pdf"),
        ("GET", "/pdf"),
        ("GET", "/pdf/{id}"),
        ("GET", "/pdf/{id}/file"),
        ("GET", "/health"),
    }
    assert {route.function for route in wiring.api.routes} == {"ApiFunction"}


def test_the_gateways_own_errors_are_problems_like_ours(wiring: Wiring) -> None:
    assert wiring.api is not None
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} <= set(wiring.api.gateway_responses)
    for name, response in wiring.api.gateway_responses.items():
        body = response["ResponseTemplates"]["application/json"].replace("$context.error.messageString", '"text"')
        problem = json.loads(body)
        code = CODES[problem["code"]]
        status = {} if name == "DEFAULT_4XX" else {"status": code.status}
        assert {**problem, "detail": "", "request_id": ""} == {
            "type": "about:blank", **status, "code": code.name, "title": code.title, "detail": "",
            "remedy": code.remedy, "retryable": code.retryable, "request_id": "",
        }  # fmt: skip
        assert response["ResponseParameters"]["Headers"]["Content-Type"] == "'application/problem+json'"
        assert "StatusCode" not in response if not status else int(response["StatusCode"]) == code.status
