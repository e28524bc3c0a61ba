"""Builds the files that a function's process needs, and its environment variables.

The recipe of `sam build` (functions/Makefile) builds function packages; `make layers` has built the layers. Functions
see nothing of the developer's environment: neither site-packages (`python -S`) nor variables of the shell.

Source: "Defined runtime environment variables" and "Layer paths for each Lambda runtime" in the developer guide.
"""

import asyncio
import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.local.functions.instance import Launch
from infra.local.functions.layers import MissingArtefact
from infra.local.host.processes import Child
from infra.local.template.addresses import REGION
from infra.local.template.model import Function

_RUNTIME_CLIENT = ("awslambdaric", "simplejson", "snapshot-restore-py")
_BUILD_SECONDS = 120.0

WHOLE_CPU_MB = 1769
"""The memory in MB at which Lambda gives a function a whole vCPU.

Source: "Configure Lambda function memory" in the Lambda developer guide.
"""
HEAVY_NICENESS = 10
"""The nice value of functions with a whole vCPU or more. On Lambda, each instance has its own CPUs. Here all instances
share a few, and the short functions that every job needs must not wait for the renders of other jobs."""


@dataclass(frozen=True)
class Endpoints:
    """Holds the endpoints and the network settings of functions.

    Attributes:
        aws: The URL of the AWS stand-in (moto).
        invoke: The URL of the Invoke API.
        allow: Private addresses, as host:port, that pages may load and callbacks may use.
        ca: A file of certificate authorities that callbacks trust in addition to the system's.
    """

    aws: str
    invoke: str
    allow: Sequence[str]
    ca: Path | None = None


def runtime_client(folder: Path) -> Path:
    """Copies AWS's runtime interface client from this interpreter's packages to a folder of its own.

    On Lambda the client is part of the runtime. The folder's name has the version, and the copy is made once.

    Args:
        folder: The folder for the copy.

    Returns:
        The folder that contains only the client.

    Raises:
        MissingArtefact: The package is not installed.
    """
    try:
        distributions = [importlib.metadata.distribution(name) for name in _RUNTIME_CLIENT]
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingArtefact(f"{error.name} is not installed: run `make setup`") from error
    target = folder / f"runtime-{distributions[0].version}-{sys.implementation.cache_tag}"
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix=".runtime-"))
    for distribution in distributions:
        for file in distribution.files or []:
            if ".." in file.parts or "__pycache__" in file.parts or file.parts[0].endswith(".dist-info"):
                continue
            (scratch / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(distribution.locate_file(file)), scratch / file)
    try:
        scratch.rename(target)
    except OSError:  # another stack has made the copy
        shutil.rmtree(scratch)
    return target


async def build_functions(project: Path, names: Iterable[str], target: Path) -> dict[str, Path]:
    """Builds the packages of functions as `sam build` does.

    Args:
        project: The folder of the repository.
        names: The functions.
        target: The folder for the packages.

    Returns:
        The task root of each function, by name.

    Raises:
        MissingArtefact: A recipe failed; the text has its output.
    """

    async def build(name: str) -> tuple[str, Path]:
        root, output = target / name, list[str]()
        root.mkdir(parents=True)
        command: list[str | Path] = [
            "make",
            "--no-print-directory",
            "-C",
            project / "functions",
            f"build-{name}",
            f"ARTIFACTS_DIR={root}",
        ]
        child = await Child.start(
            command, environment={"PATH": os.environ.get("PATH", os.defpath)}, listener=output.append
        )
        code = await child.wait(_BUILD_SECONDS)
        await child.end()
        if code != 0:
            raise MissingArtefact(f"building {name} failed ({code}):\n" + "\n".join(output[-20:]))
        return name, root

    return dict(await asyncio.gather(*(build(name) for name in names)))


def launch(
    function: Function, *, task_root: Path, layers_dir: Path, runtime: Path, scratch: Path, endpoints: Endpoints
) -> Launch:
    """Returns how instances of a function start.

    Args:
        function: The function.
        task_root: The folder of its package.
        layers_dir: The folder with all layers.
        runtime: The folder of the runtime interface client.
        scratch: The folder for the temporary folders of instances.
        endpoints: The endpoints and network settings.
    """
    layers = [layers_dir / layer for layer in function.layers]
    environment = {
        # the variables that Lambda sets
        "_HANDLER": function.handler,
        "AWS_ACCESS_KEY_ID": "AKIALOCALLOCALLOCALL",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python3.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_FORMAT": function.log_format,
        "LAMBDA_TASK_ROOT": str(task_root),
        "LAMBDA_RUNTIME_DIR": str(runtime),
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PATH": _joined([*(layer / "bin" for layer in layers)], "/usr/local/bin:/usr/bin:/bin"),
        "LD_LIBRARY_PATH": _joined([layer / "lib" for layer in layers]),
        "PYTHONPATH": _joined([task_root, *(layer / "python" for layer in layers), runtime]),
        **variables(function, endpoints),
    }
    return Launch(
        function=function.name,
        # -S hides the packages of the interpreter that runs this stack.
        command=[sys.executable, "-S", "-m", "awslambdaric", function.handler],
        environment={name: value for name, value in environment.items() if value},
        task_root=task_root,
        scratch=scratch,
        timeout=float(function.timeout),
        niceness=HEAVY_NICENESS if function.memory >= WHOLE_CPU_MB else 0,
    )


def variables(function: Function, endpoints: Endpoints) -> dict[str, str]:
    """Returns the variables of the template, and those that exist only on this machine."""
    local = {"AWS_ENDPOINT_URL": endpoints.aws, "AWS_ENDPOINT_URL_LAMBDA": endpoints.invoke}
    if endpoints.allow:
        local["LOCAL_ALLOW"] = ",".join(endpoints.allow)
    if endpoints.ca is not None:
        local["LOCAL_CA"] = str(endpoints.ca.absolute())
    return {**function.environment, **local}


def _joined(folders: Sequence[Path], rest: str = "") -> str:
    return ":".join([str(folder) for folder in folders if folder.is_dir()] + ([rest] if rest else []))
