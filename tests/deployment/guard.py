"""Applies IAM to the functions' AWS calls in tests: refuses each call that the role in the template does not allow.

moto stands in for AWS, and its own IAM knows no resources. A call belongs to a function if code in functions/<name> is
on the stack and no code of a test lies between it and the call. Calls of the tests themselves are not checked.

Sources: the Service Authorization Reference for actions and resources; "Policy evaluation logic" in the IAM user guide
(the templates have no Deny, and no other policy allows anything); the S3 API reference for the answers of HEAD and GET
to a missing key, and for the permissions of a copy and of a conditional PUT or DELETE.
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
    """One permission that a call needs.

    `resource` is the ARN with the template's names, or `*` for any. `conditions` are the condition keys of the request
    with their values.
    """

    action: str
    resource: str
    conditions: Mapping[str, str] = field(default_factory=dict)


def needs(service: str, operation: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
    """Yields the permissions that a call needs, with the template's resource in place of the test's.

    Raises:
        LookupError: The call is not known here.
    """
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
        case "s3", "CreateBucket":  # botocore uses this operation to find the URL of a presigned POST: render's upload
            yield Need("s3:PutObject", f"{BUCKET}/upload/x/y.pdf")
        case "s3", "ListObjectsV2":
            yield Need("s3:ListBucket", BUCKET)
        case "secretsmanager", "GetSecretValue":  # tests choose the names of secrets
            yield Need("secretsmanager:GetSecretValue", "*")
        case "lambda", "Invoke":  # tests choose the names of functions
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
            raise LookupError(f"add the permissions of {service}:{operation} to {Path(__file__).name}")


def allows(statement: Mapping[str, Any], need: Need) -> bool:
    """Returns whether a statement of `tests.deployment.roles.statements` allows what is needed.

    Raises:
        LookupError: The statement has an effect or a condition that is not supported here.
    """
    if statement["Effect"] != "Allow":
        raise LookupError("only the effect Allow is supported here")
    if need.action not in statement["Action"]:
        return False
    if need.resource != "*" and not any(_matches(pattern, need.resource) for pattern in statement["Resource"]):
        return False
    conditions = dict(statement.get("Condition") or {})
    wanted = conditions.pop("StringEquals", {})
    if conditions:
        raise LookupError(f"conditions that are not supported here: {', '.join(conditions)}")
    return all(need.conditions.get(key) == value for key, value in wanted.items())


def _matches(pattern: str, resource: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), resource) is not None


class Guard:
    """Checks the calls of every client of a session.

    `roles` holds the statements of each function, by the name of its package. `denied` holds the refused calls.
    """

    def __init__(self, whole: Deployment) -> None:
        self.roles = {
            name.removesuffix("Function").lower(): statements(role_of(whole, function))
            for name, function in whole.functions.items()
        }
        self.denied: list[tuple[str, Need]] = []

    def watch(self, hooks: BaseEventHooks) -> None:
        """Checks every call of clients that are created after this one."""
        hooks.register("provide-client-params.*.*", self._before)
        for operation in ("GetObject", "HeadObject"):
            hooks.register(f"after-call.s3.{operation}", self._after_look)

    def allowed(self, function: str, need: Need) -> bool:
        return any(allows(statement, need) for statement in self.roles[function])

    def _before(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        function = _calling_function(sys._getframe())
        if function is None:
            return
        for need in needs(model.service_model.service_name, model.name, params):
            if not self.allowed(function, need):
                self.denied.append((function, need))
                raise _refusal(f"{function} may not {need.action} on {need.resource}", model.name)

    def _after_look(self, parsed: dict[str, Any], **_: Any) -> None:
        """Turns 404 into 403 for functions without s3:ListBucket, as S3 does."""
        function = _calling_function(sys._getframe())
        if function is None or parsed["ResponseMetadata"]["HTTPStatusCode"] != 404:
            return
        if not self.allowed(function, Need("s3:ListBucket", BUCKET)):
            parsed["ResponseMetadata"]["HTTPStatusCode"] = 403
            parsed["Error"] = {"Code": "403", "Message": "Forbidden"}


def _refusal(message: str, operation: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": "AccessDenied", "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 403}},  # type: ignore[typeddict-item] - only the fields that the functions read
        operation,
    )


def _calling_function(frame: FrameType | None) -> str | None:
    """Returns the package of the function that makes a call; None if a test makes it."""
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(FUNCTIONS):
            return file.relative_to(FUNCTIONS).parts[0]
        if file.is_relative_to(TESTS) and file != Path(__file__):
            return None
        frame = frame.f_back
    return None
