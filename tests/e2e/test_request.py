"""Requests pass through the whole stack: HTTP, S3, RabbitMQ, Chromium, EventBridge and its consumers."""

from __future__ import annotations

import io
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import amqp
import pytest
from pypdf import PdfReader

from tests.e2e.conftest import RENDERS, Pages, Stack, call, eventually
from urlshot.core.identity import job_id


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def test_miss_is_rendered_and_then_a_hit(stack: Stack, pages: Pages) -> None:
    url = pages.url("/miss")
    accepted = stack.post(url)
    assert accepted.status == 202
    job = accepted.json()
    assert (job["id"], job["url"]) == (job_id(url, {}), url)
    assert accepted.headers["Location"] == job["links"]["self"] == f"{stack.endpoint}/pdf/{job['id']}"
    assert int(accepted.headers["Retry-After"]) > 0

    done = stack.ended(job["id"])
    assert done["state"] == "done"
    assert done["report"]["title"] == "Page /miss"
    pdf = call("GET", done["links"]["pdf"])
    assert (pdf.status, pdf.headers["Content-Type"]) == (200, "application/pdf")
    assert 'filename="127.0.0.1-miss.pdf"' in pdf.headers["Content-Disposition"]
    assert "This is /miss" in text_of(pdf.body)
    assert (done["report"]["pages"], done["report"]["bytes"]) == (1, len(pdf.body))

    hit = stack.post(url)
    assert hit.status == 200
    assert (hit.json()["state"], hit.json()["bytes"]) == ("done", len(pdf.body))
    assert call("GET", hit.json()["links"]["pdf"]).body == pdf.body
    file = call("GET", hit.json()["links"]["file"])
    assert file.status == 302
    assert call("GET", file.headers["Location"]).body == pdf.body
    assert pages.hits["/miss"] == 1


def test_success_reaches_all_consumers(stack: Stack, pages: Pages) -> None:
    url = pages.url("/heard")
    job = stack.post(url).json()["id"]
    [line] = eventually(lambda: stack.log_lines("LogFunction", job), "the log line")
    assert (line["message"], line["level"]) == (f"OK - The PDF has been generated - {job} - {url}", "INFO")
    [mail] = eventually(lambda: stack.mails(job), "the mail")
    assert "Subject: The PDF has been generated\n" in mail
    assert f"/pdf/{job}/file" in mail
    [metric] = eventually(lambda: stack.log_lines("MetricFunction", job), "the metric")
    assert metric["pdf.generated.success"] == [1.0]
    assert metric["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "urlshot"


def test_page_that_answers_404_fails_and_reaches_all_consumers(stack: Stack, pages: Pages) -> None:
    url = pages.url("/status/404/heard")
    job = stack.ended(stack.post(url).json()["id"])
    assert (job["state"], job["error"]["code"], job["error"]["retryable"]) == ("failed", "page_status", False)
    assert "404" in job["error"]["detail"]
    [line] = eventually(lambda: stack.log_lines("LogFunction", job["id"]), "the log line")
    assert line["message"] == f"ERROR - The PDF has not been generated - {job['id']} - {url}"
    [mail] = eventually(lambda: stack.mails(job["id"]), "the mail")
    assert "Subject: The PDF has not been generated\n" in mail
    [metric] = eventually(lambda: stack.log_lines("MetricFunction", job["id"]), "the metric")
    assert metric["pdf.generated.error"] == [1.0]

    again = stack.post(url)
    assert (again.status, again.headers["Content-Type"]) == (502, "application/problem+json")
    assert (again.json()["code"], again.json()["status"]) == ("page_status", 502)
    assert int(again.headers["Retry-After"]) <= 60
    assert call("GET", f"{stack.endpoint}/pdf?url={url}").status == 502
    assert call("GET", f"{stack.endpoint}/pdf/{job['id']}/file").json()["code"] == "pdf_not_found"


def test_unknown_host_is_tried_again_and_then_becomes_a_dead_letter(stack: Stack, pages: Pages) -> None:
    job = stack.ended(stack.post("http://closed.invalid/").json()["id"])
    assert (job["state"], job["error"]["code"], job["attempt"]) == ("failed", "name_not_found", 3)
    channel = stack.channel()
    dead = eventually(lambda: channel.basic_get("generate_shot_dead", no_ack=True), "the dead letter")
    assert json.loads(dead.body)["url"] == "http://closed.invalid/"
    assert json.loads(dead.headers["reason"])["code"] == "name_not_found"
    channel.connection.close()


def test_curl_saves_a_pdf_by_direct_download(stack: Stack, pages: Pages, tmp_path: Path) -> None:
    out = tmp_path / "x.pdf"
    url = f"{stack.endpoint}/pdf?url={pages.url('/direct')}&landscape=true&format=A5"
    done = subprocess.run(["curl", "-sSL", "--fail", "-o", out, url], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    page = PdfReader(out).pages[0]
    assert "This is /direct" in page.extract_text()
    assert [round(float(side) / 72 * 25.4) for side in page.mediabox[2:]] == [210, 148]


def test_hundred_equal_requests_make_one_render(stack: Stack, pages: Pages) -> None:
    _, go = pages.hold("/hundred")
    url = pages.url("/hundred")
    with ThreadPoolExecutor(100) as threads:
        answers = list(threads.map(lambda _: stack.post(url), range(100)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    go.set()
    job = stack.ended(answers[0].json()["id"])
    assert (job["state"], job["attempt"]) == ("done", 1)
    assert pages.hits["/hundred"] == 1
    [line] = eventually(lambda: stack.log_lines("LogFunction", job["id"]), "the log line")
    assert line["attempts"] == 1


def test_fast_page_does_not_wait_for_slow_ones(stack: Stack, pages: Pages) -> None:
    """Pages whose server does not answer hold all slots but one."""
    slow = [f"/slow-{number}" for number in range(RENDERS - 1)]
    gates = [pages.hold(path) for path in slow]
    jobs = [stack.post(pages.url(path)).json()["id"] for path in slow]
    assert all(arrived.wait(60) for arrived, _ in gates)
    fast = stack.ended(stack.post(pages.url("/fast")).json()["id"])
    assert fast["state"] == "done"
    assert {call("GET", f"{stack.endpoint}/pdf/{job}").json()["state"] for job in jobs} == {"running"}
    for _, go in gates:
        go.set()
    assert [stack.ended(job)["state"] for job in jobs] == ["done"] * len(jobs)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [60, pytest.param(500, marks=pytest.mark.slow)])
def test_single_request_does_not_wait_behind_a_batch(stack: Stack, pages: Pages, number: int) -> None:
    """Bulk jobs hold every slot that they may use, and the others wait in their own queue."""
    held = [f"/status/404/bulk-held-{number}-{index}" for index in range(RENDERS - 1)]
    gates = [pages.hold(path) for path in held]
    paths = held + [f"/status/404/bulk-{number}-{index}" for index in range(number - len(held))]
    for start in range(0, number, 100):
        requests = [{"url": pages.url(path)} for path in paths[start : start + 100]]
        answer = call("POST", f"{stack.endpoint}/pdf/batch", {"requests": requests})
        assert answer.json()["counts"]["queued"] == len(requests)
    assert all(arrived.wait(60) for arrived, _ in gates)
    before = sum(pages.hits[path] for path in paths)
    single = stack.ended(stack.post(pages.url(f"/single-{number}")).json()["id"])
    assert (single["state"], single["priority"]) == ("done", "normal")
    # a job of the batch that a single request asks for too does not wait any longer
    last = stack.post(pages.url(paths[-1])).json()
    assert last["priority"] == "normal"
    assert stack.ended(last["id"])["state"] == "failed"
    assert sum(pages.hits[path] for path in paths) == before + 1
    for _, go in gates:
        go.set()
    for path in paths:
        assert stack.ended(job_id(pages.url(path), {}))["error"]["code"] == "page_status"
    assert {pages.hits[path] for path in paths} == {1}


def test_report_has_the_phases_before_the_render(stack: Stack, pages: Pages) -> None:
    job = stack.ended(stack.post(pages.url("/phases")).json()["id"])
    assert list(job["report"]["phases"])[:4] == ["queue", "wait", "hand_over", "start"]


def test_correlation_id_follows_a_request_through_the_logs(stack: Stack, pages: Pages) -> None:
    accepted = stack.post(pages.url("/followed"))
    job, request = accepted.json()["id"], accepted.headers["X-Request-Id"]
    stack.ended(job)
    for function in ("ApiFunction", "DispatchFunction", "SettleFunction"):
        assert [line for line in stack.log_lines(function, job) if line.get("correlation_id") == request], function


def test_any_amqp_client_gets_its_pdf_and_the_completion(stack: Stack, pages: Pages) -> None:
    """The producer and the mail consumer of the talk use no code of ours, only the names."""
    url = pages.url("/amqp")
    channel = stack.channel()
    channel.queue_declare("generate_shot_mail", exclusive=True)
    channel.queue_bind("generate_shot_mail", "shot_direct", "shot_direct.completed")
    for _ in range(2):  # the PDF exists for the second message
        channel.basic_publish(
            amqp.Message(json.dumps({"url": url}).encode(), delivery_mode=2),
            exchange="shot_direct",
            routing_key="shot_direct.start",
            mandatory=True,
        )
        completion = eventually(lambda: channel.basic_get("generate_shot_mail", no_ack=True), "the completion")
        detail = json.loads(completion.body)
        assert (detail["url"], detail["id"], detail["key"]) == (url, job_id(url, {}), f"pdf/{job_id(url, {})}.pdf")
        assert detail["report"]["pages"] == 1
    assert detail["cached"]
    assert pages.hits["/amqp"] == 1
    assert stack.post(url).status == 200
    channel.connection.close()


def test_malformed_message_becomes_a_dead_letter_with_its_reason(stack: Stack) -> None:
    channel = stack.channel()
    channel.basic_publish(amqp.Message(b"hello"), exchange="shot_direct", routing_key="shot_direct.start")
    dead = eventually(lambda: channel.basic_get("generate_shot_dead", no_ack=True), "the dead letter")
    assert (dead.body, json.loads(dead.headers["reason"])["code"]) == (b"hello", "invalid_json")
    channel.connection.close()


def test_message_that_the_broker_gave_up_is_answered(stack: Stack) -> None:
    """RabbitMQ moves it to a queue of its own, as this test does in its place."""
    channel = stack.channel()
    channel.queue_declare("refused_shots", exclusive=True)
    channel.queue_bind("refused_shots", "shot_direct", "shot_direct.failed")
    message = amqp.Message(
        b'{"url": "https://example.com/"}',
        correlation_id="theirs",
        application_headers={"x-death": [{"queue": "generate_shot", "reason": "expired"}]},
    )
    channel.basic_publish(message, routing_key="generate_shot_returned", mandatory=True)
    told = eventually(lambda: channel.basic_get("refused_shots", no_ack=True), "the refusal")
    refusal = json.loads(told.body)
    assert (refusal["error"]["code"], told.properties["correlation_id"]) == ("message_expired", "theirs")
    channel.connection.close()


@pytest.mark.parametrize(
    ("data", "status", "code", "field"),
    [
        (b"{", 400, "invalid_json", None),
        (b'{"url": "ftp://example.com/"}', 422, "unsupported_scheme", "url"),
        (b'{"url": "http://"}', 422, "invalid_url", "url"),
        (b'{"url": "https://me@example.com/"}', 422, "url_has_credentials", "url"),
        (b'{"url": "http://10.0.0.1/"}', 422, "blocked_target", "url"),
        (b'{"url": "https://example.com/%s"}' % (b"a" * 2048), 422, "url_too_long", "url"),
        (b'{"url": "https://example.com/", "options": {"paper": 1}}', 422, "invalid_request", "options.paper"),
        (b'{"url": "https://example.com/", "options": {"scale": "2"}}', 422, "invalid_request", "options.scale"),
        (b'{"url": "%s"}' % (b"a" * 64_000), 413, "body_too_large", None),
    ],
)
def test_bad_input_is_a_problem_that_names_the_field(
    stack: Stack, data: bytes, status: int, code: str, field: str | None
) -> None:
    answer = call("POST", f"{stack.endpoint}/pdf", data=data)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["code"], problem.get("field"), problem["status"]) == (code, field, status)
    assert problem["remedy"]
    channel = stack.channel()
    assert channel.queue_declare("generate_shot", passive=True).message_count == 0
    channel.connection.close()


@pytest.mark.parametrize("path", ["/pdf/" + "0" * 40, "/pdf/nonsense", "/pdf/" + "0" * 40 + "/file", "/no/such/path"])
def test_unknown_path_is_a_404(stack: Stack, path: str) -> None:
    answer = call("GET", stack.endpoint + path)
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert answer.headers["x-amzn-RequestId"]
    assert answer.json()["code"] in ("not_found", "pdf_not_found")


def test_health_names_its_checks(stack: Stack) -> None:
    answer = call("GET", f"{stack.endpoint}/health")
    assert (answer.status, answer.json()) == (200, {"status": "ok", "checks": {"queue": "ok", "storage": "ok"}})


def test_older_pdf_stays_until_the_new_render_is_done(stack: Stack, pages: Pages) -> None:
    url = pages.url("/again")
    first = stack.ended(stack.post(url).json()["id"])
    arrived, go = pages.hold("/again")
    assert stack.post(url, max_age=0).status == 202
    assert arrived.wait(60)
    under_way = call("GET", f"{stack.endpoint}/pdf/{first['id']}").json()
    assert under_way["state"] == "running"
    assert under_way["older_pdf"]["report"]["sha256"] == first["report"]["sha256"]
    assert call("GET", under_way["links"]["pdf"]).status == 200
    go.set()
    assert stack.ended(first["id"])["state"] == "done"
    assert pages.hits["/again"] == 2


def test_page_behind_a_login_is_printed_by_a_private_job(stack: Stack, pages: Pages) -> None:
    url = pages.url("/members/invoice")
    assert stack.ended(stack.post(url).json()["id"])["error"]["code"] == "page_status"
    private = {
        "basic_auth": {"username": "me", "password": "s3cret"},
        "cookies": [{"name": "sid", "value": "c00kie"}],
        "headers": {"X-Tenant": "t3nant"},
    }
    first, second = (stack.post(url, private=private) for _ in range(2))
    assert first.status == second.status == 202
    assert len({first.json()["id"], second.json()["id"], job_id(url, {})}) == 3
    job = stack.ended(first.json()["id"])
    assert job["state"] == "done"
    text = text_of(call("GET", job["links"]["pdf"]).body)
    assert "This is /members/invoice" in text
    assert "sid=c00kie, t3nant" in text
    eventually(lambda: stack.mails(job["id"]), "the mail")
    kept = [file.read_text() for folder in ("logs", "mails") for file in Path(stack.ready[folder]).glob("*")]
    kept.append(json.dumps(stack.record(job["id"])))
    assert not [text for text in kept for secret in ("s3cret", "c00kie", "t3nant") if secret in text]
