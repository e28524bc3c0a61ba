"""Attacks the whole stack by HTTP and AMQP, in a network in which each packet to a private address is seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from infra.local.settings import PROJECT
from tests.bypasses import BYPASSES
from tests.integration.egress.attempts import INERT
from tests.integration.egress.network import unavailable

TIMEOUT_SECONDS = 1500

pytestmark = [pytest.mark.slow, pytest.mark.timeout(TIMEOUT_SECONDS + 10)]

REFUSALS = {"blocked_target", "host_not_allowed", "invalid_url", "unsupported_scheme", "url_has_credentials"}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    if reason := unavailable():
        pytest.skip(f"the egress rules cannot be tested: {reason}")
    paths = [PROJECT, PROJECT / "layers" / "shared", PROJECT / "layers" / "chromium"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.egress_runner"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def test_no_packet_goes_to_a_private_address(found: dict[str, Any]) -> None:
    print(f"{found['attempts']} attempts by pages")
    assert found["attempts"] > 600
    assert (found["breaches"], found["reached"], found["dropped"]) == ([], [], 0)
    assert found["seen"]  # the recorder saw the packet that the test sent at the end


def test_the_same_ways_reach_a_public_address(found: dict[str, Any]) -> None:
    assert set(found["expected"]) - set(found["controls"]) - INERT == set()
    assert len(found["controls"]) > 80


def test_names_changed_their_addresses(found: dict[str, Any]) -> None:
    """The second lookup of a name gives a private address. A lookup has two questions, for IPv4 and for IPv6."""
    asked = [found["asked"][f"rebind-{number}.test"] for number in range(6)]
    assert min(asked) >= 4


def test_request_for_a_private_address_is_refused(found: dict[str, Any]) -> None:
    for given, outcome in (("refused", REFUSALS), ("refused hooks", REFUSALS | {"callback_not_allowed"})):
        codes = Counter(code for _, code in found[given])
        assert set(codes) - outcome <= {"202"}
        expected = {
            url.replace("http:", "https:", 1) if "hooks" in given else url: code for url, code in BYPASSES.values()
        }
        assert {url: code for url, code in found[given] if url in expected} == expected
        names = {url for url, code in found[given] if code == "202"}
        assert all(".test" in url or "localdomain" in url for url in names)  # their addresses are not known yet
        assert codes["blocked_target"] > 60


def test_redirect_and_name_end_with_the_reason(found: dict[str, Any]) -> None:
    assert len(found["late"]) > 12
    assert [url for url, code in found["late"] if code not in REFUSALS] == []


def test_message_for_a_private_address_fails_with_the_reason(found: dict[str, Any]) -> None:
    refused = [code for _, code in found["announced"] if code is not None]
    assert len(refused) > 30 and set(refused) <= REFUSALS
    assert len(found["announced"]) - len(refused) == 1  # the page that is printed


def test_attacking_page_is_printed_and_shows_no_file(found: dict[str, Any]) -> None:
    assert [url for url, state in found["shown"] if state != "done"] == []
    assert not found["files"]


def test_callback_reaches_no_private_address(found: dict[str, Any]) -> None:
    reasons = {name: reason for name, reason in found["hooks"].items() if not name.startswith("hooks.")}
    assert len(reasons) >= 7
    assert {name for name, reason in reasons.items() if "blocked_target" not in reason} <= {
        f"rebind-hook-{number}.test"
        for number in range(3)  # the first attempt reached the public address
    }
    assert "the server answered 302" in found["hooks"]["hooks.test"]
