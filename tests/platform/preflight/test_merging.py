"""Laws of patches."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.platform.preflight.merging import json_patched, merged

WORDS = st.text("abc", min_size=1, max_size=3)
BODIES = st.recursive(
    st.integers() | st.booleans() | WORDS,
    lambda inner: st.dictionaries(WORDS, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(WORDS, BODIES, max_size=4)
CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("pqr")}, optional={"image": WORDS, "tty": st.booleans()}),
    unique_by=lambda one: one["name"],
    max_size=3,
)


@settings(deadline=None, max_examples=60)
@given(base=MAPPINGS, patch=MAPPINGS)
def test_a_patch_laid_twice_is_laid_once(base: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merged(base, patch)
    assert merged(once, patch) == once
    assert merged(base, {}) == base
    assert merged(base, base) == base


@settings(deadline=None, max_examples=60)
@given(base=CONTAINERS, patch=CONTAINERS)
def test_containers_are_found_by_name(base: list[dict[str, Any]], patch: list[dict[str, Any]]) -> None:
    made = {one["name"]: one for one in merged({"containers": base}, {"containers": patch})["containers"]}
    before, new = ({one["name"]: one for one in each} for each in (base, patch))
    assert set(made) == set(before) | set(new)
    for name, one in made.items():
        assert one == {**before.get(name, {}), **new.get(name, {})}


def test_directives() -> None:
    base = {"containers": [{"name": "a", "image": "x"}, {"name": "b"}], "kept": {"x": 1}, "gone": 1}
    patch = {"containers": [{"name": "a", "$patch": "delete"}], "kept": {"$patch": "replace", "y": 2}, "gone": None}
    assert merged(base, patch) == {"containers": [{"name": "b"}], "kept": {"y": 2}}
    with pytest.raises(BadInput, match="directive"):
        merged({}, {"$retainKeys": ["a"]})


def test_lists_of_custom_resources_are_replaced() -> None:
    base, patch = {"containers": [{"name": "a", "image": "x"}]}, {"containers": [{"name": "a"}]}
    assert merged(base, patch, core=False) == patch
    assert merged(base, patch) == base


@settings(deadline=None, max_examples=60)
@given(body=MAPPINGS, key=WORDS, value=BODIES)
def test_what_is_added_can_be_read_moved_and_removed(body: dict[str, Any], key: str, value: Any) -> None:
    rest = {name: one for name, one in body.items() if name != key}
    added = json_patched(rest, [{"op": "add", "path": f"/{key}", "value": value}])
    assert added == {**rest, key: value}
    assert json_patched(added, [{"op": "test", "path": f"/{key}", "value": value}]) == added
    assert json_patched(added, [{"op": "remove", "path": f"/{key}"}]) == rest
    moved = json_patched(added, [{"op": "move", "from": f"/{key}", "path": "/z"}])
    assert moved == {**rest, "z": value}


def test_json_patches_of_lists_and_escapes() -> None:
    body = {"a/b": [1, 2], "~": 0}
    assert json_patched(body, [{"op": "add", "path": "/a~1b/1", "value": 9}])["a/b"] == [1, 9, 2]
    assert json_patched(body, [{"op": "add", "path": "/a~1b/-", "value": 9}])["a/b"] == [1, 2, 9]
    assert json_patched(body, [{"op": "replace", "path": "/~0", "value": 1}])["~"] == 1
    assert body == {"a/b": [1, 2], "~": 0}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/b", "value": 1},
        {"op": "remove", "path": "/a/5"},
        {"op": "add", "path": "/a/9", "value": 1},
        {"op": "test", "path": "/a", "value": 0},
        {"op": "add", "path": "a", "value": 1},
        {"op": "shuffle", "path": "/a"},
    ],
)
def test_a_patch_that_does_not_apply_is_refused(operation: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="bad_patch"):
        json_patched({"a": [1]}, [operation])
