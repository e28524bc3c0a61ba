"""Tests the upload to a small server that checks every byte, and to the S3 of moto."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message

import boto3
import pytest
from moto.server import ThreadedMotoServer

from functions.render.upload import upload
from urlshot.core.errors import Broken, UrlshotError
from urlshot.core.render_contract import Upload

from .conftest import Bench, Site

PDF = b"%PDF-1.4 " + bytes(range(256)) * 3000


def _parts(site: Site) -> list[Message]:
    headers = site.hits[-1][1]
    whole = message_from_bytes(b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + site.bodies[-1])
    return whole.get_payload()  # type: ignore[return-value]


def test_job_uploads_its_pdf_as_the_last_field(render: Bench, site: Site) -> None:
    site.pages["/bucket"] = (204, {}, b"")
    to = {"url": site.url("/bucket"), "fields": {"key": "pdf/x.pdf", "Content-Type": "application/pdf", "policy": "p="}}
    answer = render(site.page("/a", "hello"), upload=to)
    assert answer.error is None
    assert answer.pdf is None
    assert answer.report is not None
    assert "upload" in answer.report.phases
    parts = _parts(site)
    names = ["key", "Content-Type", "policy", "file"]
    assert [part.get_param("name", header="content-disposition") for part in parts] == names
    body = parts[-1].get_payload(decode=True)
    assert isinstance(body, bytes)
    assert hashlib.sha256(body).hexdigest() == answer.report.sha256
    assert len(body) == answer.report.bytes


EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Invalid according to Policy: Policy expired.</Message></Error>"
ANSWERS = [
    (403, EXPIRED, "timeout"),
    (400, b"<Error><Code>EntityTooLarge</Code></Error>", "too_large"),
    (503, b"<Error><Code>SlowDown</Code></Error>", "storage_unavailable"),
    (500, b"", "storage_unavailable"),
    (403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>", "internal"),
]


@pytest.mark.parametrize(("status", "answer", "code"), ANSWERS)
def test_answer_of_s3_becomes_the_right_error(
    serve: Callable[..., Site], status: int, answer: bytes, code: str
) -> None:
    site = serve()
    site.pages["/bucket"] = (status, {}, answer)
    with pytest.raises(UrlshotError) as caught:
        upload(Upload(url=site.url("/bucket"), fields={}), PDF, 5)
    assert caught.value.code.name == code
    assert len(site.bodies) == (2 if status >= 500 else 1)


def test_upload_is_tried_again_after_a_broken_connection(serve: Callable[..., Site]) -> None:
    site = serve()
    site.pages["/bucket"] = (204, {}, b"")
    with socket.create_server(("127.0.0.1", 0)) as front:

        def answer_the_second() -> None:
            front.accept()[0].close()
            browser, _ = front.accept()
            with socket.create_connection(("127.0.0.1", site.port)) as behind:
                threading.Thread(target=_copy, args=(behind, browser), daemon=True).start()
                _copy(browser, behind)

        threading.Thread(target=answer_the_second, daemon=True).start()
        upload(Upload(url=f"http://127.0.0.1:{front.getsockname()[1]}/bucket", fields={"key": "k"}), PDF, 10)
    assert PDF in site.bodies[0]


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other direction may have closed both
        while chunk := source.recv(65536):
            target.sendall(chunk)


def test_upload_without_a_connection_is_storage_unavailable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(UrlshotError) as caught:
            upload(Upload(url=f"http://127.0.0.1:{closed.getsockname()[1]}/", fields={}), PDF, 5)
    assert caught.value.code.name == "storage_unavailable"


def test_field_cannot_break_out_of_its_part() -> None:
    with pytest.raises(Broken):
        upload(Upload(url="http://127.0.0.1:9/", fields={'a"\r\nb': "x"}), PDF, 5)


def test_upload_by_a_presigned_post_of_boto3_is_stored() -> None:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{host}:{port}",
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )
        client.create_bucket(Bucket="shots")
        conditions = [{"Content-Type": "application/pdf"}, ["content-length-range", 1, 10_000_000]]
        signed = client.generate_presigned_post(
            "shots", "pdf/x.pdf", Fields={"Content-Type": "application/pdf"}, Conditions=conditions, ExpiresIn=60
        )
        upload(Upload(**signed), PDF, 5)
        stored = client.get_object(Bucket="shots", Key="pdf/x.pdf")
        assert stored["Body"].read() == PDF
    finally:
        server.stop()
