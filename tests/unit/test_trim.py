"""The trimmed botocore of the shared layer: the same clients, endpoints and shapes as the whole one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import pytest
from botocore.config import Config

from layers.shared.trim import SERVICES, trim

REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-5", "cn-north-1", "us-gov-west-1")


@pytest.fixture(scope="module")
def trimmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trimmed copy of the data of the tests' botocore, which has the layer's version."""
    packages = tmp_path_factory.mktemp("packages")
    whole = Path(botocore.__file__).parent / "data"
    data = packages / "botocore" / "data"
    data.mkdir(parents=True)
    for entry in whole.iterdir():
        if entry.is_file():
            shutil.copy(entry, data)
    for name in (*SERVICES, "ec2"):
        shutil.copytree(whole / name, data / name)
    trim(packages)
    return data


def client(name: str, region: str, data: Path | None = None) -> Any:
    session = botocore.session.Session()
    if data is not None:
        loader = session.get_component("data_loader")
        loader.search_paths[:] = [str(data)]
    config = Config(signature_version="s3v4", s3={"addressing_style": "virtual"}) if name == "s3" else None
    return session.create_client(name, region, aws_access_key_id="a", aws_secret_access_key="b", config=config)


def test_trimmed_data_has_only_the_services_in_use(trimmed: Path) -> None:
    assert {entry.name for entry in trimmed.iterdir() if entry.is_dir()} == set(SERVICES)
    assert not list(trimmed.rglob("*.gz"))


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("name", SERVICES)
def test_trimmed_client_equals_the_whole_one(name: str, region: str, trimmed: Path) -> None:
    ours, whole = client(name, region, trimmed), client(name, region)
    assert ours.meta.endpoint_url == whole.meta.endpoint_url
    assert ours.meta.config.signature_version == whole.meta.config.signature_version
    assert ours.waiter_names == whole.waiter_names
    for method in ours.meta.method_to_api_mapping:
        assert ours.can_paginate(method) == whole.can_paginate(method)
    model, full = ours.meta.service_model, whole.meta.service_model
    assert model.operation_names == full.operation_names
    for operation in model.operation_names:
        mine, other = model.operation_model(operation), full.operation_model(operation)
        assert (mine.http, mine.auth_type, mine.static_context_parameters) == (
            other.http, other.auth_type, other.static_context_parameters,
        )  # fmt: skip
        for shape, same in ((mine.input_shape, other.input_shape), (mine.output_shape, other.output_shape)):
            assert (shape and shape.members.keys()) == (same and same.members.keys())


@pytest.mark.parametrize("region", REGIONS)
def test_trimmed_client_signs_links_for_the_same_host(region: str, trimmed: Path) -> None:
    def base(s3: Any) -> str:
        return str(s3.generate_presigned_url("get_object", Params={"Bucket": "b-1", "Key": "k"})).partition("?")[0]

    assert base(client("s3", region, trimmed)) == base(client("s3", region))


def test_trimming_twice_changes_nothing(trimmed: Path) -> None:
    before = {path: path.read_bytes() for path in trimmed.rglob("*.json")}
    trim(trimmed.parent.parent)
    assert {path: path.read_bytes() for path in trimmed.rglob("*.json")} == before
