"""The website, as a reader's browser sees it: made anew from the notebooks, served on this machine, looked at in a headless Chromium."""
import functools, http.server, re, subprocess, sys, threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

from gp_speech._modidx import d as index

root = Path(__file__).resolve().parent.parent
notebooks = {"index": root / "nbs" / "index.ipynb", **{path.stem.split("_", 1)[1]: path for path in sorted(root.glob("nbs/[0-9]*.ipynb"))}}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    "The website's files."
    folder = tmp_path_factory.mktemp("docs") / "site"
    made = subprocess.run([sys.executable, root / "tools" / "docs.py", folder], cwd=root, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return folder


@pytest.fixture(scope="session")
def site(folder):
    "Its address: a server on this machine."
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args): pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def visit(browser, site, keep_picture):
    "Opens a page of the site; when the test is over nothing may have failed, been asked of another host, or been complained of."
    contexts, faults = [], []

    def opened(name, scheme="light", width=1280, **options):
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: message.type in ("error", "warning") and "allowUnionTypes" not in message.text and faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"script: {error}"))
        page.on("requestfailed", lambda request: faults.append(f"failed: {request.url[:200]}"))
        page.on("response", lambda response: response.status >= 400 and faults.append(f"{response.status}: {response.url}"))
        page.on("request", lambda request: request.url.startswith((site, "data:", "blob:")) or faults.append(f"another host: {request.url}"))
        page.goto(f"{site}{name}.html", wait_until="load")
        page.wait_for_load_state("networkidle")
        return page

    yield opened
    for context in contexts:
        keep_picture(context.pages[0])
        context.close()
    assert faults == []


class Found(HTMLParser):
    "The ids of a page, and its links."
    def __init__(self, path):
        super().__init__()
        self.ids, self.links = set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if attributes.get("id"): self.ids.add(attributes["id"])
        if tag == "a" and attributes.get("href"): self.links.add(attributes["href"])


# -- the files

def test_every_link_within_the_site_leads_somewhere(folder):
    pages, broken = {path.name: Found(path) for path in folder.glob("*.html")}, []
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme: continue
            path = unquote(parts.path) or name
            path = "index.html" if path in (".", "./") else path.removeprefix("./")
            if not (folder / path).is_file() or (parts.fragment and path in pages and unquote(parts.fragment) not in pages[path].ids):
                broken.append(f"{name}: {link}")
    assert not broken
    assert sum("#" in link for page in pages.values() for link in page.links) > 100


def test_a_page_for_each_notebook(folder):
    assert {path.stem for path in folder.glob("*.html")} >= set(notebooks)


def test_names_in_prose_lead_to_their_definitions(folder):
    assert "kernels.html#spectralmixture" in Found(folder / "mixture.html").links
    assert "audio.html#recording" in Found(folder / "synthesis.html").links


def test_every_public_name_is_explained_somewhere(folder):
    pages = {path.name: Found(path).ids for path in folder.glob("*.html")}
    public = {name: where for names in index["syms"].values() for name, (where, _) in names.items() if not any(part.startswith("_") for part in name.split(".")[2:])}
    assert [name for name, where in public.items() if where.split("#")[1] not in pages[where.split("#")[0]]] == []
    assert len(public) > 250


@pytest.mark.parametrize("page, comment", [
    ("pitch", "s, increasing, shape (m,)"), ("pitch", "unvoiced to any one pitch"), ("simulation", "which samples are known: whole numbers, shape (m,)"),
    ("kernels", "power per Hz, in the shape of w")], ids=["dataclass", "NamedTuple", "class", "method"])
def test_a_class_is_explained_in_a_table(folder, page, comment):
    assert f"<td>{comment}</td>" in (folder / f"{page}.html").read_text(encoding="utf-8")


# -- each page, in the browser

@pytest.mark.parametrize("name", notebooks)
def test_page(visit, name):
    page = visit(name)
    nb = nbformat.read(notebooks[name], 4)
    assert page.locator("h1.title").inner_text() == nb.cells[0].source.split("\n")[0].removeprefix("# ")
    # what stands in the sidebar, in the order of the notebooks
    links = [link.split("/")[-1].split("#")[0] for link in page.locator("#quarto-sidebar a[href*='.html']").evaluate_all("found => found.map(a => a.href)")]
    links = list(dict.fromkeys(links))
    assert links == [f"{name}.html" for name in notebooks]
    # formulas
    formulas, shown = page.locator("span.math").count(), page.locator("span.math .katex-html").count()
    assert formulas == shown and page.locator(".katex-error").count() == 0
    assert ("$$" in "".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")) <= (shown > 0)
    assert page.locator("main p", has_text="$$").count() == 0
    # pictures: there, told of to those who cannot see them, and with more pixels than the page shows
    pictures = page.locator("main img").evaluate_all("found => found.map(i => [i.naturalWidth, i.clientWidth, i.alt])")
    assert len(pictures) >= sum("image/png" in output.get("data", {}) for cell in nb.cells for output in cell.get("outputs", []))
    assert [picture for picture in pictures if picture[0] < 1.7 * picture[1] or picture[1] < 100 or len(picture[2]) < 10] == []
    # players: each has found its sound
    players = page.locator("audio")
    page.wait_for_function("[...document.querySelectorAll('audio')].every(a => a.readyState >= 1)")
    assert all(duration > 0.01 for duration in players.evaluate_all("found => found.map(a => a.duration)"))
    assert page.locator("audio:not(.jupyter-widgets audio)").count() == sum(output["data"]["text/html"].count("<audio") for cell in nb.cells for output in cell.get("outputs", []) if "text/html" in output.get("data", {}))


@pytest.mark.parametrize("name", notebooks)
def test_page_on_a_telephone(visit, name):
    page = visit(name, width=390, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("main p").first.evaluate("p => parseFloat(getComputedStyle(p).fontSize)") >= 15
    beyond = page.evaluate("""() => [...document.querySelectorAll('main img, main audio, main p')].filter(e => e.getBoundingClientRect().right > 391
        && !e.closest('.cell-output-display, .cell-output-markdown')).map(e => e.outerHTML.slice(0, 80))""")
    assert beyond == []


CONTRAST = """element => {
    const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).map(v => { v /= 255; return v <= .03928 ? v/12.92 : ((v + .055)/1.055)**2.4 }); return .2126*r + .7152*g + .0722*b };
    const [text, ground] = [getComputedStyle(element).color, getComputedStyle(document.body).backgroundColor].map(light);
    return (Math.max(text, ground) + .05)/(Math.min(text, ground) + .05) }"""


@pytest.mark.parametrize("name", notebooks)
def test_page_in_the_dark(visit, name):
    page = visit(name, scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(v => v < 60)")
    for what in ("main p", "main h2", "main a[href]", "#quarto-sidebar a"):
        for k in range(min(3, page.locator(what).count())): assert page.locator(what).nth(k).evaluate(CONTRAST) > 3, what
    pictures = page.locator("main .cell-output-display img")
    assert set(pictures.evaluate_all("found => found.map(i => getComputedStyle(i).backgroundColor)")) <= {"rgb(255, 255, 255)"}


def test_widgets_show_what_was_saved(visit):
    page = visit("playground", scheme="dark")
    for label in ("Lengthscales", "Noise", "Envelope scale", "Components", "Pitch"):
        slider = page.locator(".widget-inline-hbox", has=page.locator(".widget-label", has_text=label)).first
        assert slider.is_visible() and slider.locator(".noUi-handle").count() and slider.locator(".widget-readout").inner_text().strip()
        assert slider.locator(".widget-label").evaluate(CONTRAST) > 4.5
    assert page.locator(".jupyter-widgets svg").count() >= 3 and page.locator(".jupyter-widgets audio").count() == 2
    assert page.locator(".jupyter-widgets p").first.evaluate(CONTRAST) > 4.5


# -- what a reader does

def test_a_recording_and_a_draw_within_one_screen(visit):
    page = visit("index", width=1280)
    for k in (0, 1): assert page.locator("audio").nth(k).bounding_box()["y"] < 800
    one, two = (page.locator("audio").nth(k).bounding_box() for k in (0, 1))
    assert one["y"] == two["y"] and one["x"] + one["width"] <= two["x"]


@pytest.mark.parametrize("name", ["index", "voice"])
def test_a_player_plays(visit, name):
    page = visit(name)
    page.locator("audio").first.evaluate("a => a.play()")
    page.wait_for_function("document.querySelector('audio').currentTime > .2")


def test_search(visit):
    page = visit("index")
    page.locator(".smalldocs-search input").first.fill("SpectralMixture")
    results = page.locator(".smalldocs-search-results a.search-result")
    results.first.wait_for()
    links = results.evaluate_all("found => found.map(a => a.getAttribute('href'))")
    assert "./kernels.html#spectralmixture" in links
    results.and_(page.locator("[href='./kernels.html#spectralmixture']")).first.click()
    page.wait_for_url("**/kernels.html#spectralmixture")
    page.wait_for_function("(top => top > 0 && top < 300)(document.querySelector('#spectralmixture').getBoundingClientRect().top)")


def test_the_switch_between_light_and_dark(visit):
    page = visit("index")
    ground = lambda: page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = ground()
    page.locator(".quarto-color-scheme-toggle").first.click()
    page.wait_for_function("before => getComputedStyle(document.body).backgroundColor != before", arg=light)
    dark = ground()
    page.reload()
    assert ground() == dark
    page.locator(".quarto-color-scheme-toggle").first.click()
    page.wait_for_function("before => getComputedStyle(document.body).backgroundColor != before", arg=dark)
    assert ground() == light


def test_what_is_said_of_a_function(visit):
    page = visit("audio")
    section = page.locator("section", has=page.locator("#recording\\.read, h3#recording\\.read")).last
    text = section.inner_text()
    assert "Recording.read(path, channel='mean', rate=None, longest=inf)" in text
    rows = dict(re.findall(r"^(\w+)\t(.*)$", text, flags=re.M))
    assert "Hz" in rows["rate"] and "returns" in rows and "PermissionError" in text
    source = section.locator("details.code-fold", has_text="def read(")
    assert not source.locator("pre").is_visible()
    source.locator("summary").click()
    assert "def read(" in source.locator("pre").inner_text()
