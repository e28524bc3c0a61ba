"""The evaluated templates have the right resources and network rules under several sets of parameters."""

from __future__ import annotations

import json
import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from infra.local.cloudformation import secret_text
from infra.local.template.application import read_application
from infra.local.template.evaluator import STACK_TYPE, Resource, load_template
from infra.local.template.model import Secret
from tests.unit.stacks import ADDRESSES, EVERYTHING, MODES, PROJECT, PUBLIC, Stack, listed, may, stack, variables

SUBNETS = ["SubnetA", "SubnetB"]
NESTED = sorted(Path(one.require("TemplateURL")).stem for one in stack(**EVERYTHING).of(STACK_TYPE).values())
SAMS_OWN = {"AWS::ApiGateway::UsagePlan", "AWS::WAFv2::WebACLAssociation"}
"""Resources that refer to a resource of SAM's transform (`!Ref Api.Stage`)."""


# ---- templates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, EVERYTHING], ids=["defaults", "everything"])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(mode.values()))
def test_every_property_of_every_resource_has_a_value_in_every_mode(mode: dict[str, str], more: dict[str, str]) -> None:
    made = stack(**more | mode)
    for resource in made.all.values():
        for name in resource.body.get("Properties") or {}:
            if resource.type not in SAMS_OWN:
                resource.property(name)
    for file in (made.template, *(made.template.nested(one.logical_id) for one in made.of(STACK_TYPE).values())):
        for name, output in (file.body.get("Outputs") or {}).items():
            if "Condition" not in output or file.condition(output["Condition"], name):
                assert file.output(name) not in (None, ""), name
    assert read_application(made.template, ADDRESSES).functions.keys() == made.functions.keys()


@pytest.mark.parametrize("name", ["template", *(f"infra/{name}" for name in NESTED)])
def test_parameters_and_outputs_are_described_and_used(name: str) -> None:
    body = load_template(PROJECT / f"{name}.yaml")
    for kind in ("Parameters", "Outputs"):
        for one, says in body[kind].items():
            assert len(says.get("Description", "")) > 10, one
            assert says["Description"].endswith("."), one
    text = json.dumps({key: value for key, value in body.items() if key != "Parameters"})
    if name == "template":
        text += (PROJECT / "infra" / "api.yaml").read_text()
    for one in body["Parameters"]:
        assert re.search(rf'\{{"Ref": "{one}"\}}|\$\{{{one}\}}', text), one
    for one in body.get("Conditions", {}):
        assert re.search(rf'"(Fn::If": \[|Condition": )"{one}"|Fn::If: \["?{one}', text), one


def test_parameters_of_a_nested_stack_are_those_that_it_declares() -> None:
    for resource in stack(**EVERYTHING).of(STACK_TYPE).values():
        asked = load_template(PROJECT / resource.require("TemplateURL"))["Parameters"]
        given = resource.body["Properties"].get("Parameters", {})
        assert given.keys() <= asked.keys()
        assert not [one for one in asked.keys() - given.keys() if "Default" not in asked[one]]


@pytest.mark.parametrize("stage", ["default", "dev", "prod"])
def test_parameters_of_samconfig_are_valid(stage: str) -> None:
    deploy = tomllib.loads((PROJECT / "samconfig.toml").read_text())[stage]["deploy"]["parameters"]
    given = dict(one.split("=", 1) for one in deploy.get("parameter_overrides", []))
    parameters = Stack(**given).template.parameters
    assert int(parameters["RecordDays"]) > int(parameters["PdfDays"])
    reserved = int(parameters["RenderConcurrency"])
    assert reserved == 0 or int(parameters["Renders"]) <= reserved
    assert int(parameters["ApiConcurrency"]) == 0 or int(parameters["MaxWaiting"]) < int(parameters["ApiConcurrency"])
    assert {"CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"} == set(deploy["capabilities"].split())


# ---- network and broker ---------------------------------------------------------------------------------------------


def test_private_vpc_holds_the_broker_and_its_clients_alone() -> None:
    made = stack()
    attached = {name for name, function in made.functions.items() if function.property("VpcConfig")}
    assert attached == made.attached
    assert {"RenderFunction", "CallbackFunction"} <= made.functions.keys() - attached
    broker = made["Broker.Broker"]
    assert broker.property("PubliclyAccessible") is False
    assert broker.property("SecurityGroups") == ["urlshot-Network-BrokerGroup"]
    for name in attached:
        assert made.functions[name].property("VpcConfig") == {
            "SubnetIds": ["urlshot-Network-SubnetA", "urlshot-Network-SubnetB"],
            "SecurityGroupIds": ["urlshot-Network-FunctionsGroup"],
        }


def test_public_mode_has_no_network() -> None:
    made = stack(**PUBLIC)
    assert not [one for one in made.all.values() if one.type.startswith("AWS::EC2::")]
    assert not [name for name, function in made.functions.items() if function.property("VpcConfig")]
    broker = made["Broker.Broker"]
    assert broker.property("PubliclyAccessible") is True
    assert (broker.property("SubnetIds"), broker.property("SecurityGroups")) == (None, None)


@pytest.mark.parametrize(("mode", "zones"), [(MODES[0], 1), (MODES[1], 2)])
def test_broker_and_endpoints_are_in_one_zone_or_as_a_cluster_in_two(mode: dict[str, str], zones: int) -> None:
    made = stack(**mode)
    assert len(made["Broker.Broker"].require("SubnetIds")) == zones
    for endpoint in made.of("AWS::EC2::VPCEndpoint").values():
        if endpoint.require("VpcEndpointType") == "Interface":
            assert endpoint.require("SubnetIds") == made["Broker.Broker"].require("SubnetIds")
            assert endpoint.require("PrivateDnsEnabled") is True


def test_subnets_are_the_halves_of_the_vpc_in_two_zones() -> None:
    made = stack(VpcCidr="10.9.0.0/23")
    subnets = made.of("AWS::EC2::Subnet").values()
    assert [one.require("CidrBlock") for one in subnets] == ["10.9.0.0/24", "10.9.1.0/24"]
    assert len({one.require("AvailabilityZone") for one in subnets}) == 2


@pytest.mark.parametrize("mode", MODES[:2], ids=lambda mode: mode["BrokerDeployment"])
def test_zones_are_those_of_the_subnets_and_the_first_is_the_brokers(mode: dict[str, str]) -> None:
    made = stack(Zones="us-east-1d,us-east-1b", **mode)
    zones = {f"urlshot-Network-{name}": made[f"Network.{name}"].require("AvailabilityZone") for name in SUBNETS}
    assert list(zones.values()) == ["us-east-1d", "us-east-1b"]
    assert zones[made["Broker.Broker"].require("SubnetIds")[0]] == "us-east-1d"
    given = made.template.nested("Network").body["Parameters"]["Zones"]
    assert given["AllowedPattern"] == made.template.body["Parameters"]["Zones"]["AllowedPattern"]


def test_description_of_render_memory_names_the_quota() -> None:
    assert "3,008 MB" in stack().template.body["Parameters"]["RenderMemory"]["Description"]


def test_a_condition_is_defined_in_one_way() -> None:
    """A nested stack sees no condition of another. A comparison of one parameter may stand there again, unchanged."""
    found: dict[str, list[Any]] = {}
    for name in ("template", *(f"infra/{nested}" for nested in NESTED)):
        for condition, node in (load_template(PROJECT / f"{name}.yaml").get("Conditions") or {}).items():
            found.setdefault(condition, []).append(node)
    assert "HasMail" in found
    for condition, nodes in found.items():
        compound = any(word in json.dumps(nodes) for word in ("Fn::And", "Fn::Or"))
        assert len(nodes) == 1 or (not compound and all(node == nodes[0] for node in nodes)), condition


def test_everything_that_can_be_switched_on_is_on() -> None:
    """So that no test of the whole stack misses a resource that only some parameters make."""
    made = stack(**EVERYTHING)
    for file in (made.template, *(made.template.nested(one.logical_id) for one in made.of(STACK_TYPE).values())):
        assert [name for name in file.body.get("Conditions") or {} if not file.condition(name, name)] == []
        declared = file.body["Resources"]
        assert file.resources.keys() == declared.keys()


def test_globals_and_layers_of_both_templates_agree() -> None:
    """A nested stack inherits no Globals, and `sam local` finds a layer in the function's own template only."""
    made = stack(**EVERYTHING)
    outer, nested = (one.body["Globals"]["Function"] for one in (made.template, made.template.nested("Consumers")))
    assert outer.keys() - nested.keys() == {"VpcConfig"}
    for name in outer.keys() & nested.keys() - {"CodeUri", "LoggingConfig", "Environment"}:
        assert outer[name] == nested[name], name
    functions = made.functions
    one, other = functions["SettleFunction"], functions["LogFunction"]
    for key in ("LogFormat", "ApplicationLogLevel"):
        assert one.require("LoggingConfig")[key] == other.require("LoggingConfig")[key]
    for key in outer["Environment"]["Variables"].keys() | nested["Environment"]["Variables"].keys():
        assert variables(one).get(key) == variables(other).get(key)
    layers = made["SharedLayer"], made["Consumers.SharedLayer"]
    folders = {(layer.stack.file.parent / layer.require("ContentUri")).resolve() for layer in layers}
    assert len(folders) == 1
    first, second = ({**layer.body["Properties"], "ContentUri": ""} for layer in layers)
    assert (first, layers[0].body["Metadata"]) == (second, layers[1].body["Metadata"])


def test_every_function_of_the_consumers_stack_hears_the_bus() -> None:
    made = stack(**EVERYTHING)
    assert {name for name, one in made.functions.items() if one.path[0] == "Consumers"} == made.consumers


def test_nothing_in_the_vpc_has_a_way_to_the_internet_or_from_it() -> None:
    made = stack(**EVERYTHING | MODES[1])
    ways = ("InternetGateway", "NatGateway", "EIP", "TransitGateway", "VPNGateway", "Route", "VPCPeeringConnection")
    assert not [one for one in made.all.values() if one.type.removeprefix("AWS::EC2::") in ways]
    rules = [one for group in made.of("AWS::EC2::SecurityGroup").values() for one in ingress_of(group)]
    rules += [one.body["Properties"] for one in made.of("AWS::EC2::SecurityGroupIngress").values()]
    assert rules
    assert not [rule for rule in rules if "CidrIp" in rule or "CidrIpv6" in rule]


def ingress_of(group: Resource) -> list[dict[str, Any]]:
    return list(group.property("SecurityGroupIngress", []))


@pytest.mark.parametrize(
    ("source", "target", "ports"),
    [
        ("FunctionsGroup", "BrokerGroup", {443, 5671}),
        ("BrokerGroup", "BrokerGroup", {5671}),  # the mapping's pollers
        ("FunctionsGroup", "EndpointsGroup", {443}),
        ("BrokerGroup", "EndpointsGroup", {443}),
        ("EndpointsGroup", "BrokerGroup", set()),
        ("BrokerGroup", "FunctionsGroup", set()),
        ("EndpointsGroup", "FunctionsGroup", set()),
    ],
)
def test_security_groups_allow_these_ports_only(source: str, target: str, ports: set[int]) -> None:
    made = stack()
    let_in = [
        *ingress_of(made[f"Network.{target}"]),
        *(
            {name: rule.property(name) for name in rule.body["Properties"]}
            for rule in made.of("AWS::EC2::SecurityGroupIngress").values()
            if rule.require("GroupId") == f"urlshot-Network-{target}"
        ),
    ]
    found = {
        int(rule["FromPort"])
        for rule in let_in
        if rule["SourceSecurityGroupId"] == f"urlshot-Network-{source}" and rule["FromPort"] == rule["ToPort"]
    }
    assert found == ports
    let_out = {int(rule["FromPort"]) for rule in made[f"Network.{source}"].require("SecurityGroupEgress")}
    assert ports <= let_out


CALLED_FROM_OUTSIDE = {"logs", "ec2", "mq"}
"""Services that Lambda itself calls with the role of a function, from outside the VPC."""


def test_every_aws_call_of_a_function_in_the_vpc_has_an_endpoint() -> None:
    made = stack(**EVERYTHING)
    through = {
        endpoint.require("ServiceName").rpartition(".")[2]: endpoint.require("PolicyDocument")["Statement"]
        for endpoint in made.of("AWS::EC2::VPCEndpoint").values()
    }
    assert through.keys() == {"s3", "events", "lambda", "secretsmanager", "sts"}
    asked = [
        (action, resource)
        for name in made.attached
        for action, resource in may(made, name.removesuffix("Function"))
        if action.split(":")[0] not in CALLED_FROM_OUTSIDE
    ]
    assert len(asked) > 10
    for action, resource in asked:
        assert any(
            action in listed(statement["Action"])
            and any(fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"]))
            for statement in through[action.split(":")[0]]
        ), (action, resource)


def test_custom_resource_can_answer_cloudformation_from_the_vpc() -> None:
    statements = stack()["Network.S3Endpoint"].require("PolicyDocument")["Statement"]
    [answers] = [one for one in statements if one["Sid"] == "AnswersOfCustomResources"]
    # CloudFormation's user guide, "Access CloudFormation using an interface endpoint": the region without dashes
    assert answers["Resource"] == "arn:aws:s3:::cloudformation-custom-resource-response-useast1/*"
    assert answers["Action"] == "s3:PutObject"


def test_endpoints_allow_named_actions_on_our_resources_only() -> None:
    for endpoint in stack().of("AWS::EC2::VPCEndpoint").values():
        for statement in endpoint.require("PolicyDocument")["Statement"]:
            assert not [action for action in listed(statement["Action"]) if "*" in action]
            for resource in listed(statement["Resource"]):
                assert "123456789012" in resource or "urlshot-storage" in resource or "cloudformation" in resource


def test_replaced_broker_gets_another_name_of_legal_length() -> None:
    names = {stack(**mode)["Broker.Broker"].require("BrokerName") for mode in MODES}
    assert len(names) == len(MODES)
    body = load_template(PROJECT / "infra" / "broker.yaml")
    longest = max(len(name.removeprefix("urlshot")) for name in names) + body["Parameters"]["Name"]["MaxLength"]
    assert longest <= 50  # Amazon MQ's CreateBroker
    for mode in MODES:
        made = stack(**mode)
        assert made.template.nested("Broker").output("Name") == made["Broker.Broker"].require("BrokerName")


def test_passwords_of_the_broker_are_valid_for_amazon_mq() -> None:
    made = stack()
    secrets = {name: one for name, one in made.of("AWS::SecretsManager::Secret").items() if name.startswith("Broker.")}
    users = set()
    for name, resource in secrets.items():
        value = json.loads(secret_text(Secret("", name, None, resource.require("GenerateSecretString"))))
        assert len(value["password"]) >= 12
        assert not set(value["password"]) & set(",:=")
        users.add(value["username"])
    assert users == {"urlshot_admin", "urlshot_api", "urlshot_dispatch", "urlshot_settle", "urlshot_watch"}
    assert not any(one.property("PermissionsBoundary") for one in made.of("AWS::IAM::Role").values())


def test_topology_runs_again_for_a_new_broker_or_new_passwords() -> None:
    """CloudFormation runs a custom resource again only if one of its properties changes."""
    made = stack(PasswordVersion="7")
    [topology] = [one for one in made.all.values() if one.type.startswith("Custom::")]
    assert topology.require("Broker") == made.template.nested("Broker").output("Arn")
    assert topology.require("PasswordVersion") == "7"
    secrets = {f"urlshot-Broker-{name}Secret" for name in ("Api", "Dispatch", "Settle", "Watch")}
    assert {one.rpartition(":")[2] for one in topology.require("Users")} == secrets
