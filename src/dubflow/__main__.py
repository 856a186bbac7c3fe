"""``python -m dubflow`` is the same program as ``dubflow``."""

from dubflow.cli.main import run

if __name__ == "__main__":
    run()
