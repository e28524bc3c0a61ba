"""Tests that content which the paper cuts off or hides is reported, however the page styles its boxes."""

from __future__ import annotations

import pytest

from .conftest import Bench, Site

LINES = "".join(f"<p>line {number} of a text that continues below</p>" for number in range(40))
BOX = f"<div class=box>{LINES}</div>"
HEADER = "<header class=header>A header of the page</header>"
FIXED = "position: fixed; top: 0; left: 0; right: 0; height: 60px; background: #fff"
CUT = {
    "style element": f"<style>.box {{ height: 200px; overflow: auto }}</style>{BOX}",
    "style attribute": f'<div style="height: 200px; overflow-y: scroll">{LINES}</div>',
    "linked sheet": f"<link rel=stylesheet href=/box.css>{BOX}",
    "imported sheet": f"<style>@import '/box.css';</style>{BOX}",
    "sheet by script": f"""{BOX}<script>const sheet = new CSSStyleSheet();
        sheet.replaceSync('.box {{ height: 200px; overflow: auto }}');
        document.adoptedStyleSheets = [sheet];</script>""",
    "style by script": f"{BOX}<script>Object.assign(document.querySelector('.box').style, "
    "{ height: '200px', overflow: 'auto' })</script>",
    "style by a listener to the print event": f"""{BOX}<script>addEventListener('beforeprint', () =>
        Object.assign(document.querySelector('.box').style, {{ height: '200px', overflow: 'auto' }}))</script>""",
    "open shadow root": f"""<div id=host></div><script>
        document.querySelector('#host').attachShadow({{ mode: 'open' }}).innerHTML =
          `<style>.box {{ height: 200px; overflow: auto }}</style>{BOX}`;</script>""",
    "text area": f"<textarea rows=3 cols=20>{'words and more words ' * 40}</textarea>",
    "frame": "<iframe src=/framed width=300 height=100></iframe>",
    "content wider than the sheet": f"<table style='width: 2400px'><tr><td>{'first ' * 60}<td>last</table>",
    "word wider than the sheet": f"<p style='font: 40px monospace'>{'x' * 100}</p>",
}
WHOLE = {
    "plain text": LINES,
    "table": f"<table>{'<tr><td>one<td>two<td>three' * 60}</table>",
    "box that fits": f"<style>.box {{ overflow: auto }}</style>{BOX}",
    "picture with a view box": "<svg viewBox='0 0 300 60' width=300><text x=10 y=40>a text that fits</text></svg>",
    "a little wider than the sheet": "<div style='width: 730px'>text</div>",
}


@pytest.mark.parametrize("wait_until", ["load", "settled"])
@pytest.mark.parametrize("case", CUT)
def test_content_that_is_cut_off_is_reported(render: Bench, site: Site, case: str, wait_until: str) -> None:
    site.pages["/box.css"] = (200, {"Content-Type": "text/css"}, b".box { height: 200px; overflow: auto }")
    site.page("/framed", LINES)
    answer = render(site.page("/cut", f"<!doctype html>{CUT[case]}"), options={"wait_until": wait_until})
    assert answer.report is not None, answer.error
    assert "content_cut" in {warning.code for warning in answer.report.warnings}


@pytest.mark.parametrize("wait_until", ["load", "settled"])
@pytest.mark.parametrize("case", WHOLE)
def test_page_that_loses_nothing_is_complete(render: Bench, site: Site, case: str, wait_until: str) -> None:
    answer = render(site.page("/whole", f"<!doctype html>{WHOLE[case]}"), options={"wait_until": wait_until})
    assert answer.report is not None, answer.error
    assert (answer.report.verdict, answer.report.warnings) == ("complete", ())


@pytest.mark.parametrize("scale", [0.7, 1, 1.3])
def test_wide_content_is_cut_off_at_every_scale(render: Bench, site: Site, scale: float) -> None:
    url = site.page("/wide", f"<!doctype html><table style='width: 3000px'><tr><td>{'first ' * 60}<td>last</table>")
    answer = render(url, options={"wait_until": "load", "scale": scale})
    assert answer.report is not None, answer.error
    assert "content_cut" in {warning.code for warning in answer.report.warnings}


@pytest.mark.parametrize("sheet", [f"<style>.header {{ {FIXED} }}</style>", "<link rel=stylesheet href=/fixed.css>"])
def test_text_under_a_fixed_header_is_printed_again(render: Bench, site: Site, sheet: str) -> None:
    site.pages["/fixed.css"] = (200, {"Content-Type": "text/css"}, f".header {{ {FIXED} }}".encode())
    lines = "".join(f"<p style='margin: 0'>line {number}</p>" for number in range(200))
    answer = render(site.page("/header", f"<!doctype html>{sheet}{HEADER}{lines}"), options={"wait_until": "load"})
    assert answer.report is not None, answer.error
    assert answer.report.verdict == "complete"
