"""Runs the local stack from the command line: python -m infra.local up | pdf."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

from infra.local.arguments import parser
from infra.local.broker.install import ensure_installed
from infra.local.broker.rabbitmq import BrokerError, ExistingBroker
from infra.local.cloudformation import DeploymentError
from infra.local.console import Console
from infra.local.functions.layers import MissingArtefact
from infra.local.pdf import JobFailed, make_pdf
from infra.local.settings import Settings, Via
from infra.local.stack import Stack, StackFailed
from infra.local.template.evaluator import TemplateError

_IN_DOCKER = "in Docker sam local invoke ApiFunction --event tests/events/api.json --env-vars {}"
_EXPECTED = (BrokerError, DeploymentError, JobFailed, MissingArtefact, StackFailed, TemplateError, OSError)


def main() -> int:
    arguments = parser().parse_args()
    console = Console()
    try:
        if ExistingBroker.from_environment() is None:
            ensure_installed(console.say)
        received = asyncio.run(_until_signal(lambda: _run(arguments, console)))
        return 0 if not received or arguments.command == "up" else 128 + received  # `pdf` made no PDF
    except _EXPECTED as error:
        console.say(f"{type(error).__name__}: {error}", "31;1")
        return 1
    except KeyboardInterrupt:
        return 130


async def _run(arguments: argparse.Namespace, console: Console) -> None:
    settings = Settings(
        parameters=dict((*arguments.params, *arguments.param)),
        allow=arguments.allow,
        ca=getattr(arguments, "ca", None),
        port=getattr(arguments, "port", 0),
        stage_in_path=getattr(arguments, "stage_prefix", False),
        concurrency=arguments.concurrency,
        docker=getattr(arguments, "docker", False),
        keep_records=arguments.command == "up",
        aws_via=Via.from_environment("URLSHOT_AWS_VIA"),
        invoke_via=Via.from_environment("URLSHOT_INVOKE_VIA"),
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
    console.say("urlshot is up; Ctrl-C stops it", "32;1")
    console.say(
        "\n".join(
            [
                f"API       {access.endpoint}",
                f"API key   {access.api_key} (needed with the parameter RequireApiKey=true)",
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
    """Runs the work until it ends or a signal arrives. The first signal cancels it; further signals are ignored.

    Returns:
        The number of the signal; 0 if the work ended by itself.
    """
    task = asyncio.ensure_future(work())
    received: list[int] = []

    def stop(number: int) -> None:
        if not received:
            received.append(number)
            print(file=sys.stderr)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not received:
            raise
    return received[0] if received else 0


if __name__ == "__main__":
    sys.exit(main())
