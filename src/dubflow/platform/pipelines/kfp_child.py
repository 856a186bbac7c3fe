"""kfp.local in a process of its own: ``python -m dubflow.platform.pipelines.kfp_child RUN``.

It ends with the process that started it, and steps end with it; so a run is ended by ending this, whatever its threads
are waiting for. It says what KFP says, on standard output, and leaves with 1 where the pipeline failed.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import warnings
from pathlib import Path

from dubflow.parallel import end_with_parent
from dubflow.platform.pipelines.local_form import local_form
from dubflow.platform.pipelines.records import ARTIFACTS, CACHE, PIPELINE, RECORD
from dubflow.platform.steps.following import RUNNER
from dubflow.platform.steps.refusals import RUN


def main(run: Path) -> int:
    """Run the pipeline that lies in the folder ``run`` with the arguments of its record."""
    end_with_parent(signal.SIGKILL)
    os.environ.update({RUN: str(run), RUNNER: str(os.getpid()), "PYTHONUNBUFFERED": "1"})
    # Steps that run side by side share the cores; threads that wait busily would keep them from one another.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    warnings.filterwarnings("ignore")
    from kfp import components, local

    artifacts = run / ARTIFACTS
    artifacts.mkdir(parents=True, exist_ok=True)
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(artifacts),
        workspace_root=str(artifacts / ".kfp"),
        enable_caching=True,
        cache_root=str(run.parent / CACHE),
    )
    arguments = json.loads((run / RECORD).read_text(encoding="utf-8"))["arguments"]
    pipeline = components.load_component_from_text(local_form((run / PIPELINE).read_text(encoding="utf-8")))
    try:
        pipeline(**arguments)
    except RuntimeError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
