"""LibriTTS: audiobooks, ``subset/speaker/chapter/utterance.wav`` (Zen et al. 2019, https://openslr.org/60; CC BY 4.0).

Texts lie beside each file as ``.normalized.txt`` (what is taken) and ``.original.txt``. An utterance is named
``speaker_chapter_paragraph_sentence``; a name that disagrees with its folders is broken. Subsets give the split:
``train-…``, ``dev-…`` (val), ``test-…``.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from dubflow.corpora.gather import gather
from dubflow.corpora.listing import AUDIO_SUFFIXES, Listed, Listing, MediaIndex, ReadOptions, clip_id, read_text, walk
from dubflow.corpora.manifest import Split
from dubflow.corpora.result import ImportResult
from dubflow.errors import BadInput
from dubflow.progress import Progress

LICENCE = "CC BY 4.0"
_NORMALIZED, _ORIGINAL = ".normalized.txt", ".original.txt"


def read(root: Path, options: ReadOptions | None = None, report: Progress | None = None) -> ImportResult:
    """Read one subset, several, or the folder above them."""
    options = options or ReadOptions()
    root = Path(root)
    listing = Listing()
    audio = {path.with_suffix("").as_posix(): path for path in MediaIndex(root, AUDIO_SUFFIXES).files}
    texts = {
        path.relative_to(root).as_posix().removesuffix(_NORMALIZED)
        for path in walk(root)
        if path.name.endswith(_NORMALIZED)
    }
    for stem in sorted({*audio, *texts}):
        _list_utterance(listing, root, stem, audio.get(stem), has_text=stem in texts)
    return gather(root, listing, options, report)


def _list_utterance(listing: Listing, root: Path, stem: str, audio: Path | None, *, has_text: bool) -> None:
    path = PurePosixPath(stem)
    # The root's own name may be the subset, so folders above the root count as well.
    folders = (root.absolute() / stem).parts[:-1]
    speaker, chapter = folders[-2:]
    if path.name.split("_")[:2] != [speaker, chapter]:
        listing.broken(
            stem, "corpora.libritts_name_disagrees", f"{path.name!r} does not lie in its speaker/chapter folder."
        )
        return
    if not has_text:
        listing.broken(stem, "corpora.libritts_no_text", f"{path.name}{_NORMALIZED} is not beside it.")
        return
    original = root / f"{stem}{_ORIGINAL}"
    subset = folders[-3] if len(folders) > 2 else ""
    try:
        text = read_text(root / f"{stem}{_NORMALIZED}").strip()
        source = {"subset": subset, **({"original": read_text(original).strip()} if original.is_file() else {})}
    except BadInput as error:
        listing.broken(stem, error.code, error.headline)
        return
    listing.clips.append(
        Listed(
            item=stem,
            id=clip_id(path.name),
            path=None if audio is None else audio.as_posix(),
            language="en",
            speaker=speaker,
            transcript=text,
            licence=LICENCE,
            split=_split(subset),
            source=source,
        )
    )


def _split(subset: str) -> Split | None:
    splits: dict[str, Split] = {"train": "train", "dev": "val", "test": "test"}
    return splits.get(subset.split("-")[0])
