"""The documented commands are valid for the shell and the AWS CLI, and the things that they look up exist."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import botocore.session
import pytest
from botocore import xform_name

from infra.openapi import documents
from tests.unit.stacks import EVERYTHING, PROJECT, stack

DEPLOY = (PROJECT / "docs" / "deploy.md").read_text("utf-8")
TEXT = "\n".join(file.read_text("utf-8") for file in documents.documents())
BLOCKS = re.findall(r"^ *```sh\n(.*?)^ *```$", TEXT, re.DOTALL | re.MULTILINE)
HIGH_LEVEL = {("s3", "cp"), ("s3", "rm"), ("s3", "rb")}  # commands of the AWS CLI that botocore does not have
GLOBAL = {"query", "output", "cli-binary-format"}


def commands() -> Iterator[tuple[str, str, set[str]]]:
    """Yields the service, the operation and the options of every call of the AWS CLI."""
    for block in BLOCKS:
        text = re.sub(r"\\\n\s*", " ", block)
        for found in re.finditer(r"\baws ([a-z0-9-]+) ([a-z0-9-]+)((?:(?!\baws |\n|\| jq|; done).)*)", text):
            yield found[1], found[2], set(re.findall(r" --([a-z][a-z-]+)", found[3]))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("\n")[0][:50])
def test_every_block_of_commands_is_valid_shell(block: str) -> None:
    done = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_call_of_the_aws_cli_exists_with_its_options() -> None:
    session, seen = botocore.session.get_session(), 0
    for service, operation, options in commands():
        seen += 1
        if (service, operation) in HIGH_LEVEL:
            continue
        model = session.get_service_model({"s3api": "s3"}.get(service, service))
        known = {xform_name(name, "-"): name for name in model.operation_names}
        assert operation in known, (service, operation)
        shape = model.operation_model(known[operation]).input_shape
        members = {xform_name(name, "-") for name in (shape.members if shape else {})}
        flags = {option.removeprefix("no-") for option in options} - GLOBAL
        assert flags <= members, (service, operation, flags - members)
    assert seen > 25


def test_outputs_and_resources_that_commands_look_up_exist() -> None:
    made = stack(**EVERYTHING)
    outputs = made.template.body["Outputs"]
    assert set(re.findall(r"\$\(out (\w+)\)", TEXT)) <= outputs.keys()
    resources = {name.rpartition(".")[2] for name in made.all}
    named = re.findall(r"\$\(fn (\w+)\)|--logical-resource-id (\w+)|renew (\w+Secret)", TEXT)
    assert {name for found in named for name in found if name} <= resources
    assert len(named) > 6


def test_costs_add_up_and_count_what_the_template_makes() -> None:
    table = DEPLOY[DEPLOY.index("| a month,") :].split("\n\n")[0].splitlines()[2:]
    rows = [[float(cell.strip(" *") or 0) for cell in line.split("|")[2:5]] for line in table]
    assert [round(sum(column), 2) for column in zip(*rows[:-1], strict=True)] == rows[-1]
    made = stack()
    metrics = sum(max(1, len([one for one in alarm.property("Metrics", []) if "MetricStat" in one]))
                  for alarm in made.of("AWS::CloudWatch::Alarm").values())  # fmt: skip
    assert f"{len(made.of('AWS::CloudWatch::Alarm'))} alarms over {metrics} metrics" in DEPLOY
    assert len(made.of("AWS::SecretsManager::Secret")) == 7
    interface = [
        one for one in made.of("AWS::EC2::VPCEndpoint").values() if one.require("VpcEndpointType") != "Gateway"
    ]
    assert len(interface) == 4


def test_functions_and_events_of_sam_local_exist() -> None:
    found = re.findall(r"sam local invoke ([\w/]+Function) (?:-e|--event) (\S+?)[`\s]", TEXT)
    assert len(found) >= 3
    for function, event in found:
        assert function.replace("/", ".") in stack(**EVERYTHING)
        assert (PROJECT / event).is_file(), event
