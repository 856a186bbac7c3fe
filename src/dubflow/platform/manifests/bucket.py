"""The bucket of an overlay that brings its own storage."""

from __future__ import annotations

from typing import Any

from dubflow.errors import OurFault, missing_extra

_THERE = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


def make_bucket(name: str) -> bool:
    """Make it, or find it; whether it is new. Address and keys come from the environment (``AWS_ENDPOINT_URL``).

    Raises:
        WrongUse: ``install.missing_extra``. OurFault: ``platform.no_bucket`` with what the storage said.
    """
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        raise missing_extra("boto3") from error
    try:
        client: Any = boto3.client("s3")
        if any(one["Name"] == name for one in client.list_buckets().get("Buckets", ())):
            return False
        client.create_bucket(Bucket=name)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _THERE:
            return False
        raise _failed(name, error) from error
    except BotoCoreError as error:
        raise _failed(name, error) from error
    return True


def _failed(name: str, error: Exception) -> OurFault:
    reason = " ".join(str(error).split())[:300]
    return OurFault("platform.no_bucket", f"The bucket {name} cannot be made: {reason}.", "See whether it answers.")
