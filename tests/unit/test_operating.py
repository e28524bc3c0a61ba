"""The README's chapters for who deploys and operates: the tables are the templates', the commands are commands."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import botocore.session
import pytest
from botocore import xform_name

from infra.openapi import readme
from tests.unit.stacks import EVERYTHING, PROJECT, stack

README = readme.FILE.read_text("utf-8")
TEXT = README[README.index("## Deploy\n") : README.index("## Problem codes\n")]
BLOCKS = re.findall(r"^ *```sh\n(.*?)^ *```$", TEXT, re.DOTALL | re.MULTILINE)
HIGH_LEVEL = {("s3", "cp"), ("s3", "rm"), ("s3", "rb")}  # the AWS CLI's own, of which botocore knows nothing
GLOBAL = {"query", "output", "cli-binary-format"}


def commands() -> Iterator[tuple[str, str, set[str]]]:
    """Every call of the AWS CLI: service, operation and options."""
    for block in BLOCKS:
        text = re.sub(r"\\\n\s*", " ", block)
        for found in re.finditer(r"\baws ([a-z0-9-]+) ([a-z0-9-]+)((?:(?!\baws |\n|\| jq|; done).)*)", text):
            yield found[1], found[2], set(re.findall(r" --([a-z][a-z-]+)", found[3]))


def test_the_tables_are_as_the_templates_have_them_now() -> None:
    assert readme.parts(TEXT) == {"parameters", "alarms"}
    assert readme.with_parts(TEXT) == TEXT, "run `make openapi` and look at what it changes"


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("\n")[0][:50])
def test_every_block_of_commands_is_what_a_shell_understands(block: str) -> None:
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


def test_what_the_commands_look_up_is_there() -> None:
    made = stack(**EVERYTHING)
    outputs = made.template.body["Outputs"]
    assert set(re.findall(r"\$\(out (\w+)\)", TEXT)) <= outputs.keys()
    resources = {name.rpartition(".")[2] for name in made.all}
    named = re.findall(r"\$\(fn (\w+)\)|--logical-resource-id (\w+)|renew (\w+Secret)", TEXT)
    assert {name for found in named for name in found if name} <= resources
    assert len(named) > 6
    for target in set(re.findall(r"(?:`|^)make ([a-z]+)", TEXT, re.MULTILINE)):
        assert re.search(rf"^{target}:", (PROJECT / "Makefile").read_text(), re.MULTILINE), target


def test_the_sums_of_what_it_costs_are_right() -> None:
    table = TEXT[TEXT.index("| a month,") :].split("\n\n")[0].splitlines()[2:]
    rows = [[float(cell.strip(" *") or 0) for cell in line.split("|")[2:5]] for line in table]
    assert [round(sum(column), 2) for column in zip(*rows[:-1], strict=True)] == rows[-1]
    made = stack()
    metrics = sum(max(1, len([one for one in alarm.property("Metrics", []) if "MetricStat" in one]))
                  for alarm in made.of("AWS::CloudWatch::Alarm").values())  # fmt: skip
    assert f"{len(made.of('AWS::CloudWatch::Alarm'))} alarms over {metrics} metrics" in TEXT
    assert len(made.of("AWS::SecretsManager::Secret")) == 7
    interface = [
        one for one in made.of("AWS::EC2::VPCEndpoint").values() if one.require("VpcEndpointType") != "Gateway"
    ]
    assert len(interface) == 4
