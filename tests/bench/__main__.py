"""`python -m tests.bench`."""

from .speed import main

if __name__ == "__main__":
    main()
