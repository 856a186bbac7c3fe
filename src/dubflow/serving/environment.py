"""Whether the Triton server of the ``nvidia-pytriton`` wheel can run here, and where its parts lie."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from dubflow.errors import WrongUse

LEAST_GLIBC = (2, 34)
_MACHINE = "x86_64"


@dataclass(frozen=True)
class Wheel:
    """Files of an installed wheel.

    Attributes:
        server: the program.
        backend: files that make up the Python backend for this Python, its stub among them.
    """

    server: Path
    backend: tuple[Path, ...]


def find_wheel() -> Wheel | None:
    """The wheel's parts for this Python; None where it is not installed or has no stub for it."""
    found = importlib.util.find_spec("pytriton")  # finds, does not import: its import starts much
    if found is None or found.origin is None:
        return None
    root = Path(found.origin).parent / "tritonserver"
    stub = root / "python_backend_stubs" / _python() / "triton_python_backend_stub"
    backend = root / "backends" / "python"
    files = (backend / "libtriton_python.so", backend / "triton_python_backend_utils.py", stub)
    server = root / "bin" / "tritonserver"
    return Wheel(server, files) if all(path.is_file() for path in (server, *files)) else None


def no_triton(why: str) -> WrongUse:
    """The error for insisting on Triton where it cannot run."""
    return WrongUse("serving.no_triton", f"Triton cannot run here: {why}.", "Serve in-process instead.")


def why_not() -> str:
    """Why Triton cannot run on this machine, in one sentence; empty where it can."""
    if sys.platform != "linux" or platform.machine() != _MACHINE:
        return f"the wheel's server is for Linux on {_MACHINE}; this is {sys.platform} on {platform.machine()}"
    glibc = _glibc()
    if glibc < LEAST_GLIBC:
        named = ".".join(map(str, glibc)) if glibc else "of another kind"
        return f"the server needs glibc {'.'.join(map(str, LEAST_GLIBC))}; the C library here is {named}"
    if find_wheel() is None:
        return f"the nvidia-pytriton wheel is not installed, or has no stub for Python {_python()}"
    if libpython() is None:
        return f"this Python {_python()} has no shared libpython, which the stub wants"
    if not os.access("/dev/shm", os.W_OK):  # noqa: S108 - that is where the server's processes meet
        return "there is no shared memory (/dev/shm) to write to"
    return ""


def libpython() -> Path | None:
    """Folder of this Python's shared library; None where it was built without one."""
    folder, name = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    return Path(folder) if folder and name and (Path(folder) / name).is_file() else None


def check_numpy(version: str | None = None) -> None:
    """Refuse numpy 2: with it the server's Python stub answers empty tensors, and says that all went well.

    Args:
        version: of numpy; by default that which is installed.

    Raises:
        WrongUse: ``serving.numpy_2``.
    """
    version = importlib.metadata.version("numpy") if version is None else version
    if int(version.partition(".")[0]) >= 2:
        raise WrongUse(
            "serving.numpy_2",
            f"numpy {version} breaks this Triton server silently: its answers come back empty.",
            "Install numpy 1.26: pip install 'numpy>=1.26.4,<2'.",
            numpy=version,
        )


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _glibc() -> tuple[int, ...]:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError):  # another C library does not know the question
        return ()
    return tuple(map(int, version.split("."))) if name == "glibc" else ()
