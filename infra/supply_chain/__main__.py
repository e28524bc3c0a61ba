"""The command line; see the package's docstring."""

import argparse
import sys
from pathlib import Path

from infra.supply_chain.audit import audit
from infra.supply_chain.hashes import renew
from infra.supply_chain.sbom import write


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.supply_chain")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("audit").add_argument("--strict", action="store_true", help="fail also if nothing is looked up")
    commands.add_parser("hashes")
    commands.add_parser("sbom").add_argument("file", type=Path)
    given = parser.parse_args()
    if given.command == "audit":
        return audit(strict=given.strict)
    if given.command == "hashes":
        print("\n".join(f"{file}: new hashes" for file in renew()) or "The hashes of the layers are up to date.")
        return 0
    write(given.file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
