"""The topology of the broker follows from one description."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from functions.topology.description import Call, Users, Wanted, describe
from urlshot.adapters.secrets import Credentials
from urlshot.core.lease import lease_seconds
from urlshot.core.messages import DEAD, EXCHANGE, QUEUE, QUEUE_BULK, QUEUES, RETURNED, START, START_BULK, delay_queue

PROJECT = Path(__file__).resolve().parents[2]
USERS = Users(
    Credentials("api", "a-password"),
    Credentials("dispatch", "d-password"),
    Credentials("settle", "s-password"),
    Credentials("watch", "w-password"),
)
LEASE = lease_seconds(90)
DELAYS = st.lists(st.integers(1, 86_400), min_size=1, max_size=6, unique=True).map(lambda steps: tuple(sorted(steps)))


def wanted(delays: tuple[int, ...] = (5, 30)) -> Wanted:
    return Wanted(RetryDelays=delays, RenderTimeout=90, QueueLimit=1000, BrokerConnections=100)


def calls(want: Wanted | None = None) -> list[Call]:
    return list(describe(want or wanted(), USERS))


def bodies(made: list[Call], kind: str) -> dict[str, dict[str, Any]]:
    """Returns the bodies of the calls below /api/<kind>, by the last part of their path."""
    return {call.path.rsplit("/", 1)[1]: call.body for call in made if call.path.startswith(f"/api/{kind}/")}


def test_queues_are_durable_quorum_queues_with_a_delay_for_each_step() -> None:
    queues = bodies(calls(), "queues")
    assert set(queues) == {
        DEAD,
        RETURNED,
        "generate_shot", "generate_shot_retry_5s", "generate_shot_retry_30s", "generate_shot_retry_195s",
        "generate_shot_bulk", "generate_shot_bulk_retry_5s", "generate_shot_bulk_retry_30s",
        "generate_shot_bulk_retry_195s",
    }  # fmt: skip
    assert all(body["arguments"] == {"x-queue-type": "quorum"} and body["durable"] for body in queues.values())


def test_exchange_is_direct_and_durable() -> None:
    assert bodies(calls(), "exchanges") == {EXCHANGE: {"type": "direct", "durable": True}}


@pytest.mark.parametrize("queue", QUEUES.values())
def test_work_queue_is_bounded_and_gives_up_to_the_returned_queue(queue: str) -> None:
    assert bodies(calls(), "policies")[f"urlshot-{queue}"]["definition"] == {
        "delivery-limit": 20,
        "max-length": 1000,
        "dead-letter-exchange": "",
        "dead-letter-routing-key": RETURNED,
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
    }


def test_returned_queue_is_unbounded_and_gives_up_to_the_dead_queue() -> None:
    assert bodies(calls(), "policies")[f"urlshot-{RETURNED}"]["definition"] == {
        "delivery-limit": 20,
        "dead-letter-exchange": "",
        "dead-letter-routing-key": DEAD,
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
    }


@pytest.mark.parametrize("queue", QUEUES.values())
@pytest.mark.parametrize("seconds", [5, 30, LEASE])
def test_delay_queue_leads_back_by_the_default_exchange(queue: str, seconds: int) -> None:
    assert bodies(calls(), "policies")[f"urlshot-{delay_queue(queue, seconds)}"]["definition"] == {
        "message-ttl": seconds * 1000,
        "dead-letter-exchange": "",
        "dead-letter-routing-key": queue,
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
    }


@given(DELAYS)
def test_exactly_one_policy_above_amazons_applies_to_each_queue(delays: tuple[int, ...]) -> None:
    made = calls(wanted(delays))
    policies = bodies(made, "policies").values()
    assert all(policy["priority"] > 1 for policy in policies)
    for name in bodies(made, "queues"):
        applied = [policy for policy in policies if re.search(policy["pattern"], name)]
        assert len(applied) == (0 if name == DEAD else 1), name


@given(DELAYS, DELAYS)
def test_new_delays_leave_old_queues_and_policies_alone(before: tuple[int, ...], now: tuple[int, ...]) -> None:
    """Messages may wait in the old queues, and their policies still lead back to the work queue."""
    old, new = calls(wanted(before)), calls(wanted(now))
    assert not [call for call in new if call.method == "DELETE"]
    policies = bodies(new, "policies").values()
    for name in bodies(old, "queues").keys() - bodies(new, "queues").keys():
        assert not [policy for policy in policies if re.search(policy["pattern"], name)], name


@given(st.integers(1, 86_400), st.integers(1, 600))
def test_lease_is_exactly_one_of_the_delays(delay: int, render_timeout: int) -> None:
    want = Wanted(RetryDelays=(delay,), RenderTimeout=render_timeout, QueueLimit=1, BrokerConnections=10)
    assert want.steps == tuple(sorted({delay, lease_seconds(render_timeout)}))


def test_each_key_leads_to_its_work_queue() -> None:
    bound = {(call.path, call.body["routing_key"]) for call in calls() if call.path.startswith("/api/bindings/")}
    path = "/api/bindings/%2F/e/shot_direct/q"
    assert bound == {(f"{path}/{QUEUE}", START), (f"{path}/{QUEUE_BULK}", START_BULK)}


@pytest.mark.parametrize(
    ("user", "resource", "may"),
    [
        ("api", "shot_direct", {"write"}),
        ("api", "amq.default", set()),
        ("api", "generate_shot", set()),
        ("dispatch", "shot_direct", {"write"}),
        ("dispatch", "amq.default", {"write"}),
        ("dispatch", "generate_shot", {"read"}),
        ("dispatch", "generate_shot_bulk", {"read"}),
        ("dispatch", "generate_shot_returned", {"read"}),
        ("dispatch", "generate_shot_retry_5s", set()),
        ("dispatch", "generate_shot_dead", set()),
        ("dispatch", "someone_elses_queue", set()),
        ("settle", "shot_direct", {"write"}),
        ("settle", "amq.default", {"write"}),
        ("settle", "amq.direct", set()),
        ("settle", "generate_shot", set()),
        ("settle", "generate_shot_bulk", set()),
        ("settle", "generate_shot_dead", set()),
        ("watch", "shot_direct", set()),
        ("watch", "generate_shot", set()),
    ],
)
def test_user_may_do_this_and_nothing_else(user: str, resource: str, may: set[str]) -> None:
    rights = bodies(calls(), "permissions")[user]
    assert {right for right, pattern in rights.items() if re.search(str(pattern), resource)} == may


@pytest.mark.parametrize("connections", [10, 100, 1500])
def test_api_and_settle_leave_connections_to_the_others(connections: int) -> None:
    made = calls(Wanted(RetryDelays=(5,), RenderTimeout=90, QueueLimit=1, BrokerConnections=connections))
    limits = {call.path.split("/")[3]: call.body["value"] for call in made if "/user-limits/" in call.path}
    assert limits == {"api": connections * 6 // 10, "settle": connections * 2 // 10}


def test_management_api_is_open_to_watch_alone() -> None:
    tags = {name: body["tags"] for name, body in bodies(calls(), "users").items()}
    assert tags == {"api": "", "dispatch": "", "settle": "", "watch": "management"}


def test_order_of_the_declarations_loses_no_message() -> None:
    """A policy comes before its queue, a queue before its binding, and all of them before the users."""
    paths = [call.path for call in calls()]
    last = {kind: max(n for n, path in enumerate(paths) if f"/api/{kind}/" in path) for kind in ("queues", "bindings")}
    first = {kind: min(n for n, path in enumerate(paths) if f"/api/{kind}/" in path) for kind in ("bindings", "users")}
    assert last["queues"] < first["bindings"]
    assert last["bindings"] < first["users"]
    for queue in bodies(calls(), "queues").keys() - {DEAD}:
        assert paths.index(f"/api/policies/%2F/urlshot-{queue}") < paths.index(f"/api/queues/%2F/{queue}")


def test_shipped_event_has_valid_properties() -> None:
    event = json.loads((PROJECT / "tests" / "events" / "topology.json").read_text("utf-8"))
    assert Wanted.model_validate(event["ResourceProperties"]).steps == (5, 30, 120, LEASE)


def test_properties_arrive_as_strings() -> None:
    given = {"RetryDelays": "1,2", "RenderTimeout": "90", "QueueLimit": "100000", "BrokerConnections": "100"}
    arrived = Wanted.model_validate({"ServiceToken": "x", **given})
    assert arrived.connections == 100
    assert (arrived.delays, arrived.render_timeout, arrived.limit) == ((1, 2), 90, 100_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"RenderTimeout": "0"},
        {"RenderTimeout": "x"},
        {"QueueLimit": "0"},
        {"RetryDelays": "2,1"},
        {"BrokerConnections": "9"},
    ],
)
def test_wrong_properties_are_refused(wrong: dict[str, str]) -> None:
    given = {"RetryDelays": "1,2", "RenderTimeout": "90", "QueueLimit": "1", "BrokerConnections": "10"}
    assert Wanted.model_validate(given)
    with pytest.raises(ValidationError):
        Wanted.model_validate({**given, **wrong})


def test_revision_in_the_template_is_that_of_the_description() -> None:
    """CloudFormation calls the function if a property has changed, and not if only its code has."""
    text = json.dumps([(call.method, call.path, call.body) for call in calls()], sort_keys=True)
    line = f'Revision: "{hashlib.sha256(text.encode()).hexdigest()[:8]}"'
    assert line in (PROJECT / "template.yaml").read_text(), f"put it into template.yaml: {line}"


def test_passwords_are_in_no_path_and_no_repr() -> None:
    assert not [call.path for call in calls() if "-password" in call.path]
    assert "-password" not in repr(USERS)
