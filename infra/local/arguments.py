"""Parses the command line of the local stack. It runs before the setup, so it uses only the standard library.

python -m infra.local.arguments up | pdf    checks the arguments, and exits with status 2 if one is invalid
"""

import argparse
import difflib
import os
import re
import shlex
import ssl
from pathlib import Path
from typing import NoReturn

_TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"


class _Parser(argparse.ArgumentParser):
    """Reports an error in one sentence, and exits with status 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message}\n")


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line. `make` passes its variables as defaults through the environment."""
    parser = _Parser(prog="python -m infra.local", description="Runs urlshot on one machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="run until Ctrl-C")
    up.add_argument("--port", type=_port, default=_given("PORT", "0"), help="port of the API; default: a free port")
    up.add_argument("--stage-prefix", action="store_true", help="let paths start with the stage, as on AWS")
    up.add_argument("--docker", action="store_true", help="let containers of sam local reach the stack")
    up.add_argument(
        "--ca",
        type=_authorities,
        default=_given("CA"),
        help="PEM file of certificate authorities that callbacks trust in addition to the system's",
    )
    up.add_argument("--ready-file", type=Path, help="file for all addresses, written as JSON when the stack is up")
    pdf = commands.add_parser("pdf", help="print one URL and save the PDF")
    pdf.add_argument("--url", default=_given("URL"), help="URL to print; default: a demo page")
    pdf.add_argument("--out", type=_file, default=_given("OUT", "page.pdf"), help="file for the PDF (page.pdf)")
    for command in (up, pdf):
        command.add_argument(
            "--allow",
            type=_pairs,
            default=_given("ALLOW", ""),
            metavar="HOST:PORT,...",
            help="private addresses that pages may load and callbacks may use",
        )
        command.add_argument(
            "--param", type=_assignment, action="append", default=[], metavar="K=V", help="a parameter of template.yaml"
        )
        command.add_argument(
            "--params",
            type=_assignments,
            default=_given("PARAMS", ""),
            metavar="'K=V K=V'",
            help="several parameters, quoted as in a shell; --param overrides them",
        )
        command.add_argument("--concurrency", type=int, default=20, help="instances of one function at a time (20)")
    return parser


def _given(name: str, default: str | None = None) -> str | None:
    """Returns a variable that `make` was given, or the default if it is absent or empty."""
    return os.environ.get(f"URLSHOT_{name}") or default


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 0 to 65535, 0 for a free one.")
    return int(text)


def _authorities(text: str) -> Path:
    try:
        ssl.create_default_context().load_verify_locations(text)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = error.strerror if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError) else "no PEM"
        raise argparse.ArgumentTypeError(f"{text!r} is not a file of certificates: {why}.") from error
    return Path(text)


def _file(text: str) -> Path:
    """Returns the path of a file that can be written; its folder exists or can be created."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder: name a file for the PDF.")
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written: {there} is not a folder that you may write to.")
    return path


def _pairs(text: str) -> tuple[str, ...]:
    pairs = tuple(pair for pair in text.split(",") if pair)
    for pair in pairs:
        found = re.fullmatch(r"(?:\[[0-9a-fA-F:.]+\]|[^:\s]+):([0-9]{1,5})", pair)
        if found is None or not 0 < int(found[1]) < 65536:
            raise argparse.ArgumentTypeError(f"{pair!r} is not host:port")
    return pairs


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    known = parameter_names(_TEMPLATE.read_text("utf-8"))
    if name not in known:
        nearest = difflib.get_close_matches(name, known, 1, cutoff=0.75)
        hint = f"; did you mean {nearest[0]}?" if nearest else f"; known are {', '.join(known)}"
        raise argparse.ArgumentTypeError(f"{name!r} is not a parameter of template.yaml{hint}")
    return name, value


def _assignments(text: str) -> tuple[tuple[str, str], ...]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be read: {str(error).lower()}") from error
    return tuple(_assignment(word) for word in words)


def parameter_names(template: str) -> list[str]:
    """Returns the names of a template's parameters. It uses no YAML parser: none is installed before the setup."""
    section = re.search(r"^Parameters:\n((?:[ #].*\n|\n)*)", template, re.MULTILINE)
    return re.findall(r"^  (\w+):", section[1], re.MULTILINE) if section else []


if __name__ == "__main__":
    parser().parse_args()
