"""Cards: what is written comes back, what contradicts itself is refused, and old files stay readable."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from dubflow.errors import BadInput
from dubflow.judging.card.files import read_card, read_rows, write_card, write_rows
from dubflow.judging.card.rows import ClipScore, Metric, score_protocol
from judging.card.samples import JUDGES, METRICS, PROTOCOL, clip_rows, sample_card

GOLDEN = Path(__file__).parent / "golden" / "card"


def test_golden_card_reads_as_it_was_written(tmp_path: Path) -> None:
    assert read_card(GOLDEN) == sample_card()
    written = write_card(sample_card(), tmp_path / "card")
    assert (written / "card.json").read_text("utf-8") == (GOLDEN / "card.json").read_text("utf-8")
    assert pq.read_table(written / "rows.parquet").equals(pq.read_table(GOLDEN / "rows.parquet"))


def test_rows_come_back_from_parquet(tmp_path: Path) -> None:
    write_rows(clip_rows()[::-1], tmp_path / "rows.parquet")
    assert read_rows(tmp_path / "rows.parquet") == clip_rows()


def _json(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        content = json.loads((folder / "card.json").read_text("utf-8"))
        change(content)
        (folder / "card.json").write_text(json.dumps(content), "utf-8")

    return apply


def _table(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        pq.write_table(change(pq.read_table(folder / "rows.parquet")), folder / "rows.parquet")

    return apply


def _cell(column: str, value: Any) -> Callable[[Any], Any]:
    def change(table: Any) -> Any:
        place = table.column_names.index(column)
        cells = [value, *table.column(column).to_pylist()[1:]]
        return table.set_column(place, column, pa.array(cells, table.schema.field(column).type))

    return change


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda folder: (folder / "card.json").unlink(), "judging.no_card"),
        (lambda folder: (folder / "rows.parquet").unlink(), "judging.no_card"),
        (lambda folder: (folder / "card.json").write_text("{"), "judging.bad_card"),
        (lambda folder: (folder / "card.json").write_text("[]"), "judging.unknown_format"),
        (lambda folder: (folder / "rows.parquet").write_bytes(b"PAR1"), "judging.bad_card"),
        (_json(lambda card: card.update(format="dubflow.card/2")), "judging.unknown_format"),
        (_json(lambda card: card.update(mood="good")), "judging.bad_card"),
        (_json(lambda card: card.update(success_rate=1.0)), "judging.bad_card"),
        (_json(lambda card: card["aggregates"][0].update(metric="cer")), "judging.bad_card"),
        (_json(lambda card: card["protocol"]["parts"].update(sample_rate=8000)), "judging.bad_card"),
        (_json(lambda card: card["metrics"][0].update(definition="another")), "judging.bad_card"),
        (_table(lambda table: table.replace_schema_metadata({"format": "x"})), "judging.unknown_format"),
        (_table(lambda table: table.append_column("mood", table.column("clip"))), "judging.bad_card"),
        (_table(lambda table: table.drop_columns(["over.wer"])), "judging.bad_card"),
        (_table(lambda table: table.slice(1)), "judging.bad_card"),
        (_table(lambda table: pa.concat_tables([table, table])), "judging.bad_card"),
        (_table(_cell("value.wer", float("nan"))), "judging.not_finite"),
        (_table(_cell("value.wer", 0.2)), "judging.bad_card"),
        (_table(_cell("value.wer", None)), "judging.bad_card"),
        (_table(_cell("status", "fine")), "judging.bad_card"),
    ],
)
def test_cards_that_are_not_whole_are_refused(tmp_path: Path, spoil: Callable[[Path], object], code: str) -> None:
    folder = tmp_path / "card"
    shutil.copytree(GOLDEN, folder)
    spoil(folder)
    with pytest.raises(BadInput) as refused:
        read_card(folder)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "failed"},
        {"status": "failed", "reason": "x", "values": {"wer": 0.5}},
        {"status": "ok", "values": {"wer": None}},
        {"status": "ok", "values": {"wer": float("nan")}},
        {"status": "ok", "values": {"wer": float("inf")}},
        {"status": "ok", "values": {"wer": 0.5}, "blame": {"wer": "item"}},
        {"status": "ok", "values": {"wer": 0.5}, "weights": {"wer": (1.0, -2.0)}},
    ],
)
def test_rows_that_contradict_themselves_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ClipScore(clip="a", **fields)


def test_a_judged_metric_must_say_what_a_failure_counts() -> None:
    plain = METRICS[0].model_dump()
    with pytest.raises(ValidationError, match="worst"):
        Metric(**plain | {"worst": None})
    assert Metric(**plain | {"worst": None, "better": "none"}).worst is None


def test_the_protocol_id_moves_with_everything_that_moves_figures() -> None:
    def made(**changes: Any) -> str:
        fields: dict[str, Any] = {"benchmark": "12" * 32, "sample_rate": 16000, "crops": {"mouth": "96 pixels"}}
        judges = changes.pop("judges", JUDGES)
        metrics = changes.pop("metrics", METRICS)
        return score_protocol(judges, metrics, **fields | changes).id

    pin = JUDGES["encoder"]
    ids = [
        made(),
        made(benchmark="13" * 32),
        made(sample_rate=22050),
        made(crops={"mouth": "88 pixels"}),
        made(judges=JUDGES | {"encoder": pin.model_copy(update={"sha256": "ac" * 32})}),
        made(judges=JUDGES | {"encoder": pin.model_copy(update={"version": "2"})}),
        made(judges=JUDGES | {"encoder": pin.model_copy(update={"settings": {"window_s": 1.6}})}),
        made(metrics=METRICS[:-1]),
        made(metrics=(METRICS[0].model_copy(update={"definition": "per utterance"}), *METRICS[1:])),
    ]
    assert len(set(ids)) == len(ids)
    assert made(metrics=METRICS[::-1]) == ids[0] == PROTOCOL.id
    with pytest.raises(BadInput) as refused:
        made(judges={"recogniser": JUDGES["recogniser"]})
    assert refused.value.code == "judging.unpinned_judge"


def test_the_digest_of_a_card_covers_its_rows() -> None:
    rows = clip_rows()
    other = (rows[0].model_copy(update={"values": rows[0].values | {"secs": 0.6}}), *rows[1:])
    assert sample_card(rows=rows[::-1]).digest == sample_card().digest
    assert sample_card(rows=other).digest != sample_card().digest
    assert sample_card(system="theirs").digest != sample_card().digest
