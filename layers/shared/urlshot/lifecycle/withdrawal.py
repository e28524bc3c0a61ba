"""Deletes jobs and published PDFs, and restores PDFs that a slow delete removed by mistake.

S3 deletes an object under the condition that it has a certain ETag, and equal bytes have equal ETags. PDFs that
`render` prints differ at least in their dates. A URL that serves a PDF gives equal PDFs, so a slow delete of one can
remove the next one, which another claim has published meanwhile. Two checks close this gap: the function that deletes a
PDF reads the record afterwards, and `dispatch` looks for the PDF at the last message of a job, which it drops or which
announces the end. `api` may not publish a PDF, so it sends such a message after a delete.

The PDF is restored from its upload. If Lambda ran the event twice and the second run has uploaded other bytes, the PDF
stays gone, because the report does not describe these bytes. The next request renders the page again.
"""

from __future__ import annotations

from contextlib import suppress

from urlshot.adapters.s3 import Conflict, Gone
from urlshot.adapters.store import Pdf, Store
from urlshot.core.records import Record, is_stray


def withdraw(store: Store, job_id: str, *, generation: str, claim: str | None = None) -> None:
    """Deletes the published PDF if it belongs to `generation` (and `claim`).

    Raises:
        Transient, Broken: Storage does not answer; the call can be repeated.
    """
    pdf = store.head_pdf(job_id)
    if pdf is not None:
        if pdf.generation != generation or claim not in (None, pdf.claim):
            return
        store.delete_pdf(job_id, pdf.etag)
    check(store, job_id)  # also if there is no PDF: an earlier call may have died after its delete


def delete(store: Store, found: tuple[Record, str], pdf: Pdf | None) -> Record | None:
    """Deletes a job's record with its PDF; without a record, no render publishes its PDF later.

    A record that has changed since it was read is deleted too. One of a newer generation belongs to a later request and
    stays.

    Args:
        store: The store.
        found: The record and its ETag.
        pdf: The published PDF.

    Returns:
        The record of a later request if its PDF may have been deleted too, because the two are equal; else None.

    Raises:
        Transient, Broken: Storage does not answer; the call can be repeated.
    """
    job_id, generation, deleted = found[0].id, found[0].generation, False
    current: tuple[Record, str] | None = found
    while current is not None and current[0].generation == generation:
        last_good = current[0].last_good
        known = {generation, last_good.generation if last_good else generation}
        if pdf is not None and pdf.generation in known:
            store.delete_pdf(job_id, pdf.etag)
            pdf, deleted = None, True
        try:
            store.delete(job_id, current[1])
        except Conflict:
            current, pdf = store.read(job_id), store.head_pdf(job_id)
            continue
        # A PDF that is left was there before, of another generation, or `dispatch` has restored it meanwhile.
        left = store.head_pdf(job_id)
        if left is None or not (left.generation in known or (pdf is not None and left.etag == pdf.etag)):
            return None
        store.delete_pdf(job_id, left.etag)
        current, deleted = store.read(job_id), True
        break
    return current[0] if deleted and current is not None else None


def clear(store: Store, record: Record) -> None:
    """Deletes the published PDF of a job that failed, unless it is that of the last generation that was done.

    It may belong to a generation that was taken over after `settle` published its PDF and before it wrote the end.

    Raises:
        Transient, Broken: Storage does not answer; the call can be repeated.
    """
    pdf = store.head_pdf(record.id)
    if pdf is not None:
        if pdf.generation != record.generation:
            found = store.read(record.id)  # after HEAD: the PDF may belong to a generation newer than `record`
            if not is_stray(found[0] if found is not None else None, pdf.generation):
                return
        store.delete_pdf(record.id, pdf.etag)
    check(store, record.id)


def check(store: Store, job_id: str) -> None:
    """Reads the record after a delete, and restores the PDF if the job is done without it.

    Raises:
        Transient, Broken: Storage does not answer; the call can be repeated.
    """
    found = store.read(job_id)
    if found is not None:
        restore(store, found[0])


def restore(store: Store, record: Record) -> None:
    """Publishes the PDF of a job that is done again, if it was one of several equal PDFs and is gone.

    It stays gone if its upload was replaced, or if a lifecycle rule has removed the upload too.

    Raises:
        Transient, Broken: Storage does not answer; the call can be repeated.
    """
    if record.state != "done" or record.report is None or record.report.source != "pdf":
        return
    if record.upload is None or store.head_pdf(record.id) is not None:
        return
    with suppress(Conflict, Gone):  # another call was faster, or there is no such upload any more
        store.publish_pdf(record, record.upload, None)
    found = store.read(record.id)
    if is_stray(found[0] if found is not None else None, record.generation):  # the job was deleted meanwhile
        withdraw(store, record.id, generation=record.generation)
