"""The playground as a reader meets it: in a browser, through Voilà. What is slow is printed (pytest -s), and judged by nobody."""
import os, signal, socket, subprocess, sys, tempfile, time, urllib.request

import numpy as np
import pytest

from gp_speech.audio import Recording
from gp_speech.playground import for_listening
from gp_speech.synthesis import SpeechModel


@pytest.fixture(scope="module")
def address(browser):
    "Of a playground that is being served, on a free port of this machine."
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.TemporaryFile("w+") as said:
        server = subprocess.Popen([sys.executable, "-c", f"from gp_speech.playground import serve; serve({port}, browser=False)"], stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            for _ in range(600):
                if server.poll() is not None: break
                try: urllib.request.urlopen(f"http://127.0.0.1:{port}/voila/static/voila.js", timeout=5).close()
                except OSError: time.sleep(.1)
                else: break
            else: pytest.fail("the playground was not served within a minute")
            if server.poll() is not None: said.seek(0), pytest.fail(said.read()[-3000:])
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.send_signal(signal.SIGINT)
            try: server.wait(20)
            except subprocess.TimeoutExpired: os.killpg(server.pid, signal.SIGKILL)


class Reader:
    "A page of the playground, and what a person does to it."
    def __init__(self, page): self.page = page

    def text(self, area): return self.page.locator(f".gp-{area}").inner_text()

    def shown(self): return {area: self.page.locator(f".gp-{area}").inner_html() for area in ("density", "sounds", "envelope", "players", "status")}

    def wait(self, condition): self.page.wait_for_function(f"() => {condition}", timeout=60_000, polling=5)

    def answered(self): self.wait("document.querySelector('.gp-status')?.innerText.includes('Answered in')")

    def slider(self, label): return self.page.locator(".widget-inline-hbox", has=self.page.locator(".widget-label", has_text=label)).locator(".noUi-handle").first

    def press(self, label, key="ArrowRight", area="density"):
        "Move a slider by a key; returns how long until the picture is another, and until all is answered, in s."
        handle, before = self.slider(label), self.page.locator(f".gp-{area}").inner_html()
        handle.focus()
        self.page.evaluate("before => { window.before = before }", before)
        began = time.perf_counter()
        self.page.keyboard.press(key)
        self.wait(f"document.querySelector('.gp-{area}').innerHTML !== window.before && document.querySelector('.gp-{area} svg')")
        first = time.perf_counter() - began
        self.answered()
        return first, time.perf_counter() - began

    def upload(self, name, content):
        with self.page.expect_file_chooser() as chooser: self.page.get_by_role("button", name="Upload a recording").click()
        chooser.value.set_files({"name": name, "mimeType": "audio/wav", "buffer": content})

    def download(self, link, folder):
        with self.page.expect_download() as download: link.click()
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path


@pytest.fixture
def context(browser): return {"viewport": {"width": 1280, "height": 900}}


@pytest.fixture
def reader(browser, address, context, keep_picture):
    "A reader whose page has answered; at the end, nothing was asked of another host, nothing failed, and the console has no error."
    context = browser.new_context(accept_downloads=True, **context)
    page, wrong = context.new_page(), []
    page.on("console", lambda m: wrong.append(f"console: {m.text}") if m.type == "error" else None)
    page.on("pageerror", lambda e: wrong.append(f"error: {e}"))
    page.on("request", lambda r: wrong.append(f"another host: {r.url}") if not r.url.startswith((address, "data:", "blob:")) else None)
    page.on("requestfailed", lambda r: wrong.append(f"failed: {r.url[:200]}") if not r.url.startswith(("data:", "blob:")) else None)  # (a player that goes away stops loading)
    page.on("response", lambda r: wrong.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
    page.goto(address)
    reader = Reader(page)
    reader.answered()
    yield reader
    keep_picture(page)
    context.close()
    assert wrong == []


def test_sliders_move_the_pictures(reader):
    for label, area, others in (("Lengthscales", "density", "sounds"), ("Noise", "density", "sounds"), ("Pitch", "density", "sounds"), ("Chosen band", "density", None), ("Components", "density", "sounds"),
                                ("Envelope scale", "envelope", "sounds"), ("Passage begins", "envelope", "sounds"), ("Passage lasts", "envelope", "sounds"), ("Segment at", "density", None)):
        before, key = reader.shown(), "ArrowLeft" if label in ("Passage begins", "Passage lasts") else "End" if label in ("Segment at", "Chosen band") else "ArrowRight"
        first, all_of_it = reader.press(label, key, area)
        print(f"  {label:16} first picture after {first:.2f} s, all after {all_of_it:.2f} s; {reader.text('status')}")
        assert reader.text("failed") == ""
        if others: assert reader.shown()[others] != before[others]


def test_undo_gives_the_first_pictures_back(reader):
    before = reader.shown()
    reader.press("Lengthscales"), reader.press("Noise")
    reader.page.evaluate("b => { window.before = b }", before["density"])
    reader.page.get_by_role("button", name="Undo changes").click()
    reader.wait("document.querySelector('.gp-density').innerHTML === window.before")
    reader.answered()
    assert reader.shown()["sounds"] == before["sounds"]


def test_draw_again_and_play(reader):
    before = reader.shown()
    reader.page.evaluate("b => { window.before = b }", before["sounds"])
    reader.page.get_by_role("button", name="Draw again").click()
    reader.wait("document.querySelector('.gp-sounds').innerHTML !== window.before")
    reader.answered()
    assert reader.shown()["density"] == before["density"], "another draw, the same kernel"
    for name in ("Original", "Draw"):
        player = reader.page.locator(f"audio[aria-label={name}]")
        assert abs(player.evaluate("async a => { await a.play(); return a.duration }") - .4) < .01
        reader.wait(f"document.querySelector('audio[aria-label={name}]').currentTime > 0.15")


def test_downloads_hold_the_draw_and_its_model(reader, tmp_path):
    links = reader.page.locator(".gp-players a")
    assert links.all_inner_texts() == ["Download WAV", "Download WAV", "Download model"]
    original, draw = (Recording.read(reader.download(links.nth(i), tmp_path)) for i in (0, 1))
    assert np.abs(original.samples - Recording.example("always").samples).max() < 2**-15
    again = SpeechModel.load(reader.download(links.nth(2), tmp_path)).sample(np.random.default_rng(0))[0]
    assert draw.n == original.n and np.abs(draw.samples - again.samples).max() < 2**-15
    assert sorted(p.name for p in tmp_path.iterdir()) == ["draw.wav", "model.npz", "original.wav"]


def chord(seconds, rate):
    t = np.arange(round(seconds * rate)) / rate
    return Recording(.2 * np.sin(2 * np.pi * 220 * t) + .1 * np.sin(2 * np.pi * 550 * t) + .01 * np.random.default_rng(0).standard_normal(len(t)), rate)


def test_an_uploaded_recording_is_fitted(reader, tmp_path):
    sound = chord(1.5, 22050)
    reader.upload("my <i>chord</i>.wav", for_listening(sound)[0])
    reader.wait("document.querySelector('.gp-about').innerText.includes('22050')")
    reader.answered()
    assert reader.text("about") == "The recording lasts 1.50 s, at 22050 Hz; resampled to 16000 Hz here."
    assert reader.page.locator(".widget-dropdown select").evaluate("s => s.selectedOptions[0].innerText").replace("\xa0", " ") == "my <i>chord</i>.wav"
    reader.press("Lengthscales")
    back = Recording.read(reader.download(reader.page.locator(".gp-players a").nth(1), tmp_path))
    assert back.rate == 16000 and back.duration == .4
    reader.page.get_by_role("button", name="Draw the whole recording").click()
    reader.page.locator("audio[aria-label='Draw, whole']").wait_for(timeout=60_000)
    back = Recording.read(reader.download(reader.page.locator(".gp-whole a").nth(1), tmp_path))
    assert back.duration == 1.5


REFUSED = [
    ("<b>x</b>.wav", b"It is a truth universally acknowledged", "<b>x</b>.wav: not audio that libsndfile can read"),
    ("<img src=x onerror=alert(1)>.wav", b"", "<img src=x onerror=alert(1)>.wav: the file is empty (0 bytes); an audio file is needed"),
    ("long.wav", for_listening(Recording(np.full(6100, .1), 100))[0], "long.wav: it lasts 61 s; at most 60 s are needed"),
    ("large.wav", for_listening(Recording(np.zeros(6_000_000), 192_000))[0], "large.wav: all 6000000 samples are zero; some sound is needed")] # 12 MB


def test_what_is_refused_is_told_in_the_page(reader):
    before = reader.shown()
    for name, content, told in REFUSED:
        reader.upload(name, content)
        box = reader.page.locator(".gp-refused .gp-alert", has_text=told)
        box.wait_for(timeout=60_000)
        assert box.locator("b, img").count() == 0
        assert reader.shown() == before, "the recording before it stays"


def test_a_silent_passage_is_told_in_the_page(reader):
    x = chord(3., 8000).samples.copy()
    x[16000:] = 0
    reader.upload("half.wav", for_listening(Recording(x, 8000))[0])
    reader.wait("document.querySelector('.gp-about').innerText.includes('3.00 s')")
    reader.answered()
    reader.slider("Passage begins").focus()
    reader.page.keyboard.press("End")
    reader.page.locator(".gp-failed .gp-alert").wait_for(timeout=60_000)
    assert reader.text("failed") == "all 3200 samples are zero; an envelope needs some sound"
    assert reader.page.locator(".gp-players audio, .gp-card svg").count() == 0
    reader.page.keyboard.press("Home")
    reader.page.locator(".gp-players audio").first.wait_for(timeout=60_000)
    reader.answered()
    assert reader.text("failed") == ""


class TestNarrowAndDark:
    @pytest.fixture
    def context(self): return {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}

    def test_it_is_readable(self, reader):
        page = reader.page
        assert page.evaluate("Math.max(...[...document.querySelectorAll('body, #rendered_cells, .gp-playground, .gp-card')].map(e => e.scrollWidth - e.clientWidth))") <= 1, "nothing to scroll sideways"
        light = "e => getComputedStyle(e).color.match(/[\\d.]+/g).slice(0, 3).map(Number)"
        assert min(page.locator(".gp-density svg").evaluate(light)) > 180 and min(page.locator(".gp-status").evaluate(light)) > 180
        assert max(page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor.match(/[\\d.]+/g).slice(0, 3).map(Number)")) < 60
        assert page.evaluate("Math.min(...[...document.querySelectorAll('.gp-card svg text')].map(e => e.getBoundingClientRect().height))") > 8, "letters of at least 8 pixels"
        widths = page.evaluate("[...document.querySelectorAll('.gp-card .noUi-target')].map(e => e.clientWidth)")
        assert len(widths) == 9 and min(widths) > 60
