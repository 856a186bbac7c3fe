"""A real Postgres and a server that speaks S3, once for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import real_postgres
import real_s3
from real_s3 import S3
from verbs import Answer, answering

NewDatabase = Callable[[str], str]


@pytest.fixture(scope="session")
def postgres() -> Iterator[NewDatabase]:
    """Makes an empty database by name; its URL."""
    if real_postgres.programs() is None:
        pytest.skip("no Postgres server is installed (apt-get install postgresql)")
    import psycopg

    with real_postgres.running() as url:

        def new(name: str) -> str:
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{name}"')
            return url.replace("@/postgres?", f"@/{name}?")

        yield new


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    with real_s3.running() as server:
        yield server


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Answer:
    return answering(monkeypatch, capsys)
