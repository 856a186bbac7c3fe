"""dubflow trains, judges, releases and serves video-dubbing models."""

import os

__version__ = "0.1.0"

# ONNX Runtime reports its use to its makers, and Lightning's metrics import it wherever it is installed. Whoever wants
# that sets the variable to 0 beforehand.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
