"""Corrects moto's S3 where it differs from S3 and urlshot depends on it.

- CopyObject: moto ignores `x-amz-copy-source-if-match`, `If-Match` and `If-None-Match`. It would copy a source that has
  been replaced, or overwrite a target that has been replaced.
- POST Object: moto ignores the policy, and its answer has no ETag; S3's answer has one.

infra/local/aws/server.py serves one request at a time, so checks before and after a request see a consistent state.

Source: CopyObject and "POST Object" in the S3 API reference; "How to prevent object overwrites with conditional
writes" in the S3 user guide. `tests/conformance/test_s3.py` compares the answers with those of the simulation.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from infra.local.aws.post_policy import Form, refusal

Answer = tuple[int, list[tuple[str, str]], bytes]
Serve = Callable[[dict[str, Any]], Answer]

# moto requires a signature but does not check it. The signature of a form is in its fields, so HEAD needs this one.
_SIGNED = "AWS4-HMAC-SHA256 Credential=local/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=0"
_CONDITION = re.compile("COPY_SOURCE|IF_MATCH|IF_NONE_MATCH|CONTENT_TYPE")


def serve_as_s3(environ: dict[str, Any], body: bytes, serve: Serve) -> Answer:
    """Answers a request as S3 does.

    Args:
        environ: The WSGI environment of the request.
        body: The body of the request.
        serve: moto's application.
    """
    if "HTTP_X_AMZ_COPY_SOURCE" in environ and (status := _copy_refused(environ, serve)):
        return _error(status, "NoSuchKey" if status == 404 else "PreconditionFailed", "A condition does not hold")
    if not environ.get("CONTENT_TYPE", "").startswith("multipart/form-data"):
        return serve(environ)
    form, bucket = Form.read(environ["CONTENT_TYPE"], body), environ["RAW_URI"].partition("?")[0].strip("/")
    if refused := refusal(form, bucket):
        return _error(refused.status, refused.code, refused.message)
    status, headers, text = serve(environ)
    if status in (200, 201, 204) and (etag := _etag(environ, f"{bucket}/{form.fields.get('key', '')}", serve)):
        headers = [*headers, ("ETag", f'"{etag}"')]
    return status, headers, text


def _copy_refused(environ: dict[str, Any], serve: Serve) -> int:
    """Returns the status with which a condition of a copy refuses it; 0 if none does."""
    source = _etag(environ, environ["HTTP_X_AMZ_COPY_SOURCE"], serve)
    if source is None:
        return 404
    wanted = environ.get("HTTP_X_AMZ_COPY_SOURCE_IF_MATCH")
    if wanted is not None and source != wanted.strip('"'):
        return 412
    over, new = environ.get("HTTP_IF_MATCH"), environ.get("HTTP_IF_NONE_MATCH")
    if over is None and new is None:
        return 0
    there = _etag(environ, environ["RAW_URI"].partition("?")[0], serve)
    if over is None:
        return 0 if there is None else 412
    if there is None:
        return 404
    return 0 if there == over.strip('"') else 412


def _error(status: int, code: str, message: str) -> Answer:
    text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return status, [("Content-Type", "application/xml")], text.encode()


def _etag(environ: dict[str, Any], source: str, serve: Serve) -> str | None:
    """Returns the ETag of the object `<bucket>/<key>`, without its quotes; None if there is none."""
    path = "/" + source.lstrip("/")
    plain = {name: value for name, value in environ.items() if not _CONDITION.search(name)}
    head = {"REQUEST_METHOD": "HEAD", "PATH_INFO": unquote(path), "RAW_URI": path, "REQUEST_URI": path}
    head |= {"QUERY_STRING": "", "CONTENT_LENGTH": "0", "HTTP_AUTHORIZATION": _SIGNED}
    status, headers, _ = serve({**plain, **head})
    found = dict(headers).get("ETag")
    return found.strip('"') if status == 200 and found else None
