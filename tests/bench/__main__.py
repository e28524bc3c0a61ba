"""`python -m tests.bench`: warm renders; `python -m tests.bench cold`: cold starts."""

import sys

from .cold import cold
from .speed import main

if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case ["cold"]:
            cold()
        case _:
            sys.exit("python -m tests.bench [cold]")
