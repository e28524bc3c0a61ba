"""The whole of urlshot on one machine: starts every part, connects them as the template says, and ends them again."""

import asyncio
import json
import os
import sys
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from infra.local.addresses import LocalAddresses
from infra.local.artefacts import Endpoints, build_functions, check_layers, launch, runtime_client
from infra.local.aws_process import AwsProcess
from infra.local.awsclient import AwsClient
from infra.local.bus import Destinations, follow_rule, follow_schedule
from infra.local.cloudformation import CustomResources, create_resources, secret_text
from infra.local.console import Console, LogFiles
from infra.local.gateway import gateway_app
from infra.local.invoke import invoke_app
from infra.local.lambdas import Lambdas
from infra.local.poller import Poller
from infra.local.ports import listen
from infra.local.processes import become_subreaper, end_orphans
from infra.local.rabbitmq import BrokerError, ExistingBroker, Rabbit, with_credentials
from infra.local.run_folder import RunFolder
from infra.local.template import Template, TemplateError
from infra.local.waits import first_of
from infra.local.wiring import Wiring, read_wiring

PROJECT = Path(__file__).resolve().parents[2]
_CONSUMING_SECONDS = 20.0


class StackFailed(Exception):
    """A part of the running stack died; the text says which, and where its log is."""


@dataclass(frozen=True)
class Settings:
    """What a person can choose.

    parameters     the template's, like `sam deploy --parameter-overrides`
    allow          host:port pairs of this machine that pages may load from
    port           of the API; 0 takes a free one
    stage_in_path  whether the API's paths start with the stage, as at an execute-api address
    concurrency    instances of one function side by side, where the template reserves none
    keep_records   whether mails/ and logs/ stay after the end
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    allow: tuple[str, ...] = ()
    port: int = 0
    stage_in_path: bool = False
    concurrency: int = 20
    keep_records: bool = True
    project: Path = PROJECT
    state: Path = PROJECT / ".urlshot"

    @property
    def layers(self) -> Path:
        return self.state / "layers"


@dataclass(frozen=True)
class Access:
    """Where everything can be reached; the ready file is this as JSON."""

    endpoint: str
    amqp_url: str
    amqp_endpoint: str
    management_url: str
    aws_endpoint: str
    invoke_endpoint: str
    bucket: str
    bus: str
    queues: list[str]
    mails: str
    logs: str
    pid: int


def default_parameters() -> dict[str, str]:
    """Parameters of a run on this machine, each of which may be overridden.

    Renders side by side: two a core, because a page waits for its network half of the time. A batch is as large, so
    that its messages never wait for a free render inside a running batch.
    """
    renders = str(2 * (os.cpu_count() or 1))
    return {
        "MailFrom": "urlshot@example.com",
        "MailTo": "you@example.com",
        "RenderConcurrency": renders,
        "BatchSize": renders,
    }


class Stack:
    """`async with Stack(settings, console) as stack:` — everything runs inside, nothing is left outside.

    Errors on the way in: `TemplateError`, `MissingArtefact`, `BrokerError`, `DeploymentError`, OSError.
    """

    access: Access
    lambdas: Lambdas
    wiring: Wiring
    logs: LogFiles
    folder: Path

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._exit = AsyncExitStack()
        self._parts: dict[str, asyncio.Future[int]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    async def failed(self) -> None:
        """Returns never; raises `StackFailed` when a part dies or a task of the stack ends with an error."""
        await first_of(*self._parts.values(), *self._tasks, seconds=None)
        for name, exited in self._parts.items():
            if exited.done():
                log = self.folder / "logs" / f"{name}.log"
                raise StackFailed(f"{name} ended by itself ({exited.result()}); its last words are in {log}")
        for task in self._tasks:
            if task.done():
                raise StackFailed(f"{task.get_name()} ended: {task.exception()!r}")

    # ---- starting -----------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        settings, console = self._settings, self._console
        become_subreaper()
        run = RunFolder(settings.state / "run")
        self.folder = run.path
        self._exit.callback(lambda: run.remove(keep_records=settings.keep_records))
        self.logs = LogFiles(run.path / "logs")
        self._exit.callback(self.logs.close)
        self._exit.callback(end_orphans)

        existing = ExistingBroker.from_environment()
        rabbit = None if existing else Rabbit(run.path / "rabbitmq", self.logs.only_file("rabbitmq"))
        broker = existing or rabbit
        assert broker is not None
        api_socket, invoke_socket = listen(settings.port), listen()
        self._exit.callback(api_socket.close)
        self._exit.callback(invoke_socket.close)
        moto = AwsProcess(run.path / "mails", self.logs.only_file("aws"))
        self._exit.callback(moto.close)
        invoke_url = f"http://127.0.0.1:{invoke_socket.getsockname()[1]}"

        addresses = LocalAddresses(aws=moto.url, amqp=broker.amqp, console=broker.console)
        parameters = {**default_parameters(), **settings.parameters}
        template = Template(settings.project / "template.yaml", addresses, parameters)
        self.wiring = wiring = read_wiring(template, addresses)
        if wiring.broker is None or wiring.api is None:
            raise TemplateError("template.yaml: a broker and an API are needed")
        texts = {secret.arn: secret_text(secret) for secret in wiring.secrets}
        admin = json.loads(texts[wiring.broker.secret])
        if existing is not None:
            admin |= {wiring.broker.username_key: existing.user, wiring.broker.password_key: existing.password}
            texts[wiring.broker.secret] = json.dumps(admin)
        user, password = admin[wiring.broker.username_key], admin[wiring.broker.password_key]
        check_layers(settings.layers, {layer for function in wiring.functions.values() for layer in function.layers})

        # The broker takes by far the longest, so all else happens beside it.
        self._exit.push_async_callback(moto.end)
        if rabbit is not None:
            self._exit.push_async_callback(rabbit.stop)
        aws = AwsClient(moto.url)
        self._exit.push_async_callback(aws.close)

        async def start_broker() -> None:
            if rabbit is not None:
                await rabbit.start(user, password)
                self._parts["rabbitmq"] = rabbit.died
                console.say("RabbitMQ is up")

        async def start_aws() -> None:
            self._parts["aws"] = await moto.start()
            sender = wiring.parameters.get("MailFrom")
            await create_resources(wiring, texts, aws, (str(sender),) if sender else ())
            console.say("S3, SQS, EventBridge, SES and Secrets Manager are up")

        console.say("starting RabbitMQ, the AWS stand-ins and the functions' packages")
        (_, _, roots) = await _together(
            start_broker(), start_aws(), build_functions(settings.project, wiring.functions, run.path / "functions")
        )

        endpoints = Endpoints(aws=moto.url, invoke=invoke_url, allow=settings.allow)
        runtime = runtime_client(settings.state)
        launches = {
            name: launch(
                function,
                task_root=roots[name],
                layers_dir=settings.layers,
                runtime=runtime,
                scratch=run.path / "instances",
                endpoints=endpoints,
            )
            for name, function in wiring.functions.items()
        }
        self.lambdas = Lambdas(
            launches,
            reserved={name: fn.concurrency for name, fn in wiring.functions.items() if fn.concurrency is not None},
            retries={name: fn.retries for name, fn in wiring.functions.items()},
            default_limit=settings.concurrency,
            listener=self.logs.write,
            undelivered=Destinations(wiring, moto.url, aws, console.say).put,
        )
        self._exit.push_async_callback(self.lambdas.end)
        custom = CustomResources(self.lambdas, addresses)
        invoke = invoke_app(self.lambdas)
        custom.routes(invoke)
        await self._serve(invoke, invoke_socket)

        await _together(
            *(custom.create(resource, invoke_url) for resource in wiring.custom_resources),
            # What a person waits for next is made warm meanwhile, as Lambda does it of itself now and then.
            self.lambdas.warm(*self._first_needed()),
        )
        console.say("exchanges, queues and users are there")
        await self._connect(texts, moto.url, aws, broker.amqp)
        await self._serve(
            gateway_app(wiring.api, self.lambdas, stage_in_path=settings.stage_in_path, say=console.say), api_socket
        )
        stage = f"/{wiring.api.stage}" if settings.stage_in_path else ""
        self.access = Access(
            endpoint=f"http://127.0.0.1:{api_socket.getsockname()[1]}{stage}",
            amqp_url=with_credentials(broker.amqp, user, password),
            amqp_endpoint=broker.amqp,
            management_url=broker.console,
            aws_endpoint=moto.url,
            invoke_endpoint=invoke_url,
            bucket=wiring.buckets[0] if wiring.buckets else "",
            bus=wiring.buses[0] if wiring.buses else "",
            queues=[mapping.queue for mapping in wiring.mappings],
            mails=str(run.path / "mails"),
            logs=str(run.path / "logs"),
            pid=os.getpid(),
        )

    def _first_needed(self) -> list[str]:
        routed = {route.function for route in self.wiring.api.routes} if self.wiring.api else set()
        return sorted(routed | {mapping.function for mapping in self.wiring.mappings})

    async def _connect(self, texts: Mapping[str, str], aws_url: str, aws: AwsClient, amqp: str) -> None:
        """Mappings, rules and schedules; returns when every mapping consumes."""
        pollers = []
        for mapping in self.wiring.mappings:
            login = json.loads(texts[mapping.secret])
            url = with_credentials(amqp, login["username"], login["password"])
            poller = Poller(mapping, url, self.lambdas, self._console.say)
            pollers.append(poller)
            self._task(poller.run(), f"the mapping on {mapping.queue}")
        for rule in self.wiring.rules:
            follow = follow_rule(rule, aws_url, aws, self.lambdas, self._console.say)
            self._task(follow, f"the rule {rule.name}")
        for schedule in self.wiring.schedules:
            self._task(follow_schedule(schedule, self.lambdas), f"the schedule {schedule.name}")
        self._exit.push_async_callback(self._stop_tasks)
        try:
            async with asyncio.timeout(_CONSUMING_SECONDS):
                await asyncio.gather(*(poller.consuming.wait() for poller in pollers))
        except TimeoutError as error:
            raise BrokerError("a mapping could not consume from its queue; the reasons are above") from error

    def _task(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    async def _stop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, app: web.Application, listening: Any) -> None:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        self._exit.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listening).start()

    def write_ready_file(self, file: Path) -> None:
        """Says where everything is; appears whole or not at all."""
        scratch = file.with_name(f".{file.name}.{os.getpid()}")
        scratch.write_text(json.dumps(asdict(self.access), indent=1), "utf-8")
        scratch.rename(file)


async def _together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Results of all; when one fails, the others are cancelled and its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(item) for item in work]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


assert sys.platform == "linux", "the local stack freezes and ends process trees by /proc, so it wants Linux"
