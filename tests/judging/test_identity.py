"""Identity of faces on embeddings."""

from __future__ import annotations

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.judging.identity import EmbeddedFace, identity_similarity


def test_what_cannot_be_judged() -> None:
    cases = (
        (np.zeros((0, 4)), np.ones((1, 4)), "judging.nothing_to_judge"),
        (np.ones((2, 3)), np.ones((1, 4)), "judging.bad_vectors"),
        (np.ones(3), np.ones((2, 3)), "judging.bad_vectors"),
    )
    for faces, known, code in cases:
        with pytest.raises(BadInput) as caught:
            identity_similarity(faces, known)
        assert caught.value.code == code


def test_identity_of_embeddings() -> None:
    rng = np.random.default_rng(0)
    person, stranger = rng.normal(size=(2, 64))
    takes = person + 0.2 * rng.normal(size=(9, 64))
    assert identity_similarity(np.tile(person, (4, 1)), 3 * person[None]) == pytest.approx(1)
    same, other = identity_similarity(takes[:4], takes[4:]), identity_similarity(stranger[None], takes)
    assert same > 0.9 > 0.5 > other
    noisier = [identity_similarity(person + gain * rng.normal(size=(50, 64)), takes) for gain in (0, 0.5, 1, 3)]
    assert noisier == sorted(noisier, reverse=True)


def test_the_stand_in_says_what_it_is() -> None:
    encoder = EmbeddedFace()
    assert encoder.id.startswith("standin-")
    rng = np.random.default_rng(1)
    one, other = (np.kron(rng.integers(0, 255, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(2))
    vectors = encoder.embed(np.stack([one, one, other]))
    assert identity_similarity(vectors[:1], vectors[1:2]) == pytest.approx(1)
    assert identity_similarity(vectors[2:], vectors[:1]) < 0.8
