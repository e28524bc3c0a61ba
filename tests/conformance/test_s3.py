"""The simulated S3 and moto give the same answers, and those that S3's documents name.

Sources: PutObject, DeleteObject, CopyObject, HeadObject, ListObjectsV2 and "POST Object" in the S3 API reference;
"Add preconditions to S3 operations with conditional requests" in the S3 user guide, with the pages on conditional
writes and conditional deletes: 412 if the ETag is another one, 404 if the object to be matched does not exist.

moto alone departs from them: it ignores the conditions of a copy and the policy of a POST, and its answer to a POST has
no ETag. S3's documents are right, so infra/local/aws/s3_rules.py corrects moto. Two things remain that S3 does and
neither part does here: it checks signatures, and answers 409 to a conditional write during another one
(`test_s3_faults.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from tests.conformance.buckets import Answer, Bucket, Refusal, SimulatedBucket, etag, moto_bucket

OLD, NEW, OTHER = b"old", b"new", b"other"
TAKEN: dict[str, str] = {"IfNoneMatch": "*"}


def matching(body: bytes) -> dict[str, str]:
    return {"IfMatch": etag(body)}


@pytest.fixture(params=["simulated", "moto"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """Returns an empty bucket."""
    if request.param == "simulated":
        return SimulatedBucket()
    request.getfixturevalue("aws")
    return moto_bucket()


def refused(operation: str, status: int) -> Refusal:
    return operation, {404: "NoSuchKey", 412: "PreconditionFailed"}[status], status


PUTS: dict[str, tuple[bool, dict[str, str], int]] = {
    "free key": (False, {}, 200),
    "taken key": (True, {}, 200),
    "free key, If-None-Match": (False, TAKEN, 200),
    "taken key, If-None-Match": (True, TAKEN, 412),
    "matching ETag": (True, matching(OLD), 200),
    "other ETag": (True, matching(OTHER), 412),
    "ETag of an object that is gone": (False, matching(OLD), 404),
}
"""Whether there is an object, the condition, and the status."""


@pytest.mark.parametrize(("there", "condition", "status"), PUTS.values(), ids=list(PUTS))
def test_put_checks_its_condition(bucket: Bucket, there: bool, condition: dict[str, str], status: int) -> None:
    if there:
        bucket.put("k", OLD)
    answer = bucket.put("k", NEW, **condition)
    if status == 200:
        assert answer == {"ETag": etag(NEW)}
        assert body_of(bucket, "k") == NEW
    else:
        assert answer == refused("PutObject", status)
        assert body_of(bucket, "k") == (OLD if there else None)


DELETES: dict[str, tuple[bool, dict[str, str], int]] = {
    "object": (True, {}, 204),
    "no object": (False, {}, 204),
    "matching ETag": (True, matching(OLD), 204),
    "other ETag": (True, matching(OTHER), 412),
    "ETag of an object that is gone": (False, matching(OLD), 404),
}


@pytest.mark.parametrize(("there", "condition", "status"), DELETES.values(), ids=list(DELETES))
def test_delete_checks_its_condition(bucket: Bucket, there: bool, condition: dict[str, str], status: int) -> None:
    if there:
        bucket.put("k", OLD)
    answer = bucket.delete("k", **condition)
    assert answer == ({} if status == 204 else refused("DeleteObject", status))
    assert body_of(bucket, "k") == (OLD if status == 412 else None)


SOURCES = {"source": NEW, "other source": OTHER, "no source": None}
TARGETS = {"free": None, "taken": OLD}
CONDITIONS = {"always": {}, "If-None-Match": TAKEN, "If-Match": matching(OLD), "If-Match of another": matching(OTHER)}


def copy_status(source: bytes | None, target: bytes | None, condition: dict[str, str]) -> int:
    """Returns the status of a copy that asks for the source `NEW`.

    The documents do not say which condition is checked first. Here it is that of the source. An If-Match without an
    object at the target is 404 as with PutObject: the user guide describes both on one page, on conditional writes.
    """
    if source != NEW:
        return 404 if source is None else 412
    if "IfNoneMatch" in condition:
        return 200 if target is None else 412
    if "IfMatch" in condition:
        return 404 if target is None else 200 if condition == matching(target) else 412
    return 200


@pytest.mark.parametrize(
    ("source", "target", "condition"),
    list(product(SOURCES.values(), TARGETS.values(), CONDITIONS.values())),
    ids=[", ".join(names) for names in product(SOURCES, TARGETS, CONDITIONS)],
)
def test_copy_checks_all_conditions(
    bucket: Bucket, source: bytes | None, target: bytes | None, condition: dict[str, str]
) -> None:
    for key, body in (("from", source), ("to", target)):
        if body is not None:
            bucket.put(key, body)
    status = copy_status(source, target, condition)
    answer = bucket.copy("from", "to", etag(NEW), {"claim": "c"}, **condition)
    if status == 200:
        assert answer == {"CopyObjectResult": {"ETag": etag(NEW)}}
    else:
        assert answer == refused("CopyObject", status)
    assert body_of(bucket, "to") == (NEW if status == 200 else target)
    assert body_of(bucket, "from") == source


def test_copy_replaces_the_metadata_and_keeps_the_etag(bucket: Bucket) -> None:
    bucket.put("upload", NEW)
    bucket.copy("upload", "one", etag(NEW), {"generation": "g1", "claim": "c1"})
    bucket.copy("one", "two", etag(NEW), {"generation": "g2"})
    bucket.copy("upload", "one", etag(NEW), {"claim": "c3"}, **matching(NEW))
    heads = [bucket.head(key) for key in ("upload", "one", "two")]
    assert [about(head)["Metadata"] for head in heads] == [{}, {"claim": "c3"}, {"generation": "g2"}]
    assert {about(head)["ETag"] for head in heads} == {etag(NEW)}


def test_get_and_head_tell_the_same_of_an_object(bucket: Bucket) -> None:
    bucket.put("k", NEW)
    whole_seconds = (0, timedelta(0))
    known = {"ETag": etag(NEW), "ContentLength": 3, "Metadata": {}, "LastModified": whole_seconds}
    assert bucket.head("k") == known
    assert bucket.get("k") == {**known, "Body": NEW}
    assert bucket.list() == [{"Key": "k", "ETag": etag(NEW), "LastModified": whole_seconds}]


def test_missing_key_has_a_code_for_get_and_none_for_head(bucket: Bucket) -> None:
    """The answer to HEAD has no body, so botocore takes the status for the code."""
    assert bucket.get("k") == ("GetObject", "NoSuchKey", 404)
    assert bucket.head("k") == ("HeadObject", "404", 404)


def test_list_has_the_keys_of_its_prefix_in_the_order_of_bytes(bucket: Bucket) -> None:
    keys = ["slot/10", "slot/2", "slot/1", "slots/1", "slot", "wait/1", "slot/é", "slot/Z", "slot/\U0001f5a8", "slot/￮"]
    for key in keys:
        bucket.put(key, OLD)
    assert [one["Key"] for one in bucket.list("slot/")] == sorted(
        (key for key in keys if key.startswith("slot/")), key=str.encode
    )
    assert [one["Key"] for one in bucket.list("wait/1")] == ["wait/1"]
    assert bucket.list("none/") == []
    bucket.delete("wait/1")
    assert bucket.list("wait/") == []


def test_deletion_of_many_keys_leaves_all_others(bucket: Bucket) -> None:
    for key in ("sub/1", "sub/2", "sub/3", "job/1"):
        bucket.put(key, OLD)
    assert bucket.delete_many("sub/1", "sub/none", "sub/3") == []
    assert [one["Key"] for one in bucket.list()] == ["job/1", "sub/2"]


def test_pages_of_a_list_have_all_keys_in_order(bucket: Bucket) -> None:
    keys = [f"sub/{number}" for number in range(5)]
    for key in (*keys, "job/1"):
        bucket.put(key, OLD)
    pages = bucket.pages("sub/", size=2)  # the simulation has one page of all keys
    assert [key for page in pages for key in page] == keys
    assert bucket.pages("none/", size=2) == [[]]


def test_equal_bytes_have_the_same_etag_however_they_were_written(bucket: Bucket) -> None:
    bucket.put("a", NEW)
    bucket.put("b", NEW, **TAKEN)
    bucket.copy("a", "c", etag(NEW), {})
    bucket.post(bucket.form("d", 100, 60), NEW)
    assert {one["ETag"] for one in bucket.list()} == {etag(NEW)}
    assert bucket.delete("a", **matching(NEW)) == {}
    assert bucket.put("b", NEW, **matching(NEW)) == {"ETag": etag(NEW)}


POSTS: dict[str, tuple[Callable[[dict[str, str]], dict[str, str]], int, bytes, int, str]] = {
    "allowed": (dict, 60, b"%PDF-1.4", 204, ""),
    "largest": (dict, 60, b"x" * 100, 204, ""),
    "too large": (dict, 60, b"x" * 101, 400, "EntityTooLarge"),
    "empty": (dict, 60, b"", 400, "EntityTooSmall"),
    "expired": (dict, -1, b"%PDF-1.4", 403, "AccessDenied"),
    "other key": (lambda fields: {**fields, "key": "upload/other"}, 60, b"%PDF-1.4", 403, "AccessDenied"),
    "other type": (lambda fields: {**fields, "Content-Type": "text/html"}, 60, b"%PDF-1.4", 403, "AccessDenied"),
    "field that is not signed": (lambda fields: {**fields, "acl": "public-read"}, 60, b"x", 403, "AccessDenied"),
    "no type": (
        lambda fields: {name: value for name, value in fields.items() if name != "Content-Type"},
        60,
        b"%PDF-1.4",
        403,
        "AccessDenied",
    ),
}
"""A change of the fields, the seconds of the signature, the body, and the status and the code of the answer."""


@pytest.mark.parametrize(("change", "seconds", "body", "status", "code"), POSTS.values(), ids=list(POSTS))
def test_post_writes_what_its_policy_allows(
    bucket: Bucket,
    change: Callable[[dict[str, str]], dict[str, str]],
    seconds: int,
    body: bytes,
    status: int,
    code: str,
) -> None:
    form = bucket.form("upload/k", 100, seconds)
    changed = form.model_copy(update={"fields": change(form.fields)})
    assert bucket.post(changed, body) == (status, etag(body) if status == 204 else "", code)
    assert [(one["Key"], one["ETag"]) for one in bucket.list()] == ([("upload/k", etag(body))] if status == 204 else [])


def test_second_post_replaces_the_first(bucket: Bucket) -> None:
    form = bucket.form("upload/k", 100, 60)
    bucket.post(form, OLD)
    bucket.post(form, NEW)
    assert about(bucket.get("upload/k"))["Body"] == NEW
    assert about(bucket.head("upload/k"))["Metadata"] == {}


def about(answer: Answer | Refusal) -> Any:
    assert isinstance(answer, dict), answer
    return answer


def body_of(bucket: Bucket, key: str) -> bytes | None:
    answer = bucket.get(key)
    return answer["Body"] if isinstance(answer, dict) else None
