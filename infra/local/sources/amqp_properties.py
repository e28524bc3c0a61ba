"""Converts the AMQP properties of a message, from the bytes of its content header, to those of Lambda's event.

A client may publish any bytes: names that are not UTF-8, dates after the year 9999, or unknown types. The AMQP library
closes the connection after such a message; the message then comes back and blocks all others. So
`keep_raw_properties` makes the library lenient and keeps the bytes, and `basic_properties` reads them.

AWS documents the event by one example with ASCII text, numbers and a date. All other cases are decided here: bytes that
are not UTF-8 are replaced in names and plain properties and kept in headers, byte arrays look like text, numbers that
are not finite and dates out of range are null, and unreadable headers are left out. The example looks like the output
of Java's AMQP client and Gson. These would write bytes from 128 on as negative numbers, so readers should accept both.

Source: AMQP 0-9-1, 4.2.5 and 4.2.6; RabbitMQ's "AMQP 0-9-1 Errata" for the types of headers; the example event in
"Using Lambda with Amazon MQ" in the Lambda developer guide.
"""

import math
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import pamqp.decode
from pamqp.header import ContentHeader

_RAW = "raw_properties"
_strict_unmarshal = ContentHeader.unmarshal
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_DEPTH = 32  # of nested tables; one frame could contain thousands of levels
_PROPERTIES = {  # in the order of the header; the first has the highest bit of the flags
    "contentType": "text",
    "contentEncoding": "text",
    "headers": "table",
    "deliveryMode": "octet",
    "priority": "octet",
    "correlationId": "text",
    "replyTo": "text",
    "expiration": "text",
    "messageId": "text",
    "timestamp": "timestamp",
    "type": "text",
    "userId": "text",
    "appId": "text",
    "clusterId": "text",
}
_NUMBERS = {b"b": ">b", b"B": ">B", b"s": ">h", b"u": ">H", b"I": ">i", b"i": ">I", b"l": ">q", b"L": ">q"}
_FLOATS = {b"f": ">f", b"d": ">d"}


def keep_raw_properties() -> None:
    """Makes all connections of this process accept malformed properties, and keep their bytes for `raw_properties`."""
    ContentHeader.unmarshal = _lenient_unmarshal  # type: ignore[assignment, method-assign]
    pamqp.decode.METHODS["shortstr"] = _lenient_short_text  # routing keys need not be UTF-8 either


def raw_properties(header: ContentHeader) -> bytes:
    """Returns the received bytes of a header's flags and properties."""
    return bytes(getattr(header, _RAW))


def basic_properties(raw: bytes, body_size: int) -> tuple[dict[str, Any], str | None]:
    """Returns the `basicProperties` of the event.

    Args:
        raw: The bytes of the flags and properties.
        body_size: The size of the body in bytes.

    Returns:
        The properties, and a text that says what could not be read; None if everything could.
    """
    found: dict[str, Any] = {"headers": {}}
    reader, fault = _Reader(raw), None
    try:
        flags = reader.number(">H")
        for place, (name, kind) in enumerate(_PROPERTIES.items()):
            if flags & (1 << (15 - place)):
                match kind:
                    case "text":
                        found[name] = reader.short_text()
                    case "octet":
                        found[name] = reader.number(">B")
                    case "timestamp":
                        found[name] = _date(reader.number(">Q"))
                    case "table":
                        table = _Reader(reader.long_bytes())
                        try:
                            table.table_into(found["headers"])
                        except ValueError as error:
                            fault = f"headers: {error}"
    except ValueError as error:
        fault = f"properties: {error}"
    return {**{name: found.get(name) for name in _PROPERTIES}, "bodySize": body_size}, fault


class _Reader:
    """Reads values from bytes. All methods raise ValueError if the bytes end too early or are invalid."""

    def __init__(self, data: bytes, depth: int = 0) -> None:
        self._data = data
        self._at = 0
        self._depth = depth
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested more than {_MAX_DEPTH} deep")

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise ValueError("the bytes end too early")
        part, self._at = self._data[self._at : end], end
        return part

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def short_text(self) -> str:
        return self.take(self.number(">B")).decode("utf-8", "replace")

    def long_bytes(self) -> bytes:
        return self.take(self.number(">I"))

    def table_into(self, found: dict[str, Any]) -> None:
        """Adds the entries of a table one by one, so that the entries before an unreadable one are kept."""
        while self._at < len(self._data):
            name = self.short_text()
            found[name] = self.value()

    def value(self) -> Any:
        kind = self.take(1)
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind in _FLOATS:
            value = self.number(_FLOATS[kind])
            return value if math.isfinite(value) else None
        match kind:
            case b"t":
                return self.number(">B") != 0
            case b"D":
                scale = self.number(">B")
                return float(f"{self.number('>i')}e-{scale}")
            case b"S" | b"x":
                return {"bytes": list(self.long_bytes())}
            case b"T":
                return _date(self.number(">Q"))
            case b"V":
                return None
            case b"A":
                return _Reader(self.long_bytes(), self._depth + 1).items()
            case b"F":
                inner: dict[str, Any] = {}
                _Reader(self.long_bytes(), self._depth + 1).table_into(inner)
                return inner
        raise ValueError(f"a value of the unknown type {kind!r}")

    def items(self) -> list[Any]:
        found = []
        while self._at < len(self._data):
            found.append(self.value())
        return found


def _date(seconds: int) -> str | None:
    """Formats a time as Lambda does, such as "Jan 1, 1970, 12:33:41 AM"; None if it is out of range."""
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None
    return f"{moment:%b} {moment.day}, {moment.year}, {int(moment.strftime('%I'))}:{moment:%M:%S %p}"


def _lenient_unmarshal(header: ContentHeader, data: bytes) -> None:
    setattr(header, _RAW, data[12:])  # after the class, the weight and the body's size
    try:
        _strict_unmarshal(header, data)
    except Exception:  # the decoder raises many kinds of errors; without a class the bytes are no header at all
        if header.class_id is None:
            raise


def _lenient_short_text(value: bytes) -> tuple[int, str]:
    """Decodes a short string like the library's own decoder, but also if it is not UTF-8.

    Returns:
        The number of bytes read, and the text.
    """
    return value[0] + 1, _Reader(value).short_text()
