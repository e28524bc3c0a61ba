"""The local stack reads message properties from any bytes. An unreadable property is reported and hides no other."""

import json
from datetime import UTC, datetime
from typing import Any

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from infra.local.sources.amqp_properties import basic_properties, keep_raw_properties, raw_properties


def read(raw: bytes) -> tuple[dict[str, Any], str | None]:
    return basic_properties(raw, 3)


def headers(table: bytes, more: bytes = b"") -> bytes:
    """Returns encoded properties with a header table, and with a priority if `more` holds its byte."""
    flags = b"\x28\x00" if more else b"\x20\x00"
    return flags + len(table).to_bytes(4, "big") + table + more


def nested(depth: int) -> bytes:
    table = b""
    for _ in range(depth):
        table = b"\x01kF" + len(table).to_bytes(4, "big") + table
    return table


def test_every_property_is_read() -> None:
    given = Basic.Properties(
        content_type="application/json",
        content_encoding="gzip",
        headers={"text": "Zo\u00eb", "number": -7, "yes": True, "table": {"list": ["v", 1.5, None]}},
        delivery_mode=2,
        priority=3,
        correlation_id="c",
        reply_to="r",
        expiration="60000",
        message_id="m",
        timestamp=datetime(1970, 1, 1, 0, 33, 41, tzinfo=UTC),
        message_type="t",
        user_id="u",
        app_id="a",
    )
    keep_raw_properties()
    frame = pamqp.frame.marshal(ContentHeader(body_size=3, properties=given), 1)
    _, _, header = pamqp.frame.unmarshal(frame)
    assert isinstance(header, ContentHeader)
    assert header.properties.message_id == "m"  # the library still parses it too
    assert basic_properties(raw_properties(header), 3) == (
        {
            "contentType": "application/json",
            "contentEncoding": "gzip",
            "headers": {
                "text": {"bytes": list("Zo\u00eb".encode())},
                "number": -7,
                "yes": True,
                "table": {"list": [{"bytes": [118]}, 1.5, None]},
            },
            "deliveryMode": 2,
            "priority": 3,
            "correlationId": "c",
            "replyTo": "r",
            "expiration": "60000",
            "messageId": "m",
            "timestamp": "Jan 1, 1970, 12:33:41 AM",
            "type": "t",
            "userId": "u",
            "appId": "a",
            "clusterId": None,
            "bodySize": 3,
        },
        None,
    )


def test_message_without_properties_has_nulls() -> None:
    found, fault = read(b"\0\0")
    assert fault is None
    assert (found.pop("headers"), found.pop("bodySize")) == ({}, 3)
    assert set(found.values()) == {None}


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (b"\x01kb\xff", {"k": -1}),
        (b"\x01kB\xff", {"k": 255}),
        (b"\x01ks\xff\xfe", {"k": -2}),
        (b"\x01ku\xff\xfe", {"k": 65534}),
        (b"\x01kI\xff\xff\xff\xff", {"k": -1}),
        (b"\x01ki\xff\xff\xff\xff", {"k": 4294967295}),
        (b"\x01kl" + b"\xff" * 8, {"k": -1}),
        (b"\x01kL" + b"\xff" * 8, {"k": -1}),
        (b"\x01kf\x3f\xc0\0\0", {"k": 1.5}),
        (b"\x01kd\x7f\xf0\0\0\0\0\0\0", {"k": None}),
        (b"\x01kd\x7f\xf8\0\0\0\0\0\0", {"k": None}),
        (b"\x01kD\x00\xff\xff\xff\xff", {"k": -1.0}),
        (b"\x01kD\xff\x00\x00\x00\x01", {"k": 1e-255}),
        (b"\x01kt\x00\x01lt\x02", {"k": False, "l": True}),
        (b"\x01kT\0\0\0\0\0\0\0\0", {"k": "Jan 1, 1970, 12:00:00 AM"}),
        (b"\x01kT" + b"\xff" * 8, {"k": None}),
        (b"\x01kA\0\0\0\x03t\x01V", {"k": [True, None]}),
        (b"\x01kV\x01kt\x01", {"k": True}),
        (b"\x00V", {"": None}),
    ],
)
def test_each_type_of_header_is_read(table: bytes, expected: Any) -> None:
    found, fault = read(headers(table, b"\x05"))
    assert (found["headers"], found["priority"], fault) == (expected, 5, None)


@pytest.mark.parametrize(
    ("table", "kept", "fault"),
    [
        (b"\x01kt\x01\x01l?", {"k": True}, "headers: a value of the unknown type b'?'"),
        (b"\x01kt\x01\x01lS\0\0\0\x09v", {"k": True}, "headers: the bytes end too early"),
        (b"\x01kt\x01\x09l", {"k": True}, "headers: the bytes end too early"),
        (b"\x01kt\x01\x01lF\0\0\0\x03\x01m?", {"k": True}, "headers: a value of the unknown type b'?'"),
        (nested(33), {}, "headers: nested more than 32 deep"),
        (nested(5000), {}, "headers: nested more than 32 deep"),
    ],
)
def test_unreadable_header_is_reported_and_hides_no_other_property(table: bytes, kept: Any, fault: str) -> None:
    found, reported = read(headers(table, b"\x05"))
    assert (found["headers"], found["priority"], reported) == (kept, 5, fault)


@pytest.mark.parametrize("raw", [b"", b"\x20", b"\x20\x00", b"\x20\x00\0\0\0\x09", b"\x80\x00\x05ab"])
def test_truncated_properties_are_reported(raw: bytes) -> None:
    found, fault = read(raw)
    assert fault == "properties: the bytes end too early"
    assert found["headers"] == {}


@given(st.binary(max_size=200) | st.binary(max_size=200).map(headers))
def test_any_bytes_give_properties_that_are_json(raw: bytes) -> None:
    found, _ = read(raw)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@given(st.binary(max_size=100) | st.binary(max_size=100).map(headers))
def test_header_frame_with_any_properties_is_accepted(raw: bytes) -> None:
    keep_raw_properties()
    data = b"\x00\x3c\x00\x00" + (3).to_bytes(8, "big") + raw
    frame = b"\x02\x00\x01" + len(data).to_bytes(4, "big") + data + b"\xce"
    _, channel, header = pamqp.frame.unmarshal(frame)
    assert isinstance(header, ContentHeader)
    assert (channel, header.body_size, raw_properties(header)) == (1, 3, raw)


@given(st.binary(max_size=255))
def test_delivery_with_any_routing_key_is_accepted(key: bytes) -> None:
    keep_raw_properties()
    data = b"\x00\x3c\x00\x3c\x01c" + bytes(8) + b"\x00\x00" + bytes([len(key)]) + key
    _, _, deliver = pamqp.frame.unmarshal(b"\x01\x00\x01" + len(data).to_bytes(4, "big") + data + b"\xce")
    assert isinstance(deliver, Basic.Deliver)
    assert deliver.routing_key == key.decode("utf-8", "replace")
