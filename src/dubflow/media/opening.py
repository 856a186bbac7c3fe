"""Opening a file that somebody named: only regular files, each refusal with its own code."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from dubflow.errors import BadInput
from dubflow.media.limits import Limits


def open_regular(path: str | Path, limits: Limits | None = None) -> BinaryIO:
    """Open ``path`` for reading; the caller closes it.

    Devices, pipes and folders are refused without being read (a pipe would block, a device never ends). With ``limits``
    an empty file and one that is too big are refused too.

    Raises:
        BadInput: ``media.missing``, ``media.no_permission``, ``media.not_a_file``, ``media.empty_file``,
            ``media.too_many_bytes``.
    """
    path = Path(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadInput("media.missing", f"There is no file {path}.", "Check the path.") from error
    except PermissionError as error:
        raise BadInput("media.no_permission", f"{path} may not be read.", "Check its permissions.") from error
    except OSError as error:
        raise BadInput(
            "media.not_a_file", f"{path} cannot be opened: {error.strerror}.", "Name a media file."
        ) from error
    except ValueError as error:
        raise BadInput("media.missing", f"{path!r} is not a path: {error}.", "Check the path.") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BadInput("media.not_a_file", f"{path} is not a regular file.", "Name a media file.")
        if limits is not None:
            _check_size(path, status.st_size, limits)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def _check_size(path: Path, size: int, limits: Limits) -> None:
    if size == 0:
        raise BadInput("media.empty_file", f"{path} is empty (0 bytes).", "Copy or download it again.")
    if size > limits.bytes:
        raise BadInput(
            "media.too_many_bytes",
            f"{path} has {size} bytes; the limit is {limits.bytes}.",
            "Cut it, or raise the limit on bytes.",
            bytes=size,
            limit=limits.bytes,
        )
