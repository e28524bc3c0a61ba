"""The product meets the same errors from the simulated S3 with faults and from botocore before an unreliable S3.

Only the tests know the fault; the product must be right about what it may have written. moto serves one request at a
time and never answers 409 itself, so the proxy does, in the form of S3's list of error codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ConnectionClosedError

from tests.conformance.buckets import etag, moto_bucket, patient_client
from tests.conformance.unreliable import KINDS, InBackground, MotoUnreliable, Proxy, SimulatedUnreliable, Unreliable
from urlshot.adapters.s3 import Conflict, Gone, delete_if, put_if
from urlshot.adapters.store import Store
from urlshot.core.errors import Transient

OLD, NEW = b"old", b"new"
Begin = Callable[[str, str], Unreliable]


@pytest.fixture(scope="module")
def proxied(aws: str, loop_in_background: InBackground) -> Iterator[tuple[Proxy, Any]]:
    """Returns the proxy and a client that the product makes for it."""
    proxy = Proxy(aws)
    url = loop_in_background(proxy.start())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        client = patient_client()
    yield proxy, client
    loop_in_background(proxy.end())


@pytest.fixture(params=["simulated", "moto"])
def begin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Returns a function that makes a bucket whose first call has a fault; its second argument is a key of `KINDS`."""
    if request.param == "simulated":
        return lambda fault, kind: SimulatedUnreliable(fault, KINDS[kind])
    # botocore waits up to three seconds between its attempts
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    proxy, client = request.getfixturevalue("proxied")
    direct = moto_bucket()
    return lambda fault, kind: MotoUnreliable(proxy, direct, client, fault)


def outcome(call: Callable[[], Any]) -> Any:
    """Returns the result of a call or the class of its error, and of a conflict whether the SDK repeated the call."""
    try:
        return call()
    except Conflict as conflict:
        return Conflict, conflict.retried
    except (Gone, Transient, BotoCoreError) as error:
        return type(error)


CREATES: dict[str, tuple[Any, bytes | None]] = {
    "sent again": ((Conflict, True), NEW),  # the second attempt meets the object of the first
    "answer lost": (Transient, NEW),
    "unavailable": (Transient, None),
    "conflict": (etag(NEW), NEW),  # the adapter repeats the write
}
"""What the caller learns, and what is stored."""


@pytest.mark.parametrize("fault", CREATES)
def test_creation_meets_a_fault(begin: Begin, fault: str) -> None:
    bucket = begin(fault, "conditional")
    learned, stored = CREATES[fault]
    assert outcome(lambda: put_if(bucket.client, bucket.name, "k", NEW, None)) == learned
    assert bucket.stored("k") == stored


@pytest.mark.parametrize("fault", CREATES)
def test_change_meets_a_fault(begin: Begin, fault: str) -> None:
    bucket = begin(fault, "conditional")
    bucket.write("k", OLD)
    learned, stored = CREATES[fault]
    assert outcome(lambda: put_if(bucket.client, bucket.name, "k", NEW, etag(OLD))) == learned
    assert bucket.stored("k") == (stored or OLD)


@pytest.mark.parametrize("fault", ["sent again", "answer lost", "unavailable", "conflict"])
def test_conditional_delete_meets_a_fault(begin: Begin, fault: str) -> None:
    bucket = begin(fault, "conditional")
    bucket.write("k", OLD)
    learned = outcome(lambda: delete_if(bucket.client, bucket.name, "k", etag(OLD)))
    # The second attempt of a delete finds nothing, which the adapter takes for success.
    assert learned == (None if fault in ("sent again", "conflict") else Transient)
    assert bucket.stored("k") == (OLD if fault == "unavailable" else None)


@pytest.mark.parametrize("fault", ["sent again", "answer lost", "unavailable"])
def test_plain_write_meets_a_fault(begin: Begin, fault: str) -> None:
    bucket = begin(fault, "write")
    answer = outcome(lambda: bucket.put("k", NEW))
    expected = {
        "sent again": {"ETag": etag(NEW)},
        "answer lost": ConnectionClosedError,
        "unavailable": ("PutObject", "ServiceUnavailable", 503),
    }
    assert answer == expected[fault]
    assert bucket.stored("k") == (None if fault == "unavailable" else NEW)


def test_read_without_an_answer_is_transient(begin: Begin) -> None:
    bucket = begin("unavailable", "read")
    bucket.write("job/j.json", OLD)
    assert outcome(lambda: Store(bucket.name, bucket.client).read("j")) is Transient


@pytest.mark.parametrize("fault", ["sent again", "answer lost", "unavailable", "conflict"])
def test_copy_meets_a_fault(begin: Begin, fault: str) -> None:
    bucket = begin(fault, "conditional")
    bucket.write("from", NEW)
    answer = outcome(lambda: bucket.copy("from", "to", etag(NEW), {}, IfNoneMatch="*"))
    expected = {
        "sent again": ("CopyObject", "PreconditionFailed", 412),
        "answer lost": ConnectionClosedError,
        "unavailable": ("CopyObject", "ServiceUnavailable", 503),
        "conflict": ("CopyObject", "ConditionalRequestConflict", 409),
    }
    assert answer == expected[fault]
    assert bucket.stored("to") == (NEW if fault in ("sent again", "answer lost") else None)
