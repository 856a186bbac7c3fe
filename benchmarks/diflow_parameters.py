"""Parameters of DiFlowDubber part by part, beside the paper's 250 million; nothing is allocated.

python benchmarks/diflow_parameters.py [--preset paper]
"""

from __future__ import annotations

import argparse

from dubflow.config import load_preset
from dubflow.diflow.nets.report import parameter_report
from dubflow.diflow.nets.settings import NetSettings


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="paper", help="a shipped preset or a YAML file")
    print("\n".join(parameter_report(load_preset(parser.parse_args().preset, "nets", NetSettings)).lines()))


if __name__ == "__main__":
    main()
