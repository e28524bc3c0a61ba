"""python -m infra.local up | pdf: the whole of urlshot on this machine."""

import argparse
import asyncio
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from infra.local.artefacts import MissingArtefact
from infra.local.cloudformation import DeploymentError
from infra.local.console import Console
from infra.local.pdf import JobFailed, make_pdf
from infra.local.rabbitmq import BrokerError, ExistingBroker
from infra.local.rabbitmq_install import ensure_installed
from infra.local.settings import Settings
from infra.local.stack import Stack, StackFailed
from infra.local.template import TemplateError

_IN_DOCKER = "in Docker sam local invoke ApiFunction --event tests/events/api.json --env-vars {}"
_EXPECTED = (BrokerError, DeploymentError, JobFailed, MissingArtefact, StackFailed, TemplateError, OSError)


def main() -> int:
    arguments = _parser().parse_args()
    console = Console()
    try:
        if ExistingBroker.from_environment() is None:
            ensure_installed(console.say)
        told = asyncio.run(_until_signal(lambda: _run(arguments, console)))
        return 0 if not told or arguments.command == "up" else 128 + told  # a PDF that was broken off is none
    except _EXPECTED as error:
        console.say(f"{type(error).__name__}: {error}", "31;1")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.local", description="The whole of urlshot on one machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="run until Ctrl-C")
    up.add_argument("--port", type=int, default=0, help="port of the API; a free one by default")
    up.add_argument("--stage-prefix", action="store_true", help="paths start with the stage, as at an AWS address")
    up.add_argument("--docker", action="store_true", help="let the containers of sam local reach the stack")
    up.add_argument("--ca", type=Path, help="PEM file of authorities that callbacks trust besides the system's")
    up.add_argument("--ready-file", type=Path, help="file that gets all addresses, as JSON, once everything is up")
    pdf = commands.add_parser("pdf", help="have one URL printed and save the PDF")
    pdf.add_argument("--url", help="what to print; a demo page by default")
    pdf.add_argument("--out", type=Path, default=Path("page.pdf"), help="file for the PDF (page.pdf)")
    for command in (up, pdf):
        command.add_argument(
            "--allow",
            type=_pairs,
            default=(),
            metavar="HOST:PORT,...",
            help="what pages may load from this machine, and callbacks go to",
        )
        command.add_argument(
            "--param", type=_assignment, action="append", default=[], metavar="K=V", help="a parameter of template.yaml"
        )
        command.add_argument("--concurrency", type=int, default=20, help="instances of one function side by side (20)")
    return parser


def _pairs(text: str) -> tuple[str, ...]:
    pairs = tuple(pair for pair in text.split(",") if pair)
    for pair in pairs:
        if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\s]+):\d{1,5}", pair):
            raise argparse.ArgumentTypeError(f"{pair!r} is not host:port")
    return pairs


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


async def _run(arguments: argparse.Namespace, console: Console) -> None:
    settings = Settings(
        parameters=dict(arguments.param),
        allow=arguments.allow,
        ca=getattr(arguments, "ca", None),
        port=getattr(arguments, "port", 0),
        stage_in_path=getattr(arguments, "stage_prefix", False),
        concurrency=arguments.concurrency,
        docker=getattr(arguments, "docker", False),
        keep_records=arguments.command == "up",
    )
    if arguments.command == "pdf":
        await make_pdf(settings, arguments.url, arguments.out, console)
        return
    async with Stack(settings, console) as stack:
        stack.logs.listeners.append(console.log_line)
        _announce(stack, console)
        if arguments.ready_file:
            stack.write_ready_file(arguments.ready_file)
        await stack.failed()


def _announce(stack: Stack, console: Console) -> None:
    access = stack.access
    console.say("urlshot is up; Ctrl-C ends it", "32;1")
    console.say(
        "\n".join(
            [
                f"API       {access.endpoint}",
                f"API key   {access.api_key} (needed with --param RequireApiKey=true)",
                f"AMQP      {access.amqp_url}",
                f"records   {access.aws_endpoint}/{access.bucket}/?prefix=job/",
                f"mails     {access.mails}",
                f"logs      {access.logs}",
                *([_IN_DOCKER.format(access.env_vars)] if access.env_vars else []),
                f"try       curl -sSfL -o page.pdf '{access.endpoint}/pdf?url=https://example.com/'",
            ]
        )
    )


async def _until_signal(work: Callable[[], Awaitable[None]]) -> int:
    """Runs the work; the first Ctrl-C or SIGTERM lets it end in order, further ones are ignored.

    Returns the signal's number, 0 when the work ended by itself.
    """
    task = asyncio.ensure_future(work())
    told: list[int] = []

    def stop(number: int) -> None:
        if not told:
            told.append(number)
            print(file=sys.stderr)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not told:
            raise
    return told[0] if told else 0


if __name__ == "__main__":
    sys.exit(main())
