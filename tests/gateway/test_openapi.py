"""The description of the API is true: every example request can be sent, every answer is as described."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dubflow.gateway.errors import STATUS
from dubflow.gateway.examples import CONSENT, DUB, ERRORS, UPLOAD
from gateway.api import Api, running, serving_state

LISTS = ("examples.py", "openapi.py")
EMPTY_REGISTRY = {
    ("/v1/models/promote", "gateway.no_verdict_keys"),
    ("/v1/models/rollback", "registry.no_model"),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Iterator[tuple[Api, dict[str, str]]]:
    """An app that serves a version, with one dub that is done, and what ids of examples mean in it."""
    folder = tmp_path_factory.mktemp("served")
    serving_state(folder)
    with running(folder, registry=f"sqlite:///{folder}/mlflow.db", burst=10_000) as api:
        uploaded = api.ask("POST", "/v1/uploads", content=clip.read_bytes()).json()
        dub = api.submit(uploaded["key"]).json()["id"]
        assert api.work() == 1
        terms = api.app.openapi()["paths"]["/v1/consents"]["post"]["requestBody"]["content"]["application/json"]
        body = terms["schema"].get("examples") or list(_example_values(terms))
        consent = api.ask("POST", "/v1/consents", json={**body[0], "reference_sha256": uploaded["sha256"]}).json()["id"]
        yield api, {UPLOAD: uploaded["key"], DUB: dub, CONSENT: consent}


def _operations(api: Api) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in api.app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _example_values(content: dict[str, Any]) -> Iterator[Any]:
    if "example" in content:
        yield content["example"]
    for one in content.get("examples", {}).values():
        yield one["value"]


def _check(api: Api, schema: dict[str, Any], value: Any) -> None:
    whole = {**schema, "components": api.app.openapi()["components"]}
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


def _described(operation: dict[str, Any], status: int, kind: str) -> dict[str, Any]:
    assert str(status) in operation["responses"], f"{operation['operationId']} does not describe {status}"
    found: dict[str, Any] = operation["responses"][str(status)].get("content", {}).get(kind, {})
    return found


def test_every_example_answer_is_as_its_schema_says(served: tuple[Api, dict[str, str]]) -> None:
    api, _ = served
    seen = 0
    for _, _, operation in _operations(api):
        assert operation.get("summary")
        assert operation.get("description")
        for status, response in operation["responses"].items():
            for kind, content in response.get("content", {}).items():
                if kind != "application/json":
                    continue
                examples = list(_example_values(content))
                assert examples, f"{operation['operationId']} {status} has no example"
                for one in examples:
                    _check(api, content["schema"], one)
                    seen += 1
    assert seen > 150


def test_every_error_in_it_exists_with_its_status(served: tuple[Api, dict[str, str]], repository: Path) -> None:
    api, _ = served
    sources = [path for path in (repository / "src" / "dubflow").rglob("*.py") if path.name not in LISTS]
    source = "".join(path.read_text(encoding="utf-8") for path in sources)
    assert [code for code in ERRORS if f'"{code}"' not in source] == []
    for _, _, operation in _operations(api):
        for status, response in operation["responses"].items():
            for code in response.get("content", {}).get("application/json", {}).get("examples", {}):
                if code in ERRORS:
                    assert int(status) == (ERRORS[code][0] or STATUS[code]), code


def test_every_example_request_is_answered_as_described(served: tuple[Api, dict[str, str]]) -> None:
    api, ids = served
    sent = 0
    # What ends something comes last, so that the others find it.
    order = sorted(_operations(api), key=lambda one: (one[0] == "DELETE", "cancel" in one[1], one[1]))
    for method, path, operation in order:
        who = {"promote": "promoter", "rollback": "promoter", "deep": "admin"}.get(path.rsplit("/", 1)[-1], "one")
        address = path.replace("{dub}", ids[DUB]).replace("{consent}", ids[CONSENT])
        body = operation.get("requestBody", {}).get("content", {})
        json_bodies = list(_example_values(body.get("application/json", {}))) + list(
            body.get("application/json", {}).get("schema", {}).get("examples", [])
        )
        for one in json_bodies or [None]:
            if "application/octet-stream" in body or path == "/v1/health/deep":
                continue
            text = json.dumps(one)
            for example, real in ids.items():
                text = text.replace(example, real)
            answer = api.ask(method, address, who, **({} if one is None else {"json": json.loads(text)}))
            kind = answer.headers.get("content-type", "").partition(";")[0]
            content = _described(operation, answer.status_code, kind)
            if kind == "application/json" and path != "/v1/dubs/{dub}/figures":
                _check(api, content["schema"], answer.json())
            if answer.status_code >= 400:  # only where the example cannot be true here: no such registry, verdict
                assert path.startswith("/v1/models/") or path == "/readyz", answer.text
                assert path == "/readyz" or answer.json()["code"].startswith(("gateway.no_verdict", "registry.")), (
                    answer.text
                )
            sent += 1
    assert sent > 24


def test_the_form_of_the_example_is_taken(served: tuple[Api, dict[str, str]], clip: Path) -> None:
    api, _ = served
    form = dict(
        api.app.openapi()["paths"]["/v1/dubs"]["post"]["requestBody"]["content"]["multipart/form-data"]["example"]
    )
    subtitles = "1\n00:00:00,000 --> 00:00:00,900\nGood morning.\n"
    files = {"clip": ("clip.mp4", clip.read_bytes()), "subtitles": ("clip.srt", subtitles.encode())}
    assert {name for name, value in form.items() if value.startswith("@")} == set(files)
    texts = {name: value for name, value in form.items() if not value.startswith("@")}
    assert api.ask("POST", "/v1/dubs", files=files, data=texts).status_code == 202
