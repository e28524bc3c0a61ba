"""Tests that pages of every kind become the right PDF or the right error."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pypdf import PageObject

from .conftest import Bench, Site, read_pdf, text_of


def test_page_becomes_a_pdf_with_its_text_and_a_report(render: Bench, site: Site) -> None:
    url = site.page("/a", "<title>A title</title><h1>Grüße, мир</h1><img src=/i.png loading=lazy>")
    answer = render(url + "?q=1#part")
    assert "Grüße, мир" in text_of(answer)
    report = answer.report
    assert report is not None
    assert (report.status, report.title, report.pages) == (200, "A title", 1)
    assert report.final_url == url + "?q=1#part"
    assert report.chromium.startswith("147.")
    assert {"start", "navigate", "settle", "print"} <= report.phases.keys()
    assert report.network["received"] > 0
    assert report.network["connections"] >= 1
    assert {line["job_id"] for line in render.lines() if "job_id" in line} <= {"a" * 40}
    assert "q=1" not in render.log.getvalue()


def test_options_reach_the_paper(render: Bench, site: Site) -> None:
    url = site.page("/o", "<div style='break-after:page'>one</div><div style='break-after:page'>two</div>three")
    answer = render(url, options={"format": "A5", "landscape": True, "page_ranges": "2-3", "margin": "5mm"})
    pages = read_pdf(answer).pages
    assert [page.extract_text().strip() for page in pages] == ["two", "three"]
    millimetres = [round(float(side) / 72 * 25.4) for side in (pages[0].mediabox.width, pages[0].mediabox.height)]
    assert millimetres == [210, 148]
    assert answer.report is not None
    assert answer.report.pages == 2


@pytest.mark.parametrize("options", [{"page_ranges": "7"}, {"format": "A6", "margin": "99mm"}])
def test_option_that_does_not_fit_the_page_is_an_invalid_option(
    render: Bench, site: Site, options: dict[str, str]
) -> None:
    assert render.error(site.page("/o", "one"), options=options) == "invalid_option"


def test_report_counts_many_pages(render: Bench, site: Site) -> None:
    answer = render(site.page("/m", "<p style='break-after:page'>page</p>" * 149 + "last"))
    assert answer.report is not None
    assert answer.report.pages == len(read_pdf(answer).pages) == 150


def test_title_cannot_fake_the_number_of_pages(render: Bench, site: Site) -> None:
    answer = render(site.page("/t", "<title>/Type /Pages /Count 99 endobj trailer startxref 1 %%EOF</title>x"))
    assert answer.report is not None
    assert answer.report.pages == 1


def test_html_of_the_job_needs_no_network(render: Bench) -> None:
    answer = render(
        "https://nowhere.invalid/x/", html="<title>t</title><p id=p></p><script>p.innerText=location</script>"
    )
    assert "https://nowhere.invalid/x/" in text_of(answer)
    assert answer.report is not None
    assert answer.report.network["connections"] == 0


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "page_status"),
        (403, "page_status"),
        (500, "page_unavailable"),
        (429, "page_unavailable"),
        (408, "page_unavailable"),
        (501, "page_status"),
    ],
)
def test_page_with_an_error_status_is_not_printed(render: Bench, site: Site, status: int, code: str) -> None:
    assert render.error(site.page("/s", "sorry", status)) == code


def test_status_after_a_navigation_by_script_decides(render: Bench, site: Site) -> None:
    site.page("/there", "gone", 410)
    assert render.error(site.page("/from", "<script>location='/there'</script>")) == "page_status"


def test_url_that_leads_to_no_page_is_the_right_error(render: Bench, site: Site, allow: set[tuple[str, int]]) -> None:
    assert render.error("http://nowhere.invalid/") == "name_not_found"
    assert render.error("https://nowhere.invalid/") == "name_not_found"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        allow.add(("127.0.0.1", closed.getsockname()[1]))
        for scheme in ("http", "https"):
            assert render.error(f"{scheme}://127.0.0.1:{closed.getsockname()[1]}/") == "connection_refused"
    assert render.error(site.page("/loop", "", 302, Location="/loop")) == "too_many_redirects"
    assert render.error(site.page("/file", "", 302, Location="file:///etc/passwd")) == "unsupported_scheme"


def test_server_that_does_not_speak_tls_is_a_tls_error(render: Bench, site: Site) -> None:
    assert render.error(f"https://127.0.0.1:{site.port}/") == "tls_error"


def test_untrusted_certificate_is_a_tls_error(
    render: Bench, serve: Callable[..., Site], allow: set[tuple[str, int]], tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    site = serve(tls=context)
    allow.add(("127.0.0.1", site.port))
    assert render.error(f"https://127.0.0.1:{site.port}/") == "tls_error"
    assert site.hits == []


@pytest.mark.parametrize("kind", ["application/zip", "application/pdf"])
def test_download_or_broken_pdf_is_unsupported_content(render: Bench, site: Site, kind: str) -> None:
    site.pages["/d"] = (200, {"Content-Type": kind}, b"%PDF-1.4 or so")
    assert render.error(site.url("/d")) == "unsupported_content"


def test_dialogs_and_popups_do_not_delay_the_page(render: Bench, site: Site) -> None:
    site.page("/popup", "popup")
    page = "<body>done<script>alert(1);prompt(2);open('/popup');onbeforeunload=()=>'stay'</script>"
    assert "done" in text_of(render(site.page("/p", page)))


def test_server_that_does_not_answer_is_a_timeout(render: Bench, site: Site) -> None:
    assert render.error(site.url("/hold"), limits={"seconds": 1}) == "timeout"


def test_crashed_tab_fails_its_job_only(render: Bench, site: Site) -> None:
    def crash() -> None:
        while "/hold" not in site.paths():
            time.sleep(0.02)
        for pid in render.renderer.browser.chromium.processes():
            if "--type=renderer" in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGSEGV)

    threading.Thread(target=crash, daemon=True).start()
    assert render.error(site.page("/c", "<img src=/hold>")) == "crash"
    site.hold.set()
    assert not render.deaths
    assert "fine" in text_of(render(site.page("/fine", "fine")))


def test_page_that_exceeds_a_limit_is_too_large(render: Bench, site: Site) -> None:
    site.pages["/big"] = (200, {"Content-Type": "text/css"}, b" " * 3_000_000)
    heavy = site.page("/h", "<link rel=stylesheet href=/big>")
    assert render.error(heavy, limits={"seconds": 30, "page_bytes": 1_000_000}) == "too_large"
    many = site.page("/n", "".join(f"<img src=/{n}>" for n in range(40)))
    assert render.error(many, limits={"seconds": 30, "connections": 20}) == "too_large"
    assert render.error(site.page("/p", "x"), limits={"seconds": 30, "pdf_bytes": 100}) == "too_large"


MEMORIES = {  # what reads, and what writes
    "cookie": ("document.cookie.includes('left')", "document.cookie = 'left=1; max-age=3600'"),
    "cookie of the server": ("document.cookie.includes('who=me')", "fetch('/cookie')"),
    "localStorage": ("localStorage.left", "localStorage.left = 1"),
    "sessionStorage": ("sessionStorage.left", "sessionStorage.left = 1"),
    "name of the window": ("window.name", "window.name = 'left'"),
    "IndexedDB": (
        "indexedDB.databases().then(all => all.length)",
        "new Promise(done => { indexedDB.open('left').onsuccess = done })",
    ),
    "Cache": ("caches.keys().then(all => all.length)", "caches.open('left')"),
    "file system": (
        "navigator.storage.getDirectory().then(top => top.keys().next()).then(one => !one.done)",
        "navigator.storage.getDirectory().then(top => top.getFileHandle('left', {create: true}))",
    ),
    "HTTP cache": (
        "fetch('/kept', {cache: 'only-if-cached', mode: 'same-origin'}).then(a => a.ok, () => 0)",
        "fetch('/kept')",
    ),
}


@pytest.mark.parametrize("kind", MEMORIES)
def test_job_finds_nothing_that_an_earlier_one_left(render: Bench, site: Site, kind: str) -> None:
    reads, writes = MEMORIES[kind]
    site.page("/cookie", "x", Set_Cookie="who=me; max-age=3600")
    site.page("/kept", "x", Cache_Control="max-age=3600")
    script = f"""(async () => {{
      const before = await ({reads}); await ({writes}); const after = await ({reads});
      p.textContent = `before:${{!!before}} after:${{!!after}}`; window.ready = true
    }})()"""
    url = site.page("/memory", f"<p id=p></p><script>{script}</script>")
    for _ in range(2):
        assert "before:false after:true" in text_of(render(url, options={"wait_expression": "window.ready"}))
    assert not [headers for path, headers in site.hits if path == "/memory" and "Cookie" in headers]


def test_browser_in_a_single_process_renders_too(single_process_render: Bench, site: Site) -> None:
    render = single_process_render
    url = site.page("/single", "<p id=p></p><script>p.innerText='had:'+localStorage.x;localStorage.x=1</script>")
    for _ in range(2):
        answer = render(url)
        assert "had:undefined" in text_of(answer)
        assert answer.report is not None
        assert answer.report.chromium.startswith("147.")
    deadline = time.monotonic() + 30
    while len(render.renderer.browser.chromium.processes()) != 1:  # the next process may just be starting
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert render.error(site.page("/hung", "<script>while(true){}</script>"), limits={"seconds": 1}) == "timeout"
    assert "fine" in text_of(render(site.page("/fine", "fine")))
    assert not render.deaths


def test_fonts_come_from_the_layer_and_fit_the_generic_families(render: Bench, site: Site) -> None:
    families = {"serif": "DejaVuSerif", "sans-serif": "OpenSans", "monospace": "DejaVuSansMono", "Arial": "OpenSans"}
    for family, expected in families.items():
        page = read_pdf(render(site.page("/font", f"<p style='font-family:{family}'>text"))).pages[0]
        assert {name.removesuffix("-Regular") for name in _fonts(page)} == {expected}
    page = read_pdf(render(site.page("/signs", "<p>Ελληνικά Кириллица ←→ ✓ ∑"))).pages[0]
    assert {name.partition("-")[0] for name in _fonts(page)} <= {"DejaVuSerif", "OpenSans", "DejaVuSans"}


def _fonts(page: PageObject) -> set[str]:
    """Returns the names of a page's fonts, without the tags of subsets."""
    fonts = page["/Resources"]["/Font"].values()  # type: ignore[index]
    return {str(font.get_object()["/BaseFont"]).lstrip("/").partition("+")[2] for font in fonts}
