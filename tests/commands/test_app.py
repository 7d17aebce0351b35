"""The command `app`, as far as it goes without a browser."""

import socket
import subprocess
import sys

import pytest

from tests.command_line import ROOT

REFUSES = (
    "import sys, importlib.util\n"
    "if {without!r}: importlib.util.find_spec = lambda name, found=importlib.util.find_spec: "
    "None if name == 'gradio' else found(name)\n"
    "else: importlib.util.find_spec = lambda name, found=importlib.util.find_spec: "
    "True if name == 'gradio' else found(name)\n"
    "from rethink_fr.cli import main; code = main(['app', *sys.argv[1:]])\n"
    "assert not {{'tensorflow', 'gradio'}} & set(sys.modules); sys.exit(code)"
)


def refused(*arguments: str, without: bool = False) -> str:
    code = REFUSES.format(without=without)
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_without_gradio_it_says_what_to_install():
    assert (
        'needs the package gradio, which is not installed; install the extra with: pip install "rethink-fr[app]"'
        in refused(without=True)
    )


@pytest.mark.parametrize("port", ["0", "70000"])
def test_ports_that_there_are_not(port):
    assert "--port: expected 1 to 65535" in refused("--port", port)


def test_a_port_in_use_is_said_before_anything_is_loaded():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"cannot listen at 127.0.0.1, port {port}" in refused("--port", port)


def test_a_host_that_is_not_this_machine():
    assert "choose another --port or --host" in refused("--host", "192.0.2.1")
