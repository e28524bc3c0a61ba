"""What is declared on the broker, from one description."""

import json
import re

import pytest

from functions.topology.app import Properties
from functions.topology.description import describe
from urlshot.messages import DEAD, delay_queue, queue_of
from urlshot.secrets import Credentials

API, DISPATCH = Credentials("api", "a-password"), Credentials("dispatch", "d-password")
WATCH = Credentials("watch", "w-password")


def calls(shards: int = 1, delays: tuple[int, ...] = (5, 30)) -> list[tuple[str, str, dict[str, object]]]:
    return [(call.method, call.path, call.body) for call in describe(shards, delays, API, DISPATCH, WATCH)]


def definition(name: str, **more: int) -> dict[str, object]:
    return next(body["definition"] for _, path, body in calls(2) if path.endswith(f"/{name}"))  # type: ignore[return-value]


def test_every_queue_is_quorum_and_takes_its_limits_from_policies() -> None:
    queues = {path.rsplit("/", 1)[1]: body for _, path, body in calls(2) if path.startswith("/api/queues/")}
    assert set(queues) == {
        DEAD, "generate_shot", "generate_shot_retry_5s", "generate_shot_retry_30s",
        "generate_shot_1", "generate_shot_1_retry_5s", "generate_shot_1_retry_30s",
    }  # fmt: skip
    assert all(body["arguments"] == {"x-queue-type": "quorum"} and body["durable"] for body in queues.values())


def test_each_work_queue_is_bound_with_its_key_and_with_no_other() -> None:
    bindings = [(path.rsplit("/", 1)[1], body["routing_key"]) for _, path, body in calls(2) if "/bindings/" in path]
    assert bindings == [("generate_shot", "shot_direct.start"), ("generate_shot_1", "shot_direct.start.1")]


def test_a_delay_ends_in_its_own_work_queue_by_the_default_exchange() -> None:
    assert definition("urlshot-generate_shot_1_retry_30s") == {
        "message-ttl": 30_000,
        "dead-letter-exchange": "",
        "dead-letter-routing-key": "generate_shot_1",
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
    }


def test_exactly_one_policy_applies_to_each_queue() -> None:
    declared = calls(12, (5, 30, 305))
    patterns = [str(body["pattern"]) for _, path, body in declared if path.startswith("/api/policies/")]
    names = [queue_of(n) for n in range(12)] + [delay_queue(queue_of(n), s) for n in range(12) for s in (5, 30, 305)]
    for name in names:
        assert sum(bool(re.search(pattern, name)) for pattern in patterns) == 1, name
    assert not any(re.search(pattern, DEAD) for pattern in patterns)


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
        ("watch", "amq.default", set()),
        ("watch", "generate_shot", set()),
        ("watch", "generate_shot_dead", set()),
    ],
)
def test_who_may_do_what(user: str, resource: str, may: set[str]) -> None:
    rights = next(body for _, path, body in calls() if path == f"/api/permissions/%2F/{user}")
    assert {right for right, pattern in rights.items() if re.search(str(pattern), resource)} == may


def test_only_who_watches_may_use_the_management_api() -> None:
    tags = {path.rsplit("/", 1)[1]: body["tags"] for _, path, body in calls() if path.startswith("/api/users/")}
    assert tags == {"api": "", "dispatch": "", "watch": "management"}


def test_what_is_published_to_exists_before_who_publishes() -> None:
    paths = [path for _, path, _ in calls()]
    first_user = next(index for index, path in enumerate(paths) if path.startswith("/api/users/"))
    assert not any("/queues/" in path or "/bindings/" in path for path in paths[first_user:])


def test_properties_arrive_as_strings() -> None:
    properties = Properties.model_validate({"ServiceToken": "x", "Shards": "2", "RetryDelays": "1,2"})
    assert (properties.shards, properties.delays) == (2, (1, 2))


def test_passwords_are_in_no_path_and_no_repr() -> None:
    assert "password" not in json.dumps([path for _, path, _ in calls()])
    assert "a-password" not in repr(API)
