"""An S3-compatible server on this machine, for tests: moto's."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Bucket:
    """A bucket of the server, looked at and changed past the code that is tested."""

    def __init__(self, client: Any, name: str) -> None:
        self.address = f"s3://{name}"
        self._client, self._name = client, name

    def contents(self, prefix: str = "") -> dict[str, bytes]:
        """The objects whose names begin with `prefix`, by the rest of their names."""
        listed = self._client.list_objects_v2(Bucket=self._name, Prefix=prefix).get("Contents", [])
        return {
            entry["Key"].removeprefix(prefix): self._client.get_object(Bucket=self._name, Key=entry["Key"])[
                "Body"
            ].read()
            for entry in listed
        }

    def put(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._name, Key=key, Body=data)

    def remove(self, key: str) -> None:
        self._client.delete_object(Bucket=self._name, Key=key)

    def upload(self, folder: Path, prefix: str) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())


class Server:
    """A running server; the environment variables of this process, and of those it starts, lead to it."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._buckets = 0

    def bucket(self) -> Bucket:
        """A new, empty bucket."""
        self._buckets += 1
        name = f"bucket-{self._buckets}"
        self._client.create_bucket(Bucket=name)
        return Bucket(self._client, name)


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    import boto3
    from moto.server import ThreadedMotoServer

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.update(
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_REGION="us-east-1",
        S3_ENDPOINT=f"http://127.0.0.1:{port}",
        S3_USE_HTTPS="0",
        S3_VERIFY_SSL="0",
        AWS_EC2_METADATA_DISABLED="true",
    )
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it says every request
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        yield Server(
            boto3.client(
                "s3",
                endpoint_url=os.environ["S3_ENDPOINT"],
                aws_access_key_id="test",
                aws_secret_access_key="test",
                region_name="us-east-1",
            )
        )
    finally:
        server.stop()
