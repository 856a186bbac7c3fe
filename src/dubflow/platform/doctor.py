"""Checks of this machine: each tries the real thing (loads the library, speaks a word, opens a face model).

What is missing is named with the package that brings it, Python's or the system's.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from dubflow.errors import EXTRAS, DubflowError, missing_extra
from dubflow.quiet import native_output_hidden

State = Literal["fine", "optional", "missing"]

SYSTEM_PACKAGES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libGLESv2.so.2": "libgles2",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgomp.so.1": "libgomp1",
    "libstdc++.so.6": "libstdc++6",
    "libportaudio.so.2": "libportaudio2",
    "libsndfile.so.1": "libsndfile1",
}
"""System libraries that wheels of ours load, and the Debian or Ubuntu package that brings each."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's answer.

    Attributes:
        what: the thing looked for. state: ``missing`` only where the embedded world needs it.
        detail: what was found. remedy: what to do about it, empty when fine.
    """

    what: str
    state: State
    detail: str
    remedy: str = ""


def examine() -> list[Finding]:
    """All findings, in the order a person would look for them."""
    return [*_machine(), *_packages(), *_abilities()]


def _machine() -> Iterator[Finding]:
    version = platform.python_version()
    if sys.version_info[:2] in {(3, 11), (3, 12)}:
        yield Finding("Python", "fine", version)
    else:
        yield Finding("Python", "missing", version, "Use Python 3.11 or 3.12.")
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield Finding(
        "machine", "fine", f"{platform.system()} {platform.machine()}, {cores} cores, {memory:.0f} GiB memory"
    )
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    if free >= 2:
        yield Finding("disk", "fine", f"{free:.0f} GiB free here")
    else:
        yield Finding("disk", "missing", f"{free:.1f} GiB free here", "Free at least 2 GiB or work in another folder.")


@dataclass(frozen=True)
class _Package:
    module: str
    distribution: str
    state_without: State = "missing"


_PACKAGES = (
    _Package("numpy", "numpy"),
    _Package("av", "av"),
    _Package("soxr", "soxr"),
    _Package("pysubs2", "pysubs2"),
    _Package("safetensors", "safetensors"),
    _Package("cv2", "opencv-python-headless"),
    _Package("mediapipe", "mediapipe"),
    _Package("espeakng_loader", "espeakng-loader"),
    _Package("pocketsphinx", "pocketsphinx"),
    _Package("pyworld", "pyworld"),
    _Package("praatio", "praatio"),
    _Package("torch", "torch", "optional"),
    _Package("lightning", "lightning", "optional"),
    _Package("matplotlib", "matplotlib", "optional"),
    _Package("mlflow", "mlflow", "optional"),
    _Package("jiwer", "jiwer", "optional"),
    _Package("pystoi", "pystoi", "optional"),
    _Package("pesq", "pesq", "optional"),
    _Package("dvc", "dvc", "optional"),
)


def _packages() -> Iterator[Finding]:
    for package in _PACKAGES:
        yield import_finding(package.module, package.distribution, package.state_without)


def import_finding(module: str, distribution: str, state_without: State = "missing") -> Finding:
    """Import ``module`` for real: a wheel that is installed but cannot load its system library is not fine."""
    extra = EXTRAS.get(module)
    command = f"pip install 'dubflow[{extra}]'" if extra else "pip install dubflow"
    if module == "mediapipe":
        command = "pip install --no-deps -r requirements-nodeps.lock"
    try:
        with native_output_hidden():
            importlib.import_module(module)
    except ModuleNotFoundError as error:
        absent = error.name or module
        detail = "not installed" if absent == module else f"needs {absent}"
        return Finding(distribution, state_without, detail, command)
    except (ImportError, OSError) as error:
        library, package = system_package_for(str(error))
        if package:
            return Finding(distribution, state_without, f"cannot load {library}", f"apt-get install {package}")
        return Finding(distribution, state_without, f"installed, but: {error}", "")
    return Finding(distribution, "fine", _version(module, distribution))


def _version(module: str, distribution: str) -> str:
    """Of what brings the module, which may be a smaller distribution than the usual one (mlflow-skinny)."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        names = importlib.metadata.packages_distributions().get(module, [])
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in sorted(set(names))) or "here"


def system_package_for(message: str) -> tuple[str, str]:
    """The shared library that a loader's message names and the system package that brings it, or two empty strings."""
    for library, package in SYSTEM_PACKAGES.items():
        if f"{library.split('.so')[0]}.so" in message:
            return library, package
    return "", ""


def _abilities() -> Iterator[Finding]:
    yield _ability("H.264 and AAC encoding", _encode)
    yield _ability("espeak-ng voices", _speak)
    yield _ability("face model", _look)
    yield _ability("starter model", _starter, "optional")
    yield _ability("bfloat16", _bfloat16, "optional")


def _ability(what: str, attempt: Callable[[], str], state_without: State = "missing") -> Finding:
    try:
        with native_output_hidden():
            return Finding(what, "fine", attempt())
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        remedy = missing_extra(module).hint if module in EXTRAS else "Run `make demo` to reinstall the lock."
        return Finding(what, state_without, f"needs {error.name}", remedy)
    except DubflowError as error:
        return Finding(what, state_without, error.headline, error.hint)
    except Exception as error:  # whatever a broken installation raises is this line's finding
        return Finding(what, "missing", f"{type(error).__name__}: {error}", "Run `make demo` to reinstall the lock.")


def _encode() -> str:
    """Two frames and their sound, written and read back."""
    import numpy as np

    from dubflow.media.decode import read_clip
    from dubflow.media.encode import write_clip

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "two.mp4"
        write_clip(path, np.zeros((2, 32, 32, 3), np.uint8), Fraction(25), np.zeros(1280, np.float32))
        clip = read_clip(path)
    return f"{clip.frame_count} frames and {clip.sample_count} samples came back"


def _speak() -> str:
    """One word in every language."""
    from dubflow.speech.espeak import EspeakSynthesizer
    from dubflow.speech.voices import LANGUAGES, Voice

    with EspeakSynthesizer() as synthesizer:
        seconds = sum(synthesizer.synthesize("a", Voice(language=language)).duration for language in LANGUAGES)
    return f"{', '.join(LANGUAGES)}: {seconds:.1f} s spoken"


def _look() -> str:
    """The face model opens and looks at a picture without anyone in it."""
    import numpy as np

    from dubflow.faces.landmarks import MediaPipeLandmarker

    tracks = MediaPipeLandmarker().landmarks(np.zeros((1, 64, 64, 3), np.uint8))
    return f"opened; {len(tracks.tracks)} faces on an empty picture"


def _starter() -> str:
    """Both models that come with the package are read whole, and their codec."""
    from dubflow.diflow.stored import STARTER, STARTER_TTS, find_model, load_model

    dubber, teacher = (load_model(find_model(name)) for name in (STARTER, STARTER_TTS))
    facts = dubber.facts
    sizes = [sum(p.numel() for p in model.network.parameters()) / 1e6 for model in (teacher, dubber)]
    return (
        f"{', '.join(facts.languages)}; {sizes[0]:.1f} and {sizes[1]:.1f} million parameters; "
        f"{dubber.codec().id}; trained on the {facts.world} world"
    )


def _bfloat16() -> str:
    """Where training would use it."""
    import torch

    from dubflow.training.devices import has_bf16

    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        return f"{name}: {'yes' if has_bf16(gpu=True) else 'no; training runs in float32'}"
    return "no GPU; processor: " + ("yes" if has_bf16(gpu=False) else "no; training runs in float32")
