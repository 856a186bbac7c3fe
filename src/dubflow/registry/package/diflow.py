"""Packages of DiFlowDubber models: from a stored model, and back to one that speaks."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

from dubflow.corpora.cache import content_key
from dubflow.corpora.manifest import CorpusManifest
from dubflow.diflow.stored import CARD, CODEC, FACTS, LINEAGE, WEIGHTS, ModelFacts, StoredModel, load_model, read_facts
from dubflow.errors import BadInput, WrongUse
from dubflow.media.digest import sha256_file
from dubflow.registry.compatibility import CodecFacts, check_diflow
from dubflow.registry.licences import UNKNOWN, LicencePolicy, check_licences, corpus_licences
from dubflow.registry.package.build import Contents, pack
from dubflow.registry.package.contents import files_below
from dubflow.registry.package.facts import DiflowFacts
from dubflow.registry.package.lineage import Lineage, Node, corpus_nodes
from dubflow.registry.package.manifest import PartLicence
from dubflow.registry.package.opening import ModelPackage, open_package
from dubflow.registry.run_link import RUN_FILE
from dubflow.training.eight_bit import without_scales

DRIFT = "drift.json"
OWN_LICENCE = "Apache-2.0"
"""Of weights that dubflow trained; what they were trained on may bring terms of its own."""


def build_package(
    stored_model_folder: Path,
    out: Path,
    key: Path | None,
    *,
    name: str | None = None,
    corpora: Sequence[CorpusManifest] = (),
    licences: Sequence[PartLicence] = (),
    teacher: Path | None = None,
) -> ModelPackage:
    """Pack a stored model.

    Args:
        stored_model_folder: what ``dubflow train`` left in OUT/model.
        out: folder of the package, made whole or not at all.
        key: private key that signs it (:func:`dubflow.registry.package.signing.generate_key`); None: not signed.
        name: of the model in the registry; ``diflow-STAGE`` when it is None.
        corpora: what it was trained on; their clips, prompts and licences go into lineage and licences. A model whose
            corpus is not given names it as of unknown licence, which a commercial deployment refuses.
        licences: of further parts, or (with ``corpus NAME`` as part) of a corpus that is not given, or of ``weights``.
        teacher: folder of the stored model of stage 1; checked to be the one that the lineage names.

    Raises:
        BadInput: what :func:`read_facts` says; ``registry.incompatible``, ``registry.other_teacher``,
            ``registry.other_corpus``, and those of :func:`dubflow.registry.package.build.pack`.
        WrongUse: ``registry.package_exists``, ``registry.bad_name``.
    """
    folder = Path(stored_model_folder)
    facts = read_facts(folder)
    record = _record(folder / LINEAGE)
    described = package_facts(folder, facts, record)
    check_diflow(described, codec_facts(folder / CODEC), None if teacher is None else _teacher(teacher, described))
    lineage = _lineage(folder, facts, record, corpora)
    contents = Contents(
        name=name or f"diflow-{facts.stage}",
        facts=described,
        licences=_licences(record, corpora, licences),
        lineage=lineage,
        card=(folder / CARD).read_text(encoding="utf-8"),
        files={WEIGHTS: folder / WEIGHTS, FACTS: folder / FACTS} | _codec_files(folder / CODEC) | _drift(folder),
    )
    return pack(contents, out, key)


def load_package(folder: Path, trusted_keys: Sequence[Path], policy: LicencePolicy | None = None) -> StoredModel:
    """Open a package and load its model: signature, files, licences and compatibility first, weights last.

    Args:
        trusted_keys: public keys, PEM. policy: what this deployment may use; None: not asked.

    Raises:
        BadInput: those of :func:`open_package`, ``registry.licence_refused``, ``registry.incompatible``, and what
            :func:`load_model` says.
        WrongUse: ``registry.wrong_kind`` for a package of another family, ``registry.no_trusted_key``.
    """
    package = open_package(folder, trusted_keys)
    if not isinstance(package.facts, DiflowFacts):
        raise WrongUse(
            "registry.wrong_kind",
            f"{folder} is a package of the kind {package.facts.kind!r}, not of a DiFlowDubber model.",
            "Name a package of a model that speaks by itself.",
        )
    if policy is not None:
        check_licences(package.manifest.licences, policy)
    check_diflow(package.facts, codec_facts(package.folder / CODEC))
    return load_model(package.folder)


def package_facts(folder: Path, facts: ModelFacts, record: dict[str, Any]) -> DiflowFacts:
    """What the package of a stored model says of it; the weights' header is read, not the weights.

    Raises:
        BadInput: ``registry.bad_weights_file``.
    """
    shapes = without_scales(_header(folder / WEIGHTS))
    settings = facts.settings
    books = {"prosody": settings.books.prosody, "content": settings.books.content, "acoustic": settings.books.acoustic}
    return DiflowFacts(
        stage=facts.stage,
        world=facts.world,
        languages=facts.languages,
        preset=facts.preset,
        steps=facts.steps,
        parameters=sum(prod(shape) for _, shape in shapes.values()),
        precision=tuple(sorted({dtype for dtype, _ in shapes.values()})),
        codec=facts.codec,
        codes=settings.books.codes,
        books=books,
        speaker=settings.speaker,
        width=settings.width,
        symbols=settings.text.symbols,
        extractors=facts.extractors,
        teacher=_digest(_run(record).get("teacher")),
    )


def codec_facts(folder: Path) -> CodecFacts:
    """Facts of a codec folder; a classical codec's from its card alone, FACodec's by reading it.

    Raises:
        BadInput: ``speech.not_a_codec``, ``speech.codec_folder_broken``.
    """
    from dubflow.speech.codecs import BOOK_SIZE, Tokens
    from dubflow.speech.codecs.stored import load_codec
    from dubflow.speech.codecs.world import storage

    if (Path(folder) / storage.CARD).is_file():
        card = storage.read_card(folder)
        return CodecFacts(card.id, card.book_size, card.books, card.speaker_size)
    codec = load_codec(folder)
    return CodecFacts(codec.id, BOOK_SIZE, dict(Tokens.BOOKS), None)


def _header(path: Path) -> dict[str, tuple[str, list[int]]]:
    """Kind and shape of every tensor."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as weights:
            slices = {name: weights.get_slice(name) for name in weights.keys()}  # noqa: SIM118 - no mapping
            return {name: (str(one.get_dtype()), list(one.get_shape())) for name, one in slices.items()}
    except (OSError, SafetensorError) as error:
        raise BadInput(
            "registry.bad_weights_file", f"{path} is not a safetensors file: {error}", "Store the model again."
        ) from error


def _record(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(
            "registry.bad_lineage", f"{path} cannot be read: {error}.", "Train or store the model again."
        ) from error
    return content if isinstance(content, dict) else {}


def _run(record: dict[str, Any]) -> dict[str, Any]:
    run = record.get("run")
    return run if isinstance(run, dict) else {}


def _digest(value: object) -> str | None:
    """``value`` where it is a SHA-256; a record written by hand may hold anything."""
    return value if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) else None


def _teacher(folder: Path, model: DiflowFacts) -> DiflowFacts:
    facts = read_facts(folder)
    digest = sha256_file(Path(folder) / WEIGHTS)
    if model.teacher is not None and digest != model.teacher:
        raise BadInput(
            "registry.other_teacher",
            f"{folder} has other weights ({digest[:16]}…) than the teacher of this model ({model.teacher[:16]}…).",
            "Name the very model of stage 1 that it was distilled from; a copy in half precision is another.",
        )
    return package_facts(folder, facts, _record(Path(folder) / LINEAGE))


def _lineage(folder: Path, facts: ModelFacts, record: dict[str, Any], corpora: Sequence[CorpusManifest]) -> Lineage:
    """Prompts and clips → corpus → prepared set → run → model, with codec and teacher beside."""
    run, names = _run(record), [corpus.header.name for corpus in corpora]
    trained_on = record.get("corpus")
    if corpora and isinstance(trained_on, str) and trained_on not in names:
        raise BadInput(
            "registry.other_corpus",
            f"The model was trained on {trained_on!r}; given are {', '.join(names)}.",
            "Name the corpus that its data was prepared from.",
        )
    nodes = [
        Node(id="model", kind="model", digest=sha256_file(folder / WEIGHTS), name=f"diflow {facts.stage}"),
        Node(id="run", kind="run", digest=content_key(run) if run else None, name=_run_name(folder, facts)),
        Node(id="codec", kind="codec", name=facts.codec),
    ]
    edges = [("run", "model"), ("codec", "run")]
    data, teacher = _digest(run.get("data")), _digest(run.get("teacher"))
    if data is not None:
        nodes.append(Node(id="prepared", kind="prepared", digest=data, name=str(trained_on or "")))
        edges += [("prepared", "run"), ("codec", "prepared")]
    if teacher is not None:
        nodes.append(Node(id="teacher", kind="teacher", digest=teacher))
        edges.append(("teacher", "run"))
    into = "run" if data is None else "prepared"
    for corpus in corpora:
        more, links = corpus_nodes(corpus, into)
        nodes += more
        edges += links
    if isinstance(trained_on, str) and trained_on and trained_on not in names:
        nodes.append(Node(id=f"corpus:{trained_on}", kind="corpus", name=trained_on))
        edges.append((f"corpus:{trained_on}", into))
    return Lineage(nodes=tuple(nodes), edges=tuple(edges), record=record)


def _run_name(folder: Path, facts: ModelFacts) -> str:
    """``mlflow RUN_ID`` where the training was tracked, else the preset."""
    try:
        kept = json.loads((folder.parent / RUN_FILE).read_text(encoding="utf-8"))
        return f"mlflow {kept['run_id']}"
    except (OSError, ValueError, KeyError, TypeError):
        return facts.preset


def _licences(
    record: dict[str, Any], corpora: Sequence[CorpusManifest], given: Sequence[PartLicence]
) -> tuple[PartLicence, ...]:
    said = [*given, *(one for corpus in corpora for one in corpus_licences(corpus))]
    parts = {one.part for one in said}
    trained_on = record.get("corpus")
    if "weights" not in parts:
        said.append(PartLicence(part="weights", licence=OWN_LICENCE))
    if isinstance(trained_on, str) and trained_on and f"corpus {trained_on}" not in parts:
        said.append(PartLicence(part=f"corpus {trained_on}", licence=UNKNOWN, note="not given when it was packed"))
    if "codec" not in parts:
        said.append(PartLicence(part="codec", licence=OWN_LICENCE))
    return tuple(sorted(set(said), key=lambda one: (one.part, one.licence, one.note)))


def _drift(folder: Path) -> dict[str, Path]:
    """What live clips are compared with, where somebody has measured the model's corpus."""
    path = folder / DRIFT
    return {DRIFT: path} if path.is_file() else {}


def _codec_files(folder: Path) -> dict[str, Path]:
    return {f"{CODEC}/{name}": path for name, path in files_below(folder).items()}
