"""Files that a configuration names are regular files of a bounded size, or are not read at all."""

import os
import socket
import threading
from pathlib import Path

import pytest

from guardrail._documents import read_toml
from guardrail._regular_files import open_regular, read_regular
from guardrail.audit.journal.checkpoints import read_signing_key
from guardrail.audit.journal.keys import read_keys
from guardrail.bundle.watch import _digest
from guardrail.errors import ConfigurationError, NotAuthenticated
from guardrail.identity.api_keys.entries import edit_entries
from guardrail.identity.api_keys.verifier import secret_in
from guardrail.identity.attestation.host import HostEvidence
from guardrail.identity.load import read_providers
from guardrail.identity.revocation import Revocations
from guardrail.policy import read_folder
from guardrail.values import Identity, Principal

KINDS = ["pipe", "device", "endless", "folder", "socket", "link to a pipe", "loop", "none", "huge"]
LIMIT = 64 * 1024 * 1024


@pytest.fixture
def make(tmp_path):
    """Return a function that makes a file that is none, and gives its path."""
    opened = []

    def made(kind, name="file"):
        path = tmp_path / name
        if kind == "pipe":
            os.mkfifo(path)
        elif kind in ("device", "endless"):
            path.symlink_to("/dev/zero" if kind == "endless" else "/dev/tty")
        elif kind == "folder":
            path.mkdir()
        elif kind == "socket":
            opened.append(socket.socket(socket.AF_UNIX))
            here = Path.cwd()
            os.chdir(tmp_path)  # such a path may have 108 characters
            opened[-1].bind(name)
            os.chdir(here)
        elif kind == "link to a pipe":
            os.mkfifo(tmp_path / f"{name}.pipe")
            path.symlink_to(tmp_path / f"{name}.pipe")
        elif kind == "loop":
            path.symlink_to(path)
        elif kind == "huge":
            with path.open("wb") as file:
                file.truncate(1 << 40)  # a terabyte of nothing
        return path

    yield made
    for each in opened:
        each.close()


def ends(read):
    """Have a read end soon, whatever it finds; return what it raised or returned."""
    found = []

    def run():
        try:
            found.append(read())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert found, "it still waits"
    return found[0]


def test_a_regular_file_is_read_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    (tmp_path / "link").symlink_to(path)
    assert read_regular(path, limit_bytes=5) == b"12345"
    assert read_regular(tmp_path / "link", limit_bytes=5) == b"12345"
    with open_regular(path) as file:
        assert file.read() == b"12345"
    with pytest.raises(OSError, match="over 4 bytes"):
        read_regular(path, limit_bytes=4)
    with pytest.raises(ValueError, match="null"):
        read_regular(Path("a\0b"), limit_bytes=4)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_refused(make, kind):
    path = make(kind)
    assert isinstance(ends(lambda: read_regular(path, limit_bytes=1000)), OSError)
    if kind != "huge":
        assert isinstance(ends(lambda: open_regular(path)), OSError)


def test_a_file_that_says_it_is_empty_is_read_up_to_the_limit():
    with pytest.raises(OSError, match="over 10 bytes"):
        read_regular(Path("/proc/self/maps"), limit_bytes=10)


def test_a_pipe_that_takes_the_place_of_a_file_is_refused(make, tmp_path, monkeypatch):
    path = make("pipe")
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    status = plain.stat()
    monkeypatch.setattr(Path, "stat", lambda self, **_: status)  # it was a file when asked
    assert isinstance(ends(lambda: open_regular(path)), OSError)


# Everything that reads such files while it serves.


def look(path):
    revocations = Revocations()
    revocations.follow(path)
    who = Identity(Principal("User", "clara"), token_id="t1")
    revocations.check(who, 1.0)


def load(path):
    table = f'[identity]\nrevoked_file = "{path}"\n'
    read_providers(
        read_toml("guardrail.toml", table.encode()).below("identity"), files={}, environ={}
    )


def host(path):
    class Table:
        class settings:
            token_file = str(path)

        def verify(self, raw, now):
            raise AssertionError("it was read")

    found = HostEvidence(Table())
    assert found.current(1.0) is None
    raise NotAuthenticated(found.complaint.message, code=found.complaint.code)


def secret(path):
    raw, problem = secret_in(path, None)
    assert raw == b""
    raise ConfigurationError(problem or "none")


def bundle(path):
    folder = path.parent / "bundle"
    folder.mkdir()
    (folder / "guardrail.toml").write_text("")
    path.rename(folder / "keys.pem") if not path.is_symlink() else (folder / "keys.pem").symlink_to(
        path.readlink()
    )
    read_folder(folder)


READERS = {
    "revoked_file": (look, NotAuthenticated),
    "revoked_file at load": (load, ConfigurationError),
    "token_file": (host, NotAuthenticated),
    "secret_file": (secret, ConfigurationError),
    "keys_file": (lambda path: edit_entries(path, "keys.json", lambda old: old), OSError),
    "a journal's keys": (read_keys, ConfigurationError),
    "a signing key": (read_signing_key, ConfigurationError),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["pipe", "endless", "folder", "socket", "huge"])
def test_whoever_reads_refuses_it(make, kind, reader):
    read, refused = READERS[reader]
    assert isinstance(ends(lambda: read(make(kind))), refused)


@pytest.mark.parametrize("kind", ["pipe", "endless", "folder", "socket", "huge"])
def test_a_bundle_that_holds_it_does_not_load(make, kind):
    found = ends(lambda: bundle(make(kind)))
    assert isinstance(found, ConfigurationError) or kind == "folder"


@pytest.mark.parametrize("kind", ["pipe", "endless", "folder", "socket", "huge"])
def test_a_watch_goes_on_beside_it(make, tmp_path, kind):
    make(kind)
    assert isinstance(ends(lambda: _digest([tmp_path])), bytes)
