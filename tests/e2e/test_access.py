"""Access to an endpoint as deployed by default, with API keys and below the path of its stage."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
import pytest
from playwright.sync_api import expect

from tests.certificates import certificate
from tests.commands import first_call
from tests.e2e.conftest import Pages, Stack, call, eventually, start, stop
from tests.e2e.examples.verify import verified
from tests.e2e.visitor import Visitor, open_browser
from tests.hooks import Hooks
from urlshot.core.identity import job_id

ORIGIN = "https://app.example.com"
SYMMETRIC_KEY = bytes(range(32))
SYMMETRIC = "arn:aws:secretsmanager:us-east-1:123456789012:secret:of-receivers"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"), "localhost")


@pytest.fixture(scope="module")
def hooks(tls: Path) -> Iterator[Hooks]:
    hooks = Hooks(tls)
    yield hooks
    hooks.close()


@pytest.fixture(scope="module")
def keyed(pages: Pages, hooks: Hooks, tls: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    ready = tmp_path_factory.mktemp("keyed") / "ready.json"
    parameters = {"RequireApiKey": "true", "CorsOrigin": ORIGIN, "DenyHosts": "*.denied.example", "MaxWaiting": "1"}
    parameters["SymmetricWebhookSecretArn"] = SYMMETRIC
    stack = start(
        pages, ready, "--stage-prefix", "--ca", str(tls),
        "--allow", f"{pages.host},localhost:{hooks.port}",
        *(word for name, value in parameters.items() for word in ("--param", f"{name}={value}")),
    )  # fmt: skip
    secrets = boto3.client(
        "secretsmanager", endpoint_url=stack.ready["aws_endpoint"], region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test",
    )  # fmt: skip
    secrets.create_secret(Name="of-receivers", SecretString=f"whsec_{base64.b64encode(SYMMETRIC_KEY).decode()}")
    yield stack
    stop(stack)


CLOSED = [
    ("POST", "/pdf"), ("POST", "/pdf/batch"), ("GET", "/pdf?url=https://example.com/"), ("GET", f"/pdf/{'0' * 40}"),
    ("DELETE", f"/pdf/{'0' * 40}"), ("GET", f"/pdf/{'0' * 40}/report"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), CLOSED)
@pytest.mark.parametrize("key", ["", "somebody-elses"])
def test_call_without_a_valid_key_gets_a_problem(keyed: Stack, method: str, path: str, key: str) -> None:
    answer = call(method, keyed.endpoint + path, {"url": "https://example.com/"} if method == "POST" else None, key=key)
    assert (answer.status, answer.json()["code"]) == (403, "api_key_required")
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"]
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize("path", ["/", "/health", "/openapi.json", "/webhook-keys", "/page/page.js"])
def test_public_path_needs_no_key(keyed: Stack, path: str) -> None:
    assert call("GET", keyed.endpoint + path, key="").status == 200
    assert call("HEAD", keyed.endpoint + path, key="").status == 200


def test_preflight_of_the_allowed_origin_is_answered(keyed: Stack) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "DELETE"}
    answer = call("OPTIONS", f"{keyed.endpoint}/pdf/{'0' * 40}", key="", headers=asked)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, ORIGIN)
    assert "DELETE" in answer.headers["Access-Control-Allow-Methods"]
    assert "x-api-key" in answer.headers["Access-Control-Allow-Headers"]


def readme_download(keyed: Stack, url: str, out: Path) -> None:
    """Runs the documented commands that download a first PDF, with this stack's endpoint and key."""
    block = first_call().replace("https://example.com/", url)
    stubs = f"out() {{ echo {keyed.endpoint}; }}; aws() {{ echo {keyed.ready['api_key']}; }}\n"
    subprocess.run(["bash", "-eu", "-c", stubs + block], cwd=out.parent, check=True, timeout=60)
    (out.parent / "page.pdf").rename(out)


def test_every_link_works_from_request_to_deletion(keyed: Stack, pages: Pages, tmp_path: Path) -> None:
    """Every link that the endpoint gives works below the stage's path. The link to the file needs no key."""
    url = pages.url("/keyed")
    accepted = keyed.post(url)
    job = f"{keyed.endpoint}/pdf/{job_id(url, {})}"
    assert keyed.endpoint.endswith("/local")
    assert (accepted.status, accepted.headers["Location"]) == (202, job)
    done = keyed.ended(accepted.json()["id"])
    assert done["links"]["self"] == job
    file = done["links"]["file"]
    opened = call("GET", file, key="")
    assert opened.status == 302
    assert call("GET", opened.headers["Location"]).body.startswith(b"%PDF")
    assert call("HEAD", call("HEAD", file, key="").headers["Location"]).status == 200
    saved = call("GET", f"{file}&download=1", key="").headers["Location"]
    assert "attachment" in call("GET", saved).headers["Content-Disposition"]
    for wrong in (file.partition("?")[0], file[:-1] + ("A" if file[-1] != "A" else "B")):
        assert call("GET", wrong, key="").json()["code"] == "forbidden"
    tag = call("GET", job).headers["ETag"]
    assert call("GET", job, headers={"If-None-Match": tag}).status == 304
    report = call("GET", done["links"]["report"])
    assert report.json()["sha256"] == done["report"]["sha256"]
    assert call("GET", done["links"]["report"], headers={"If-None-Match": report.headers["ETag"]}).status == 304
    direct = tmp_path / "direct.pdf"
    readme_download(keyed, url, direct)
    assert direct.read_bytes().startswith(b"%PDF")
    assert call("DELETE", job).status == 204
    assert call("GET", job).json()["code"] == "not_found"
    assert call("GET", file, key="").json()["code"] == "pdf_not_found"
    assert pages.hits["/keyed"] == 1


def test_job_deleted_during_its_render_leaves_nothing(keyed: Stack, pages: Pages) -> None:
    arrived, go = pages.hold("/deleted")
    job = keyed.post(pages.url("/deleted")).json()["id"]
    assert arrived.wait(60)
    assert call("DELETE", f"{keyed.endpoint}/pdf/{job}").status == 204
    go.set()
    lines = eventually(lambda: keyed.log_lines("SettleFunction", job), "the log line of settle")
    assert [line["state"] for line in lines if line.get("message") == "result: dropped"] == ["deleted"]
    assert call("GET", f"{keyed.endpoint}/pdf/{job}").status == 404


def test_hosts_that_the_operator_denies_are_refused(keyed: Stack) -> None:
    answer = keyed.post("https://www.denied.example/")
    assert (answer.status, answer.json()["code"], answer.json()["field"]) == (422, "host_not_allowed", "url")


def test_endpoint_does_not_print_itself(keyed: Stack) -> None:
    answer = keyed.post(f"{keyed.endpoint}/pdf?url=https://example.com/")
    assert (answer.status, answer.json()["code"]) == (422, "blocked_target")


def test_requests_beyond_the_waiting_limit_are_answered_immediately(keyed: Stack, pages: Pages) -> None:
    arrived, go = pages.hold("/waited-for")
    url = pages.url("/waited-for")
    job = keyed.post(url).json()["id"]
    assert arrived.wait(60)
    bucket = f"{keyed.ready['aws_endpoint']}/{keyed.ready['bucket']}/wait"
    assert call("PUT", f"{bucket}/0", data=b"{}").status == 200  # another request holds the only waiting slot
    assert call("GET", f"{keyed.endpoint}/pdf/{job}?wait=25").json()["state"] == "running"
    refused = call("GET", f"{keyed.endpoint}/pdf?url={url}")
    assert (refused.status, refused.json()["code"]) == (503, "too_many_waiting")
    assert int(refused.headers["Retry-After"]) > 0
    call("DELETE", f"{bucket}/0")
    go.set()
    assert keyed.ended(job)["state"] == "done"


def symmetric_signature(headers: Mapping[str, str], body: bytes) -> str:
    """Returns the v1 signature that Standard Webhooks requires of a callback."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(SYMMETRIC_KEY, signed, hashlib.sha256)).decode()}"


def test_subscribers_get_callbacks_and_a_mail_whose_link_opens(keyed: Stack, pages: Pages, hooks: Hooks) -> None:
    arrived, go = pages.hold("/told")
    url = pages.url("/told")
    job = keyed.post(url, callback_url=f"{hooks.url}/first", notify="somebody@example.com").json()["id"]
    assert arrived.wait(60)
    assert keyed.post(url, callback_url=f"{hooks.url}/joined").status == 202
    go.set()
    keyed.ended(job)
    assert keyed.post(url, callback_url=f"{hooks.url}/hit").status == 200
    [public] = call("GET", f"{keyed.endpoint}/webhook-keys", key="").json()["keys"]
    for path in ("/first", "/joined", "/hit"):
        [post] = eventually(lambda path=path: hooks.at(path), f"the callback to {path}")
        assert post.signed_by(public)
        assert verified(post.headers, post.body, [public])  # the example in docs/api.md
        assert not verified(post.headers, post.body + b" ", [public])
        assert symmetric_signature(post.headers, post.body) in post.headers["webhook-signature"].split()
        assert (post.json["type"], post.json["data"]["id"]) == ("shot.completed", job)
        file = post.json["data"]["links"]["file"]
        assert call("GET", call("GET", file, key="").headers["Location"]).body.startswith(b"%PDF")
    [mail] = eventually(lambda: [text for text in keyed.mails(job) if "somebody@example.com" in text], "the mail")
    link = next(word for word in mail.replace("=\n", "").replace("=3D", "=").split() if "/file?token=" in word)
    assert call("GET", link, key="").status == 302


def test_page_keeps_the_key_as_long_as_the_visitor_chose(keyed: Stack, pages: Pages) -> None:
    """The page runs below the path of the stage, and the links to its PDFs have a token."""
    origin = keyed.endpoint.rpartition("/")[0]
    stored = "[sessionStorage.getItem('urlshot.key'), localStorage.getItem('urlshot.key')]"
    key = keyed.ready["api_key"]
    with open_browser() as browser:
        visitor = Visitor.of(browser)
        page = visitor.page
        page.goto(keyed.endpoint)
        field = page.get_by_label("Your API key")
        visitor.ask(pages.url("/by-hand"))
        expect(field).to_be_focused()
        expect(field).to_have_accessible_description(re.compile("The API key is missing or unknown. Enter yours."))
        assert page.get_by_role("article").count() == 0
        field.fill(key)
        visitor.ask(pages.url("/by-hand"))
        job = visitor.job("Page /by-hand")
        expect(job.get_by_text("Complete")).to_be_visible()
        with page.expect_download() as download:
            job.get_by_role("link", name="Download").click()
        assert download.value.path().read_bytes().startswith(b"%PDF")
        assert visitor.keys == {(origin, key)}

        assert page.evaluate(stored) == [key, None]
        page.get_by_label("Remember on this device").check()
        assert page.evaluate(stored) == [None, key]
        page.reload()
        expect(field).to_have_value(key)
        page.get_by_label("Remember on this device").uncheck()
        assert page.evaluate(stored) == [key, None]
        visitor.leave(origin, keyed.ready["aws_endpoint"])
