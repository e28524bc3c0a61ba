"""Runs a function, as `sam build` made it, in Lambda's image under conditions that `sam local` cannot set.

The image's own bootstrap talks to the local stack's Runtime API (infra/local/functions/instance.py). AWS's images
start it in place of their emulator when AWS_LAMBDA_RUNTIME_API is set. So AWS's images work, and so does any other
image that has a bootstrap.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.local.functions.instance import Answer, Instance, Launch
from infra.local.settings import PROJECT
from infra.local.template.addresses import REGION, LocalAddresses
from infra.local.template.application import read_application
from infra.local.template.evaluator import Template
from infra.local.template.everything import everything_on
from infra.local.template.model import Function

IMAGE = os.environ.get("LAMBDA_IMAGE", "public.ecr.aws/lambda/python:3.13")
BUILD = PROJECT / ".aws-sam" / "build"
PULL_SECONDS = 300.0

LAMBDA_LIKE = (
    "--read-only",
    *("--tmpfs", "/tmp:rw,exec,mode=1777,size=1024m"),  # noqa: S108 - the only writable folder on Lambda
    *("--user", "993:990"),
    *("--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges"),
    *("--shm-size", "64k"),
)
"""Docker options for Lambda's conditions: a user that the image does not know, no capabilities, a file system that is
read-only except for /tmp, and almost no shared memory."""


def unavailable() -> str | None:
    """Returns why no function can run in Lambda's image here, or None if it can. Fetches the image if it is missing."""
    if not (BUILD / "template.yaml").is_file():
        return f"{BUILD} is not there: run `make sam`"
    if shutil.which("docker") is None:
        return "there is no docker command here"
    if error := _failure("docker", "info"):
        return f"no Docker daemon answers: {error}"
    if _failure("docker", "image", "inspect", IMAGE) and (error := _failure("docker", "pull", "--quiet", IMAGE)):
        return f"the image {IMAGE} is not here and cannot be fetched; LAMBDA_IMAGE names another: {error}"
    return None


def _failure(*command: str) -> str:
    """Runs a command and returns the last line of its error output if it failed, and an empty string otherwise."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PULL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"{' '.join(command)} took longer than {PULL_SECONDS:.0f} s"
    return (done.stderr.strip().splitlines() or ["it failed"])[-1] if done.returncode else ""


def built_functions() -> Mapping[str, Function]:
    """All functions that the template can make. Their addresses lead nowhere."""
    nowhere = LocalAddresses(aws="http://127.0.0.1:9", amqp="amqp://127.0.0.1:9", console="http://127.0.0.1:9")
    template = PROJECT / "template.yaml"
    return read_application(Template(template, nowhere, everything_on(template)), nowhere).functions


def opt_of(function: Function, scratch: Path) -> Path:
    """Copies the layers of a function into one folder, as Lambda does in /opt: later layers replace earlier files."""
    for layer in function.layers:
        shutil.copytree(BUILD / layer, scratch / "opt", dirs_exist_ok=True, symlinks=True)
    return scratch / "opt"


def python_command(code: str, *flags: str) -> list[str]:
    """Returns a command line that runs Python code in the image, by the runtime's interpreter, without a function."""
    here = ("--env", "PYTHONPATH=/opt/python", "--env", "LD_LIBRARY_PATH=/var/lang/lib")
    return ["docker", "run", "--rm", *flags, *here, "--entrypoint", "/var/lang/bin/python3", IMAGE, "-c", code]


@dataclass
class Running:
    """A container whose function waits for events.

    `init_ms` is the time from the start of its first process until the runtime asks for an event. `lines` is its log.
    """

    instance: Instance
    init_ms: float
    lines: list[str] = field(repr=False)

    async def invoke(self, event: Mapping[str, Any]) -> Answer:
        """Invokes the function with one event. The answer holds an error of the function."""
        return await self.instance.invoke(json.dumps(event).encode(), str(uuid.uuid4()))


@asynccontextmanager
async def running(
    function: Function, scratch: Path, *flags: str, variables: Mapping[str, str]
) -> AsyncIterator[Running]:
    """Starts a container, and removes it at the end.

    Args:
        function: The function to run.
        scratch: A folder for its layers.
        flags: Options of `docker run`.
        variables: The function's environment variables.

    Raises:
        InitError: The function did not start.
    """
    opt = opt_of(function, scratch)
    name, lines = f"urlshot-{uuid.uuid4().hex[:12]}", list[str]()
    environment = {
        "_HANDLER": function.handler,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_LOG_FORMAT": function.log_format,
        **variables,
    }
    given = [*environment, "AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_LOG_STREAM_NAME"]
    launch = Launch(
        function=function.name,
        command=[
            *("docker", "run", "--rm", "--name", name, "--network", "host", "--memory", f"{function.memory}m", *flags),
            *("--volume", f"{BUILD.joinpath(*function.path)}:/var/task:ro", "--volume", f"{opt}:/opt:ro"),
            *(part for variable in given for part in ("--env", variable)),  # docker takes their values from its own
            *("--entrypoint", "/var/runtime/bootstrap", IMAGE, function.handler),
        ],
        environment={**_dockers_own(), **environment},
        task_root=PROJECT,
        scratch=scratch,
        timeout=float(function.timeout),
    )
    instance = Instance(launch, lines.append)
    try:
        await instance.start()
        asked = time.time()
        yield Running(instance, (asked - await _started(name)) * 1000, lines)
    finally:
        await asyncio.to_thread(_failure, "docker", "rm", "--force", name)
        await instance.end()


def _dockers_own() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in ("PATH", "HOME") or name.startswith("DOCKER_")}


async def _started(name: str) -> float:
    """Returns when the container's first process started, in seconds since the epoch."""
    command = ["docker", "inspect", "--format", "{{.State.StartedAt}}", name]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30, check=True)
    return datetime.fromisoformat(done.stdout.strip()[:26].rstrip("Z") + "+00:00").timestamp()
