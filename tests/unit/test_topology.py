"""What is declared on the broker, from one description."""

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

from functions.topology.description import Call, Users, Wanted, describe, outdated, successors
from urlshot.messages import DEAD, MAX_SHARDS, delay_of, delay_queue, queue_of, start_key
from urlshot.secrets import Credentials

PROJECT = Path(__file__).resolve().parents[2]
USERS = Users(
    Credentials("api", "a-password"), Credentials("dispatch", "d-password"), Credentials("watch", "w-password")
)
SHARDS = st.integers(1, MAX_SHARDS)


def wanted(shards: int = 2, delays: tuple[int, ...] = (5, 30)) -> Wanted:
    return Wanted(Shards=shards, RetryDelays=delays, QueueLimit=1000)


def queues_of(shards: int, delays: tuple[int, ...] = (5, 30)) -> set[str]:
    """Names of all queues that there are once so many shards were declared."""
    work = [queue_of(shard) for shard in range(shards)]
    return {DEAD, *work, *(delay_queue(queue, seconds) for queue in work for seconds in delays)}


def calls(want: Wanted, there: set[str] | None = None) -> list[Call]:
    return list(describe(want, there or set(), USERS))


def bodies(made: list[Call], kind: str) -> dict[str, dict[str, Any]]:
    """Bodies of the calls below /api/<kind>, by the last part of their path."""
    return {call.path.rsplit("/", 1)[1]: call.body or {} for call in made if call.path.startswith(f"/api/{kind}/")}


def test_every_queue_is_quorum_and_takes_its_limits_from_policies() -> None:
    queues = bodies(calls(wanted()), "queues")
    assert set(queues) == {
        DEAD, "generate_shot", "generate_shot_retry_5s", "generate_shot_retry_30s",
        "generate_shot_1", "generate_shot_1_retry_5s", "generate_shot_1_retry_30s",
    }  # fmt: skip
    assert all(body["arguments"] == {"x-queue-type": "quorum"} and body["durable"] for body in queues.values())


def test_a_work_queue_is_bounded_and_gives_up_to_the_dead() -> None:
    assert bodies(calls(wanted()), "policies")["urlshot-generate_shot_1"]["definition"] == {
        "delivery-limit": 20,
        "max-length": 1000,
        "dead-letter-exchange": "",
        "dead-letter-routing-key": DEAD,
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
    }


def test_a_delay_ends_in_its_own_work_queue_by_the_default_exchange() -> None:
    assert bodies(calls(wanted()), "policies")["urlshot-generate_shot_1_retry_30s"]["definition"] == {
        "message-ttl": 30_000,
        "dead-letter-exchange": "",
        "dead-letter-routing-key": "generate_shot_1",
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
    }


@given(SHARDS, SHARDS)
def test_exactly_one_policy_applies_to_each_queue_and_above_those_of_amazon(before: int, now: int) -> None:
    there = queues_of(before, (5, 7))
    policies = bodies(calls(wanted(now), there), "policies").values()
    assert all(policy["priority"] > 1 for policy in policies)
    for name in (there | queues_of(now)) - {DEAD}:
        applied = [policy for policy in policies if re.search(policy["pattern"], name)]
        # one that a shard still there had for a delay which is not wanted any more stays as it was declared then
        kept = (delay := delay_of(name)) and delay[1] == 7 and delay[0] in queues_of(now)
        assert len(applied) == (0 if kept else 1), name
    assert not any(re.search(policy["pattern"], DEAD) for policy in policies)


@given(SHARDS, SHARDS)
def test_whatever_a_shard_that_is_to_go_holds_or_gets_leads_to_one_that_stays(before: int, now: int) -> None:
    there, stay = queues_of(before, (5, 7)), {queue_of(shard) for shard in range(now)}
    spare = successors(now, there)
    assert set(spare) == {queue_of(shard) for shard in range(now, before)}
    made = calls(wanted(now), there)
    policies, declared = bodies(made, "policies"), bodies(made, "queues")
    for queue, successor in spare.items():
        assert successor in stay
        for name in (queue, *(delay_queue(queue, seconds) for seconds in (5, 7, 30))):
            assert policies[f"urlshot-{name}"]["definition"]["dead-letter-routing-key"] == successor
        # dispatch puts a retry there by the new steps, as long as it gets messages from the old queue
        assert {delay_queue(queue, seconds) for seconds in (5, 30)} <= set(declared)


@given(SHARDS, SHARDS)
def test_every_key_leads_to_one_queue_whatever_it_led_to_before(before: int, now: int) -> None:
    routes = {(start_key(shard), queue_of(shard % before)) for shard in range(MAX_SHARDS)}
    foreign = {("shot_direct.start", "somebody's"), ("their.key", "generate_shot_1")}
    for call in calls(wanted(now), queues_of(before)):
        if call.path.startswith("/api/bindings/"):
            routes.add(((call.body or {})["routing_key"], call.path.rsplit("/", 1)[1]))
    bindings = [
        {"routing_key": key, "destination": queue, "destination_type": "queue", "properties_key": key}
        for key, queue in routes | foreign
    ]
    for call in outdated(now, bindings):
        assert call.method == "DELETE"
        queue, key = call.path.rsplit("/", 2)[1:]
        routes.remove((key, queue))
    assert routes == {(start_key(shard), queue_of(shard % now)) for shard in range(MAX_SHARDS)}


@pytest.mark.parametrize(
    ("user", "resource", "may"),
    [
        ("api", "shot_direct", {"write"}),
        ("api", "amq.default", set()),
        ("api", "generate_shot", set()),
        ("dispatch", "shot_direct", {"write"}),
        ("dispatch", "amq.default", {"write"}),
        ("dispatch", "generate_shot", {"read"}),
        ("dispatch", "generate_shot_3", {"read"}),
        ("dispatch", "generate_shot_dead", set()),
        ("dispatch", "someone_elses_queue", set()),
        ("watch", "shot_direct", set()),
        ("watch", "generate_shot", set()),
    ],
)
def test_who_may_do_what(user: str, resource: str, may: set[str]) -> None:
    rights = bodies(calls(wanted()), "permissions")[user]
    assert {right for right, pattern in rights.items() if re.search(str(pattern), resource)} == may


def test_nobody_but_watch_sees_the_management_api() -> None:
    tags = {name: body["tags"] for name, body in bodies(calls(wanted()), "users").items()}
    assert tags == {"api": "", "dispatch": "", "watch": "management"}


def test_a_policy_is_there_before_its_queue_that_before_its_key_and_all_before_who_publishes() -> None:
    paths = [call.path for call in calls(wanted())]
    last = {kind: max(n for n, path in enumerate(paths) if f"/api/{kind}/" in path) for kind in ("queues", "bindings")}
    first = {kind: min(n for n, path in enumerate(paths) if f"/api/{kind}/" in path) for kind in ("bindings", "users")}
    assert last["queues"] < first["bindings"]
    assert last["bindings"] < first["users"]
    for queue in queues_of(2) - {DEAD}:
        assert paths.index(f"/api/policies/%2F/urlshot-{queue}") < paths.index(f"/api/queues/%2F/{queue}")


def test_the_event_to_try_it_with_is_one_that_it_takes() -> None:
    event = json.loads((PROJECT / "tests" / "events" / "topology.json").read_text("utf-8"))
    assert Wanted.model_validate(event["ResourceProperties"]).shards == 1


def test_properties_arrive_as_strings() -> None:
    arrived = Wanted.model_validate({"ServiceToken": "x", "Shards": "2", "RetryDelays": "1,2", "QueueLimit": "100000"})
    assert (arrived.shards, arrived.delays, arrived.limit) == (2, (1, 2), 100_000)


@pytest.mark.parametrize("wrong", [{"Shards": "0"}, {"Shards": "9"}, {"QueueLimit": "0"}, {"RetryDelays": "2,1"}])
def test_wrong_properties_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Wanted.model_validate({"Shards": "2", "RetryDelays": "1,2", "QueueLimit": "1", **wrong})


def test_the_templates_revision_is_that_of_what_is_declared() -> None:
    """CloudFormation calls the function when a property has changed, and not when its code has."""
    made = calls(wanted(), queues_of(3, (5, 7)))
    told = json.dumps([(call.method, call.path, call.body) for call in made], sort_keys=True)
    line = f'Revision: "{hashlib.sha256(told.encode()).hexdigest()[:8]}"'
    assert line in (PROJECT / "template.yaml").read_text(), f"put it into template.yaml: {line}"


def test_passwords_are_in_no_path_and_no_repr() -> None:
    assert not [call.path for call in calls(wanted()) if "-password" in call.path]
    assert "-password" not in repr(USERS)
