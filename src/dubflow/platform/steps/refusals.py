"""What a step refused by the user's doing, remembered for one run.

A scheduler repeats a failed step whatever the reason. The repetition finds here that the same words were refused in the
same run and gives the same answer, without the work that led to it. Another run, or a resumption, asks afresh.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from dubflow.atomic import write_json
from dubflow.corpora.cache import content_key
from dubflow.errors import DubflowError, restored

RUN = "DUBFLOW_RUN"
"""Environment variable: the folder of the run that a step belongs to, on this machine."""
FOLDER = "refused"
_POD = "KFP_POD_NAME"


def refusals_folder() -> Path | None:
    """Where they lie: in the run's folder here; on a cluster in the workspace, by workflow; None outside of any run."""
    if os.environ.get(RUN):
        return Path(os.environ[RUN]) / FOLDER
    pod, workspace = os.environ.get(_POD), os.environ.get("DUBFLOW_WORKSPACE")
    if not pod or not workspace:
        return None
    # All tries of a run's steps are pods of one workflow, whose name they begin with.
    workflow = re.sub(r"-(system|root|[0-9]+$).*", "", pod)
    return Path(workspace) / FOLDER / workflow


def remember_refusal(words: Sequence[str], error: DubflowError) -> None:
    """Keep that ``words`` were refused in this run."""
    folder = refusals_folder()
    if folder is not None:
        write_json(_path(folder, words), error.as_dict() | {"exit_code": int(error.exit_code)})


def recall_refusal(words: Sequence[str]) -> DubflowError | None:
    """The refusal of the same words earlier in this run."""
    folder = refusals_folder()
    if folder is None or not _path(folder, words).is_file():
        return None
    content = json.loads(_path(folder, words).read_text(encoding="utf-8"))
    return restored(content, content["exit_code"])


def _path(folder: Path, words: Sequence[str]) -> Path:
    return folder / f"{content_key({'words': list(words)})[:32]}.json"
