"""Tests queues, delays, limits and users that the topology function declares on a real broker.

The tests call the function as CloudFormation does. No change of a property may lose a message.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import amqp
import amqp.exceptions
import pytest

from infra.local.broker.rabbitmq import Rabbit
from tests.integration.conftest import ADMIN, API, DISPATCH, LEASE, SETTLE, WATCH, Broker
from tests.integration.custom_resource import CloudFormation, cloudformation
from urlshot.adapters.secrets import Credentials
from urlshot.core.errors import Transient
from urlshot.core.messages import DEAD, EXCHANGE, QUEUE, QUEUE_BULK, QUEUES, START_KEYS, Priority, delay_queue


@pytest.fixture
def stack(broker: Broker, topology: Rabbit, aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudFormation]:
    """Returns a stack with empty queues; afterwards removes the queues that the test added."""
    before = names(topology)
    with cloudformation(topology.console, monkeypatch) as stack:
        yield stack
        for queue in names(topology):
            broker.channel.queue_purge(queue)
            if queue not in before:
                call(topology, f"/api/queues/%2F/{queue}", method="DELETE")
        stack.update()


def call(rabbit: Rabbit, path: str, user: Credentials = ADMIN, method: str = "GET", body: object = None) -> Any:
    """Calls the management API, and returns the decoded answer."""
    token = b64encode(f"{user.username}:{user.password}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(rabbit.console + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


def names(rabbit: Rabbit) -> list[str]:
    return [queue["name"] for queue in call(rabbit, "/api/queues/%2F?columns=name") if queue["name"].startswith(QUEUE)]


def publish(broker: Broker, priority: Priority, *bodies: str, user: Credentials = API) -> None:
    """Publishes bodies as `api` does."""
    publisher = broker.publisher(user)
    for body in bodies:
        publisher.publish(EXCHANGE, START_KEYS[priority], body.encode())
    publisher.close()


def park(broker: Broker, queue: str, *bodies: str, user: Credentials = DISPATCH) -> None:
    """Parks bodies as `dispatch` and `settle` do."""
    publisher = broker.publisher(user)
    for body in bodies:
        publisher.publish("", queue, body.encode())
    publisher.close()


def taken(broker: Broker, queue: str, count: int) -> list[str]:
    """Waits at most 10 s for `count` messages of a queue, and returns all messages that it then holds, sorted."""
    found: list[str] = []
    deadline = time.monotonic() + 10
    while len(found) < count and time.monotonic() < deadline:
        found += [text(message) for message in broker.take(queue)]
        time.sleep(0.02)  # unlike a consumer, basic.get shows that the queue is empty, so the queue is polled
    return sorted(found + [text(message) for message in broker.take(queue)])


def text(message: amqp.Message) -> str:
    return message.body if isinstance(message.body, str) else bytes(message.body).decode()


@pytest.mark.parametrize("priority", QUEUES)
def test_message_arrives_in_the_queue_of_its_priority_alone(
    stack: CloudFormation, broker: Broker, priority: Priority
) -> None:
    publish(broker, priority, "x")
    assert taken(broker, QUEUES[priority], 1) == ["x"]
    assert [broker.take(queue) for queue in QUEUES.values()] == [[], []]


@pytest.mark.parametrize("user", [DISPATCH, SETTLE], ids=lambda user: user.username)
@pytest.mark.parametrize("queue", QUEUES.values())
def test_parked_message_comes_back_to_its_own_queue(
    stack: CloudFormation, broker: Broker, queue: str, user: Credentials
) -> None:
    park(broker, delay_queue(queue, 1), "again", user=user)
    assert taken(broker, queue, 1) == ["again"]
    assert [broker.take(other) for other in (*QUEUES.values(), DEAD)] == [[], [], []]


def test_lease_queue_holds_messages_for_the_lease(stack: CloudFormation, broker: Broker, topology: Rabbit) -> None:
    for queue in QUEUES.values():
        name = delay_queue(queue, LEASE)
        park(broker, name, "parked")
        applied = call(topology, f"/api/queues/%2F/{name}")["effective_policy_definition"]
        assert (applied["message-ttl"], applied["dead-letter-routing-key"]) == (LEASE * 1000, queue)
        assert [text(message) for message in broker.take(name)] == ["parked"]


def test_repeated_request_changes_nothing(stack: CloudFormation, topology: Rabbit) -> None:
    def declared() -> Any:
        found = call(topology, "/api/definitions")
        users = [{"name": user["name"], "tags": user["tags"]} for user in found["users"]]  # hashes have random salts
        kinds = ("queues", "exchanges", "bindings", "policies", "permissions")
        key = lambda item: json.dumps(item, sort_keys=True)  # noqa: E731 - short
        return {kind: sorted(found[kind], key=key) for kind in kinds} | {"users": sorted(users, key=key)}

    stack.update()
    before = declared()
    assert stack.request("Create")["Status"] == "SUCCESS"
    stack.update()
    assert declared() == before


@pytest.mark.parametrize("queue", QUEUES.values())
def test_messages_in_removed_delay_queues_come_back(stack: CloudFormation, broker: Broker, queue: str) -> None:
    park(broker, delay_queue(queue, 1), "waits")
    stack.update(RetryDelays="3")
    park(broker, delay_queue(queue, 2), "with the old delays")  # a dispatch that does not know the new delays yet
    park(broker, delay_queue(queue, 3), "with the new delays")
    assert taken(broker, queue, 3) == ["waits", "with the new delays", "with the old delays"]


def test_changed_lease_leaves_parked_messages_alone(stack: CloudFormation, broker: Broker, topology: Rabbit) -> None:
    park(broker, delay_queue(QUEUE, LEASE), "parked")
    stack.update(RenderTimeout=40)
    assert {delay_queue(queue, LEASE + 10) for queue in QUEUES.values()} <= set(names(topology))
    applied = call(topology, f"/api/queues/%2F/{delay_queue(QUEUE, LEASE)}")["effective_policy_definition"]
    assert (applied["message-ttl"], applied["dead-letter-routing-key"]) == (LEASE * 1000, QUEUE)
    assert [text(message) for message in broker.take(delay_queue(QUEUE, LEASE))] == ["parked"]


@pytest.mark.parametrize("priority", QUEUES)
def test_full_queue_refuses_more_until_its_limit_is_raised(
    stack: CloudFormation, broker: Broker, priority: Priority
) -> None:
    stack.update(QueueLimit=2)
    publish(broker, priority, "a", "b", "c")  # the broker refuses only when the queue is over its limit
    with pytest.raises(Transient, match="The queue is full"):
        publish(broker, priority, "d")
    other: Priority = "bulk" if priority == "normal" else "normal"
    publish(broker, other, "other queue")
    stack.update(QueueLimit=100)
    publish(broker, priority, "more")
    assert taken(broker, QUEUES[priority], 4) == ["a", "b", "c", "more"]
    assert taken(broker, QUEUES[other], 1) == ["other queue"]


def test_delete_changes_nothing_on_the_broker(stack: CloudFormation, topology: Rabbit, broker: Broker) -> None:
    publish(broker, "normal", "kept")
    before = names(topology)
    assert stack.request("Delete")["Status"] == "SUCCESS"
    assert names(topology) == before
    assert taken(broker, QUEUE, 1) == ["kept"]


@pytest.mark.parametrize(("name", "user"), [("API", API), ("SETTLE", SETTLE)], ids=["api", "settle"])
def test_changed_password_replaces_the_old_one(
    stack: CloudFormation, broker: Broker, name: str, user: Credentials
) -> None:
    new = Credentials(user.username, "another-password")
    stack.set_password(name, new)
    stack.update()
    with pytest.raises(Transient, match="queue_unavailable"):
        publish(broker, "normal", "x", user=user)
    publish(broker, "normal", "y", user=new)
    assert taken(broker, QUEUE, 1) == ["y"]
    stack.set_password(name, user)


def test_connections_of_api_leave_room_for_the_others(stack: CloudFormation, broker: Broker) -> None:
    stack.update(BrokerConnections=10)
    publishers = [broker.publisher(API) for _ in range(6)]
    for publisher in publishers:
        publisher.check()
    with pytest.raises(Transient, match="queue_unavailable"):
        broker.publisher(API).check()
    for user in (DISPATCH, SETTLE):
        broker.publisher(user).check()
    stack.update(BrokerConnections=20)
    publish(broker, "normal", "x")
    assert taken(broker, QUEUE, 1) == ["x"]
    for publisher in publishers:
        publisher.close()


@pytest.mark.parametrize("user", [API, SETTLE], ids=lambda user: user.username)
@pytest.mark.parametrize("queue", [*QUEUES.values(), DEAD, delay_queue(QUEUE_BULK, LEASE)])
def test_publishers_can_read_no_queue(stack: CloudFormation, topology: Rabbit, user: Credentials, queue: str) -> None:
    connection = amqp.Connection(f"127.0.0.1:{topology.amqp_port}", user.username, user.password)
    connection.connect()
    with pytest.raises(amqp.exceptions.AccessRefused):
        connection.channel().basic_get(queue)
    connection.collect()


def test_watch_user_sees_the_sizes_of_queues_and_may_do_nothing(
    stack: CloudFormation, topology: Rabbit, broker: Broker
) -> None:
    publish(broker, "normal", "x")
    path = "/api/queues/%2F?disable_stats=true&enable_queue_totals=true"
    eventually(
        lambda: {"generate_shot": 1}.items() <= {q["name"]: q["messages"] for q in call(topology, path, WATCH)}.items()
    )
    get = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
    message = {"properties": {}, "routing_key": QUEUE, "payload": "x", "payload_encoding": "string"}
    for method, path, body in [
        ("POST", "/api/queues/%2F/generate_shot/get", get),
        ("POST", "/api/exchanges/%2F/amq.default/publish", message),
        ("POST", "/api/exchanges/%2F/shot_direct/publish", {**message, "routing_key": START_KEYS["normal"]}),
        ("DELETE", "/api/queues/%2F/generate_shot/contents", None),
        ("DELETE", "/api/queues/%2F/generate_shot", None),
        ("PUT", "/api/queues/%2F/its_own", {"durable": True}),
        ("PUT", "/api/policies/%2F/its_own", {"pattern": "", "definition": {"max-length": 1}}),
        ("GET", "/api/users", None),
        ("GET", "/api/nodes", None),
    ]:
        with pytest.raises(urllib.error.HTTPError) as refused:
            call(topology, path, WATCH, method, body)
        assert refused.value.code in (400, 401, 403), path
    connection = amqp.Connection(f"127.0.0.1:{topology.amqp_port}", WATCH.username, WATCH.password)
    connection.connect()
    for attempt in (
        lambda channel: channel.basic_get(QUEUE),
        lambda channel: channel.queue_declare("its_own"),
        lambda channel: channel.queue_bind("its_own", EXCHANGE, "shot_direct.completed"),
    ):
        with pytest.raises((amqp.exceptions.AccessRefused, amqp.exceptions.NotFound)):
            attempt(connection.channel())
    connection.close()
    assert taken(broker, QUEUE, 1) == ["x"]


def eventually(look: Callable[[], bool]) -> None:
    """Polls for at most 10 s until `look` returns True; for states that nothing signals."""
    deadline = time.monotonic() + 10
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)
