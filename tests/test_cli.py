"""What `gp-speech` must hold beyond what its notebook shows: bad input, nothing half-written, draws that repeat."""
import io, os, pickle, resource, signal, struct, subprocess, sys, time, warnings, zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gp_speech import __version__
from gp_speech.audio import Recording
from gp_speech.cli import COMMANDS, EXAMPLES, EXTENSIONS, LARGEST, main
from gp_speech.pitch import fit_pitch
from gp_speech.synthesis import LONGEST, SCHEMA, SpeechModel
from gp_speech.voice import VOICE_SCHEMA, Voice, load_model

command = str(Path(sys.executable).with_name("gp-speech"))


KINDS = {"voice": Voice, "segments": SpeechModel}


def hiss(n=1600): return 0.1 * np.random.default_rng(1).standard_normal(n)


def vowel(f0=200, n=8000, rate=16000):
    "A sung sound at a pitch in Hz."
    t = np.arange(n) / rate
    return 0.1 * sum(np.cos(2 * np.pi * k * f0 * t + k**2) / k for k in range(1, int(0.45 * rate / f0) + 1))


def pitch_of(path):
    "Median pitch in Hz of a file, which must be voiced in the main."
    pitch = fit_pitch(Recording.read(path), high=1000)
    assert pitch.voiced.mean() > 0.8
    return np.median(pitch.f0[pitch.voiced])


def write(path, samples, rate=16000, **options):
    soundfile.write(path, samples, rate, **options)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    "A small model file of each kind; its bytes."
    folder, recording = tmp_path_factory.mktemp("model"), Recording(hiss(), 16000)
    Voice.fit(recording).save(folder / "voice.npz")
    SpeechModel.fit(recording, progress=False).save(folder / "segments.npz")
    return {kind: (folder / f"{kind}.npz").read_bytes() for kind in KINDS}


@pytest.fixture(params=KINDS)
def kind(request):
    "Of model, as `--model` takes it."
    return request.param


@pytest.fixture
def model(models, kind):
    "A small model file, of one kind and then of the other; its bytes."
    return models[kind]


@pytest.fixture
def refused(here, capsys):
    "A function that runs a command, which must fail with one line on stderr and change no file, and returns that line."
    def run(*argv):
        contents = lambda: {p: p.read_bytes() if p.is_file() else None for p in here.rglob("*")}
        before = contents()
        capsys.readouterr()
        assert main([str(a) for a in argv]) == 1
        told = capsys.readouterr().err
        assert told.startswith("gp-speech: ") and told.count("\n") == 1 and told.endswith("\n"), told
        assert contents() == before
        return told[len("gp-speech: "):-1]
    return run


@pytest.fixture
def no_fit(monkeypatch):
    "Makes a fit a failure: what is refused must be refused before it."
    def fit(*args, **kwargs): raise AssertionError("time was spent on a fit")
    for one in KINDS.values(): monkeypatch.setattr(one, "fit", fit)


# -- the main job

def test_resynth_writes_what_it_says(here, capsys, kind):
    write("a.wav", hiss())
    assert main(f"resynth a.wav b.wav --seed 3 --plot b.png --keep b.npz --model {kind}".split()) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = dict(line.split(maxsplit=1) for line in out.splitlines() if not line.startswith("wrote"))
    assert lines["input"] == "a.wav: 0.1 s, 1600 samples at 16000 Hz" and lines["seed"] == "3"
    assert lines["model"] == "voice, 21 frames, unvoiced" if kind == "voice" else lines["model"].startswith("segments, 1 segment, ") and "component" in lines["model"]
    assert float(lines["distance"].split()[0]) > 0
    assert [part.split()[0] for part in lines["time"].split(", ")] == ["read", "fit", "draw", "compare", "write"]
    assert [line.split()[1] for line in out.splitlines() if line.startswith("wrote")] == ["b.wav", "b.npz", "b.png"]
    assert sorted(os.listdir()) == ["a.wav", "b.npz", "b.png", "b.wav"]
    original, drawn = Recording.read("a.wav"), Recording.read("b.wav")
    assert (drawn.n, drawn.rate) == (original.n, original.rate) and 0.5 < drawn.samples.std() / original.samples.std() < 2
    assert abs(np.corrcoef(drawn.samples, original.samples)[0, 1]) < 0.2  # a draw, not a copy
    assert Path("b.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_kept_model_draws_the_same(here, kind, capsys):
    write("a.wav", hiss())
    assert main(f"resynth a.wav b.wav --seed 3 --keep b.npz --model {kind}".split()) == 0
    assert main(f"fit a.wav c.npz --model {kind}".split()) == 0
    if kind == "voice": assert main("fit a.wav d.npz".split()) == 0 and Path("c.npz").read_bytes() == Path("d.npz").read_bytes()  # it is the default
    assert Path("b.npz").read_bytes() == Path("c.npz").read_bytes() and type(KINDS[kind].load("c.npz")) is KINDS[kind]
    capsys.readouterr()
    assert main("info b.npz".split()) == 0
    out = capsys.readouterr().out
    assert f"model ({KINDS[kind].__name__})" in out and f"model     {kind}, " in out and "0.1 s, 1600 samples at 16000 Hz" in out
    for name in "bc":
        assert main(f"draw {name}.npz {name}{name}.wav --seed 3".split()) == 0
        assert Path(f"{name}{name}.wav").read_bytes() == Path("b.wav").read_bytes()


def test_draws_are_numbered_and_the_first_is_the_one_alone(here, model):
    Path("a.npz").write_bytes(model)
    assert main("draw a.npz one.flac --seed 5".split()) == 0 and main("draw a.npz b.flac --seed 5 --draws 3".split()) == 0
    assert sorted(os.listdir()) == ["a.npz", "b-1.flac", "b-2.flac", "b-3.flac", "one.flac"]
    draws = [Recording.read(f"b-{k}.flac").samples for k in (1, 2, 3)]
    assert np.array_equal(draws[0], Recording.read("one.flac").samples)
    assert not np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[1], draws[2])


def test_a_thrown_seed_repeats_the_draw(here, model, capsys):
    Path("a.npz").write_bytes(model)
    thrown = []
    for name in "bc":
        assert main(["draw", "a.npz", f"{name}.wav"]) == 0
        thrown.append(capsys.readouterr().out.split("--seed ")[1].split()[0])
    assert thrown[0] != thrown[1] and Path("b.wav").read_bytes() != Path("c.wav").read_bytes()
    assert main(["draw", "a.npz", "d.wav", "--seed", thrown[0]]) == 0
    assert Path("d.wav").read_bytes() == Path("b.wav").read_bytes()


def test_the_model_is_written_over_only_when_the_new_one_is_whole(here, model, kind, monkeypatch):
    write("a.wav", hiss())
    Path("a.npz").write_bytes(model)

    def interrupted(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt
    monkeypatch.setattr(np, "savez_compressed", interrupted)
    assert main(f"fit a.wav a.npz --model {kind}".split()) == 130
    assert Path("a.npz").read_bytes() == model and sorted(os.listdir()) == ["a.npz", "a.wav"]


def test_channels(here, capsys, kind):
    sound = np.zeros((1600, 8))
    sound[:, 3] = hiss()
    write("a.wav", sound)
    for k in ("mean", "3"): assert main(["resynth", "a.wav", f"{k}.wav", "--seed", "0", "--channel", k, "--model", kind]) == 0
    loudness = [Recording.read(f"{k}.wav").samples.std() for k in ("3", "mean")]
    assert loudness[0] / loudness[1] == pytest.approx(8, rel=0.05)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("rate, n", [(4000, 400), (16000, 160), (192000, 9600), (16000, 3), (11025, 301)])
def test_short_and_unusual_rates_work(here, capsys, kind, rate, n):
    write("a.wav", hiss(n), rate)
    assert main(f"resynth a.wav b.wav --seed 0 --model {kind}".split()) == 0
    drawn = Recording.read("b.wav")
    assert (drawn.n, drawn.rate) == (n, rate) and drawn.samples.any()
    assert ("undefined" in capsys.readouterr().out) == (n / rate < 0.025)


def test_past_full_scale_is_one_note(here, capsys, kind):
    write("a.wav", 30 * hiss(), subtype="FLOAT")
    assert main(f"resynth a.wav b.wav --seed 0 --model {kind}".split()) == 0
    told = capsys.readouterr().err
    assert told.startswith("gp-speech: note: b.wav: ") and "past full scale (peak " in told and told.count("\n") == 1
    assert np.abs(Recording.read("b.wav").samples).max() == 1


def test_the_bundled_sentence_needs_no_file(here, capsys):
    assert main("info example".split()) == main("info example:always".split()) == 0
    assert "4 s, 64000 samples" in (out := capsys.readouterr().out) and "0.4 s, 6400 samples" in out


def test_a_file_named_example_is_reached_by_its_folder(here, capsys):
    write("example", hiss(), format="WAV")
    assert main(["info", "./example"]) == 0
    assert "1600 samples" in capsys.readouterr().out


# -- many recordings

@pytest.fixture
def folder(here):
    "A folder `in` with two recordings and one that is none."
    Path("in/deep").mkdir(parents=True)
    write("in/a.wav", hiss()), write("in/deep/b.FLAC", hiss(900))
    Path("in/c.wav").write_text("hello")
    return Path("in")


def test_fit_many_fits_what_can_be_fitted_and_lists_the_rest(folder, capsys):
    for fitted, kept in ((2, 0), (0, 2)):
        assert main("fit-many in out --jobs 1".split()) == 1
        out, err = capsys.readouterr()
        assert err == ("gp-speech: in/c.wav: not audio that libsndfile can read (Format not recognised.)\n"
                       "gp-speech: in: 1 of 3 could not be fitted, see above; the same command tries them again\n")
        assert out.splitlines()[:3] == ["input     in: 3 recordings", f"fitted    {fitted}, kept as they were {kept}, failed 1", "models    out"]
    os.unlink("in/c.wav")
    assert main("fit-many in out --jobs 1".split()) == 0 and capsys.readouterr().err == ""
    assert sorted(p.relative_to("out") for p in Path("out").rglob("*.*")) == [Path("a.npz"), Path("deep/b.npz")]
    kind = next(kind for kind, of in KINDS.items() if type(load_model("out/a.npz")) is of)
    assert main(f"fit in/a.wav a.npz --model {kind}".split()) == 0
    assert Path("out/a.npz").read_bytes() == Path("a.npz").read_bytes()  # what `fit` makes of it


def test_fit_many_again_and_its_options(folder, capsys):
    os.unlink("in/c.wav"), os.unlink("in/deep/b.FLAC")
    write("in/a.wav", np.stack([np.zeros(1600), hiss()], 1))
    assert main("fit-many in out --jobs 1 --channel 1 --seed 3".split()) == 0
    first = Path("out/a.npz").read_bytes()
    assert main("fit-many in out --jobs 1 --seed 3".split()) == 0 and Path("out/a.npz").read_bytes() == first
    assert main("fit-many in out --jobs 1 --seed 3 --again".split()) == 0 and Path("out/a.npz").read_bytes() != first
    assert load_model("out/a.npz").sample(np.random.default_rng(0))[0].samples.std() == pytest.approx(hiss().std() / 2, rel=0.2)
    capsys.readouterr()
    assert main("fit-many in out --jobs 1 --channel 2 --again".split()) == 1
    assert "in/a.wav: channel 2 was asked for and there are 2" in capsys.readouterr().err


@pytest.mark.parametrize("argv, told", [
    ("fit-many nowhere out", "nowhere: No such file or directory"), ("fit-many in.wav out", "in.wav: Not a directory"),
    ("fit-many empty out", f"empty: there are no recordings in it; files named {EXTENSIONS} are needed"),
    ("fit-many twins out", "twins/a.flac and twins/a.wav would have the same model, out/a.npz"),
    ("fit-many one in.wav", "in.wav: File exists"), ("fit-many one in.wav/out", "in.wav/out: Not a directory")])
def test_fit_many_refuses_before_any_work(refused, no_fit, argv, told):
    for name in ("empty", "twins", "one"): Path(name).mkdir()
    for name in ("in.wav", "twins/a.wav", "twins/a.flac", "one/b.wav"): write(name, hiss())
    assert told in refused(*argv.split())


def test_fit_many_tells_of_a_folder_it_may_not_read(ordinary, capsys):
    top, call = ordinary
    os.chmod(top, 0o777)
    (top / "in/secret").mkdir(parents=True, mode=0o755)
    (top / "in/secret").chmod(0)

    def attempt():
        assert main(["fit-many", str(top / "in"), str(top / "out"), "--jobs", "1"]) == 1
        assert capsys.readouterr().err.startswith(f"gp-speech: {top / 'in/secret'}: Permission denied\n")
    call(attempt)
    (top / "in/secret").chmod(0o755)


def test_fit_many_notes_name_their_recording(folder, capsys, monkeypatch):
    def noisy(whole):
        def fit(recording, **options):
            warnings.warn("it sounds odd")
            return whole(recording, **options)
        return fit
    for one in KINDS.values(): monkeypatch.setattr(one, "fit", noisy(one.fit))
    assert main("fit-many in out --jobs 1".split()) == 1
    assert capsys.readouterr().err.startswith("gp-speech: note: in/a.wav: it sounds odd\ngp-speech: note: in/deep/b.FLAC: it sounds odd\n")


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_keeps_what_fit_many_has_finished(here, jobs):
    Path("in").mkdir()
    for k in range(20): write(f"in/{k}.wav", 0.1*np.random.default_rng(k).standard_normal(32_000))
    ready = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    argv = [command, "fit-many", "in", "out", "--jobs", str(jobs)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=ready, start_new_session=True) as running:
        while not list(Path("out").glob("[0-9]*.npz")) and running.poll() is None: time.sleep(0.005)
        os.killpg(running.pid, signal.SIGINT)  # to all of its processes, as a terminal does
        out, err = running.communicate(timeout=60)
    made = list(Path("out").glob("[0-9]*.npz"))
    assert running.returncode == 130 and 1 <= len(made) < 20
    assert err == f"gp-speech: stopped; {len(made)} of 20 recordings were fitted; the same call goes on from there; no file was left half-written\n"
    assert {path.name for path in made} == {name for name in os.listdir("out") if not name.startswith(".")}  # (a worker that is killed while it writes leaves a hidden file)
    for path in made: load_model(path)


# -- bad recordings

def text(): Path("in.wav").write_text("Not a sound at all.\n" * 9)


def cut():
    write("in.wav", hiss())
    os.truncate("in.wav", 1000)


def infinite():
    x = hiss()
    x[[7, 9]] = np.inf, np.nan
    write("in.wav", x, subtype="FLOAT")


BAD = {
    "missing": (lambda: None, "there is no such file; a recording is needed"),
    "directory": (lambda: Path("in.wav").mkdir(), "a directory; an audio file is needed"),
    "empty": (lambda: Path("in.wav").touch(), r"empty (0 bytes); an audio file is needed"),
    "text": (text, "not audio"),
    "truncated": (cut, "promises 3200 bytes of samples and 956 follow"),
    "no samples": (lambda: write("in.wav", np.zeros(0)), "0 samples; at least 1 is needed"),
    "not finite": (infinite, "2 of 1600 samples are not finite"),
    "10 minutes": (lambda: write("in.wav", np.zeros(600 * 8000), 8000), "it lasts 600 s; at most 60 s are needed"),
    "pipe": (lambda: os.mkfifo("in.wav"), "a device or a pipe")}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("argv", ["resynth in.wav out.wav --keep out.npz", "fit in.wav out.npz"])
def test_bad_recordings_are_refused(refused, case, argv, kind):
    make, told = BAD[case]
    make()
    message = refused(*argv.split(), "--model", kind)
    assert message.startswith("in.wav: ") and told in message


LITTLE = {"one sample": (np.ones(1) / 2, "1 samples; at least 3 are needed"), "two samples": (hiss(2), "2 samples; at least 3 are needed"),
          "zeros": (np.zeros(1600), "all 1600 samples are zero")}


@pytest.mark.parametrize("case", LITTLE)
def test_next_to_nothing_is_a_voice_and_no_segments(refused, capsys, case):
    samples, told = LITTLE[case]
    write("in.wav", samples)
    for argv in ("resynth in.wav out.wav --keep out.npz", "fit in.wav out.npz"):
        message = refused(*argv.split(), "--model", "segments")
        assert message.startswith("in.wav: ") and told in message
    assert main("resynth in.wav out.wav --keep out.npz --seed 0".split()) == 0 and capsys.readouterr().err == ""
    drawn = Recording.read("out.wav")
    assert drawn.n == len(samples) and Voice.load("out.npz").n == len(samples)
    assert np.abs(drawn.samples).max() < 1e-9 or case == "two samples"  # nothing moves in the others


@pytest.mark.parametrize("rate, told", [(2000, "the rate is 2000 Hz; at least 4000 Hz are needed to find a pitch up to 500 Hz"),
                                        (2_000_000_000, "the rate is 2e+09 Hz; at most 1e+06 Hz can be fitted")])
def test_rates_that_no_voice_has(refused, rate, told):
    write("in.wav", hiss(300), rate)
    assert refused(*"fit in.wav out.npz".split()) == f"in.wav: {told}"


# -- changes of a voice

@pytest.mark.parametrize("semitones", [-7, 5.5])
def test_the_pitch_moves(here, semitones, capsys):
    write("a.wav", vowel())
    assert main(["resynth", "a.wav", "b.wav", f"--pitch={semitones}", "--keep", "b.npz", "--seed", "0"]) == 0
    out = capsys.readouterr().out
    assert "distance" not in out and "compare" not in out  # from what would it be?
    assert pitch_of("a.wav") == pytest.approx(200, rel=0.01) and pitch_of("b.wav") == pytest.approx(200 * 2 ** (semitones / 12), rel=0.01)
    assert main("draw b.npz c.wav --seed 0".split()) == 0 and Path("b.wav").read_bytes() == Path("c.wav").read_bytes()  # the changed voice is kept
    assert main(["fit", "a.wav", "a.npz"]) == main(["draw", "a.npz", "d.wav", f"--pitch={semitones}", "--seed", "0"]) == 0
    assert Path("d.wav").read_bytes() == Path("b.wav").read_bytes()


@pytest.mark.parametrize("factor", [0.3, 1, 2.5])
def test_the_length_changes_and_the_pitch_stays(here, factor):
    write("a.wav", vowel())
    assert main("fit a.wav a.npz".split()) == 0
    for argv in (f"resynth a.wav b.wav --stretch {factor} --seed 0", f"draw a.npz c.flac --stretch {factor} --seed 0"): assert main(argv.split()) == 0
    for name in ("b.wav", "c.flac"): assert Recording.read(name).n == round(8000 * factor) and pitch_of(name) == pytest.approx(200, rel=0.01)


def test_the_resonances_move(here):
    x = np.zeros(8000)
    x[::100] = 1  # 160 Hz
    from scipy.signal import lfilter
    pole = 0.97 * np.exp(2j * np.pi * 1500 / 16000)  # a resonance at 1500 Hz
    write("a.wav", 0.02 * lfilter([1], np.poly([pole, pole.conj()]).real, x))
    assert main("resynth a.wav b.wav --formants 1.4 --pitch 0 --stretch 1 --seed 0".split()) == 0

    def centre(path):
        power = np.abs(np.fft.rfft(Recording.read(path).samples)) ** 2
        return power @ np.linspace(0, 8000, len(power)) / power.sum()
    assert centre("b.wav") / centre("a.wav") == pytest.approx(1.4, rel=0.15) and pitch_of("b.wav") == pytest.approx(160, rel=0.01)


@pytest.mark.parametrize("change", ["--pitch=3", "--stretch=2", "--formants=1.1", "--pitch=0", "--stretch=1", "--formants=1"])
def test_segments_cannot_be_changed(refused, models, change):
    write("in.wav", hiss())
    Path("in.npz").write_bytes(models["segments"])
    what = change.partition("=")[0]
    for argv in (["draw", "in.npz", "out.wav", change], ["resynth", "in.wav", "out.wav", "--model", "segments", change]):
        assert refused(*argv) == f"{argv[1]}: {what} needs a voice; this model is of segments"


@pytest.mark.parametrize("change, told", [
    ("--pitch=-36", "--pitch: between 20 and 8000 Hz is needed, got "), ("--stretch=10", "--stretch: the result would last 61 s; more than 0 and at most 60 s are needed")])
def test_a_change_that_cannot_be(refused, change, told):
    write("in.wav", vowel(150, n=97_600))
    assert f"in.wav: {told}" in refused("resynth", "in.wav", "out.wav", change)
    assert main("fit in.wav in.npz".split()) == 0
    assert f"in.npz: {told}" in refused("draw", "in.npz", "out.wav", change)


def test_stretched_draws_count_in_full(refused, no_fit, models):
    write("in.wav", hiss())
    draws = LARGEST // 1600
    assert f"{draws} draws of 3200 samples were asked for" in refused("resynth", "in.wav", "out.wav", "--stretch", "2", "--draws", draws)
    Path("in.npz").write_bytes(models["voice"])
    assert f"{draws} draws of 3200 samples were asked for" in refused("draw", "in.npz", "out.wav", "--stretch", "2", "--draws", draws)


def test_hours_are_refused_without_reading_them(refused):
    write("in.wav", np.zeros((8, 8)), 48000)
    head, seconds = bytearray(Path("in.wav").read_bytes()[:44]), 2_000
    size = seconds * 48000 * 8 * 2
    head[4:8], head[40:44] = struct.pack("<I", size + 36), struct.pack("<I", size)
    Path("big.wav").write_bytes(head)
    os.truncate("big.wav", size + 44)  # 1.5 GB of hole
    os.rename("big.wav", "../big.wav")  # where the fixture does not read it
    start, memory = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try: assert "it lasts 2000 s; at most 60 s are needed" in refused("resynth", "../big.wav", "out.wav")
    finally: os.unlink("../big.wav")
    assert time.perf_counter() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 200 * (2**20 if sys.platform == "darwin" else 2**10)


def test_no_such_channel(refused, no_fit):
    write("in.wav", np.zeros((100, 8)))
    assert "in.wav: channel 8 was asked for and there are 8" in refused(*"resynth in.wav out.wav --channel 8".split())


def test_no_such_word(refused): assert "example:ducks: part 'ducks'" in refused("fit", "example:ducks", "out.npz")


def test_a_model_is_no_recording(refused, model, no_fit):
    Path("in.npz").write_bytes(model)
    assert "in.npz: an .npz archive, such as a fitted model; a recording is needed" in refused("resynth", "in.npz", "out.wav")


def test_too_short_for_a_picture_is_known_before_the_fit(refused, no_fit):
    write("in.wav", hiss(160))
    assert "in.wav: too short for --plot" in refused(*"resynth in.wav out.wav --plot out.png".split())


def test_no_right_to_read(ordinary, capsys):
    folder, call = ordinary
    write(folder / "in.wav", hiss()).chmod(0)

    def read():
        assert main(["fit", str(folder / "in.wav"), str(folder / "out.npz")]) == 1
        assert capsys.readouterr().err == f"gp-speech: {folder / 'in.wav'}: Permission denied\n"
    call(read)
    assert os.listdir(folder) == ["in.wav"]


# -- bad outputs

@pytest.mark.parametrize("argv, told", [
    ("resynth in.wav out.mp3", "out.mp3: the extension is '.mp3'; .wav or .flac is needed"),
    ("resynth in.wav out", "out: the extension is ''; .wav or .flac is needed"),
    ("resynth in.wav no/out.wav", "no/out.wav: cannot be written (No such file or directory)"),
    ("resynth in.wav in.wav/out.wav", "in.wav/out.wav: cannot be written (Not a directory)"),
    ("resynth in.wav folder.wav", "folder.wav: cannot be written (a directory; the name of a file is needed)"),
    (f"resynth in.wav {'x' * 300}.wav", "cannot be written (File name too long)"),
    ("resynth in.wav in.wav", "in.wav: this is the input"),
    ("resynth in.wav link.wav", "link.wav: this is the input"),
    ("resynth in-2.wav in.wav --draws 2", "in-2.wav: this is the input"),
    ("resynth in.wav out.wav --plot out.jpg", "out.jpg: the extension is '.jpg'; .png is needed"),
    ("resynth in.wav out.wav --plot no/out.png", "no/out.png: cannot be written"),
    ("resynth in.wav out.wav --keep out.bin", "out.bin: the extension is '.bin'; .npz is needed"),
    ("resynth in.wav out.wav --keep no/out.npz", "no/out.npz: cannot be written"),
    ("resynth fast.wav out.flac", "out.flac: libsndfile cannot write this"),
    (f"resynth in.wav out.wav --draws {LARGEST}", f"in.wav: {LARGEST} draws of 1600 samples were asked for"),
    ("fit in.wav out", "out: the extension is ''; .npz is needed"),
    ("fit in.wav no/out.npz", "no/out.npz: cannot be written"),
    ("draw in.npz out.mp3", "out.mp3: the extension is '.mp3'"),
    ("draw in.npz no/out.wav", "no/out.wav: cannot be written")])
def test_bad_outputs_are_refused_before_the_fit(refused, no_fit, model, argv, told):
    write("in.wav", hiss()), write("in-2.wav", hiss()), write("fast.wav", hiss(), 1_000_000)
    Path("in.npz").write_bytes(model)
    Path("folder.wav").mkdir()
    os.symlink("in.wav", "link.wav")
    assert told in refused(*argv.split())


def test_no_right_to_write(ordinary, capsys, no_fit):
    folder, call = ordinary
    source = str(write(folder / "in.wav", hiss()))
    os.chmod(source, 0o644)
    (folder / "kept").mkdir(mode=0o555)
    (folder / "old.wav").touch(mode=0o444)
    write_to = lambda name: (main(["resynth", source, str(folder / name), "--seed", "0"]), capsys.readouterr().err)

    def attempt():
        for name in ("kept/out.wav", "old.wav"):
            code, told = write_to(name)
            assert code == 1 and f"{name}: cannot be written (" in told and told.count("\n") == 1
    call(attempt)
    assert sorted(os.listdir(folder)) == ["in.wav", "kept", "old.wav"] and os.listdir(folder / "kept") == []


def test_a_full_disk_leaves_nothing(here, model):
    Path("a.npz").write_bytes(model)
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    done = subprocess.run([command, "draw", "a.npz", "b.wav", "--seed", "0"], preexec_fn=limit, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("gp-speech: b.wav: ") and done.stderr.count("\n") == 1
    assert os.listdir() == ["a.npz"]


# -- bad models

class Payload:
    "Unpickled, it makes a file."
    def __reduce__(self): return (open, ("payload-ran", "w"))


def archive(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def changed(model, **arrays): return archive(**(dict(np.load(io.BytesIO(model))) | {name: np.asarray(value) for name, value in arrays.items()}))


def bomb():
    "An archive of 200 kB that says it holds 300 MB."
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as z:
        with z.open("schema.npy", "w") as entry:
            for _ in range(300): entry.write(bytes(2**20))
    return file.getvalue()


def liar(model):
    "A model of which an array claims a petabyte that is not there."
    file = io.BytesIO()
    header = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + b"{'descr': '<f8', 'fortran_order': False, 'shape': (140000000000000,), }".ljust(117) + b"\n"
    with zipfile.ZipFile(io.BytesIO(model)) as old, zipfile.ZipFile(file, "w") as new:
        for item in old.infolist(): new.writestr(item.filename, header + bytes(80) if item.filename in ("envelope_u.npy", "matrix.npy") else old.read(item))
    return file.getvalue()


MODELS = {
    "missing": (lambda m: None, "there is no such file; a model written by `gp-speech fit` is needed"),
    "empty": (lambda m: b"", "not a model file"),
    "text": (lambda m: b"hello\n", "not a model file"),
    "only a head": (lambda m: b"PK\x03\x04", "corrupted"),
    "truncated": (lambda m: m[:len(m) // 2], "corrupted"),
    "a byte short": (lambda m: m[:-1], "corrupted"),
    "corrupted": (lambda m: m[:300] + bytes(b ^ 255 for b in m[300:340]) + m[340:], "corrupted"),
    "another schema": (lambda m: changed(m, schema="gp_speech Voice 2"), f"schema is 'gp_speech Voice 2'; {VOICE_SCHEMA!r} or {SCHEMA!r} is needed"),
    "no schema": (lambda m: archive(a=np.zeros(3)), "schema is 'none'"),
    "an array too many": (lambda m: changed(m, extra=1), "'extra'"),
    "another's schema": (lambda m: changed(m, schema=SCHEMA if "matrix" in np.load(io.BytesIO(m)) else VOICE_SCHEMA), "arrays are missing or unknown, such as "),
    "a petabyte that is not there": (liar, "corrupted"),
    "a pickle": (lambda m: pickle.dumps(Payload()), "not a model file"),
    "a pickle within": (lambda m: changed(m, schema=np.array([Payload()], dtype=object)), "corrupted, or not a model file"),
    "a bomb": (lambda m: bomb(), "at most 268435456 are accepted")}

OF_A_KIND = {
    "voice": {
        "not a number": (lambda m: changed(m, matrix=np.full((21, 47), np.nan)), "not a usable voice: f0: 21 values are not finite"),
        "a frame too few": (lambda m: changed(m, matrix=np.load(io.BytesIO(m))["matrix"][1:]), "not a usable voice: f0: shape (21,) is needed"),
        "a petabyte of samples": (lambda m: changed(m, n=10**14), "it claims")},
    "segments": {
        "not a number": (lambda m: changed(m, noise=np.full(1, np.nan)), "not a usable model"),
        "components do not add up": (lambda m: changed(m, components=[7]), "not a usable model"),
        "a petabyte of samples": (lambda m: changed(m, envelope_n=10**14, boundaries=[0, 10**14]), "it claims")}}


@pytest.mark.parametrize("kind, case", [(kind, case) for kind in KINDS for case in MODELS | OF_A_KIND[kind]])
def test_bad_models_are_refused(refused, models, kind, case):
    (make, told), model = (MODELS | OF_A_KIND[kind])[case], models[kind]
    if (content := make(model)) is not None: Path("in.npz").write_bytes(content)
    message = refused("draw", "in.npz", "out.wav", "--seed", "0")
    assert message.startswith("in.npz: ") and told in message
    assert not Path("payload-ran").exists()
    assert refused("info", "in.npz").startswith("in.npz: ")


def test_the_payload_would_run_where_pickles_are_loaded(here, model):
    Path("in.npz").write_bytes(MODELS["a pickle within"][0](model))
    with np.load("in.npz", allow_pickle=True) as stored: stored["schema"]
    assert Path("payload-ran").exists()


@pytest.mark.parametrize("argv", ["draw in.wav out.wav", "draw folder out.wav", "draw pipe out.wav"])
def test_what_is_no_model(refused, argv):
    write("in.wav", hiss())
    Path("folder").mkdir()
    os.mkfifo("pipe")
    assert "needed" in refused(*argv.split())


# -- the command line itself

@pytest.mark.parametrize("argv, told", [
    ("", "required"), ("sing a b", "invalid choice"), ("resynth a.wav", "OUT"), ("resynth a.wav b.wav --seed -1", "from 0 is needed"),
    ("resynth a.wav b.wav --seed x", "a whole number"), ("resynth a.wav b.wav --draws 0", "from 1 is needed"), ("resynth a.wav b.wav --draws 1.5", "a whole number"),
    ("resynth a.wav b.wav --channel left", "a whole number"), ("draw a.npz b.wav --plot c.png", "unrecognized"), ("resynth a.wav b.wav --dr 3", "unrecognized"),
    ("resynth a.wav b.wav --model c.npz", "invalid choice"), ("fit a.wav b.npz --model x", "invalid choice"), ("draw a.npz b.wav --model voice", "unrecognized"),
    ("resynth a.wav b.wav --pitch x", "'x': a number from -36 to 36 is needed"), ("draw a.npz b.wav --pitch 37", "a number from -36 to 36 is needed"),
    ("draw a.npz b.wav --pitch nan", "'nan': a number"), ("resynth a.wav b.wav --pitch", "expected one argument"),
    ("resynth a.wav b.wav --stretch 0", "a number from 0.1 to 10 is needed"), ("draw a.npz b.wav --stretch -1", "a number from 0.1 to 10 is needed"),
    ("draw a.npz b.wav --stretch inf", "a number from 0.1 to 10 is needed"), ("resynth a.wav b.wav --formants 5", "a number from 0.25 to 4 is needed"),
    ("draw a.npz b.wav --formants 0,9", "a number from 0.25 to 4 is needed"), ("fit a.wav b.npz --pitch 3", "unrecognized"),
    ("fit-many a", "OUT"), ("fit-many a b --jobs 0", "from 1 is needed"), ("fit-many a b --seed x", "a whole number"), ("fit-many a b --draws 3", "unrecognized")])
def test_usage(here, capsys, argv, told):
    with pytest.raises(SystemExit) as stop: main(argv.split())
    assert stop.value.code == 2 and told in capsys.readouterr().err


def test_help_and_version(capsys):
    for argv in (["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)):
        with pytest.raises(SystemExit) as stop: main(argv)
        assert stop.value.code == 0
    out = capsys.readouterr().out
    assert f"gp-speech {__version__}\n" in out and EXAMPLES in out and f"at most {LONGEST:g} s" in out
    assert EXTENSIONS in " ".join(out.split())


def test_the_examples_in_the_help_are_understood():
    from gp_speech.cli import make_parser
    lines = [line.split("  ")[1] for line in EXAMPLES.splitlines() if line.startswith("  gp-speech")] + [example for *_, example in COMMANDS.values()]
    assert len(lines) == 14
    for line in lines: assert callable(make_parser().parse_args(line.split()[1:]).command)


def test_names_that_cannot_be_printed_take_one_line(refused):
    assert refused("info", "a\nb\r\x1b[2J.wav").startswith(r"a\nb\r\x1b[2J.wav: there is no such file")
    assert refused("info", os.fsdecode(b"a\xff.wav")).startswith(r"a\udcff.wav: there is no such file")


def test_the_command_starts_without_the_heavy_libraries():
    code = "import sys, gp_speech.cli; gp_speech.cli.make_parser(); print([m for m in ('numpy', 'scipy', 'soundfile', 'matplotlib', 'tqdm', 'IPython') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("argv, code, out, err", [
    ("--version", 0, f"gp-speech {__version__}\n", ""),
    ("info nowhere.wav", 1, "", "gp-speech: nowhere.wav: there is no such file; a recording is needed, or example, or example:WORD\n"),
    ("info example:always", 0, None, ""), ("sing", 2, "", None)])
def test_the_installed_command(here, argv, code, out, err):
    done = subprocess.run([command, *argv.split()], capture_output=True, text=True)
    assert done.returncode == code and (out is None or done.stdout == out) and (err is None or done.stderr == err)
    assert "Traceback" not in done.stderr


def test_names_that_are_no_text(here):
    name = "ü.wav" if sys.platform == "darwin" else os.fsdecode(b"\xff.wav")  # (on a Mac every name is text)
    os.rename(write("a.wav", hiss()), name)
    for argv in (["fit", name, f"{name}.npz"], ["resynth", name, f"new-{name}", "--seed", "0"], ["info", f"new-{name}"]): assert main(argv) == 0


def test_ascii_terminals(here):
    write("é.wav", hiss())
    done = subprocess.run([command, "resynth", "é.wav", "ü.wav", "--seed", "0"], capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"})
    assert done.returncode == 0 and b"\\xfc.wav" in done.stdout and done.stderr == b""


def test_ctrl_c_leaves_nothing(here, kind):
    ready = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run in the background it would be ignored
    with subprocess.Popen([command, "resynth", "example", "out.wav", "--draws", "60", "--plot", "out.png", "--keep", "out.npz", "--model", kind], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=ready) as running:
        assert running.stdout.readline().startswith("input")
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130 and err.endswith("gp-speech: stopped; no file was left half-written\n") and "Traceback" not in err
    assert os.listdir() == []


def test_a_reader_that_goes_away(here, model):
    Path("a.npz").write_bytes(model)
    read, written = os.pipe()
    os.close(read)
    done = subprocess.run([command, "draw", "a.npz", "b.wav"], stdout=written, stderr=subprocess.PIPE, text=True)
    os.close(written)
    assert done.returncode == 1 and done.stderr == ""
