"""Uploads the PDF by a presigned POST, because the role of `render` has no access to S3."""

from __future__ import annotations

import http.client
import secrets
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from urlshot.core.errors import Broken, Transient, UrlshotError, failure
from urlshot.core.render_contract import Upload

ATTEMPTS = 2
_ATTEMPT_SECONDS = 30.0
_ANSWER_BYTES = 4096
_CHUNK = 256 * 1024


def multipart(fields: dict[str, str], boundary: str) -> tuple[bytes, bytes]:
    """Returns the bytes before and after the file in a multipart/form-data body (RFC 7578).

    The file is the last field and is named `file`, because S3 ignores later fields.

    Raises:
        Broken: The name or the value of a field would break out of its part.
    """
    head = []
    for name, value in fields.items():
        if any(character in name for character in '"\r\n') or boundary in value:
            raise Broken(f"upload field {name!r} cannot be sent")
        head.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n')
    head.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="page.pdf"\r\n'
        "Content-Type: application/pdf\r\n\r\n"
    )
    return "".join(head).encode(), f"\r\n--{boundary}--\r\n".encode()


def upload(to: Upload, pdf: bytes, seconds: float) -> str:
    """Uploads the PDF and returns its ETag; tries once more if the connection or the server fails.

    Args:
        to: The presigned POST.
        pdf: The PDF.
        seconds: Longest time that this call may block.

    Raises:
        Transient: `storage_unavailable`, or `timeout` if the permission has expired because the job's lease is over.
        Rejected: `too_large`.
        Broken: S3 refuses the signed request.
    """
    deadline = time.monotonic() + seconds
    trouble: UrlshotError = Transient("storage_unavailable", internal="no time left to upload")
    for _ in range(ATTEMPTS):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            status, etag, answer = _post(to, pdf, min(left, _ATTEMPT_SECONDS))
        except (OSError, http.client.HTTPException) as error:
            trouble = Transient("storage_unavailable", internal=f"upload: {type(error).__name__}")
            continue
        if status in {200, 201, 204}:
            return etag
        trouble = _refused(status, answer)
        if status < 500:
            break
    raise trouble


def _post(to: Upload, pdf: bytes, seconds: float) -> tuple[int, str, bytes]:
    """Returns the status, the ETag and the first _ANSWER_BYTES of the body of S3's answer."""
    url = urlsplit(to.url)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise Broken("upload URL is not http or https")
    boundary = secrets.token_hex(16)
    before, after = multipart(to.fields, boundary)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname, url.port, timeout=seconds)
    try:
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(before) + len(pdf) + len(after)),
        }
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.request("POST", path, body=_parts(before, pdf, after), headers=headers)
        response = connection.getresponse()
        return response.status, response.headers.get("ETag", ""), response.read(_ANSWER_BYTES)
    finally:
        connection.close()


def _parts(before: bytes, pdf: bytes, after: bytes) -> Iterator[bytes]:
    """Yields the body in pieces, so that the PDF is not copied as a whole."""
    yield before
    view = memoryview(pdf)
    for at in range(0, len(pdf), _CHUNK):
        yield bytes(view[at : at + _CHUNK])
    yield after


def _refused(status: int, answer: bytes) -> UrlshotError:
    """Returns the error for an answer of S3, whose body is XML with a Code and a Message."""
    if status >= 500 or b"<Code>SlowDown</Code>" in answer:
        return Transient("storage_unavailable", internal=f"upload answered {status}")
    if status == 403 and b"xpired" in answer:
        return Transient("timeout", "The job's time was over before its PDF was stored.", internal="upload expired")
    if b"<Code>EntityTooLarge</Code>" in answer:
        return failure("too_large", "The PDF is larger than the upload allows.")
    if b"<Code>RequestTimeout</Code>" in answer:
        return Transient("storage_unavailable", internal="S3 timed out waiting for the upload")
    code = answer.partition(b"<Code>")[2].partition(b"</Code>")[0][:60].decode("ascii", "replace")
    return Broken(f"upload answered {status} {code}")
