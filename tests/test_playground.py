"The playground without a page: what is computed when, what is refused, what the widgets hold."
import base64, json, re
from dataclasses import fields
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from gp_speech import playground
from gp_speech.audio import AudioError, Recording, example_words
from gp_speech.kernels import SpectralMixture
from gp_speech.playground import (KEPT_OF_OTHERS, LIMITS, RATE, STAGES, Playground, Session, Settings, alert, alter, chosen, for_listening,
                                  hundredths, limit, loudest, make_sliders, model_file, picture, player, read_upload)
from gp_speech.synthesis import SpeechModel


@pytest.fixture
def word(): return Recording.example("to")


@pytest.fixture
def session(word):
    session = Session(word, components=3)
    session.draw
    return session


@pytest.fixture(scope="module")
def page():
    "One for all tests that leave it as they found it."
    return Playground()


def noise(seconds=.3, rate=8000, seed=0): return Recording(.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate)), rate)


def wav(recording): return for_listening(recording)[0]


# -- what is computed when

OTHER = {"start": .01, "length": .07, "timescale": .02, "components": 2, "lengthscales": 2., "noise": .1, "low": 100., "high": 900., "semitones": 3., "seed": 1}
HANG_ON = {"passage": {"passage", "envelope", "carrier", "segmentation", "mixture", "model", "draw"},
           "envelope": {"envelope", "carrier", "segmentation", "mixture", "model", "draw"}, "fit": {"mixture", "model", "draw"}, "change": {"model", "draw"}, "draw": {"draw"}}


@pytest.mark.parametrize("stage, name", [(stage, name) for stage, names in STAGES.items() for name in names])
def test_a_change_recomputes_what_hangs_on_it(session, stage, name):
    before = session.computed.copy()
    if name == "start": session.change(length=.05), session.draw
    before, old = session.computed.copy(), session.settings
    session.change(**{name: OTHER[name]})
    session.draw
    assert set(session.computed - before) == HANG_ON[stage]
    before = session.computed.copy()
    session.settings = old
    session.draw
    assert set(session.computed - before) <= {"carrier"}, "going back fits and draws nothing"


def test_every_setting_has_a_stage_and_limits():
    names = [field.name for field in fields(Settings)]
    assert sorted(n for stage in STAGES.values() for n in stage) == sorted(names) == sorted(LIMITS) == sorted(OTHER)


@pytest.mark.parametrize("name", LIMITS)
def test_settings_out_of_range_are_refused_and_change_nothing(session, name):
    old = session.settings
    for value in (float("nan"), -np.inf, LIMITS[name][0] - 1):
        with pytest.raises(ValueError, match=f"{name} is .*; a number from"): session.change(**{name: value})
    assert session.settings is old


def test_what_is_remembered_is_bounded(word):
    session = Session(word)
    for k in range(KEPT_OF_OTHERS + 5):
        session.change(timescale=.01 + k / 1000)
        session.envelope, session.carrier
    assert len(session.results["envelope"]) == KEPT_OF_OTHERS and len(session.results["carrier"]) == playground.KEPT["carrier"]


def test_it_is_the_model_of_notebook_09(word):
    ours, theirs = Session(word, components=60).model, SpeechModel.fit(word, progress=False)
    assert np.array_equal(ours.envelope.u, theirs.envelope.u) and np.array_equal(ours.segmentation.boundaries, theirs.segmentation.boundaries)
    for a, b in zip(ours.mixtures, theirs.mixtures, strict=True):
        assert np.array_equal(a.frequencies, b.frequencies) and np.array_equal(a.variances, b.variances) and a.noise == b.noise
    assert np.array_equal(Session(word, components=60, seed=5).draw.samples, theirs.sample(np.random.default_rng(5))[0].samples)


def test_the_number_of_components_is_a_most(word):
    for most in (0, 1, 3):
        counts = Session(word, components=most).model.components
        assert counts.max() <= most
    assert max(Session(word, components=12).model.components) > 3


def test_draws_follow_the_seed(session):
    first = session.draw
    session.change(seed=1)
    assert not np.array_equal(session.draw.samples, first.samples)
    session.change(seed=0)
    assert session.draw is first


def test_the_passage_ends_with_the_recording(word):
    session = Session(word, start=.02)
    session.change(length=word.duration - .02 + 1e-12)
    assert session.passage.n == word.n - 320
    session.change(length=word.duration)
    with pytest.raises(AudioError, match="the part from 0.02 s"): session.passage


def test_too_long_for_a_session():
    with pytest.raises(AudioError, match="lasts 61.0 s; at most 60 s"): Session(Recording(np.ones(61), 1))


# -- what the hand does

mixtures = st.integers(1, 5).flatmap(lambda q: st.tuples(
    st.lists(st.floats(.01, 10), min_size=q, max_size=q), st.lists(st.floats(.001, .1), min_size=q, max_size=q), st.lists(st.floats(0, 3999), min_size=q, max_size=q), st.floats(0, 1)))


@given(mixtures, st.floats(.1, 10), st.floats(0, 1), st.floats(0, 4000), st.floats(0, 4000), st.floats(-24, 24))
@example(([1.], [.06], [1782.], 2.2e-311), 1., 0., 0., 1782., 14.) # all that is left is next to nothing
@settings(max_examples=200, deadline=None)
def test_alter(parts, lengthscales, noise, low, high, semitones):
    mixture = SpectralMixture(*parts, 8000)
    changed = alter(mixture, lengthscales, noise, low, high, semitones)
    p = np.where((mixture.frequencies >= low) & (mixture.frequencies <= high), mixture.frequencies * 2**(semitones / 12), mixture.frequencies)
    assert np.array_equal(changed.frequencies, p[p < 4000])
    assert np.allclose(changed.lengthscales, mixture.lengthscales[p < 4000] * lengthscales)
    left = mixture.variances[p < 4000].sum() + mixture.noise
    if left:
        assert changed.variance == pytest.approx(mixture.variance)
        assert changed.noise / mixture.variance == pytest.approx((1 - noise) * mixture.noise / left + noise)
        assert np.allclose(changed.variances * left, (1 - noise) * mixture.variances[p < 4000] * mixture.variance)
    else: assert changed.variance == pytest.approx(noise * mixture.variance)


def test_unchanged_is_unchanged():
    mixture = Session(Recording.example("to")).mixture(0)
    same = alter(mixture)
    for name in ("variances", "lengthscales", "frequencies", "noise"): assert np.array_equal(getattr(same, name), getattr(mixture, name))
    assert alter(SpectralMixture([], [], [], 0., 8000), noise=.5).variance == 0


def test_the_band_includes_its_ends():
    assert chosen(SpectralMixture([1, 1, 1], [1, 1, 1], [99., 100., 200.], 0, 8000), 100., 200.).tolist() == [False, True, True]


# -- files and pages

UPLOADS = {
    "text": (b"It is a truth universally acknowledged", "not audio that libsndfile can read"),
    "empty": (b"", "the file is empty (0 bytes)"),
    "cut short": (wav(noise())[:1000], "the file was cut short"),
    "too long": (wav(Recording(np.full(6100, .1), 100)), "it lasts 61 s; at most 60 s are needed"),
    "silent": (wav(Recording(np.zeros(800), 8000)), "all 800 samples are zero; some sound is needed"),
    "no sample": (wav(Recording(np.ones(1), 8000))[:40] + bytes(4), "there are 0 samples")}


@pytest.mark.parametrize("case", UPLOADS)
def test_what_is_no_recording_is_refused_by_name(case):
    content, told = UPLOADS[case]
    with pytest.raises(AudioError) as error: read_upload("<b>x</b>.wav", content)
    assert str(error.value).startswith("<b>x</b>.wav: ") and told in str(error.value) and "upload" not in str(error.value)
    assert "&lt;b&gt;x&lt;/b&gt;.wav" in alert(error.value) and "<b>" not in alert(error.value)


def test_the_size_is_looked_at_first(monkeypatch):
    monkeypatch.setattr(playground, "LARGEST_UPLOAD", 99)
    with pytest.raises(AudioError, match="x.wav: the file has 100 bytes; at most 99 are needed"): read_upload("x.wav", bytes(100))


def test_reading_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    original = noise()
    assert np.abs(read_upload("x.wav", wav(original)).samples - original.samples).max() < 2**-15
    model_file(Session(original, components=1).model)
    assert list(tmp_path.iterdir()) == []


def test_the_loudest_window(word):
    x = np.full(800, .01)
    x[400:500] = .5
    assert loudest(Recording(x, 100), 1.) == 4.
    assert loudest(Recording(x, 100), 8.) == loudest(Recording(x, 100), 9.) == 0.
    assert [hundredths(s) for s in (.79, .7999, 2.94 - 2.15, .004)] == [.79, .79, .79, .004]


def test_past_full_scale_is_turned_down_and_told(word):
    loud = Recording(2 * word.samples / np.abs(word.samples).max(), word.rate)
    data, down = for_listening(loud)
    assert down == pytest.approx(6.0206, abs=1e-3)
    assert "Turned down by 6.0 dB: its peak is 2.00 times full scale." in player("a", loud, "a")
    assert np.abs(2 * read_upload("x", data).samples - loud.samples).max() < 2**-14
    assert for_listening(word)[1] == 0 and "Turned down" not in player("a", word, "a")


def test_links_hold_the_files(tmp_path, word, session):
    address = re.search('download="draw.wav" href="data:audio/wav;base64,([^"]*)"', player("<Draw>", word, "draw"))[1]
    assert np.abs(read_upload("x", base64.b64decode(address)).samples - word.samples).max() < 2**-15
    assert "&lt;Draw&gt;" in player("<Draw>", word, "draw")
    (tmp_path / "model.npz").write_bytes(model_file(session.model))
    assert np.array_equal(SpeechModel.load(tmp_path / "model.npz").sample(np.random.default_rng(0))[0].samples, session.draw.samples)


def test_pictures_take_the_colour_of_the_page(session):
    svg = picture(lambda ax: playground.plot_density(session, 0, ax), 'a "<density>"', 2.)
    assert "currentColor" in svg and playground.INK not in svg and 'aria-label="a &quot;&lt;density&gt;&quot;"' in svg
    assert "periodogram" in svg and "<?xml" not in svg and svg.count("<svg") == 1
    assert svg == picture(lambda ax: playground.plot_density(session, 0, ax), 'a "<density>"', 2.), "the same picture is the same text"


# -- the page's widgets, moved by a program

def failed(page): return page.areas["failed"].value


def test_it_begins_with_a_word(page):
    assert page.source.value == "example: always" and [page.sliders[s].value for s in ("start", "length")] == [.74, .4]
    assert "Answered in" in page.areas["status"].value and failed(page) == "" and page.areas["players"].value.count("<audio") == 2
    assert len(page.choices) == len(example_words)


@pytest.mark.parametrize("name, value, kinds", [("lengthscales", 2., {"model", "draw"}), ("noise", 7, {"model", "draw"}), ("chosen", (50, 500), {"model", "draw"}), ("moment", 1., set())])
def test_cheap_sliders_fit_nothing(page, name, value, kinds):
    before, old = page.session.computed.copy(), page.sliders[name].value
    shown = page.areas["density"].value
    page.sliders[name].value = value
    assert set(page.session.computed - before) == kinds and page.areas["density"].value != shown
    page.sliders[name].value = old
    assert page.areas["density"].value == shown


def test_only_pictures_that_change_are_made(page, monkeypatch):
    made = []
    monkeypatch.setattr(playground, "picture", lambda plot, words, *args, **kwargs: made.append(words) or words)
    page.sliders["noise"].value = 5
    assert made == ["density over periodogram", "waveforms of original and draw"]
    made.clear()
    page.again.click()
    assert made == ["waveforms of original and draw"]
    made.clear()
    page.sliders["moment"].value = 1.
    assert made == ["envelope over the magnitude of the waveform", "density over periodogram"]
    made.clear()
    told = page.areas["status"].value
    page.refresh()
    assert made == [] and page.areas["status"].value == told
    monkeypatch.undo()
    page.choose("example: always")
    page.undo()


def test_undo(page):
    for name, value in (("lengthscales", 2.), ("noise", 7), ("semitones", -3.)): page.sliders[name].value = value
    page.reset.click()
    s = page.session.settings
    assert (s.lengthscales, s.noise, s.semitones) == (1, 0, 0) and s.components == 8


def test_components_past_half_the_rate_are_told():
    page = Playground({"a": Recording.example("always").resample(8000)})
    page.sliders["chosen"].value, page.sliders["semitones"].value = (0, 4000), 12.
    text = page.areas["status"].value
    gone = int(re.search(r"(\d+) more went past half the rate, 4000 Hz, and are silent", text)[1])
    left, fitted = int(page.session.model.components.sum()), sum(len(page.session.mixture(i).variances) for i in range(len(page.session.segmentation)))
    assert gone == fitted - left > 0 and failed(page) == ""


def test_a_refused_file_leaves_what_was_there(page):
    shown, name = page.areas["players"].value, page.source.value
    page.upload.value = ({"name": "<b>x</b>.wav", "type": "audio/wav", "size": 5, "content": memoryview(b"hello"), "last_modified": datetime.now()},)
    assert '<div class="gp-alert" role="alert">&lt;b&gt;x&lt;/b&gt;.wav: not audio' in page.areas["refused"].value
    assert page.areas["players"].value == shown and page.source.value == name and page.upload.value == ()
    page.choose("example: always")
    assert page.areas["refused"].value == ""


def test_an_uploaded_file_is_shown():
    page, sound = Playground(), noise(1.5, 44100)
    page.take([{"name": "my <i>.wav", "content": memoryview(wav(sound))}])
    assert page.source.value == "my <i>.wav" and page.session.recording.rate == RATE
    assert "The recording lasts 1.50 s, at 44100 Hz; resampled to 16000 Hz here." in page.areas["about"].value
    assert page.sliders["length"].value == .4 and failed(page) == "" and "Answered" in page.areas["status"].value
    page.take([{"name": "my <i>.wav", "content": memoryview(wav(noise(.5)))}])
    assert page.session.recording.duration == .5, "a second file of the same name takes its place"


@pytest.mark.parametrize("recording", [noise(.0125), noise(.5, 1000), noise(.333, 11025), noise(59.99, 100), noise(.3, 8000.5)], ids=repr)
def test_odd_recordings(recording):
    page = Playground({"odd": recording})
    assert "<audio" in page.areas["players"].value or "rate is" in failed(page)
    assert min(t for _, t in page.sliders["timescale"].options) * page.session.recording.rate >= 19.999
    page.sliders["start"].value = page.sliders["start"].max
    assert page.session.settings.start + page.session.settings.length <= recording.duration + .5 / recording.rate


def test_a_silent_passage_is_told_and_nothing_stale_is_left():
    x = noise(2.).samples.copy()
    x[8000:] = 0
    page = Playground({"half": Recording(x, 8000)})
    assert failed(page) == ""
    page.sliders["start"].value = 1.2
    assert "all 3200 samples are zero" in failed(page)
    assert not any(page.areas[name].value for name in ("envelope", "density", "sounds", "players", "status"))
    page.sliders["start"].value = 0.
    assert failed(page) == "" and all(page.areas[name].value for name in ("envelope", "density", "sounds", "players", "status"))


def test_warnings_are_told_in_the_page(page, monkeypatch):
    import warnings
    monkeypatch.setattr(playground, "plot_sounds", lambda session, axes: warnings.warn("<odd> thing"))
    page.again.click()
    assert '<div class="gp-note">&lt;odd&gt; thing</div>' in failed(page)
    monkeypatch.undo()
    page.again.click()
    assert failed(page) == ""


def test_what_nobody_foresaw_is_told_too(page, monkeypatch):
    def broken(*_): raise TypeError("<oops>")
    monkeypatch.setattr(playground, "plot_sounds", broken)
    with pytest.raises(TypeError): page.draw_again()
    assert "unforeseen: TypeError: &lt;oops&gt;" in failed(page) and page.areas["status"].value == page.areas["players"].value == ""
    monkeypatch.undo()
    page.again.click()
    assert failed(page) == ""


def test_the_whole_recording():
    page = Playground({"a": noise(1.2)})
    page.sliders["components"].value = 1
    page.all.click()
    assert page.whole.draw.n == 9600 and page.areas["whole"].value.count("<audio") == 2 and page.bar.layout.display == "none"
    assert np.array_equal(page.whole.draw.samples, Session(page.session.recording, components=1).draw.samples)
    page.sliders["noise"].value = 3
    assert "The settings have changed" in page.areas["whole"].value
    before = page.whole.computed.copy()
    page.all.click()
    assert set(page.whole.computed - before) == {"model", "draw"}, "the fits were there"


def test_ranges_are_set_in_an_order_that_works():
    slider = make_sliders()["start"]
    for low, high in ((5, 6), (0, 1), (2, 9), (0, 100), (3, 4)):
        limit(slider, low, high, low)
        assert (slider.min, slider.max, slider.value) == (low, high, low)


def test_the_page_of_its_own_runs(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    exec(playground.APP, {})
    assert "<h1>gp_speech playground</h1>" in shown[0].data and "gp-playground" in shown[1]._dom_classes


def test_the_committed_lesson_keeps_the_state_of_its_page():
    notebook = json.loads((Path(__file__).resolve().parent.parent / "nbs" / "14_playground.ipynb").read_text(encoding="utf-8"))
    state = notebook["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    shown = [o["data"]["application/vnd.jupyter.widget-view+json"]["model_id"] for cell in notebook["cells"] for o in cell.get("outputs", []) if "application/vnd.jupyter.widget-view+json" in o.get("data", {})]
    texts = [model["state"].get("value") for model in state.values() if model["model_name"] == "HTMLModel"]
    assert len(shown) == 1 and shown[0] in state
    assert sum("<svg" in text for text in texts) == 3 and sum("<audio" in text for text in texts) == 1 and not any("working ..." in text for text in texts)
