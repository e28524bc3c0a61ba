"""More shards, fewer shards, other delays, limits and passwords, on a real broker: no message is lost by any of it.

The function is called as CloudFormation calls it, with what is still at work around it: an `api` that publishes by the
old number of shards, and the mapping of a shard that is to go, with messages in its hands.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import amqp
import amqp.exceptions
import pytest

from functions.dispatch.batch import Delivery
from functions.topology import declare
from infra.local.rabbitmq import Rabbit
from tests.integration.conftest import ADMIN, API, DISPATCH, TICK, WATCH, Broker
from tests.integration.custom_resource import CloudFormation, cloudformation
from tests.integration.workbench import ID, URL, Bench
from urlshot.errors import Transient
from urlshot.messages import DEAD, EXCHANGE, MAX_SHARDS, QUEUE, delay_queue, queue_of, start_key
from urlshot.secrets import Credentials
from urlshot.store import Store


@pytest.fixture
def stack(broker: Broker, topology: Rabbit, aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudFormation]:
    """A stack with two shards, and nothing in any queue."""
    monkeypatch.setattr(declare, "FIGURES_SECONDS", 3 * TICK / 1000)
    stands = names(topology)
    with cloudformation(topology.console, monkeypatch) as stack:
        yield stack
        for queue in names(topology):
            broker.channel.queue_purge(queue)
            if queue not in stands:
                call(topology, f"/api/queues/%2F/{queue}", method="DELETE")
        stack.update()


def call(rabbit: Rabbit, path: str, user: Credentials = ADMIN, method: str = "GET", body: object = None) -> Any:
    """One call of the management API."""
    token = b64encode(f"{user.username}:{user.password}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(rabbit.console + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


def names(rabbit: Rabbit) -> list[str]:
    return [queue["name"] for queue in call(rabbit, "/api/queues/%2F?columns=name") if queue["name"].startswith(QUEUE)]


def publish(broker: Broker, shard: int, *bodies: str) -> None:
    """As an `api` does that knows of this shard."""
    publisher = broker.publisher(API)
    for body in bodies:
        publisher.publish(EXCHANGE, start_key(shard), body.encode())
    publisher.close()


def delay(broker: Broker, queue: str, *bodies: str) -> None:
    """As dispatch does with a message of this queue that is to be tried again."""
    publisher = broker.publisher(DISPATCH)
    for body in bodies:
        publisher.publish("", queue, body.encode())
    publisher.close()


def taken(broker: Broker, queue: str, count: int) -> list[str]:
    """`count` messages of a queue, waited for; fails when there are others than these."""
    found: list[str] = []
    deadline = time.monotonic() + 10
    while len(found) < count and time.monotonic() < deadline:
        found += [text(message) for message in broker.take(queue)]
        time.sleep(0.02)  # basic.get is what tells how many, which a consumer does not
    return sorted(found + [text(message) for message in broker.take(queue)])


def text(message: amqp.Message) -> str:
    return message.body if isinstance(message.body, str) else bytes(message.body).decode()


class Mapping:
    """Consumes a queue as an event source mapping does: takes what there is, acknowledges it when told to."""

    def __init__(self, broker: Broker, queue: str) -> None:
        self.channel = broker.restart_channel()
        self.got: list[amqp.Message] = []
        self.channel.basic_qos(0, 10, False)
        self.channel.basic_consume(queue, callback=self.got.append)

    def wait(self, count: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.got) < count and time.monotonic() < deadline:
            self.channel.connection.drain_events(timeout=10)
        assert len(self.got) >= count

    def done(self) -> list[str]:
        for message in self.got:
            self.channel.basic_ack(message.delivery_tag)
        return [text(message) for message in self.got]

    def close(self) -> None:
        self.channel.connection.close()


@pytest.fixture
def mapping(broker: Broker) -> Iterator[Callable[[str], Mapping]]:
    made: list[Mapping] = []

    def make(queue: str) -> Mapping:
        made.append(Mapping(broker, queue))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_more_shards_have_queues_of_their_own_and_the_keys_that_led_elsewhere(
    stack: CloudFormation, broker: Broker
) -> None:
    publish(broker, 3, "before")
    assert taken(broker, queue_of(1), 1) == ["before"]
    stack.update(Shards=4)
    publish(broker, 2, "two")
    publish(broker, 3, "three")
    assert taken(broker, queue_of(2), 1) == ["two"]
    assert taken(broker, queue_of(3), 1) == ["three"]
    assert broker.take(queue_of(0)) + broker.take(queue_of(1)) == []
    delay(broker, delay_queue(queue_of(3), 1), "again")
    assert taken(broker, queue_of(3), 1) == ["again"]


def test_whatever_number_of_shards_a_publisher_knows_its_message_arrives_once(
    stack: CloudFormation, broker: Broker
) -> None:
    for shards in (1, 3, MAX_SHARDS, 2):
        stack.update(Shards=shards)
        for known in range(MAX_SHARDS):
            publish(broker, known, f"{known}")
        arrived = {shard: taken(broker, queue_of(shard), 0) for shard in range(shards)}
        assert arrived == {
            shard: [f"{known}" for known in range(MAX_SHARDS) if known % shards == shard] for shard in range(shards)
        }


def test_the_same_again_changes_nothing(stack: CloudFormation, topology: Rabbit) -> None:
    def declared() -> Any:
        found = call(topology, "/api/definitions")
        users = [{"name": user["name"], "tags": user["tags"]} for user in found["users"]]  # each hash has its salt
        kinds = ("queues", "exchanges", "bindings", "policies", "permissions")
        key = lambda item: json.dumps(item, sort_keys=True)  # noqa: E731 - short
        return {kind: sorted(found[kind], key=key) for kind in kinds} | {"users": sorted(users, key=key)}

    stack.update(Shards=3)
    before = declared()
    assert stack.request("Create", Shards=3)["Status"] == "SUCCESS"
    stack.update(Shards=3)
    assert declared() == before
    stack.update(Shards=2)
    stack.update(Shards=3)
    assert declared() == before


def test_fewer_shards_wait_for_what_their_mapping_has_and_hand_over_the_rest(
    stack: CloudFormation, broker: Broker, mapping: Callable[[str], Mapping]
) -> None:
    stack.update(Shards=4)
    old = queue_of(3)
    publish(broker, 3, *(f"w{n}" for n in range(300)))
    publish(broker, 2, "x")
    consumer = mapping(old)
    consumer.wait(10)  # as many as it takes at once

    def goes_on() -> tuple[list[str], float]:
        channel = broker.restart_channel()
        eventually(lambda: channel.queue_declare(old, passive=True).message_count == 0)
        publish(broker, 3, "late")  # an api that has not heard of it yet
        delay(broker, delay_queue(old, 1), "again")  # and dispatch, which failed with one
        time.sleep(4 * TICK / 1000)  # long enough for a wait that does not count what a consumer has to end
        channel.connection.close()
        return consumer.done(), time.monotonic()

    with ThreadPoolExecutor() as threads:
        others = threads.submit(goes_on)
        stack.update(Shards=2)
        ended = time.monotonic()
        finished, acknowledged = others.result(20)
    assert acknowledged < ended
    everything = Counter([*(f"w{n}" for n in range(300)), "late", "again"])
    assert len(finished) == 10
    assert Counter(finished + taken(broker, queue_of(1), 292)) == everything
    assert taken(broker, queue_of(0), 1) == ["x"]
    assert broker.take(old) + broker.take(queue_of(2)) + broker.take(DEAD) == []


def test_fewer_shards_need_no_mapping_that_works(stack: CloudFormation, broker: Broker) -> None:
    stack.update(Shards=3)
    publish(broker, 2, *(f"w{n}" for n in range(50)))
    delay(broker, delay_queue(queue_of(2), 2), "again")
    stack.update(Shards=1)
    assert taken(broker, QUEUE, 51) == sorted([*(f"w{n}" for n in range(50)), "again"])
    assert broker.take(DEAD) == []


def test_a_mapping_that_is_not_done_in_time_fails_the_update_and_going_back_loses_nothing(
    stack: CloudFormation, broker: Broker, mapping: Callable[[str], Mapping]
) -> None:
    stack.update(Shards=3)
    publish(broker, 2, "held", "waits")
    consumer = mapping(queue_of(2))
    consumer.wait(2)
    answer = stack.request("Update", Shards=2, seconds=51)
    assert answer["Status"] == "FAILED"
    assert "generate_shot_2 (2)" in answer["Reason"]
    assert "lower Shards again" in answer["Reason"]
    publish(broker, 2, "meanwhile")
    stack.update(Shards=3)  # as CloudFormation goes back
    publish(broker, 2, "after")
    consumer.wait(3)
    assert consumer.done() == ["held", "waits", "after"]
    assert taken(broker, QUEUE, 1) == ["meanwhile"]
    assert broker.take(DEAD) == []


def test_where_there_is_no_room_the_messages_stay_until_there_is(stack: CloudFormation, broker: Broker) -> None:
    stack.update(Shards=2, QueueLimit=4)
    publish(broker, 0, "a", "b", "c")
    publish(broker, 1, "d", "e", "f")
    answer = stack.request("Update", Shards=1, QueueLimit=4, seconds=51)
    assert answer["Status"] == "FAILED"
    assert "no room in generate_shot." in answer["Reason"]
    stack.update(Shards=1, QueueLimit=100)
    assert taken(broker, QUEUE, 6) == ["a", "b", "c", "d", "e", "f"]
    assert broker.take(DEAD) == []


def test_a_bound_queue_refuses_more_and_takes_more_when_the_bound_is_raised(
    stack: CloudFormation, broker: Broker
) -> None:
    stack.update(QueueLimit=2)
    publish(broker, 0, "a", "b", "c")  # the broker knows that it is full once it is over the limit
    with pytest.raises(Transient, match="The queue is full"):
        publish(broker, 0, "d")
    stack.update(QueueLimit=100)
    publish(broker, 0, "more")
    assert taken(broker, QUEUE, 4) == ["a", "b", "c", "more"]


def test_other_delays_leave_none_behind(stack: CloudFormation, broker: Broker) -> None:
    stack.update(Shards=3)
    delay(broker, delay_queue(QUEUE, 1), "stays")
    delay(broker, delay_queue(queue_of(2), 1), "moves")
    stack.update(Shards=2, RetryDelays="3")
    delay(broker, delay_queue(queue_of(2), 2), "by the old steps")
    delay(broker, delay_queue(queue_of(2), 3), "by the new steps")
    assert taken(broker, QUEUE, 4) == ["by the new steps", "by the old steps", "moves", "stays"]


def test_what_dispatch_tries_again_comes_back_though_its_shard_is_gone(
    stack: CloudFormation, broker: Broker, store: Store
) -> None:
    bench = Bench(store, broker)
    stack.update(Shards=3)
    body = bench.queue_job().body
    stack.update(Shards=2)
    assert bench.worker(Transient("crash")).handle(Delivery(queue_of(2), body, False)) == "retried"
    [again] = taken(broker, QUEUE, 1)
    assert json.loads(again)["id"] == ID
    assert json.loads(again)["url"] == URL


def test_delete_leaves_everything(stack: CloudFormation, topology: Rabbit, broker: Broker) -> None:
    publish(broker, 0, "kept")
    before = names(topology)
    assert stack.request("Delete")["Status"] == "SUCCESS"
    assert names(topology) == before
    assert taken(broker, QUEUE, 1) == ["kept"]


def test_a_changed_password_counts_from_then_on(stack: CloudFormation, broker: Broker) -> None:
    new = Credentials(API.username, "another-password")
    stack.set_password("API", new)
    stack.update()
    with pytest.raises(Transient, match="queue_unavailable"):
        publish(broker, 0, "x")
    publisher = broker.publisher(new)
    publisher.publish(EXCHANGE, start_key(0), b"y")
    publisher.close()
    assert taken(broker, QUEUE, 1) == ["y"]
    stack.set_password("API", API)


def test_watch_sees_the_queues_numbers_and_may_do_nothing(
    stack: CloudFormation, topology: Rabbit, broker: Broker
) -> None:
    publish(broker, 0, "x")
    path = "/api/queues/%2F?disable_stats=true&enable_queue_totals=true"
    eventually(
        lambda: {"generate_shot": 1}.items() <= {q["name"]: q["messages"] for q in call(topology, path, WATCH)}.items()
    )
    get = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
    message = {"properties": {}, "routing_key": QUEUE, "payload": "x", "payload_encoding": "string"}
    for method, path, body in [
        ("POST", "/api/queues/%2F/generate_shot/get", get),
        ("POST", "/api/exchanges/%2F/amq.default/publish", message),
        ("POST", "/api/exchanges/%2F/shot_direct/publish", {**message, "routing_key": start_key(0)}),
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
    """For what tells nobody."""
    deadline = time.monotonic() + 10
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)
