"""The measures of `make quality` that need no package, its choice of sentences, its table and its bars. (It itself runs with `make quality`.)"""
import gzip, json, re, subprocess, sys
from pathlib import Path

import numpy as np
import pytest

root = Path(__file__).resolve().parent.parent
benchmarks = root / "benchmarks"
sys.path.insert(0, str(benchmarks))
import install, measures, quality, quality_report, resynthesis, run, speech  # noqa: E402
from gp_speech import Recording  # noqa: E402

rates = pytest.mark.parametrize("rate", [8000, 16000, 48000])


def noise(n=16000, seed=0): return np.random.default_rng(seed).standard_normal(n)


@pytest.mark.parametrize("name", ["quality", "measures", "resynthesis", "speech", "quality_report"])
def test_importing_a_script_needs_no_peer(name):
    heavy = {*install.QUALITY, "psutil", "matplotlib", "numpy", "scipy", "gp_speech"}
    code = f"import sys; sys.path.insert(0, {str(benchmarks)!r}); import {name}; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


# Distances between spectra

@rates
def test_a_signal_twice_as_loud_is_6_02_dB_away_and_has_the_same_envelope(rate):
    x = noise(rate)
    assert measures.log_spectral_distance(x, 2*x, rate) == pytest.approx(20*np.log10(2), abs=1e-3)
    assert measures.mel_cepstral_distortion(x, 2*x, rate) == pytest.approx(0, abs=1e-3)


@rates
def test_a_signal_is_nothing_away_from_itself(rate):
    x = noise(rate//2)
    assert measures.log_spectral_distance(x, x, rate) == measures.mel_cepstral_distortion(x, x, rate) == 0


def test_cepstral_distortion_of_one_cosine_over_the_mel_bands(monkeypatch):
    ripple = lambda m: 3*np.cos(np.pi*m*(np.arange(40) + .5)/40)  # dB; mean square 9/2
    levels = noise(800).reshape(20, 40)
    for m, answer in (1, 3/2**.5), (24, 3/2**.5), (25, 0), (0, 0):
        monkeypatch.setattr(measures, "mel_levels", lambda *_: [levels, levels + ripple(m)])
        assert measures.mel_cepstral_distortion(None, None, None) == pytest.approx(answer, abs=1e-12)
    assert measures.log_spectral_distance(None, None, None) == pytest.approx(3)  # m = 0: all bands 3 dB up


def test_silent_frames_are_left_out():
    x = np.concatenate([noise(8000), np.zeros(8000)])
    y = x.copy()
    y[8400:] = 1e-4*noise(7600)
    assert measures.log_spectral_distance(x, y, 16000) == 0 and measures.log_spectral_distance(y, x, 16000) == 0
    assert len(measures.mel_levels(x, x, 16000, 80)[0]) < 110  # of 196 frames


def test_the_floor_is_70_dB_below_the_loudest_point():
    x = noise()
    away = measures.log_spectral_distance(x, np.zeros(16000), 16000)
    assert 60 < away < 70


def test_distances_refuse_what_they_cannot_compare():
    with pytest.raises(ValueError, match="16000 samples and the draw 15999"): measures.log_spectral_distance(noise(), noise()[1:], 16000)
    with pytest.raises(ValueError, match="silent"): measures.mel_cepstral_distortion(np.zeros(16000), noise(), 16000)


@rates
def test_mel_filters(rate):
    bins = measures.frames(noise(rate), rate).shape[1]
    bank, w = measures.filters(rate, bins, 80), np.linspace(0, rate/2, bins)
    assert bank.shape == (80, bins) and np.all(bank >= 0) and np.allclose(bank.sum(axis=1), 1)
    assert np.all(np.diff(bank @ w) > 0) and w[bank[-1] > 0].max() <= min(8000, rate/2)


def test_frames_find_a_tone_and_fill_up_what_is_short():
    power = measures.frames(np.sin(2*np.pi*1000*np.arange(16000)/16000), 16000)
    assert power.shape == (196, 513) and np.all(power.argmax(axis=1) == 64)  # 64*16000/1024 Hz; (16000 - 400)/80 + 1 frames
    assert measures.frames(noise(3), 16000).shape == (1, 513)


# Correlation and words

def test_correlation():
    x, y = noise(), noise(seed=1)
    assert measures.correlation(x, 3*x + 1) == pytest.approx(1) and measures.correlation(x, -x) == pytest.approx(-1)
    assert measures.correlation(x, x - 2*(x @ y)/(y @ y)*y) > .99 and abs(measures.correlation(x, y)) < .04  # five standard errors
    assert measures.correlation(np.zeros(9), np.zeros(9)) == 1


@pytest.mark.parametrize("said, heard, count", [
    ("the cat sat", "the cat sat", 0), ("the cat sat", "the bat sat", 1), ("the cat sat", "cat sat", 1), ("the cat sat", "the fat cat sat", 1),
    ("the cat sat", "", 3), ("", "the cat", 2), ("a b c d", "b c d e", 2), ("you're late", "You're LATE!", 0), ("kitten", "sitting", 1)])
def test_word_edits_by_hand(said, heard, count): assert measures.edits(measures.words(said), measures.words(heard)) == count


def test_edits_of_letters(): assert measures.edits("kitten", "sitting") == 3


def test_wideband_keeps_what_fits_and_scales_what_does_not():
    x = noise()
    assert np.array_equal(measures.wideband(x/10, 16000), x/10) and np.abs(measures.wideband(x, 16000)).max() == 1
    assert len(measures.wideband(x/10, 8000)) == 32000


def test_a_measure_that_fails_is_told(monkeypatch):
    def broken(*_): raise RuntimeError("no utterance")
    for name in ("pesq_wb", "stoi", "dnsmos"): monkeypatch.setattr(measures, name, broken)
    monkeypatch.setattr(measures, "heard", lambda *_: "an other word")
    found = measures.all_measures(noise(), [noise(), noise(seed=1)], 16000, "another word")
    assert found["lsd"] == 0 and found["edits"] == 2 and abs(found["correlation"]) < .04
    assert found["errors"] == {name: "RuntimeError: no utterance" for name in ("pesq", "stoi", "dnsmos")}


# Sentences

def test_the_longest_plain_sentences_are_chosen(tmp_path, monkeypatch):
    lines = {"a": "one two three four", "b": "five six seven eight", "long": "too long to be chosen here", "short": "too short to be chosen",
             "digits": "press 1 for the first", "few": "only three words", "twice": "One two three four", "dir/c": "nine ten eleven twelve", "bracket": "(a whistle) is heard here now"}
    seconds = dict(a=3, b=4, long=6.1, short=1.4, digits=3, few=3, twice=2, c=4, bracket=3, unknown=3)
    (tmp_path / "dir").mkdir()
    for name, length in seconds.items(): (tmp_path / "dir" / f"{name}.g722").write_bytes(bytes(round(8000*length)))
    (tmp_path / "core-sounds-en.txt.gz").write_bytes(gzip.compress("; a comment: no name\n".encode() + "\n".join(f"{k}: {v}" for k, v in lines.items()).encode()))
    monkeypatch.setattr(speech, "decoded", lambda path: path.stem)
    assert [(s.name, s.recording) for s in speech.asterisk(9, tmp_path)] == [("b", "b"), ("dir/c", "c"), ("a", "a")]
    assert [s.text for s in speech.asterisk(1, tmp_path)] == ["five six seven eight"]


def test_what_cannot_be_had_is_told_and_the_rest_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(speech.shutil, "which", lambda name: None)
    sentences, missing = speech.gather(28, folder=tmp_path/"recordings")
    assert [(s.name, s.group, s.recording.rate) for s in sentences] == [("bundled", "bundled", 16000), ("bundled at 8 kHz", "8 kHz", 8000), ("bundled at 48 kHz", "48 kHz", 48000)]
    assert "no apt-get" in missing["asterisk"] and "no command flite" in missing["flite"]
    assert [s.group for s in speech.gather(28, ("8 kHz",), tmp_path/"recordings")[0]] == ["8 kHz"]


# Methods

def test_each_method_has_its_row_and_its_peer():
    assert tuple(m.name for m in resynthesis.METHODS) == quality_report.METHODS == tuple(quality_report.COLOURS)
    assert all(m.peer in install.QUALITY or not m.peer for m in resynthesis.METHODS)


def test_the_original_is_itself():
    x = noise()
    times, draws = resynthesis.resynthesise("original", x, 16000)
    assert set(times) == {"analysis_seconds", "draw_seconds"} and all(np.array_equal(d, x.astype(np.float32)) for d in draws)


def test_segments_give_draws_that_differ():
    word = Recording.example("to")
    _, (one, two) = resynthesis.resynthesise("segments", word.samples, word.rate)
    assert len(one) == len(two) == word.n and abs(measures.correlation(one, two)) < .5


def test_a_method_without_its_package_or_module_is_told():
    method = resynthesis.Method("x", None, None, peer="pyworld")
    assert quality.why_not(method, {"pyworld": {"error": "no wheel"}}) == "no wheel" and quality.why_not(method, {}) == "pyworld is not in peers.json"
    assert quality.why_not(method, {"pyworld": {"version": "1"}}) is None
    assert quality.why_not(resynthesis.Method("x", None, None, module="nonsense"), {}) == "gp_speech has no module nonsense yet"


# Table and bars, from three sentences whose figures are made up

MACHINE = dict(cores=2, cpu="a processor", python="3.11", versions={"numpy": "2", "scipy": "1"})
SENTENCES = [dict(name="bundled", group="bundled", rate=16000., seconds=4., words=10), dict(name="x", group="asterisk", rate=16000., seconds=1., words=5),
             dict(name="y", group="8 kHz", rate=8000., seconds=1., words=5)]


def record(method, sentence, **more):
    return dict(method=method, sentence=sentence, status="ok", analysis_seconds=.2, draw_seconds=.05, lsd=3., mcd=2., pesq=3., stoi=.98, dnsmos=3.2, edits=3, correlation=.1) | more


RESULTS = dict(date="2026-01-01", machine=MACHINE, sentences=SENTENCES, missing={"flite": "no command"}, absent={"mean": "gp_speech has no module voice yet"},
               notes={"WORLD": "a vocoder"}, peers={"pesq": {"error": "no compiler"}}, records=[
    record("original", "bundled", edits=2), record("original", "x", edits=1), record("WORLD", "bundled", lsd=3.3, correlation=1.), record("WORLD", "x", lsd=3.5, correlation=-.1),
    record("demodulated", "bundled"), record("demodulated", "x", lsd=3.2, analysis_seconds=.4), record("demodulated", "y", lsd=9.),
    record("independent", "bundled", lsd=4.), dict(method="independent", sentence="x", status="failed", why="ValueError: too short")])


def test_a_summary_is_a_mean_but_words_over_words_and_time_over_time():
    found = quality_report.summary(RESULTS, quality_report.ALL, "demodulated")
    assert found["lsd"] == pytest.approx(3.1) and found["wer"] == pytest.approx(40) and found["analysis"] == pytest.approx(.6/5) and found["draw"] == pytest.approx(.02)
    assert (found["n"], found["of"]) == (2, 2)
    assert quality_report.summary(RESULTS, "8 kHz", "demodulated")["lsd"] == 9


def test_bars():
    bars = {(b["method"], b["measure"], b["of"]): b for b in quality_report.bars(RESULTS)}
    assert len(bars) == len(quality_report.BARS)
    assert bars["demodulated", "lsd", ""]["verdict"] == "met" and bars["demodulated", "lsd", "WORLD"]["needed"] == pytest.approx(3.4)
    assert bars["demodulated", "wer", "original +2"]["needed"] == pytest.approx(22) and bars["demodulated", "wer", "original +2"]["verdict"] == "NOT met"
    assert bars["demodulated", "analysis", ""]["verdict"] == "NOT met" and bars["demodulated", "draw", ""]["verdict"] == "met"
    assert bars["independent", "lsd", ""]["verdict"] == "NOT met" and bars["rank-one", "mcd", ""]["verdict"] == "not measured"
    assert bars["demodulated", "dnsmos", "WORLD -0.05"]["sense"] == "at least"
    assert "bar  demodulated, log-spectral distance: measured 3.10, needed at most 3.20 dB: met" in quality_report.bar_lines(RESULTS)


def test_the_table_has_a_row_for_each_group_and_method_and_says_what_is_missing():
    table = quality_report.table(RESULTS)
    assert len(table) == 1 + 4*len(quality_report.METHODS)
    assert table[2].split() == "all at 16 kHz WORLD 2 3.40 2.00 3.00 0.980 3.20 40.0 0.45 0.55 0.080 0.0200".split()
    assert table[5].endswith("1 of 2 failed: ValueError: too short")
    assert table[7].split()[4:] == [*"mean - - - - - - - - - - -".split(), *"not there: gp_speech has no module voice yet".split()]
    assert table[6].endswith("not measured")
    printed = "\n".join(quality_report.lines(RESULTS))
    assert "flite: no sentences: no command" in printed and "pesq could not be installed: no compiler" in printed and "WORLD: a vocoder" in printed


def test_the_front_pages_table_has_a_row_for_each_method():
    heading, rule, *rows = quality_report.markdown(RESULTS).split("\n")
    cells = lambda line: [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    assert cells(heading) == ["", "LSD (dB)", "MCD (dB)", "PESQ-wb", "STOI", "DNSMOS", "WER (%)", "corr.", r"\|corr.\|", "analysis", "draw"]
    assert {len(cells(line)) for line in (rule, *rows[:len(quality_report.METHODS)])} == {11} and rows[len(quality_report.METHODS)] == ""
    found = {cells(line)[0]: cells(line)[1:] for line in rows[:len(quality_report.METHODS)]}
    assert list(found) == ["original", "WORLD", "Griffin-Lim", "**segments**", *(f"**voice, {p}**" for p in ("independent", "rank-one", "mean", "demodulated"))]
    assert found["WORLD"] == "3.40 2.00 3.00 0.980 3.20 40.0 0.45 0.55 0.080 0.0200".split() and found["**voice, demodulated**"][0] == "3.10"
    for name in ("Griffin-Lim", "**segments**", "**voice, mean**", "**voice, rank-one**"): assert found[name] == ["not measured", *[""]*9]
    verdicts = [b["verdict"] for b in quality_report.bars(RESULTS)]
    assert rows[-1] == ("independent: 1 of 2 failed: ValueError: too short. Means over 1 or 2 sentences, measured on 2 cores of a processor, Python 3.11, NumPy 2, SciPy 1, 2026-01-01. "
                        f"Bars that the project sets itself: {verdicts.count('met')} met, {verdicts.count('NOT met')} not met, {verdicts.count('not measured')} not measured.")


def test_the_figure_is_drawn(tmp_path):
    quality_report.figure(RESULTS | {"bars": quality_report.bars(RESULTS)}, tmp_path / "quality.png")
    assert (tmp_path / "quality.png").read_bytes().startswith(b"\x89PNG")


# What was measured

def test_stored_results_tell_nothing_of_places_and_their_bars_are_those_of_the_records():
    results = json.loads((benchmarks / "quality.json").read_text(encoding="utf-8"))
    text = json.dumps(results, ensure_ascii=False)
    assert not re.search(r"\w+://", text) and run.impersonal(text) == text
    assert results["bars"] == quality_report.bars(results) and not results["quick"]


def test_the_front_page_shows_what_was_measured():
    results = json.loads((benchmarks / "quality.json").read_text(encoding="utf-8"))
    assert quality_report.markdown(results) in (root / "README.md").read_text(encoding="utf-8"), "run nbs/index.ipynb anew and `make readme`"


@pytest.mark.parametrize("arguments, why", [(["nonsense"], "not one of bundled"), (["--only", "nonsense"], "not in any of original"), (["--sentences", "0"], "at least 1")])
def test_arguments_that_mean_nothing_are_refused(arguments, why, capsys):
    with pytest.raises(SystemExit): quality.options_of(arguments)
    assert why in capsys.readouterr().err


def test_what_is_not_measured_anew_is_kept_but_not_of_another_machine_or_other_recordings(capsys):
    sentences = [speech.Sentence("bundled", "bundled", "ten words " * 5, Recording(np.full(64000, .1), 16000))]
    names = lambda records: [(r["method"], r["sentence"]) for r in records]
    every = [(r["method"], r["sentence"]) for r in RESULTS["records"]]
    keep = lambda arguments, results=RESULTS, machine=MACHINE: names(quality.kept_before(*quality.options_of(arguments), results, machine, sentences))
    assert keep([]) == []
    assert keep(["--only", "WORLD,demod"]) == [pair for pair in every if pair not in (("WORLD", "bundled"), ("demodulated", "bundled"))]
    assert keep(["bundled"]) == [pair for pair in every if pair[1] != "bundled"]
    with pytest.raises(SystemExit): keep(["bundled"], machine={})
    assert "another machine" in capsys.readouterr().err
    with pytest.raises(SystemExit): keep(["bundled"], RESULTS | {"sentences": [SENTENCES[0] | {"words": 11}]})
    assert "other recordings" in capsys.readouterr().err
