"Edge cases and properties of the whole model beyond what notebook 09 shows."
import io, os, pickle, resource, sys, zipfile

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gp_speech.audio import AudioError, Recording
from gp_speech.envelope import Envelope, inducing_grid
from gp_speech.kernels import SpectralMixture
from gp_speech.segments import Segmentation
from gp_speech.synthesis import ENVELOPE_FIELDS, LONGEST, SCHEMA, ModelError, SpeechModel, fit_segment, log_spectral_distance, read_arrays

rate = 8000.
seeds = st.integers(0, 2**32 - 1)


def generator(seed=0): return np.random.default_rng(seed)


def random_model(seed, n=600, segments=3, hz=rate, most=4):
    "A model with from 0 to `most` components in each segment; the first has none."
    rng = generator(seed)
    lengthscale = rng.uniform(20, 300)/hz
    grid = inducing_grid(n, hz, lengthscale)
    envelope = Envelope(grid.times, .5 + .3*rng.normal(size=len(grid.times)), .54, lengthscale, 10**rng.uniform(-4, 0), hz, n, rng.normal(), rng.normal(size=2))
    boundaries = [0, *np.sort(rng.choice(np.arange(1, n), segments - 1, replace=False)), n]
    mixtures = [SpectralMixture(rng.uniform(.1, 1, Q), rng.uniform(3, 40, Q)/hz, rng.uniform(0, hz/2, Q), rng.uniform(0, .1), hz)
                for Q in [0, *rng.integers(0, most + 1, segments - 1)]]
    return SpeechModel(envelope, Segmentation(boundaries, hz), mixtures)


def check_draws(model, recording, n=2):
    with np.errstate(divide="raise", invalid="raise", over="raise"): draws = model.sample(generator(1), n)
    assert len(draws) == n
    for x in draws: assert x.n == recording.n and x.rate == recording.rate and np.all(np.isfinite(x.samples))
    return draws


# fitting

@pytest.mark.parametrize("hz", [4000., 8000., 48000., 192000.])
@pytest.mark.parametrize("n", [3, 4, 5, 16, 41, 333, 2000])
def test_noise_of_any_length_and_rate(n, hz):
    recording = Recording(.1*generator(n).normal(size=n), hz)
    model = SpeechModel.fit(recording, progress=False)
    draws = check_draws(model, recording)
    assert model.rate == hz and model.duration == pytest.approx(n/hz) and f"{len(model.segmentation)} segments" in repr(model)
    if n >= 333: assert .7 < draws[0].samples.std()/recording.samples.std() < 1.4


def odd_sounds(n):
    t, noise = np.arange(n), .1*generator(n).normal(size=n)
    return {"silent start": np.where(t < n//3, 0, noise), "silent middle": np.where((t >= n//3) & (t < 2*n//3), 0, noise), "silent end": np.where(t >= n//2, 0, noise),
            "clipped": np.clip(20*noise, -1, 1), "square": np.sign(np.sin(2*np.pi*(t + .5)/20)), "constant": np.full(n, .5), "ramp": t/n - .5, "step": (t >= n//2)*.5,
            "impulse": np.eye(1, n, n//2)[0], "first": np.eye(1, n, 0)[0], "last": np.eye(1, n, n - 1)[0], "alternating": .5*(-1.)**t, "tone": .5*np.sin(2*np.pi*t/7.3),
            "bin": .5*np.cos(2*np.pi*t/8), "offset": .5 + 1e-6*noise, "last bit": np.round(generator(n).normal(size=n)/2)/32768}


@pytest.mark.parametrize("kind", list(odd_sounds(3)))
def test_odd_sounds(kind):
    for n, hz in ((3, 8000.), (40, 4000.), (401, 8000.), (1000, 48000.)):
        x = odd_sounds(n)[kind]
        if not x.any(): continue
        recording = Recording(x, hz)
        draws = check_draws(SpeechModel.fit(recording, progress=False), recording)
        assert max(np.abs(d.samples).max() for d in draws) < 20*np.abs(x).max()


@pytest.mark.parametrize("kind", ["silent start", "silent middle", "silent end"])
def test_silence_stays_silent(kind):
    n = 8000
    x = odd_sounds(n)[kind]
    draws = SpeechModel.fit(Recording(x, rate), progress=False).sample(generator(2), 3)
    silent = np.flatnonzero(x == 0)
    inner = silent[(silent > silent[0] + 800 if silent[0] else True) & (silent < silent[-1] - 800 if silent[-1] < n - 1 else True)]
    sounding = np.flatnonzero(x != 0)
    for d in draws:
        assert np.sqrt(np.mean(d.samples[inner]**2)) < 1e-3*np.sqrt(np.mean(x[sounding]**2))
        assert .8 < np.sqrt(np.mean(d.samples[sounding]**2))/np.sqrt(np.mean(x[sounding]**2)) < 1.25


@pytest.mark.parametrize("factor", [2.**-400, 2.**-30, 2.**400])
def test_scale_equivariance(factor):
    x = .1*generator(3).normal(size=1000)
    one, other = (SpeechModel.fit(Recording(f*x, rate), progress=False) for f in (1., factor))
    assert np.array_equal(one.segmentation.boundaries, other.segmentation.boundaries)
    assert np.allclose(other.sample(generator(4))[0].samples/factor, one.sample(generator(4))[0].samples, rtol=1e-6, atol=1e-9)


def test_a_fit_repeats_and_leaves_its_input_alone():
    recording = Recording(.1*generator(5).normal(size=1500), rate)
    before = recording.samples.copy()
    one, other = (SpeechModel.fit(recording, progress=False) for _ in range(2))
    assert np.array_equal(recording.samples, before) and np.array_equal(one.sample(generator(6))[0].samples, other.sample(generator(6))[0].samples)
    assert not np.array_equal(one.sample(generator(6))[0].samples, one.sample(generator(7))[0].samples)


@pytest.mark.parametrize("x, hz, message", [(np.zeros(500), 8000., "zero"), (np.ones(2), 8000., "2 samples; at least 3"), (np.ones(1), 8000., "1 samples; at least 3"),
                                            (np.ones(700), 10., "lasts 70.0 s; at most 60 s")])
def test_refused(x, hz, message):
    with pytest.raises(AudioError, match=message): SpeechModel.fit(Recording(x, hz), progress=False)


def test_a_segmentation_by_hand():
    recording = Recording(.1*generator(8).normal(size=900), rate)
    for boundaries in ([0, 900], [0, 1, 900], [0, 1, 2, 3, 5, 899, 900], [0, 450, 900]):
        model = SpeechModel.fit(recording, Segmentation(boundaries, rate), progress=False)
        assert len(model.mixtures) == len(boundaries) - 1
        check_draws(model, recording)
    with pytest.raises(ValueError, match="900 samples are needed"): SpeechModel.fit(recording, Segmentation([0, 800], rate), progress=False)


@pytest.mark.parametrize("x", [np.ones(5), np.zeros(5), np.array([1., -1.]), np.array([3.])])
def test_a_stretch_without_variation(x):
    mixture = fit_segment(x, rate)
    assert mixture.variance == 0 and mixture.rate == rate


def test_parts_that_do_not_fit_together():
    model = random_model(1)
    e, s, m = model.envelope, model.segmentation, model.mixtures
    for arguments, message in (((e, s, m[:-1]), "mixtures: 3 are needed"), ((e, Segmentation([0, 10, 20, 599], rate), m), "600 samples are needed"),
                               ((e, Segmentation(s.boundaries, 1.), m), "rate"), ((e, s, [*m[:-1], SpectralMixture([], [], [], 1., 1.)]), "rate")):
        with pytest.raises(ValueError, match=message): SpeechModel(*arguments)
    mixtures = list(m)
    again = SpeechModel(e, s, mixtures)
    mixtures.pop()
    assert len(again.mixtures) == 3 and isinstance(again.mixtures, tuple)
    with pytest.raises(AttributeError): again.envelope = e


# drawing

@pytest.mark.parametrize("n", [1, 2, 5])
def test_numbers_of_draws(n):
    model = random_model(2)
    carriers = model.sample_carriers(generator(1), n)
    assert carriers.shape == (n, 600)
    draws = model.sample(generator(1), n)
    assert len(draws) == n and np.allclose([d.samples for d in draws], model.envelope.values*carriers, rtol=1e-9, atol=1e-12)
    for bad in (0, -1):
        with pytest.raises(ValueError, match="at least 1 draw"): model.sample(generator(1), bad)


def test_draws_have_the_variance_and_the_joins_no_clicks():
    model = random_model(3, n=400, segments=2)
    mixture = SpectralMixture([1.], [.002], [400.], .01, rate)
    model = SpeechModel(model.envelope, Segmentation([0, 200, 400], rate), [mixture, mixture])
    carriers = model.sample_carriers(generator(4), 4000)
    assert np.all(np.abs(carriers.var(0)/mixture.variance - 1) < 5*np.sqrt(2/4000))
    steps = np.diff(carriers).var(0)                                       # at the join as everywhere
    assert abs(steps[199]/(2*(mixture.kernel(0.) - mixture.kernel(1/rate))) - 1) < 5*np.sqrt(2/4000)


@settings(deadline=None, max_examples=15, derandomize=True)
@given(seed=seeds, n=st.integers(3, 1500), data=st.data(), hz=st.sampled_from([4000., 48000.]))
def test_random_models_draw(seed, n, data, hz):
    model = random_model(seed, n, data.draw(st.integers(1, min(n, 12))), hz)
    draws = check_draws(model, Recording(np.ones(n), hz))
    assert np.abs(draws[0].samples).max() < 30*model.envelope.values.max()*np.sqrt(max(m.variance for m in model.mixtures))


def test_silence_between_two_sounds():
    mixture, nothing = SpectralMixture([1.], [.002], [400.], .01, rate), SpectralMixture([], [], [], 0., rate)
    model = SpeechModel(random_model(4).envelope, Segmentation([0, 200, 400, 600], rate), [mixture, nothing, mixture])
    carriers = model.sample_carriers(generator(5), 3)
    assert np.all(carriers[:, 200:400] == 0) and np.all(np.isfinite(carriers)) and np.all(carriers[:, 400:].std(1) > .5)


# saving

@settings(deadline=None, max_examples=15, derandomize=True)
@given(seed=seeds, n=st.integers(3, 900), data=st.data())
def test_saved_and_loaded_bit_for_bit(tmp_path_factory, seed, n, data):
    model, path = random_model(seed, n, data.draw(st.integers(1, min(n, 6)))), tmp_path_factory.mktemp("model")/"model.npz"
    model.save(path)
    again = SpeechModel.load(path)
    for name in ENVELOPE_FIELDS: assert np.array_equal(getattr(model.envelope, name), getattr(again.envelope, name)) and type(getattr(model.envelope, name)) is type(getattr(again.envelope, name))
    assert np.array_equal(model.segmentation.boundaries, again.segmentation.boundaries) and model.rate == again.rate
    for one, other in zip(model.mixtures, again.mixtures, strict=True):
        for name in ("variances", "lengthscales", "frequencies", "noise"): assert np.array_equal(getattr(one, name), getattr(other, name))
    assert np.array_equal(model.sample(generator(1))[0].samples, again.sample(generator(1))[0].samples) and repr(model) == repr(again)
    with pytest.raises(ValueError, match="read-only"): again.mixtures[-1].variances[...] = 0
    with pytest.raises(ValueError, match="read-only"): again.envelope.u[0] = 0
    assert os.listdir(path.parent) == ["model.npz"]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    "The bytes of a good model file, and its arrays."
    path = tmp_path_factory.mktemp("good")/"model.npz"
    random_model(6).save(path)
    return path.read_bytes(), read_arrays(path)


def refused(path, message=""):
    "`load` refuses the file in one line that names it; returns the line."
    with pytest.raises(ModelError, match=message or None) as caught: SpeechModel.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 600
    return str(caught.value)


def test_cut_short(good, tmp_path):
    content, path = good[0], tmp_path/"model.npz"
    for length in [*range(0, len(content), 7), len(content) - 1]:
        path.write_bytes(content[:length])
        refused(path)


def test_a_flipped_byte_is_refused_or_harmless(good, tmp_path):
    content, path = good[0], tmp_path/"model.npz"
    as_before = random_model(6).sample(generator(1))[0].samples
    harmless = 0
    for where in range(0, len(content), 11):
        for flip in (0xFF, 1):
            damaged = bytearray(content)
            damaged[where] ^= flip
            path.write_bytes(damaged)
            try: model = SpeechModel.load(path)
            except ModelError: continue
            harmless += 1                                                   # a date or an attribute in the archive's directory
            assert np.array_equal(model.sample(generator(1))[0].samples, as_before)
    assert harmless < len(content)/11


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04", b"PK\x03\x04" + bytes(500), b"RIFF" + bytes(100), pickle.dumps([1, 2]), b"\x93NUMPY", bytes(1000)])
def test_not_a_model(content, tmp_path):
    path = tmp_path/"model.npz"
    path.write_bytes(content)
    refused(path)


def changed(good, path, without=(), **arrays):
    kept = {name: value for name, value in good[1].items() if name not in without} | arrays
    with open(path, "wb") as file: np.savez_compressed(file, **{name: np.asarray(value) for name, value in kept.items()})
    return path


@pytest.mark.parametrize("arrays", [
    dict(boundaries=[5, 100, 200, 600]), dict(boundaries=[0, 200, 100, 600]), dict(boundaries=[0, 600]), dict(boundaries=[0, 1, 2, 599]), dict(boundaries=0),
    dict(boundaries=["0", "1", "2", "600"]), dict(boundaries=[0, np.nan, 5, 600]), dict(boundaries=[[0, 1, 2, 600]]), dict(boundaries=[0j, 1, 2, 600]),
    dict(components=[1, 1]), dict(components=[]), dict(components=[-1, 1, 2]), dict(components=[10**9, 0, 0]), dict(components=[2**62, 2**62, 2**62]), dict(components=0),
    dict(components=[.5, .5, .5]), dict(components="abc"), dict(components=[["a"]]),
    dict(noise=[0., 0.]), dict(noise=[0., 0., -1.]), dict(noise=[0., 0., np.nan]), dict(noise=[0., 0., np.inf]), dict(noise=0.), dict(noise=["a", "b", "c"]), dict(noise=[[1.], [1.], [1.]]), dict(noise=[1j, 1j, 1j]),
    dict(envelope_u=[np.nan, 1.]), dict(envelope_u=[1.]), dict(envelope_u=1.), dict(envelope_u=["a", "b"]), dict(envelope_u=[[1., 2.]]), dict(envelope_u=np.ones(10**4)),
    dict(envelope_grid=np.ones(3)), dict(envelope_grid=1.), dict(envelope_rate=0.), dict(envelope_rate=-1.), dict(envelope_rate=np.nan), dict(envelope_rate=np.inf), dict(envelope_rate=[8000.]),
    dict(envelope_rate="8000 Hz"), dict(envelope_rate=1j), dict(envelope_n=0), dict(envelope_n=-600), dict(envelope_n=10**12), dict(envelope_n=2**62), dict(envelope_n=[600]), dict(envelope_n=600.5), dict(envelope_n=np.nan), dict(envelope_n="600 samples"),
    dict(envelope_lengthscale=0.), dict(envelope_lengthscale=-1.), dict(envelope_lengthscale=np.nan), dict(envelope_lengthscale=np.inf), dict(envelope_lengthscale=1e-9), dict(envelope_lengthscale=1e300), dict(envelope_lengthscale=[.02]),
    dict(envelope_scale=np.nan), dict(envelope_scale=-1.), dict(envelope_scale=0.), dict(envelope_scale=np.inf), dict(envelope_mu=np.nan), dict(envelope_mu=np.inf), dict(envelope_mu=[1.]),
    dict(envelope_log_density=np.nan), dict(envelope_optima=[]), dict(envelope_optima=1.), dict(envelope_optima=[np.nan, 1.]),
    dict(schema="gp_speech SpeechModel 2"), dict(schema=1), dict(schema=b"gp_speech SpeechModel 1"), dict(schema=""), dict(schema="x"*10**5)],
    ids=lambda arrays: f"{next(iter(arrays))}-{str(next(iter(arrays.values())))[:24]}")
def test_unusable_contents(arrays, good, tmp_path): refused(changed(good, tmp_path/"model.npz", **arrays))


@pytest.mark.parametrize("name", ["variances", "lengthscales", "frequencies"])
def test_unusable_components(name, good, tmp_path):
    values = good[1][name]
    assert len(values) >= 1
    for bad in (values[:-1], np.append(values, 1.), np.where(np.arange(len(values)) == 0, np.nan, values), -values - 1, values[None], values[0], values.astype(str), values.astype(complex) + 1j):
        refused(changed(good, tmp_path/"model.npz", **{name: bad}))


def test_arrays_missing_or_too_many(good, tmp_path):
    for name in good[1]:
        message = refused(changed(good, tmp_path/"model.npz", without=[name]))
        assert name in message
    assert "extra" in refused(changed(good, tmp_path/"model.npz", extra=np.ones(3)), "missing or unknown")
    refused(changed(good, tmp_path/"model.npz", **{f"extra{i}": np.ones(1) for i in range(300)}))


class Payload:
    def __init__(self, path): self.path = path

    def __reduce__(self): return open, (str(self.path), "w")


@pytest.mark.parametrize("name", ["variances", "schema", "envelope_u", "envelope_n", "extra"])
def test_pickled_arrays_do_not_run(name, good, tmp_path):
    mark = tmp_path/"ran"
    pickle.loads(pickle.dumps(Payload(mark)))
    assert mark.exists()                                                    # the payload works
    mark.unlink()
    refused(changed(good, tmp_path/"model.npz", **{name: np.array([Payload(mark)], dtype=object)}))
    for disguise in ("model.npz", "model.npy", "model"):
        (tmp_path/disguise).write_bytes(pickle.dumps(Payload(mark)))
        refused(tmp_path/disguise)
    with zipfile.ZipFile(tmp_path/"zip.npz", "w") as archive: archive.writestr("schema.npy", pickle.dumps(Payload(mark)))
    refused(tmp_path/"zip.npz")
    assert not mark.exists()


def npy_header(shape, descr="<f8"):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, dict(descr=descr, fortran_order=False, shape=shape))
    return head.getvalue()


@pytest.mark.parametrize("shape, descr", [((2**40,), "<f8"), ((2**62,), "<f8"), ((2**33, 2**33), "<f8"), ((-1,), "<f8"), ((2**27,), "<f8"), ((3,), "<U1000000000")])
def test_a_header_that_promises_too_much(shape, descr, good, tmp_path):
    path = changed(good, tmp_path/"model.npz", without=["variances"])
    header = npy_header(shape, descr)
    with zipfile.ZipFile(path, "a") as archive: archive.writestr("variances.npy", header + bytes(80))
    def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss*(1 if sys.platform == "darwin" else 1024)
    before = peak()
    refused(path)
    assert peak() - before < 2**25


def test_a_bomb_is_refused_before_it_is_unpacked(good, tmp_path):
    path = changed(good, tmp_path/"model.npz", without=["variances"])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("variances.npy", "w") as file:
        file.write(npy_header((300*2**17,)))
        for _ in range(300): file.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    refused(path, "bytes of arrays; at most")


def test_the_same_array_twice(good, tmp_path):
    path = changed(good, tmp_path/"model.npz")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive: archive.writestr("noise.npy", npy_header((1,)) + bytes(8))
    refused(path)


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(FileNotFoundError): SpeechModel.load(tmp_path/"none.npz")
    with pytest.raises(IsADirectoryError): SpeechModel.load(tmp_path)


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    model = random_model(7)
    with pytest.raises(FileNotFoundError): model.save(tmp_path/"no folder"/"model.npz")
    with pytest.raises(IsADirectoryError): model.save(tmp_path)
    (tmp_path/"file").write_text("kept")
    with pytest.raises(NotADirectoryError): model.save(tmp_path/"file"/"model.npz")
    (tmp_path/"model.npz").write_text("older")
    def broken(file, **arrays): file.write(b"half"); raise OSError(28, "No space left on device")
    monkeypatch.setattr(np, "savez_compressed", broken)
    with pytest.raises(OSError, match="No space"): model.save(tmp_path/"model.npz")
    assert sorted(os.listdir(tmp_path)) == ["file", "model.npz"] and (tmp_path/"model.npz").read_text() == "older"


def test_a_folder_that_cannot_be_written(ordinary):
    folder, call = ordinary
    model = random_model(8)
    def attempt():
        folder.chmod(0o555)
        with pytest.raises(PermissionError): model.save(folder/"model.npz")
        assert os.listdir(folder) == []
    call(attempt)


def test_any_name_will_do(tmp_path):
    model = random_model(9)
    for name in ("model.npz", "model", "model.wav", "a b;c.npz", "ü.npz", "-x.npz"):
        model.save(tmp_path/name)
        assert SpeechModel.load(tmp_path/name).envelope.n == model.envelope.n and SpeechModel.load(str(tmp_path/name))
    assert len(os.listdir(tmp_path)) == 6


# the distance

def test_log_spectral_distance():
    x = Recording(.1*generator(10).normal(size=4000), rate)
    louder = Recording(2*x.samples, rate)
    times, same = log_spectral_distance(x, [x, x])
    assert times.shape == same.shape and np.all(same == 0) and np.allclose(log_spectral_distance(x, [louder])[1], 20*np.log10(2), atol=5e-3)  # the floor takes a little away
    assert np.allclose(log_spectral_distance(louder, [x])[1], 20*np.log10(2), atol=5e-3)
    half = Recording(np.where(np.arange(4000) < 2000, x.samples, 0), rate)
    times, distance = log_spectral_distance(half, [x])
    assert times.max() < .27 and np.all(np.isfinite(distance))
    with np.errstate(all="raise", under="ignore"): assert np.isfinite(log_spectral_distance(x, [Recording(np.zeros(4000), rate)])[1]).all()
