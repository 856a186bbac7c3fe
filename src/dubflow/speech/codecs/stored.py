"""Opens a codec folder, whichever codec lies in it."""

from __future__ import annotations

from pathlib import Path

from dubflow.errors import BadInput
from dubflow.speech.codecs import Codec


def load_codec(folder: Path, device: str = "cpu") -> Codec:
    """The codec of a folder; its card says which one.

    Args:
        device: of torch, for a codec that is a network.

    Raises:
        BadInput: ``speech.not_a_codec`` when there is no card, ``speech.codec_folder_broken`` when what it describes
            is damaged.
        WrongUse: ``install.missing_extra``.
    """
    folder = Path(folder)
    if (folder / "world.json").is_file():
        from dubflow.speech.codecs.world.storage import load_world

        return load_world(folder)
    if (folder / "facodec.json").is_file():
        from dubflow.speech.codecs.facodec import load_facodec

        return load_facodec(folder, device=device)
    raise BadInput(
        "speech.not_a_codec",
        f"{folder} holds no codec (neither world.json nor facodec.json).",
        "Make one: dubflow codec fit CORPUS --out DIR, or dubflow codec convert facodec.",
    )
