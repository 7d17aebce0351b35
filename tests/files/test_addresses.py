"""What is an address on an object store, and what is a path of this machine."""

from pathlib import Path

import pytest

from rethink_fr.files.addresses import address, is_remote
from rethink_fr.files.names import printable
from rethink_fr.files.outputs import OutputError, Outputs


@pytest.mark.parametrize(
    "text", ["s3://bucket/run", "gs://bucket/run", "az://account/container/run", "hdfs://host:1/run"]
)
def test_an_address_survives_as_a_path(text):
    assert is_remote(text) and is_remote(Path(text)) and is_remote(Path(text) / "logs")
    assert address(Path(text)) == address(text) == printable(Path(text)) == text
    assert address(Path(text) / "logs" / "x") == f"{text}/logs/x"


@pytest.mark.parametrize(
    "text", ["run", "/s3:/run", "./runs/s3:/x", "s3", "s3:", "ftp://host/run", "S3://bucket", "x s3://y"]
)
def test_anything_else_is_a_path_of_this_machine(text):
    assert not is_remote(text) and not is_remote(Path(text))
    assert address(text) == text


def test_commands_without_object_stores_say_so_instead_of_making_a_folder():
    with pytest.raises(OutputError, match="s3://bucket/out/a.png: this command writes to folders of this machine"):
        Outputs([]).claim(Path("s3://bucket/out/a.png"))
    assert not Path("s3:").exists()
