"""Checks the policy of a presigned POST, which moto ignores.

Source: "POST Object" and "Creating a POST policy" in the S3 API reference, and its list of error codes. The documents
do not give the texts of the errors; those here follow reports of users. As in all of moto, signatures are not checked.
"""

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_UNCHECKED = ("policy", "x-amz-signature", "bucket")
"""Fields that need no condition, besides the file and `x-ignore-…`. S3 takes the bucket from the address."""


@dataclass(frozen=True)
class Refusal:
    status: int
    code: str
    message: str


@dataclass(frozen=True)
class Form:
    """The fields of a multipart/form-data body up to the file, with names in lower case, and the bytes of the file."""

    fields: dict[str, str]
    size: int

    @classmethod
    def read(cls, content_type: str, body: bytes) -> "Form":
        """Reads a body. S3 ignores the fields after the file."""
        boundary = content_type.partition("boundary=")[2].partition(";")[0].strip('"').encode()
        parts = re.compile(
            rb'--' + re.escape(boundary) + rb'\r\nContent-Disposition: form-data; name="([^"]*)"'
            rb'[^\r]*\r\n(?:[^\r]+\r\n)*\r\n', re.IGNORECASE,
        )  # fmt: skip
        fields: dict[str, str] = {}
        at = 0
        while part := parts.match(body, at):
            name, end = part[1].decode("utf-8", "replace").lower(), b"\r\n--" + boundary
            if name == "file":
                return cls(fields, body.find(end, part.end()) - part.end())
            stop = body.find(end, part.end())
            fields[name] = body[part.end() : stop].decode("utf-8", "replace")
            at = stop + 2
        return cls(fields, 0)


def refusal(form: Form, bucket: str, now: datetime | None = None) -> Refusal | None:
    """Returns the reason why S3 refuses a form, if there is one. A form without a policy is left to moto."""
    if "policy" not in form.fields:
        return None
    try:
        policy = json.loads(base64.b64decode(form.fields["policy"]))
        conditions = [_parsed(one) for one in policy["conditions"]]
        expired = datetime.fromisoformat(policy["expiration"]) <= (now or datetime.now(UTC))
    except (ValueError, KeyError, TypeError):
        return Refusal(400, "InvalidPolicyDocument", "Invalid Policy")
    if expired:
        return _denied("Policy expired.")
    values = {**form.fields, "bucket": bucket}
    named = set()
    for condition in conditions:
        match condition:
            case ("content-length-range", low, high):
                if form.size > int(high):
                    return Refusal(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
                if form.size < int(low):
                    return Refusal(
                        400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"
                    )
            case (how, name, wanted):
                named.add(name)
                value = values.get(name)
                if value is None or not (value == wanted if how == "eq" else value.startswith(wanted)):
                    return _denied(f"Policy Condition failed: {json.dumps(condition)}")
    extra = [name for name in form.fields if name not in {*named, *_UNCHECKED} and not name.startswith("x-ignore-")]
    return _denied(f"Extra input fields: {extra[0]}") if extra else None


def _parsed(condition: Any) -> tuple[str, Any, Any]:
    """Returns the operator, the name of the field in lower case, and the value; for a range, its two ends.

    Raises:
        ValueError: The condition has another form.
    """
    if isinstance(condition, dict):
        [(name, value)] = condition.items()
        return "eq", str(name).lower(), value
    how, first, second = condition
    return str(how).lower(), first.removeprefix("$").lower() if isinstance(first, str) else first, second


def _denied(reason: str) -> Refusal:
    return Refusal(403, "AccessDenied", f"Invalid according to Policy: {reason}")
