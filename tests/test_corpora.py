"""What `fit_many` must hold beyond what its notebook shows: odd folders, bad files, dead workers, the same bits everywhere."""
import io, itertools, os, signal, socket, subprocess, sys, threading, time, warnings
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from gp_speech import cli, corpora
from gp_speech.audio import AudioError, Recording, replacing
from gp_speech.corpora import (EXTENSIONS, STALE, Corpus, each_done, find_recordings, fit_file, fit_many, is_current, model_paths, printable,
                               reason, remove_leftovers, schema_of, warnings_noted)
from gp_speech.synthesis import LONGEST, SCHEMA, SpeechModel
from gp_speech.voice import VOICE_SCHEMA, Voice, load_model


def hiss(path, n=800, seed=1, rate=16000, **options):
    "Write a recording that is fitted quickly; returns its path."
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(os.fsencode(path), 0.1*np.random.default_rng(seed).standard_normal(n), rate, **options)
    return path


def contents(folder):
    "What can be seen in a folder: {path: bytes}. (A worker that is killed while it writes leaves a hidden file.)"
    return {p.relative_to(folder): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file() and not p.name.startswith(".")}


@pytest.fixture
def corpus(here):
    "A folder of five recordings and a bad one."
    for k in range(5): hiss(f"in/{k % 2}/{k}.wav", seed=k)
    Path("in/bad.wav").write_text("Not a sound.")
    return Path("in")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    "The models of the five recordings, each fitted on its own: {path in the corpus: bytes}."
    folder = tmp_path_factory.mktemp("alone")
    for k in range(5):
        with threadpool_limits(1, "blas"): model = Voice.fit(Recording.read(hiss(folder/f"{k}.wav", seed=k)))
        model.save(folder/f"{k}.npz")
    return {Path(f"{k % 2}/{k}.npz"): (folder/f"{k}.npz").read_bytes() for k in range(5)}


@pytest.fixture
def no_fit(monkeypatch):
    "Makes a fit a failure of the test: what is refused must be refused before it."
    def fit(*args, **kwargs): raise AssertionError("time was spent on a fit")
    monkeypatch.setattr(corpora, "as_finished", fit)


# -- which files

@pytest.mark.parametrize("extension", EXTENSIONS)
def test_every_extension_is_of_a_format_that_can_be_read(here, extension):
    format = {"aif": "AIFF", "aifc": "AIFF", "oga": "OGG", "opus": "OGG", "snd": "AU", "sph": "NIST"}.get(extension[1:], extension[1:].upper())
    subtype = {"opus": "OPUS", "oga": "VORBIS", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}.get(extension[1:], "PCM_16")
    path = hiss(f"a{extension}", rate=16000, format=format, subtype=subtype)
    assert Recording.read(path).rate == 16000
    assert find_recordings(".") == ([path], {})


def test_the_command_names_the_same_extensions(): assert cli.EXTENSIONS == " ".join(EXTENSIONS) and sorted(EXTENSIONS) == list(EXTENSIONS)


def test_what_is_found_and_what_is_passed_over(here):
    wanted = [hiss(name, format="WAV") for name in ("in/a.wav", "in/B.WAV", "in/deep/er/c.wav", "in/folder.wav/d.wav", "in/two words.Flac", "in/1.2.wav")]
    for name in ("in/.hidden.wav", "in/._a.wav", "in/.git/x.wav", "in/models/draw.wav", "out/elsewhere.wav"): hiss(name)
    for name in ("in/a.txt", "in/wav", "in/a.wav.bak"): Path(name).touch()
    os.symlink("..", "in/deep/loop")            # a loop of folders
    os.symlink("../out", "in/linked")           # a folder elsewhere
    os.symlink("a.wav", "in/z.wav")             # a link to a recording is one
    assert find_recordings("in", leave_out="in/models") == (sorted([*wanted, Path("in/z.wav")]), {})
    assert Path("in/models/draw.wav") in find_recordings("in")[0]
    assert find_recordings("in/models", leave_out="in/models")[0] == [Path("in/models/draw.wav")]  # models may stand beside recordings
    Path("empty").mkdir()
    assert find_recordings("empty") == ([], {}) == find_recordings(b"empty")


def test_what_is_no_folder(here):
    hiss("a.wav")
    pytest.raises(NotADirectoryError, find_recordings, "a.wav")
    pytest.raises(FileNotFoundError, find_recordings, "nowhere")
    os.symlink("loop", "loop")
    pytest.raises(OSError, find_recordings, "loop")


def test_a_folder_that_may_not_be_read_is_told(ordinary, monkeypatch):
    folder, call = ordinary
    monkeypatch.setattr(corpora, "fit_file", lambda **job: (None, ()))  # (an ordinary user may not be able to import what a fit needs)
    os.chmod(folder, 0o777)
    hiss(folder/"in/a.wav"), hiss(folder/"in/secret/b.wav")
    (folder/"in/secret").chmod(0)

    def look():
        assert find_recordings(folder/"in") == ([folder/"in/a.wav"], {folder/"in/secret": "Permission denied"})
        done = fit_many(folder/"in", folder/"out", n_jobs=1, progress=False)
        assert list(done.fitted) == [folder/"in/a.wav"] and done.failed == {folder/"in/secret": "Permission denied"}
        with pytest.raises(PermissionError): find_recordings(folder/"in/secret")
    call(look)
    (folder/"in/secret").chmod(0o755)


# -- names

names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=4).filter(lambda s: s not in (".", ".."))


@given(st.lists(st.builds(lambda parts, extension: "/".join(parts) + extension, st.lists(names, min_size=1, max_size=3), st.sampled_from((".wav", ".flac", ""))), max_size=8))
def test_no_two_recordings_share_a_model(paths):
    paths = [os.path.join("in", p) for p in paths]
    stems = [str(Path(p).with_name(Path(p).stem)) for p in dict.fromkeys(map(Path, paths))]
    try: models = model_paths(paths, "out", root="in")
    except ValueError as error:
        assert "would have the same model" in str(error) and len(set(stems)) < len(stems)
    else:
        assert len(set(models.values())) == len(models) == len(set(map(Path, paths))) == len(set(stems))
        for path, model in models.items():
            assert model.parent.relative_to("out") == path.parent.relative_to("in") and model.name == path.stem + ".npz"


def test_structure_below_the_common_folder(here):
    assert model_paths([], "out") == {}
    assert model_paths(["x/y/a.wav"], "out") == {Path("x/y/a.wav"): Path("out/a.npz")}
    assert list(model_paths(["x/y/a.wav", "x/z/w/a.wav", b"x/b.wav"], "out").values()) == [Path("out/y/a.npz"), Path("out/z/w/a.npz"), Path("out/b.npz")]
    assert list(model_paths(["x/y/a.wav"], "out", root=".").values()) == [Path("out/x/y/a.npz")]
    assert list(model_paths([here/"x/a.wav", "x/a.wav", "x/../x/./a.wav"], "out")) == [here/"x/a.wav"]  # the same file, three times
    assert list(model_paths(["a.b.wav", "a.wav"], "out").values()) == [Path("out/a.b.npz"), Path("out/a.npz")]


@pytest.mark.parametrize("paths, root, told", [
    (["x/a.wav", "x/a.flac"], None, "x/a.wav and x/a.flac would have the same model, out/a.npz"),
    (["x/a.wav", "y/a.wav"], "x", "y/a.wav: a recording below"),
    (["out/a.npz"], None, "out/a.npz: the model would replace a recording")])
def test_bad_names_are_refused_before_any_work(here, no_fit, paths, root, told):
    with pytest.raises(ValueError) as error: fit_many(paths, "out", root)
    assert told in str(error.value) and os.listdir() == []


@pytest.mark.parametrize("options, told", [(dict(seed=-1), "non-negative"), (dict(rng=None), "rng: cannot be the same"), (dict(segmentation=None), "segmentation: cannot be the same"),
    (dict(pitch=None), "pitch: cannot be the same"), (dict(model="choir"), "model: 'choir' is not one of voice, segments")])
def test_bad_options_are_refused_before_any_work(corpus, no_fit, options, told):
    with pytest.raises(ValueError, match=told): fit_many(corpus, "out", **options)
    assert not os.path.exists("out")


def test_a_bad_folder_for_models_is_refused_before_any_work(corpus, no_fit):
    Path("file").touch()
    with pytest.raises(OSError, match="file"): fit_many(corpus, "file")
    with pytest.raises(OSError, match="file"): fit_many(corpus, "file/out")
    Path("out").mkdir(), Path("out/1").touch()
    with pytest.raises(OSError, match="out/1"): fit_many(corpus, "out")


def test_a_folder_that_may_not_be_written_to_is_refused_before_any_work(ordinary, no_fit):
    folder, call = ordinary
    hiss(folder/"a.wav")
    (folder/"out").mkdir(mode=0o555)

    def attempt():
        with pytest.raises(PermissionError) as error: fit_many([folder/"a.wav"], folder/"out")
        assert error.value.filename == str(folder/"out")
    call(attempt)


def test_a_finished_corpus_may_be_write_protected(ordinary, no_fit):
    folder, call = ordinary
    hiss(folder/"a.wav")
    (folder/"out").mkdir()
    Voice.fit(Recording.read(folder/"a.wav")).save(folder/"out/a.npz")
    assert is_current(folder/"a.wav", folder/"out/a.npz")  # (the first archive that is opened imports an encoding, which an ordinary user may not)
    (folder/"out").chmod(0o555)
    call(lambda: fit_many([folder/"a.wav"], folder/"out", progress=False).skipped[folder/"a.wav"])


# -- what is done

def test_current_or_not(here):
    recording, model = hiss("a.wav"), Path("a.npz")
    assert not is_current(recording, model)
    Voice.fit(Recording.read(recording)).save(model)
    assert is_current(recording, model)
    whole = model.read_bytes()
    for part in (b"", whole[:100], whole[:-1]):  # as a power failure might leave it
        model.write_bytes(part)
        assert not is_current(recording, model)
    model.write_bytes(whole)
    os.utime(model, ns=(5, os.stat(recording).st_mtime_ns - 1))
    assert not is_current(recording, model)
    os.utime(model, ns=(5, os.stat(recording).st_mtime_ns))
    assert is_current(recording, model)
    assert not is_current("nowhere.wav", model) and not is_current(recording, "x"*300 + ".npz") and not is_current(recording, "/")
    os.unlink(model), os.mkfifo(model)
    assert not is_current(recording, model)  # and does not wait for somebody to write to the pipe


def test_a_model_of_the_other_kind_is_not_current(here):
    recording, kinds = hiss("a.wav"), {"voice": (Voice, VOICE_SCHEMA), "segments": (SpeechModel, SCHEMA)}
    for kind in ("voice", "segments", "segments", "voice"):
        before = Path("out/a.npz").exists() and type(load_model("out/a.npz"))
        done = fit_many([recording], "out", n_jobs=1, model=kind, progress=False)
        assert len(done.skipped) == (before == kinds[kind][0]) and len(done.models) == 1
        assert type(load_model("out/a.npz")) == kinds[kind][0] and schema_of("out/a.npz") == kinds[kind][1]
        assert [k for k in kinds if is_current(recording, "out/a.npz", k)] == [kind]
    for call in (lambda: is_current(recording, "out/a.npz", "choir"), lambda: fit_file("a.wav", "b.npz", "choir")):
        with pytest.raises(ValueError, match="model: 'choir' is not one of voice, segments"): call()
    assert not os.path.exists("b.npz")


def test_the_command_passes_the_kind_on(here, capsys):
    hiss("in/a.wav")
    for option, kind, counts in ("", Voice, "1, kept as they were 0"), (" --model voice", Voice, "0, kept as they were 1"), (" --model segments", SpeechModel, "1, kept as they were 0"):
        assert cli.main(f"fit-many in out --jobs 1{option}".split()) == 0 and f"fitted    {counts}" in capsys.readouterr().out
        assert type(load_model("out/a.npz")) == kind
    with pytest.raises(SystemExit): cli.main("fit-many in out --model choir".split())
    assert "choir" in capsys.readouterr().err


def test_the_kind_is_told_without_the_arrays(here, monkeypatch):
    hiss("a.wav")
    fit_file("a.wav", "a.npz")
    read = []
    class Seen(corpora.zipfile.ZipFile):
        def open(self, name, *more, **options):
            read.append(name)
            return super().open(name, *more, **options)
    monkeypatch.setattr(corpora.zipfile, "ZipFile", Seen)
    assert schema_of("a.npz") == VOICE_SCHEMA and read == ["schema.npy"]


@pytest.mark.parametrize("arrays", [{}, dict(schema="gp_speech Voice 0"), dict(schema="x"*1000), dict(schema=np.array([{}])), dict(matrix=np.ones(3))])
def test_an_archive_that_is_something_else_is_not_current(here, arrays):
    recording = hiss("a.wav")
    np.savez("a.npz", **arrays)
    assert not is_current(recording, "a.npz") and not is_current(recording, "a.npz", "segments")
    assert list(fit_many([recording], ".", n_jobs=1, progress=False).fitted) == [recording]
    Voice.load("a.npz")


def test_leftovers_go_and_everything_else_stays(here):
    hiss("a.wav")
    left = []
    for name in ("a.npz", "long"*40 + ".npz"):
        with replacing(name) as temporary: left.append(Path(temporary.name))  # the names that killed workers would leave
    kept = [Path(n) for n in (".b-01234567.npz", ".a-0123456.npz", ".a-0123456z.npz", "a-01234567.npz", ".a.npz", ".a-89abcdef.npz", ".a-00000000.wav")]
    fresh = Path(".a-fedcba98.npz")  # somebody may be writing to it
    models = [Path("a.npz"), Path("long"*40 + ".npz"), Path(".a-89abcdef.npz")]  # a model may be named like one
    for path in (*left, *kept, *models, fresh):
        path.touch()
        if path != fresh: os.utime(path, (time.time() - STALE - 60,)*2)
    remove_leftovers(models)
    assert sorted(os.listdir()) == sorted(map(str, {*kept, *models, fresh, Path("a.wav")}))


def test_a_killed_writer_leaves_no_model(here):
    hiss("in/a.wav")
    code = """if True:
        import os, signal, numpy as np
        from gp_speech.corpora import fit_file
        whole = np.savez_compressed
        def half(file, **arrays):
            file.write(b"PK\\x03\\x04half of it")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        np.savez_compressed = half
        os.mkdir("out")
        fit_file("in/a.wav", "out/a.npz")"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    [left] = os.listdir("out")
    assert left.startswith(".a-")
    os.utime(f"out/{left}", (0, 0))
    assert list(fit_many("in", "out", n_jobs=1, progress=False).fitted) == [Path("in/a.wav")]
    assert os.listdir("out") == ["a.npz"]
    Voice.load("out/a.npz")


# -- one file

def long(): hiss("a.wav", 8000*61, rate=8000)


BAD = {
    "missing": (lambda: None, "No such file or directory"),
    "directory": (lambda: Path("a.wav").mkdir(), "a directory; an audio file is needed"),
    "empty": (lambda: Path("a.wav").touch(), "the file is empty"),
    "text": (lambda: Path("a.wav").write_text("hello"), "not audio"),
    "truncated": (lambda: os.truncate(hiss("a.wav"), 500), "cut short"),
    "long": (long, f"at most {LONGEST:g} s"),
    "pipe": (lambda: os.mkfifo("a.wav"), "a device or a pipe"),
    "link to itself": (lambda: os.symlink("a.wav", "a.wav"), "Too many levels of symbolic links"),
    "link to nothing": (lambda: os.symlink("b.wav", "a.wav"), "No such file or directory")}


FOR_SEGMENTS = {
    "silent": (lambda: soundfile.write("a.wav", np.zeros(800), 16000), "all 800 samples are zero"),
    "two samples": (lambda: hiss("a.wav", 2), "at least 3 are needed")}


@pytest.mark.parametrize("kind, case", [*(("voice", case) for case in BAD), *(("segments", case) for case in BAD | FOR_SEGMENTS)])
def test_a_bad_file_is_an_answer(here, kind, case):
    make, told = (BAD | FOR_SEGMENTS)[case]
    make()
    why, notes = fit_file("a.wav", "a.npz", kind)
    assert told in why and not why.startswith("a.wav") and notes == ()
    assert not os.path.exists("a.npz") and not [n for n in os.listdir() if n.startswith(".")]


@pytest.mark.parametrize("case", FOR_SEGMENTS)
def test_what_has_no_segments_may_have_a_voice(here, case):
    FOR_SEGMENTS[case][0]()
    assert fit_file("a.wav", "a.npz") == (None, ()) and Voice.load("a.npz").n == Recording.read("a.wav").n


@pytest.mark.parametrize("kind", corpora.KINDS)
@pytest.mark.parametrize("error, told", [
    (MemoryError(), "there is not enough memory"), (FloatingPointError("overflow"), "overflow"), (np.linalg.LinAlgError("singular"), "singular"),
    (AudioError("a.wav: it is bad"), "it is bad"), (ValueError(), "ValueError"), (OSError(28, "No space left on device", "a.npz"), "a.npz: No space left on device"),
    (OSError("it broke"), "it broke")])
def test_what_is_expected_is_an_answer(here, monkeypatch, kind, error, told):
    hiss("a.wav")
    def fit(*args, **kwargs): raise error
    monkeypatch.setattr(corpora.KINDS[kind][0], "fit", fit)
    assert fit_file("a.wav", "a.npz", kind) == (told, ()) and reason(error, "a.wav") == told


@pytest.mark.parametrize("error", [TypeError, KeyError, AssertionError, KeyboardInterrupt])
def test_what_is_not_expected_stops_everything(corpus, monkeypatch, error):
    def fit(*args, **kwargs): raise error("a mistake of the program")
    monkeypatch.setattr(Voice, "fit", fit)
    for backend in "sequential", "threading":
        with joblib.parallel_config(backend=backend, n_jobs=2), pytest.raises(error): fit_many(corpus, "out", progress=False)


def test_an_unknown_option_stops_everything(corpus):
    for kind, option in ("voice", "colour"), ("segments", "colour"), ("voice", "lengthscale"), ("segments", "cepstra"):
        with pytest.raises(TypeError, match=option): fit_many(corpus, "out", n_jobs=1, model=kind, progress=False, **{option: 1})


def test_no_folder_for_the_model_is_an_answer(here):
    hiss("a.wav")
    assert fit_file("a.wav", "out/a.npz") == ("out/a.npz: No such file or directory", ())
    os.mkdir("a.npz")
    assert fit_file("a.wav", "a.npz") == ("a.npz: a directory; the name of a file is needed", ())


def test_a_recording_that_changes_while_it_is_fitted(here, monkeypatch):
    hiss("a.wav")
    whole = Voice.fit
    def fit(recording, **options):
        hiss("a.wav", 900)
        return whole(recording, **options)
    monkeypatch.setattr(Voice, "fit", fit)
    assert "changed while it was fitted" in fit_file("a.wav", "a.npz")[0] and not os.path.exists("a.npz")


def test_channel_rate_seed_and_options_arrive(here):
    soundfile.write("a.wav", np.stack([np.zeros(800), 0.1*np.random.default_rng(1).standard_normal(800)], 1), 16000)
    assert fit_many("a.wav", "zero", n_jobs=1, model="segments", channel=0, progress=False).failed == {Path("a.wav"): "all 800 samples are zero; an envelope needs some sound"}
    done = fit_many("a.wav", "one", n_jobs=1, model="segments", channel=1, rate=8000, seed=7, lengthscale=.01, progress=False)
    model = SpeechModel.load(done.fitted[Path("a.wav")])
    same = SpeechModel.fit(Recording.read("a.wav", 1, 8000), rng=np.random.default_rng(7), lengthscale=.01, progress=False)
    assert (model.rate, model.envelope.n, model.envelope.lengthscale) == (8000, 400, .01)
    assert np.array_equal(model.envelope.u, same.envelope.u) and np.array_equal(model.envelope.optima, same.envelope.optima)
    voice = Voice.load(fit_many("a.wav", "voice", n_jobs=1, channel=1, rate=8000, low=70., cepstra=20, progress=False).fitted[Path("a.wav")])
    assert np.array_equal(voice.matrix, Voice.fit(Recording.read("a.wav", 1, 8000), low=70., cepstra=20).matrix) and voice.cepstra.shape[1] == 20


# -- warnings

def test_warnings_are_noted_by_thread():
    barrier = threading.Barrier(2)
    def work(name):
        with warnings_noted() as notes:
            barrier.wait(5)
            for _ in range(3): warnings.warn(f"from {name}")
            barrier.wait(5)
        return notes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shows, filters = warnings.showwarning, list(warnings.filters)
        with ThreadPoolExecutor(2) as pool: assert list(pool.map(work, "ab")) == [["from a"], ["from b"]]
        assert warnings.showwarning is shows and warnings.filters == filters
    with warnings.catch_warnings(record=True) as outside, warnings_noted() as notes:
        other = threading.Thread(target=lambda: warnings.warn("from elsewhere"))
        other.start(), other.join()
        warnings.warn("from here")
    assert notes == ["from here"] and [str(w.message) for w in outside] == ["from elsewhere"]


def test_a_fit_that_warns_is_noted_with_its_recording(corpus, monkeypatch):
    whole = Voice.fit
    def fit(recording, **options):
        if np.array_equal(recording.samples, Recording.read("in/1/3.wav").samples): warnings.warn("something is odd")
        return whole(recording, **options)
    monkeypatch.setattr(Voice, "fit", fit)
    for backend in "sequential", "threading":
        with joblib.parallel_config(backend=backend, n_jobs=2): assert fit_many(corpus, backend, progress=False).notes == {Path("in/1/3.wav"): ("something is odd",)}


# -- all of them

def check(done, out, alone):
    "All is as it should be with the corpus of five and a bad one."
    assert list(done.fitted) == [Path(f"in/{k % 2}/{k}.wav") for k in (0, 2, 4, 1, 3)] and done.skipped == {}
    assert done.failed == {Path("in/bad.wav"): "not audio that libsndfile can read (Format not recognised.)"}
    assert contents(out) == alone


class OnlyLists(joblib.parallel.ThreadingBackend):
    "Returns results only when all are done, as the backends of Ray and of Python's own pools do."
    supports_return_generator = False


@pytest.mark.parametrize("backend, n_jobs", [("loky", 2), ("threading", 3), ("sequential", 1), ("loky", 1), (OnlyLists(), 2)])
def test_every_backend_gives_the_same_bits(corpus, alone, backend, n_jobs):
    with joblib.parallel_config(backend=backend, n_jobs=n_jobs): check(done := fit_many(corpus, "out", progress=False), "out", alone)
    assert done.notes == {} and done.models == done.fitted


def test_the_order_does_not_matter(corpus, alone):
    paths = find_recordings(corpus)[0]
    back = fit_many((str(p) for p in reversed(paths)), "out", n_jobs=1, progress=False)
    assert list(back.fitted) == [p for p in reversed(paths) if p.stem != "bad"] and contents("out") == alone


def test_backends_that_return_lists_are_given_a_few_at_a_time(corpus, alone, monkeypatch):
    monkeypatch.setattr(corpora, "WAVE", 2)
    waves = []
    class Seen(joblib.Parallel):
        def __call__(self, calls):
            waves.append(len(calls))
            return super().__call__(calls)
    monkeypatch.setattr(joblib, "Parallel", Seen)
    with joblib.parallel_config(backend=OnlyLists(), n_jobs=2): check(fit_many(corpus, "out", progress=False), "out", alone)
    assert waves == [2, 2, 2]


def test_blas_threads_are_given_back(corpus):
    from threadpoolctl import threadpool_info
    before = threadpool_info()
    with joblib.parallel_config(backend="threading", n_jobs=3): fit_many(corpus, "out", progress=False)
    assert threadpool_info() == before


def test_who_says_how_many_workers(monkeypatch):
    asked = []
    def parallel(n_jobs, **options):
        asked.append(n_jobs)
        return lambda calls: []
    monkeypatch.setattr(joblib, "Parallel", parallel)
    for n_jobs in (None, 3): list(corpora.as_finished(iter([]), n_jobs))
    with joblib.parallel_config(n_jobs=2):
        for n_jobs in (None, 3): list(corpora.as_finished(iter([]), n_jobs))
    assert asked == [-1, 3, 2, 3]
    monkeypatch.undo()
    with pytest.raises(ValueError, match="n_jobs == 0"): list(corpora.as_finished(iter([]), 0))


def test_goes_on_where_it_was_stopped(corpus, alone, monkeypatch):
    fit_many(find_recordings(corpus)[0][:3], "out", root=corpus, n_jobs=1, progress=False)
    before = {p: os.stat(p).st_mtime_ns for p in Path("out").rglob("*.npz")}
    assert len(before) == 3
    second = fit_many(corpus, "out", n_jobs=1, progress=False)
    assert (len(second.skipped), len(second.fitted), len(second.failed)) == (3, 2, 1)
    assert contents("out") == alone and before.items() <= {p: os.stat(p).st_mtime_ns for p in Path("out").rglob("*.npz")}.items()
    assert set(second.models) == {*second.skipped, *second.fitted}
    os.truncate("out/0/2.npz", 500)
    hiss("in/1/3.wav", 900), hiss("in/1/new.wav")
    third = fit_many(corpus, "out", n_jobs=1, progress=False)
    assert list(third.fitted) == [Path(f"in/{name}.wav") for name in ("0/2", "1/3", "1/new")] and len(third.skipped) == 3
    assert fit_many(corpus, "out", n_jobs=1, progress=False).fitted == {}
    assert len(fit_many(corpus, "out", n_jobs=1, again=True, progress=False).fitted) == 6


def test_nothing_to_do(here, monkeypatch):
    Path("in").mkdir()
    monkeypatch.setattr(corpora, "as_finished", None)  # no workers are called
    for paths in ([], "in"): assert repr(fit_many(paths, "out", progress=False)) == "Corpus: 0 fitted, 0 skipped, 0 failed"


def test_models_beside_their_recordings(corpus, alone):
    fit_many(corpus, corpus, n_jobs=1, progress=False)
    assert {p: b for p, b in contents(corpus).items() if p.suffix == ".npz"} == alone
    assert len(fit_many(corpus, corpus, n_jobs=1, progress=False).skipped) == 5


def test_models_inside_the_folder_of_recordings(corpus):
    fit_many(corpus, corpus/"models", n_jobs=1, progress=False)
    hiss("in/models/0/draw.wav")  # what was drawn from a model is not fitted
    assert len(fit_many(corpus, corpus/"models", n_jobs=1, progress=False).models) == 5


def test_names_that_are_no_text(here):
    no_text = "" if sys.platform == "darwin" else os.fsdecode(b"\xff\xfe")  # names on a Mac are always text
    odd = [f"in/{no_text}1.wav", "in/a\nb.wav", "in/<b>&.wav", "in/ü 音.wav"]
    for name in (*odd, f"in/{'x'*252}.au"): hiss(name)
    Path(f"in/bad\t{no_text}.wav").write_text("Not a sound.")
    with joblib.parallel_config(backend="loky", n_jobs=2): done = fit_many("in", "out", progress=False)
    assert {str(p) for p in done.fitted} == set(odd)
    assert {str(p)[:6]: why[-18:] for p, why in done.failed.items()} == {"in/bad": "at not recognised.)"[-18:], "in/xxx": "File name too long"}
    text, html = repr(done), done._repr_html_()
    text.encode("utf-8"), html.encode("utf-8")
    assert printable(f"in/bad\t{no_text}.wav") in text and r"in/bad\t" in text and text.count("\n") == 2
    assert list(fit_many("in", "out", n_jobs=1, progress=False).skipped) == list(done.fitted)


def test_a_corpus_shows_itself():
    shown = Corpus({Path("a.wav"): Path("a.npz")}, {}, {Path("<i>.wav"): "it\nbroke"}, {Path("a.wav"): ("this & that", "and more")})
    assert repr(shown) == "Corpus: 1 fitted, 0 skipped, 1 failed\n  <i>.wav: it\\nbroke"
    assert "&lt;i&gt;.wav" in shown._repr_html_() and "this &amp; that; and more" in shown._repr_html_() and "<i>" not in shown._repr_html_()


def test_the_bar_counts_failures(corpus, monkeypatch):
    hiss("in/0/0.wav"), fit_many([corpus/"0/0.wav"], "out", root=corpus, n_jobs=1, progress=False)
    file = io.StringIO()
    def bar(*args, **options): return tqdm(*args, **options | dict(file=file, delay=0, mininterval=0, ncols=200))
    monkeypatch.setattr(corpora, "tqdm", bar)
    fit_many(corpus, "out", n_jobs=1)
    steps = file.getvalue().split("\r")
    counts = [(step.split("|")[2].split()[0], step.rstrip("] \n")[-1]) for step in steps if "failed=" in step]
    assert counts[0][0] == "2/6" and counts[-1] == ("6/6", "1") and steps[-1].endswith("\n")  # a bar with failures stays
    assert "1/6" in steps[1] and [k for k, _ in counts] == sorted(k for k, _ in counts)
    file.truncate(0), os.unlink("in/bad.wav")
    fit_many(corpus, "out", n_jobs=1, progress=False)
    assert file.getvalue() == ""


# -- workers that die

def ten_times(number, deadly=False, once=None):
    "Ten times a number; or the death of the process that asks (once, if there is a file to say that it has happened)."
    if deadly:
        try: os.close(os.open(once, os.O_CREAT | os.O_EXCL)) if once else None
        except FileExistsError: pass
        else: os.kill(os.getpid(), signal.SIGKILL)
    if number == "bug": raise KeyError("a mistake")
    return 10*number


def fit_or_die(recording, model, **options):
    "`fit_file`, but 2.wav kills its first worker and is fitted by the second."
    if Path(recording).name == "2.wav": ten_times(2, True, model + ".died")
    return fit_file(recording, model, **options)


def all_done(numbers, n_jobs=2, **special):
    found = {}
    jobs = {k: dict(number=k) | special.get(f"job_{k}", {}) for k in numbers}
    for name, result, died, again in each_done(ten_times, jobs, n_jobs):
        assert name not in found and (result is None) == (died is not None)
        found[name] = result, died, again
    return found


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_without_deaths(n_jobs):
    assert all_done(range(20), n_jobs) == {k: (10*k, None, False) for k in range(20)}
    assert all_done([], n_jobs) == {}
    with pytest.raises(KeyError, match="a mistake"): all_done([1, "bug", 3], n_jobs)


class Death(BaseException): "Stands for the death of a worker, where there is none."


def pool(rng, workers):
    "An `as_finished` whose workers are imagined: a few calls are out, they end in any order, and a death ends it all."
    def as_finished(calls, n_jobs):
        out = []
        while True:
            out += itertools.islice(calls, 2*workers - len(out))
            if not out: return
            function, arguments, options = out.pop(rng.integers(min(workers, len(out))))
            try: yield function(*arguments, **options)
            except Death: raise BrokenExecutor("it died") from None
    return as_finished


@given(st.integers(0, 30), st.sets(st.integers(0, 29)), st.integers(1, 5), st.integers(0, 2**32))
def test_those_that_kill_are_given_up_and_the_others_are_done(count, deadly, workers, seed):
    calls = dict.fromkeys(range(count), 0)
    def function(number):
        calls[number] += 1
        if number in deadly: raise Death
        return 10*number
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpora, "as_finished", pool(np.random.default_rng(seed), workers))
        found = list(each_done(function, {k: dict(number=k) for k in range(count)}))
    assert sorted(name for name, *_ in found) == list(range(count))  # each once
    for name, result, died, again in found:
        assert (result, died) == ((None, "it died") if name in deadly else (10*name, None))
        assert calls[name] in ((1, 2) if name in deadly else (1,)) and again >= (name in deadly)


def test_a_pool_that_cannot_start_is_told(monkeypatch):
    def broken(calls, n_jobs): raise BrokenExecutor("no workers at all")
    monkeypatch.setattr(corpora, "as_finished", broken)
    with pytest.raises(BrokenExecutor, match="no workers at all"): all_done(range(3))


def test_a_dead_process_does_not_end_the_fits(corpus, alone, monkeypatch):
    monkeypatch.setattr(corpora, "fit_file", fit_or_die)
    with joblib.parallel_config(backend="loky", n_jobs=2): done = fit_many(corpus, "out", progress=False)
    assert Path("out/0/2.npz.died").exists()
    os.unlink("out/0/2.npz.died")
    check(done, "out", alone)
    assert "begun again, alone" in done.notes[Path("in/0/2.wav")][0]


def test_a_recording_that_always_kills_is_listed(corpus, monkeypatch):
    monkeypatch.setattr(corpora, "fit_file", partial(fit_or_die))
    def each(function, jobs, n_jobs): yield from (((name, None, "SIGKILL", True) if name.endswith("2.wav") else (name, (None, ()), None, False)) for name in jobs)
    monkeypatch.setattr(corpora, "each_done", each)
    done = fit_many(corpus, "out", progress=False)
    assert done.failed == {Path("in/0/2.wav"): "the process that fitted it died, and died again when nothing else was fitted: SIGKILL"} and len(done.fitted) == 5


# -- a cluster

@pytest.fixture(scope="module")
def client():
    "A client of two Dask workers on this machine, each a process of one thread that is started again if it dies."
    from distributed import Client, LocalCluster
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50) as cluster, Client(cluster) as client: yield client


def test_a_cluster_gives_the_same_bits_and_lists_the_bad_file(corpus, alone, client):
    with joblib.parallel_config(backend="dask"): check(fit_many(corpus, "out", progress=False), "out", alone)


def fit_5_slowly(recording, model, **options):
    "`fit_file`, but 5.wav is not finished before a worker has been killed."
    while Path(recording).name == "5.wav" and not (Path(model).parent.parent/"killed").exists(): time.sleep(.01)
    return fit_file(recording, model, **options)


def kill_a_worker(client, out, told):
    "Wait until a model is there, then kill a worker that is working, by its process id; `told` receives what was seen then."
    pids = client.run(os.getpid)
    while not list(out.glob("[0-9].npz")): time.sleep(.002)
    while not (busy := [worker for worker, calls in client.call_stack().items() if calls]): time.sleep(.002)
    os.kill(pids[busy[0]], signal.SIGKILL)
    told.update(made=len(list(out.glob("[0-9].npz"))), pids=set(pids.values()), killed=pids[busy[0]])
    (out.parent/"killed").touch()


def in_the_middle(client, monkeypatch, action):
    "Fit ten recordings on the cluster while something happens to it, which must not be seen in the result."
    recordings = [hiss(f"in/{k}.wav", seed=k) for k in range(10)]
    monkeypatch.setattr(corpora, "fit_file", fit_5_slowly)
    client.wait_for_workers(2)
    thread = threading.Thread(target=action)
    thread.start()
    with joblib.parallel_config(backend="dask"): done = fit_many(recordings, "out", progress=False)
    thread.join()
    assert list(done.fitted) == recordings and done.failed == {}
    assert [p.name for p in sorted(Path("out").glob("[0-9]*"))] == [f"{k}.npz" for k in range(10)]
    for model in done.fitted.values(): Voice.load(model)


@pytest.mark.parametrize("allowed_failures", [3, 0])  # Dask's own: it gives the task to another worker; and none, so that ours is needed
def test_a_worker_of_the_cluster_is_killed_in_the_middle(here, client, monkeypatch, allowed_failures):
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", allowed_failures)
    told = {}
    in_the_middle(client, monkeypatch, lambda: kill_a_worker(client, here/"out", told))
    assert 1 <= told["made"] < 10 and told["killed"] in told["pids"]  # it was in the middle
    client.wait_for_workers(2)
    assert told["killed"] not in client.run(os.getpid).values()


def test_the_calls_are_cancelled_in_the_middle(here, client, monkeypatch):
    from distributed import Future
    def cancel():
        while not list((here/"out").glob("[0-9].npz")): time.sleep(.002)
        client.cancel([Future(key, client) for key in list(client.futures)])
        (here/"killed").touch()
    in_the_middle(client, monkeypatch, cancel)


def test_calls_that_always_kill_do_not_stop_a_cluster(client, monkeypatch):
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)
    with joblib.parallel_config(backend="dask"): found = all_done(range(6), job_1=dict(deadly=True))
    assert {k: result for k, (result, *_) in found.items()} == {k: None if k == 1 else 10*k for k in range(6)}
    assert "KilledWorker" in found[1][1]
