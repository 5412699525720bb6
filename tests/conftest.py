import os, shutil, tempfile, traceback
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")  # no windows, on any machine


@pytest.fixture
def here(tmp_path, monkeypatch):
    "An empty folder to work in."
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ordinary():
    """A folder, and a function that calls another one as an ordinary user: root may read and write everything, so
    where the tests run as root, a child process gives up its rights first. What the call raises is a failure here too."""
    folder = Path(tempfile.mkdtemp(prefix="gp_speech-"))  # not tmp_path, whose parents only their owner may enter
    root, nobody = os.geteuid() == 0, 65534
    if root: os.chown(folder, nobody, nobody)

    def call(function):
        if not root: return function()
        read, write = os.pipe()
        if (child := os.fork()) == 0:
            try:
                os.setgroups([]), os.setgid(nobody), os.setuid(nobody)
                function()
            except BaseException: os.write(write, traceback.format_exc().encode()[-60_000:])
            finally: os._exit(0)
        os.close(write)
        with open(read, "rb") as pipe: told = pipe.read().decode()
        os.waitpid(child, 0)
        assert not told, told

    yield folder, call
    folder.chmod(0o755)
    shutil.rmtree(folder)
