"""The bucket protects and expires its objects, and undelivered events are kept."""

from __future__ import annotations

import pytest

from tests.unit.stacks import ADDRESSES, EVERYTHING, may, short, stack
from tests.unit.test_roles import MAY
from urlshot.core.events import SOURCE

# ---- bucket ---------------------------------------------------------------------------------------------------------


def test_bucket_is_private_encrypted_and_retained() -> None:
    made = stack(AccessLogBucket="logs")
    bucket = made["Storage.Bucket"]
    assert set(bucket.require("PublicAccessBlockConfiguration").values()) == {True}
    assert bucket.require("OwnershipControls") == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert bucket.require("BucketEncryption")
    assert bucket.require("LoggingConfiguration")["DestinationBucketName"] == "logs"
    assert stack()["Storage.Bucket"].property("LoggingConfiguration") is None
    for name in ("Storage", "Storage.Bucket", "Storage.BucketPolicy"):
        assert made[name].body["DeletionPolicy"] == "RetainExceptOnCreate"
    denied = {one["Sid"]: one for one in made["Storage.BucketPolicy"].require("PolicyDocument")["Statement"]}
    assert {one["Effect"] for one in denied.values()} == {"Deny"}
    assert denied["TlsOnly"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert denied["OldTls"]["Condition"] == {"NumericLessThan": {"s3:TlsVersion": "1.2"}}
    for statement in denied.values():
        assert [short(one) for one in statement["Resource"]] == ["bucket", "bucket/*"]


def test_everything_that_is_written_to_the_bucket_ends_some_day() -> None:
    made = stack(**EVERYTHING | {"PdfDays": "5", "RecordDays": "50"})
    rules = made["Storage.Bucket"].require("LifecycleConfiguration")["Rules"]
    days = {rule["Prefix"]: int(rule["ExpirationInDays"]) for rule in rules if "Prefix" in rule}
    assert (days["pdf/"], days["job/"]) == (5, 50)
    written = {
        short(resource).removeprefix("bucket/").split("/")[0] + "/"
        for role in MAY
        for action, resource in may(made, role)
        if action == "s3:PutObject"
    }
    assert written == days.keys() | {"watch/"}  # one object that is overwritten every minute


def test_records_outlive_their_pdfs() -> None:
    parameters = stack().template.parameters
    assert int(parameters["RecordDays"]) > int(parameters["PdfDays"])


# ---- events ---------------------------------------------------------------------------------------------------------


def test_event_that_a_consumer_cannot_handle_is_kept() -> None:
    made = stack(**EVERYTHING)
    direct = made.fed_by("EventBridgeRule")
    assert direct
    for name in direct:
        function = made.functions[name]
        [rule] = function.require("Events").values()
        assert rule["Properties"]["RetryPolicy"] == {"MaximumRetryAttempts": 20, "MaximumEventAgeInSeconds": 3600}
        letters = rule["Properties"]["DeadLetterConfig"]["Arn"]
        [target] = function.require("EventInvokeConfig")["DestinationConfig"].values()
        assert target == {"Type": "SQS", "Destination": letters}
        # Lambda writes a failed event there with the function's role. SAM adds this permission only to its own roles.
        assert ("sqs:SendMessage", letters) in may(made, name.removesuffix("Function"))
    [target] = made["Consumers.CallbackRule"].require("Targets")
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 20, "MaximumEventAgeInSeconds": 3600}
    assert target["DeadLetterConfig"] == {
        "Arn": "arn:aws:sqs:us-east-1:123456789012:urlshot-Consumers-UndeliveredEvents"
    }


def test_only_our_rules_may_write_to_the_queue_of_undelivered_events() -> None:
    made = stack()
    policy = made["Consumers.UndeliveredEventsPolicy"]
    assert policy.require("Queues") == [ADDRESSES.ref(made["Consumers.UndeliveredEvents"])]
    allow, deny = policy.require("PolicyDocument")["Statement"]
    assert (allow["Effect"], allow["Principal"]) == ("Allow", {"Service": "events.amazonaws.com"})
    assert (allow["Action"], short(allow["Resource"])) == ("sqs:SendMessage", "UndeliveredEvents")
    # The ARN of a rule on a custom bus contains the bus. This holds for the rules that SAM makes, too.
    source = allow["Condition"]["ArnLike"]["aws:SourceArn"]
    assert source == "arn:aws:events:us-east-1:123456789012:rule/urlshot-bus/*"
    assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


@pytest.mark.parametrize("queue", ["UndeliveredEvents", "UndeliveredCallbacks"])
def test_what_was_given_up_waits_as_long_as_sqs_keeps_it(queue: str) -> None:
    assert stack()[f"Consumers.{queue}"].require("MessageRetentionPeriod") == 14 * 86_400
    assert stack()[f"Consumers.{queue}"].require("SqsManagedSseEnabled") is True


def test_events_are_archived_for_archive_days_or_not_at_all() -> None:
    archive = stack(ArchiveDays="3")["EventArchive"]
    assert archive.require("RetentionDays") == "3"
    assert archive.require("EventPattern") == {"source": [SOURCE]}
    assert archive.require("SourceArn").endswith(":event-bus/urlshot-bus")
    assert "EventArchive" not in stack(ArchiveDays="0")


def test_stack_without_a_sender_has_no_mail_function_and_no_mail_role() -> None:
    made = stack(MailTo="b@example.com")
    assert not [name for name in made.all if "Mail" in name]
