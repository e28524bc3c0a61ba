"""IAM for the functions' calls of AWS in tests: what the role in the template does not allow is refused.

moto stands in for AWS, and its own IAM knows no resources. A call is a function's if its code is in functions/<room>
and no test's code lies between; what tests do themselves is not judged.

Source: the Service Authorization Reference for actions and resources; "Policy evaluation logic" in the IAM user guide
(there is no Deny here, and no other policy that would allow something); the S3 API reference for what HEAD and GET say
of a missing key, and for what a copy, and a conditional PUT or DELETE, needs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from botocore.exceptions import ClientError
from botocore.hooks import BaseEventHooks

from infra.local.settings import PROJECT
from tests.deployment.roles import role_of, statements
from tests.deployment.whole import EVERYTHING, Deployment

FUNCTIONS, TESTS = PROJECT / "functions", PROJECT / "tests"
BUCKET = "${Storage.Bucket.Arn}"
RENDER = "${AWS::StackName}-render"


@dataclass(frozen=True)
class Need:
    """One permission that a call needs, of a resource, or of any (`*`); `conditions` are the keys of its context."""

    action: str
    resource: str
    conditions: Mapping[str, str] = field(default_factory=dict)


def needs(service: str, operation: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
    """What a call needs, with the test's resource by the name of the template's. Errors: LookupError for new calls."""
    match service, operation:
        case "s3", "GetObject" | "HeadObject":
            yield Need("s3:GetObject", f"{BUCKET}/{parameters['Key']}")
        case "s3", "PutObject" | "DeleteObject":
            yield Need(f"s3:{operation}", f"{BUCKET}/{parameters['Key']}")
            if "IfMatch" in parameters:
                yield Need("s3:GetObject", f"{BUCKET}/{parameters['Key']}")
        case "s3", "CopyObject":
            yield Need("s3:GetObject", f"{BUCKET}/{parameters['CopySource']['Key']}")
            yield Need("s3:PutObject", f"{BUCKET}/{parameters['Key']}")
        case "s3", "DeleteObjects":
            yield from (Need("s3:DeleteObject", f"{BUCKET}/{one['Key']}") for one in parameters["Delete"]["Objects"])
        case "s3", "CreateBucket":  # botocore finds by it the address of a form that it signs: render's upload
            yield Need("s3:PutObject", f"{BUCKET}/upload/x/y.pdf")
        case "s3", "ListObjectsV2":
            yield Need("s3:ListBucket", BUCKET)
        case "secretsmanager", "GetSecretValue":  # tests name secrets as they like
            yield Need("secretsmanager:GetSecretValue", "*")
        case "lambda", "Invoke":  # tests name functions as they like
            function = f"arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:{RENDER}"
            yield Need("lambda:InvokeFunction", function)
        case "events", "PutEvents":
            yield Need("events:PutEvents", "${Bus.Arn}")
        case "sqs", "SendMessage" | "ChangeMessageVisibility":
            yield Need(f"sqs:{operation}", "${Consumers.CallbackQueue.Arn}")
        case "sesv2", "SendEmail":
            sender = {"ses:FromAddress": EVERYTHING["MailFrom"]}
            yield Need("ses:SendEmail", "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:identity/x", sender)
        case _:
            raise LookupError(f"say in {Path(__file__).name} what {service}:{operation} needs")


def allows(statement: Mapping[str, Any], need: Need) -> bool:
    """Whether a statement, as `tests.deployment.roles` has it, allows what is needed."""
    if statement["Effect"] != "Allow":
        raise LookupError("only statements that allow are known here")
    if need.action not in statement["Action"]:
        return False
    if need.resource != "*" and not any(_matches(pattern, need.resource) for pattern in statement["Resource"]):
        return False
    conditions = dict(statement.get("Condition") or {})
    wanted = conditions.pop("StringEquals", {})
    if conditions:
        raise LookupError(f"conditions that are not known here: {', '.join(conditions)}")
    return all(need.conditions.get(key) == value for key, value in wanted.items())


def _matches(pattern: str, resource: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), resource) is not None


class Guard:
    """Listens to every client of a session. `roles` are the statements by room; `denied` is what was refused."""

    def __init__(self, whole: Deployment) -> None:
        self.roles = {
            name.removesuffix("Function").lower(): statements(role_of(whole, function))
            for name, function in whole.functions.items()
        }
        self.denied: list[tuple[str, Need]] = []

    def watch(self, hooks: BaseEventHooks) -> None:
        """Has every call judged that clients make which are created after this."""
        hooks.register("provide-client-params.*.*", self._before)
        for operation in ("GetObject", "HeadObject"):
            hooks.register(f"after-call.s3.{operation}", self._after_look)

    def allowed(self, room: str, need: Need) -> bool:
        return any(allows(statement, need) for statement in self.roles[room])

    def _before(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        room = _calling_room(sys._getframe())
        if room is None:
            return
        for need in needs(model.service_model.service_name, model.name, params):
            if not self.allowed(room, need):
                self.denied.append((room, need))
                raise _refusal(f"{room} may not {need.action} on {need.resource}", model.name)

    def _after_look(self, parsed: dict[str, Any], **_: Any) -> None:
        """Without s3:ListBucket, nobody is told that a key is missing."""
        room = _calling_room(sys._getframe())
        if room is None or parsed["ResponseMetadata"]["HTTPStatusCode"] != 404:
            return
        if not self.allowed(room, Need("s3:ListBucket", BUCKET)):
            parsed["ResponseMetadata"]["HTTPStatusCode"] = 403
            parsed["Error"] = {"Code": "403", "Message": "Forbidden"}


def _refusal(message: str, operation: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": "AccessDenied", "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 403}},  # type: ignore[typeddict-item] - the parts that are looked at
        operation,
    )


def _calling_room(frame: FrameType | None) -> str | None:
    """The room of the function that makes a call, None when it is a test's."""
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(FUNCTIONS):
            return file.relative_to(FUNCTIONS).parts[0]
        if file.is_relative_to(TESTS) and file != Path(__file__):
            return None
        frame = frame.f_back
    return None
