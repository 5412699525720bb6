import os, shutil, sys, tempfile, traceback
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


FLAGS = ("--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
         "--disable-sync --autoplay-policy=no-user-gesture-required").split()


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium (Playwright's `Browser`): the machine's own, else the one that `playwright install chromium` brings.
    Where there is neither, the tests that want it are skipped with the reason; under CI they fail."""
    def lacking(reason):
        if os.environ.get("CI", "").lower() in ("", "0", "false"): pytest.skip(reason)
        pytest.fail(reason)

    try: from playwright.sync_api import Error, sync_playwright
    except ImportError: lacking("Playwright is not installed: pip install playwright")
    names = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"
    own = next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as playwright:
        try: browser = playwright.chromium.launch(executable_path=own, args=FLAGS)
        except Error as error:
            where = own or f"none of {', '.join(names)} is on the path, and Playwright has none of its own ({sys.executable} -m playwright install chromium)"
            lacking(f"no browser could be started: {where}: {error.message.splitlines()[0]}")
        yield browser
        browser.close()
