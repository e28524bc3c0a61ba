"""Compares the sizes of the output of `sam build` with Lambda's limit: python -m infra.local.functions.sizes.

Source: "Lambda quotas", deployment package size, unzipped, function and layers together.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.local.settings import PROJECT
from infra.local.template.addresses import LocalAddresses
from infra.local.template.application import read_application
from infra.local.template.evaluator import Template
from infra.local.template.everything import everything_on

LIMIT = 262_144_000
"""Lambda's limit in bytes, unzipped."""


@dataclass(frozen=True)
class Size:
    """Holds the sizes of a function's package and of its layers, in bytes."""

    function: str
    package: int
    layers: dict[str, int]

    @property
    def total(self) -> int:
        return self.package + sum(self.layers.values())


def measure(build: Path) -> Iterator[Size]:
    """Yields the sizes of every function in the output folder of `sam build`.

    Raises:
        FileNotFoundError: A function or a layer is not built.
    """
    addresses = LocalAddresses(aws="http://127.0.0.1:0", amqp="amqp://127.0.0.1:0", console="http://127.0.0.1:0")
    template = PROJECT / "template.yaml"
    application = read_application(Template(template, addresses, everything_on(template)), addresses)
    for function in application.functions.values():
        layers = {layer: _bytes(build / layer) for layer in function.layers}
        yield Size(function.name, _bytes(build.joinpath(*function.path)), layers)


def _bytes(folder: Path) -> int:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist: run `make sam` first")
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def main() -> int:
    sizes = sorted(measure(PROJECT / ".aws-sam" / "build"), key=lambda size: -size.total)
    for size in sizes:
        layers = ", ".join(f"{name} {count:,}" for name, count in size.layers.items())
        print(
            f"{size.function:18} {size.total:>13,} bytes, {size.total / LIMIT:4.0%}  (own {size.package:,}; {layers})"
        )
    print(f"{'limit of Lambda':18} {LIMIT:>13,} bytes")
    return int(any(size.total > LIMIT for size in sizes))


if __name__ == "__main__":
    sys.exit(main())
