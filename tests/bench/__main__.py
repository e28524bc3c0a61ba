"""`python -m tests.bench` times warm renders, then the hand-over; the argument `handover` or `cold` selects one."""

import sys

from .cold import cold
from .handover import handover
from .speed import main

if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
            handover()
        case ["cold"]:
            cold()
        case ["handover"]:
            handover()
        case _:
            sys.exit("python -m tests.bench [cold | handover]")
