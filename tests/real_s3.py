"""A server that speaks S3 (moto's, in memory) for tests, on a free port that other processes reach too."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class S3:
    """The server.

    Attributes:
        endpoint: HOST:PORT. client: boto3's, to look behind what is tested.
    """

    endpoint: str
    client: Any = field(repr=False)

    def uri(self, path: str) -> str:
        """The address of ``bucket/prefix`` as :class:`dubflow.storage.Objects` takes it."""
        return f"s3://{path}?scheme=http&endpoint_override={self.endpoint}&region=us-east-1"

    @property
    def environment(self) -> dict[str, str]:
        """What boto3 (MLflow) and Arrow (the gateway) of another process need."""
        return {**KEYS, "MLFLOW_S3_ENDPOINT_URL": f"http://{self.endpoint}", "AWS_EC2_METADATA_DISABLED": "true"}

    def bucket(self, name: str) -> str:
        """A new bucket; its name."""
        self.client.create_bucket(Bucket=name)
        return name

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Of all objects below a prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def body(self, bucket: str, key: str) -> bytes:
        """An object's bytes."""
        content: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content


@contextmanager
def running() -> Iterator[S3]:
    """A server that answers meanwhile; what it holds goes with it."""
    import boto3
    from botocore.config import Config
    from moto.backends import get_backend
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{host}:{port}",
            aws_access_key_id="tests",
            aws_secret_access_key="tests",
            region_name="us-east-1",
            config=Config(proxies={}, retries={"max_attempts": 1}),
        )
        yield S3(f"{host}:{port}", client)
    finally:
        server.stop()
        # Moto keeps objects for the process, not for the server: the next one would have them too.
        for account in get_backend("s3").values():
            for backend in account.values():
                backend.reset()
