"""`make` passes arguments unchanged to the program, and refuses wrong ones before it starts anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.arguments import parameter_names, parser
from infra.local.settings import PROJECT
from infra.local.template.evaluator import load_template

ODD = """http://x.test/?a='b"c&d=$e;f=$(g)`h`\\i#j k"""


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", f"PYTHON={sys.executable}", *arguments],
        cwd=PROJECT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_url_with_quotes_and_dollars_is_passed_unchanged() -> None:
    show = "--eval=show: ; @printenv URLSHOT_URL"
    assert make(show, "show", f"URL={ODD}").stdout == f"{ODD}\n"


@pytest.mark.parametrize(
    ("target", "argument", "reason"),
    [
        ("up", "PORT=80000", "is not a port"),
        ("up", "PORT=http", "is not a port"),
        ("up", "CA=/nowhere/ca.pem", "No such file or directory"),
        ("up", "CA=README.md", "no PEM"),
        ("up", "ALLOW=localhost", "is not host:port"),
        ("up", "PARAMS=Nonsense=1", "'Nonsense' is not a parameter of template.yaml; known are Stage,"),
        ("up", "PARAMS=MailTo=me@example.com MailFRom=x", "did you mean MailFrom?"),
        ("pdf", "PARAMS=Renders", "'Renders' is not NAME=VALUE"),
        ("pdf", "PARAMS=MailTo='me", "cannot be read: no closing quotation"),
        ("pdf", "ALLOW=localhost:99999", "is not host:port"),
        ("pdf", "OUT=tests", "is a folder"),
        ("pdf", "OUT=README.md/page.pdf", "cannot be written"),
        ("pdf", "PYTHON=/nowhere/python3", "needs Python 3.11"),
        ("pdf", "PYTHON=/bin/false", "needs Python 3.11"),
    ],
)
def test_wrong_argument_is_one_sentence_and_status_2(target: str, argument: str, reason: str) -> None:
    done = make(f"check-{target}", argument)
    assert done.returncode == 2
    [sentence, of_make] = done.stderr.splitlines()
    assert reason in sentence
    assert of_make.startswith("make: ***")


@pytest.mark.parametrize("target", ["up", "pdf"])
def test_right_arguments_pass(target: str, tmp_path: Path) -> None:
    given = ("PORT=65535", "ALLOW=127.0.0.1:1,[::1]:2", "PARAMS=MailTo=a@example.com Renders=2")
    done = make(f"check-{target}", f"URL={ODD}", f"OUT={tmp_path}/new/x.pdf", *given)
    assert (done.returncode, done.stderr) == (0, "")


def test_parameters_of_make_are_split_like_words_of_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("URLSHOT_PARAMS", "Renders=2 MailFrom='A B <a@example.com>' NotifyAllow=")
    given = parser().parse_args(["up", "--param", "Renders=3"])
    assert given.params == (("Renders", "2"), ("MailFrom", "A B <a@example.com>"), ("NotifyAllow", ""))
    assert given.param == [("Renders", "3")]


def test_parameter_names_are_those_that_a_yaml_parser_finds() -> None:
    file = PROJECT / "template.yaml"
    assert parameter_names(file.read_text("utf-8")) == list(load_template(file)["Parameters"])


@pytest.mark.parametrize(("word", "options"), [("", ""), ("a and not b's", "-k a and not b's"), ("$(x)", "-k $(x)")])
def test_a_word_of_test_is_passed_to_pytest_as_it_is(word: str, options: str) -> None:
    show = "--eval=show: ; @printf '%s ' $(SELECTED)"
    assert make(show, "show", f"K={word}").stdout.strip() == options
