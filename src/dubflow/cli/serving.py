"""What verbs about a running server share: where its state lies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

State = Annotated[
    Path | None,
    typer.Option("--state", envvar="DUBFLOW_GATEWAY_STATE", help="Folder of the server; `serve` in DUBFLOW_HOME."),
]
