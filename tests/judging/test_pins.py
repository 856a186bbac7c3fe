from __future__ import annotations

import pytest

from dubflow.errors import WrongUse
from dubflow.judging.catalogue import metrics
from dubflow.judging.pins import offline_pin


def test_every_offline_judge_has_a_pin_that_stays() -> None:
    kinds = {one.judge for one in metrics("offline")}
    pins = {kind: offline_pin(kind) for kind in kinds}
    assert pins == {kind: offline_pin(kind) for kind in kinds}
    assert all(pin.version for pin in pins.values())
    with_weights = {kind for kind, pin in pins.items() if pin.sha256}
    assert with_weights == {"ge2e", "dnsmos", "phones", "small-sync"}


@pytest.mark.parametrize("kind", ["whisper", "a friend"])
def test_what_is_brought_is_pinned_by_what_loads_it(kind: str) -> None:
    with pytest.raises(WrongUse) as caught:
        offline_pin(kind)
    assert caught.value.code == "judging.judge_without_pin"
