"""Typed errors: each has a code, a headline and a hint, and says whose doing it was.

A code reads ``room.what_happened`` (for example ``media.no_video``). Codes are a contract: scripts match on them, and
``docs/errors.md`` lists every one. Retries and exit codes follow from the class, never from the text.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar


class ExitCode(IntEnum):
    """What a ``dubflow`` process answers its shell."""

    FINE = 0
    WRONG_USE = 2
    BAD_INPUT = 3
    OURS = 4
    INTERRUPTED = 130


class DubflowError(Exception):
    """Base of every error that dubflow raises on purpose.

    Args:
        code: stable identifier, ``room.snake_case``.
        headline: one sentence, what went wrong, with the name of the thing it went wrong with.
        hint: one sentence, what to do next; empty when there is nothing to do.
        details: values for machines; JSON types only.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.OURS
    users_doing: ClassVar[bool] = False
    retryable: ClassVar[bool] = True

    def __init__(self, code: str, headline: str, hint: str = "", **details: Any) -> None:
        super().__init__(code, headline, hint)
        self.code = code
        self.headline = headline
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        return f"{self.headline} [{self.code}]" + (f" {self.hint}" if self.hint else "")

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process boundaries (pools, the decoding child); the default reduce would drop ``details``.
        return _rebuild, (type(self), self.code, self.headline, self.hint, self.details)

    def as_dict(self) -> dict[str, Any]:
        """The form that ``--json`` prints and that HTTP answers carry."""
        return {
            "code": self.code,
            "headline": self.headline,
            "hint": self.hint,
            "users_doing": self.users_doing,
            **({"details": self.details} if self.details else {}),
        }


class WrongUse(DubflowError):
    """The command or call was put wrongly: an unknown option, a missing extra, settings that contradict each other."""

    exit_code = ExitCode.WRONG_USE
    users_doing = True
    retryable = False


class BadInput(DubflowError):
    """The call was right, the material is not: a broken file, a manifest that disagrees with its clips."""

    exit_code = ExitCode.BAD_INPUT
    users_doing = True
    retryable = False


class OurFault(DubflowError):
    """We failed on input that we should have handled, or the machine failed us (disk full, child killed)."""


def restored(content: dict[str, Any], exit_code: int) -> DubflowError:
    """An error from what another process printed with ``--json``; its exit code says whose doing it was."""
    kinds: dict[int, type[DubflowError]] = {int(kind.exit_code): kind for kind in (WrongUse, BadInput)}
    kind = kinds.get(exit_code, OurFault)
    details = content.get("details") or {}
    return kind(str(content.get("code")), str(content.get("headline")), str(content.get("hint", "")), **details)


EXTRAS = {
    "cv2": "faces",
    "mediapipe": "faces",
    "espeakng_loader": "speech",
    "pocketsphinx": "speech",
    "praatio": "speech",
    "pyworld": "speech",
    "torch": "features",
    "lightning": "diflow",
    "matplotlib": "diflow",
    "mlflow": "tracking",
    "cryptography": "judging",
    "jiwer": "judging",
    "pystoi": "judging",
    "pesq": "judging",
    "librosa": "judging",
    "onnxruntime": "judging",
    "pyarrow": "judging",
    "resemblyzer": "judging",
    "scipy": "judging",
    "speechmos": "judging",
    "transformers": "judges",
    "model_signing": "registry",
    "kfp": "pipelines",
    "dvc": "data",
    "diffusers": "incontext",
    "peft": "incontext",
    "accelerate": "incontext",
    "pytriton": "serving",
    "tritonclient": "serving",
    "prometheus_client": "serving",
    "fastapi": "gateway",
    "uvicorn": "gateway",
    "sqlalchemy": "gateway",
    "httpx": "gateway",
    "c2pa": "gateway",
    "opentelemetry": "telemetry",
    "boto3": "s3",
    "kubernetes_validate": "cluster",
    "jsonschema": "cluster",
}
"""Importable modules that only an extra brings, and which."""


def missing_extra(module: str) -> WrongUse:
    """The error for importing a ``module`` of :data:`EXTRAS` that is not installed."""
    extra = EXTRAS[module]
    return WrongUse(
        "install.missing_extra",
        f"The Python package {module!r} is not installed.",
        f"Install it with: pip install 'dubflow[{extra}]' (or run `make demo`, which installs everything).",
        module=module,
        extra=extra,
    )


def _rebuild(kind: type[DubflowError], code: str, headline: str, hint: str, details: dict[str, Any]) -> DubflowError:
    return kind(code, headline, hint, **details)
