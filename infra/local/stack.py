"""Starts all parts of urlshot on one machine, connects them as the template says, and stops them."""

import asyncio
import json
import os
import secrets
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from infra.local.aws.client import AwsClient
from infra.local.aws.process import AwsProcess
from infra.local.broker.rabbitmq import BrokerError, ExistingBroker, Rabbit, with_credentials
from infra.local.cloudformation import CustomResources, create_resources, secret_text
from infra.local.console import Console, LogFiles
from infra.local.functions.artefacts import Endpoints, build_functions, launch, runtime_client, variables
from infra.local.functions.invoke_api import invoke_app
from infra.local.functions.lambdas import Lambdas
from infra.local.functions.layers import check_layers
from infra.local.host.ports import listen
from infra.local.host.processes import become_subreaper, end_orphans, start_warden
from infra.local.host.relay import Relay, bridge_address, remove_link, share_variables
from infra.local.host.run_folder import RunFolder
from infra.local.host.waits import cancelled, first_of, together
from infra.local.http.gateway import GatewayRunner, gateway_app
from infra.local.http.proxy_event import ApiKey
from infra.local.settings import Access, Settings, default_parameters
from infra.local.sources.bus import follow_rule
from infra.local.sources.rabbitmq_mapping import Poller
from infra.local.sources.schedules import follow_schedule
from infra.local.sources.sqs import QueueSender, SqsPoller
from infra.local.template.addresses import LocalAddresses
from infra.local.template.application import read_application
from infra.local.template.evaluator import Template, TemplateError
from infra.local.template.model import Application

_CONSUMING_SECONDS = 20.0


class StackFailed(Exception):
    """Reports that a process or a task of the running stack ended; the text names it and its log."""


class Stack:
    """Runs the stack inside `async with Stack(settings, console) as stack:`, and leaves nothing running afterwards.

    Raises:
        TemplateError: The local stack cannot run the template.
        MissingArtefact: Something is not built.
        BrokerError: The broker does not start, or cannot be used.
        DeploymentError: A resource cannot be created.
        OSError: A port is in use, or a process cannot be started.
    """

    access: Access
    lambdas: Lambdas
    application: Application
    logs: LogFiles
    folder: Path

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._exit = AsyncExitStack()
        self._processes: dict[str, asyncio.Future[int]] = {}
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
        """Waits until a process or a task of the stack ends, and never returns.

        Raises:
            StackFailed: One has ended.
        """
        await first_of(*self._processes.values(), *self._tasks, seconds=None)
        for name, exited in self._processes.items():
            if exited.done():
                log = self.folder / "logs" / f"{name}.log"
                raise StackFailed(f"{name} ended by itself ({exited.result()}); its log is {log}")
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
        self._exit.callback(start_warden(run.path))
        self.logs = LogFiles(run.path / "logs")
        self._exit.callback(self.logs.close)
        self._exit.callback(end_orphans)

        existing = ExistingBroker.from_environment()
        broker = existing or Rabbit(run.path / "rabbitmq", self.logs.only_file("rabbitmq"))
        api_socket, invoke_socket = listen(settings.port), listen(settings.invoke_via.server)
        self._exit.callback(api_socket.close)
        self._exit.callback(invoke_socket.close)
        moto = AwsProcess(run.path / "mails", self.logs.only_file("aws"), settings.aws_via.server)
        self._exit.callback(moto.close)
        invoke_url = f"http://127.0.0.1:{invoke_socket.getsockname()[1]}"

        addresses = LocalAddresses(aws=moto.url, amqp=broker.amqp, console=broker.console)
        parameters = {**default_parameters(settings.parameters), **settings.parameters}
        stage = f"/{parameters['Stage']}" if settings.stage_in_path else ""
        endpoint = f"http://127.0.0.1:{api_socket.getsockname()[1]}{stage}"
        parameters.setdefault("PublicUrl", endpoint)
        template = Template(settings.project / "template.yaml", addresses, parameters)
        self.application = application = read_application(template, addresses)
        if application.broker is None or application.api is None:
            raise TemplateError("template.yaml: the local stack needs a broker and an API")
        texts = {secret.arn: secret_text(secret) for secret in application.secrets}
        admin = json.loads(texts[application.broker.secret])
        if existing is not None:
            admin |= {
                application.broker.username_key: existing.user,
                application.broker.password_key: existing.password,
            }
            texts[application.broker.secret] = json.dumps(admin)
        user, password = admin[application.broker.username_key], admin[application.broker.password_key]
        layers = {layer for function in application.functions.values() for layer in function.layers}
        check_layers(settings.layers, settings.project / "layers", layers)

        # The broker takes longest to start, so everything else starts at the same time.
        self._exit.push_async_callback(moto.end)
        if isinstance(broker, Rabbit):
            self._exit.push_async_callback(broker.stop)
        aws = AwsClient(moto.url)
        self._exit.push_async_callback(aws.close)

        async def start_broker() -> None:
            if isinstance(broker, Rabbit):
                await broker.start(user, password)
                self._processes["rabbitmq"] = broker.died
                console.say("RabbitMQ is up")

        async def start_aws() -> None:
            self._processes["aws"] = await moto.start()
            sender = application.parameters.get("MailFrom")
            await create_resources(application, texts, aws, (str(sender),) if sender else ())
            console.say("S3, SQS, EventBridge, SES and Secrets Manager are up")

        console.say("starting RabbitMQ, the AWS stand-ins and the functions")
        broker_up = asyncio.create_task(start_broker())
        self._exit.push_async_callback(cancelled, broker_up)
        (_, roots) = await together(
            start_aws(), build_functions(settings.project, application.functions, run.path / "functions")
        )
        self.lambdas = self._lambdas(roots, Endpoints(moto.url, invoke_url, settings.allow, settings.ca), aws)
        self._exit.push_async_callback(self.lambdas.end)
        custom = CustomResources(self.lambdas, addresses)
        invoke = invoke_app(self.lambdas)
        custom.routes(invoke)
        await self._serve(web.AppRunner(invoke, access_log=None, shutdown_timeout=0.5), invoke_socket)
        # One instance of each function starts while the broker boots; Lambda sometimes does this too. The first PDF is
        # ready seconds sooner, and nothing depends on it.
        warming = asyncio.create_task(self._warm())
        self._exit.push_async_callback(cancelled, warming)
        await broker_up
        await together(*(custom.create(resource, invoke_url) for resource in application.custom_resources))
        console.say("exchanges, queues and users are declared")
        await self._connect(texts, moto.url, aws, broker.amqp)
        key = ApiKey("local-key", secrets.token_urlsafe(24))
        gateway = gateway_app(
            application.api, self.lambdas, key=key, stage_in_path=settings.stage_in_path, say=console.say
        )
        await self._serve(GatewayRunner(gateway, application.api), api_socket)
        self.access = Access(
            endpoint=endpoint,
            api_key=key.value,
            amqp_url=with_credentials(broker.amqp, user, password),
            amqp_endpoint=broker.amqp,
            management_url=broker.console,
            aws_endpoint=moto.url,
            invoke_endpoint=invoke_url,
            env_vars=await self._open_to_docker(Endpoints(moto.url, invoke_url, ())) if settings.docker else "",
            bucket=application.buckets[0] if application.buckets else "",
            bus=application.buses[0] if application.buses else "",
            queues=[mapping.queue for mapping in application.mappings],
            mails=str(run.path / "mails"),
            logs=str(run.path / "logs"),
            pid=os.getpid(),
        )

    def _lambdas(self, roots: Mapping[str, Path], endpoints: Endpoints, aws: AwsClient) -> Lambdas:
        settings, functions = self._settings, self.application.functions
        runtime = runtime_client(settings.state)
        seen = replace(
            endpoints,
            aws=settings.aws_via.for_functions(endpoints.aws),
            invoke=settings.invoke_via.for_functions(endpoints.invoke),
        )
        launches = {
            name: launch(
                function,
                task_root=roots[name],
                layers_dir=settings.layers,
                runtime=runtime,
                scratch=self.folder / "instances",
                endpoints=seen,
            )
            for name, function in functions.items()
        }
        return Lambdas(
            launches,
            reserved={name: fn.concurrency for name, fn in functions.items() if fn.concurrency is not None},
            asynchronous={name: fn.asynchronous for name, fn in functions.items()},
            other_names={fn.declared_name: name for name, fn in functions.items() if fn.declared_name is not None},
            default_limit=settings.concurrency,
            listener=self.logs.write,
            to_queue=QueueSender(endpoints.aws, aws).send,
            say=self._console.say,
        )

    async def _warm(self) -> None:
        """Starts one instance of each function, one after the other, because the broker keeps the cores busy."""
        application = self.application
        last = {rule.function for rule in application.rules} | {
            mapping.function for mapping in application.sqs_mappings
        }
        for name in sorted(application.functions, key=lambda name: (name in last, name)):
            await self.lambdas.warm(name)

    async def _connect(self, texts: Mapping[str, str], aws_url: str, aws: AwsClient, amqp: str) -> None:
        """Starts the mappings, rules and schedules, and waits until every mapping consumes from its queue."""
        pollers = []
        for mapping in self.application.mappings:
            login = json.loads(texts[mapping.secret])
            url = with_credentials(amqp, login["username"], login["password"])
            poller = Poller(mapping, url, self.lambdas, self._console.say)
            pollers.append(poller)
            self._task(poller.run(), f"the mapping on {mapping.queue}")
        for rule in self.application.rules:
            follow = follow_rule(rule, aws_url, aws, self.lambdas, self._console.say)
            self._task(follow, f"the rule {rule.name}")
        for sqs in self.application.sqs_mappings:
            follower = SqsPoller(sqs, aws_url, aws, self.lambdas, self._console.say)
            self._task(follower.run(), f"the mapping on {sqs.queue}")
        for schedule in self.application.schedules:
            self._task(follow_schedule(schedule, self.lambdas), f"the schedule {schedule.name}")
        self._exit.push_async_callback(cancelled, *self._tasks)
        try:
            async with asyncio.timeout(_CONSUMING_SECONDS):
                await asyncio.gather(*(poller.consuming.wait() for poller in pollers))
        except TimeoutError as error:
            raise BrokerError("a mapping could not consume from its queue; the reasons are above") from error

    def _task(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    async def _serve(self, runner: web.AppRunner, listening: Any) -> None:
        await runner.setup()
        self._exit.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listening).start()

    async def _open_to_docker(self, endpoints: Endpoints) -> str:
        """Lets the containers of `sam local` use this stack; returns the file for `--env-vars`."""
        relay = Relay(await asyncio.to_thread(bridge_address))
        self._exit.callback(relay.close)
        functions = {one.name: variables(one, endpoints) for one in self.application.functions.values()}
        file, link = self.folder / "env.json", self._settings.state / "env.json"
        await share_variables(relay, functions, file, link)
        self._exit.callback(remove_link, link, file)
        return str(file)

    def write_ready_file(self, file: Path) -> None:
        """Writes the addresses of the stack to a file, which appears completely or not at all."""
        scratch = file.with_name(f".{file.name}.{os.getpid()}")
        scratch.write_text(json.dumps(asdict(self.access), indent=1), "utf-8")
        scratch.rename(file)
