"Edge cases and properties of voices beyond what notebook 11 shows."
import io, itertools, os, pickle, resource, sys, zipfile

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gp_speech.audio import AudioError, Recording
from gp_speech.pitch import Pitch, fit_pitch
from gp_speech.synthesis import LONGEST, ModelError, SpeechModel
from gp_speech.voice import (FASTEST, FLOOR, KNOTS, NO_PITCH, PRIORS, SLOWEST, VOICE_SCHEMA, Voice, align, circle, draw_gains, fit_density, follow, load_model,
                             mel_basis, minimum_phase, pitch_periodogram, smooth_magnitude, smoothed, sum_harmonics, sum_harmonics_dense, sum_noise, sum_noise_dense)

seeds = st.integers(0, 2**32 - 1)
few = settings(deadline=None, max_examples=20, derandomize=True)
ARRAYS = "f0", "voicing", "cepstra", "aperiodicity"


def generator(seed=0): return np.random.default_rng(seed)


def random_voice(seed, n=90, rate=800., cepstra=6):
    "A voice of random numbers, whose pitch, voicing and spectrum jump from frame to frame."
    rng, frames = generator(seed), (n - 1)//max(1, round(.005*rate)) + 2
    return Voice(rng.uniform(30, 150, frames), rng.choice([0, rng.uniform(), 1], frames), rng.normal(size=(frames, cepstra)) - 5*np.eye(1, cepstra), -rng.exponential(20, (frames, 5)), rate, n)


def same(one, other): return (one.rate, one.n) == (other.rate, other.n) and all(np.array_equal(getattr(one, a), getattr(other, a)) for a in ARRAYS)


def sounds(n, rate):
    "Recordings that are no speech, and one that is nearly."
    t, noise = np.arange(n)/rate, .1*generator(n).normal(size=n)
    chord = .1*sum(np.sin(2*np.pi*f*t) for f in (220, 277.2, 329.6))
    vowel = .1*sum(np.cos(2*np.pi*k*140*t + k**2)/k for k in range(1, 20))
    return {"silence": np.zeros(n), "click": np.eye(1, n, n//2)[0], "noise": noise, "chord": chord, "vowel": vowel, "constant": np.full(n, .5), "ramp": t, "square": np.sign(np.sin(2*np.pi*120.3*t)),
            "alternating": .5*(-1.)**np.arange(n), "silent start": noise*(t > t[-1]/2), "faint": 1e-6*vowel, "loud": 1e3*vowel, "last bit": np.round(noise*5)/32768, "hum": .1*np.sin(2*np.pi*30*t)}


@pytest.fixture(scope="module")
def word():
    "A word of the bundled sentence, and its voice."
    recording = Recording.example("always")
    return recording, Voice.fit(recording)


# sums, fast and dense

@settings(deadline=None, max_examples=60, derandomize=True)
@given(seed=seeds, frames=st.integers(2, 9), harmonics=st.integers(0, 21), hop=st.integers(1, 40), silent=st.floats(0, 1))
def test_harmonics_fast_is_dense(seed, frames, harmonics, hop, silent):
    rng = generator(seed)
    amplitudes, phase = rng.normal(size=(frames, harmonics, 2))@[1, 1j], np.cumsum(rng.uniform(0, 2, hop*(frames - 1)))
    amplitudes[rng.uniform(size=frames) < silent] = 0
    fast, dense = sum_harmonics(amplitudes, phase), sum_harmonics_dense(amplitudes, phase)
    assert fast.shape == dense.shape == phase.shape and np.allclose(fast, dense, atol=1e-10*(1 + harmonics))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seed=seeds, frames=st.integers(2, 9), hop=st.integers(1, 40), points=st.integers(1, 80))
def test_noise_fast_is_dense(seed, frames, hop, points):
    rng = generator(seed)
    filters, white = rng.normal(size=(frames, points)), rng.normal(size=hop*(frames - 1) + points - 1)
    fast, dense = sum_noise(filters, white), sum_noise_dense(filters, white)
    assert fast.shape == dense.shape == (hop*(frames - 1),) and np.allclose(fast, dense, atol=1e-10)


@pytest.mark.parametrize("frames, harmonics, hop, points", [(300, 3, 1, 8), (130, 40, 2, 64), (129, 700, 80, 16)])
def test_more_than_one_block(frames, harmonics, hop, points):
    rng = generator(frames)
    amplitudes, phase = rng.normal(size=(frames, harmonics, 2))@[1, 1j], np.cumsum(rng.uniform(0, 2, hop*(frames - 1)))
    assert np.allclose(sum_harmonics(amplitudes, phase), sum_harmonics_dense(amplitudes, phase), atol=1e-9*harmonics)
    filters, white = rng.normal(size=(frames, points)), rng.normal(size=hop*(frames - 1) + points - 1)
    assert np.allclose(sum_noise(filters, white), sum_noise_dense(filters, white), atol=1e-10)


# the covariance

@settings(deadline=None, max_examples=12, derandomize=True)
@given(seed=seeds, n=st.integers(1, 70), lengthscale=st.floats(.003, 2))
def test_the_covariance_is_what_unit_vectors_make(seed, n, lengthscale):
    voice = random_voice(seed, n)
    filters, amplitudes, phase, count = voice.noise_filters(), voice.harmonics(), voice.phase(), len(voice.phase())
    white = np.array([sum_noise(filters, unit) for unit in np.eye(count + voice.points - 1)]).T[:n]
    noise = white@white.T
    assert np.allclose(voice.covariance("mean"), noise, atol=1e-10*noise.max())
    if not amplitudes.shape[1]: return
    correlation = np.exp(-((voice.times[:, None] - voice.times)/lengthscale)**2)

    def of(gains):                                         # real and imaginary part of a gain have the variance 1/2
        parts = (np.array([sum_harmonics(amplitudes*(unit[:, None]*gains), phase)[:n] for unit in np.eye(voice.frames)*part]).T for part in (1, 1j))
        return sum(X@correlation@X.T for X in parts)/2
    rank_one, independent = of(np.ones(amplitudes.shape[1])), sum(of(gains) for gains in np.eye(amplitudes.shape[1]))
    assert np.allclose(voice.covariance("rank-one", lengthscale), noise + rank_one, atol=1e-10*(noise + rank_one).max())
    assert np.allclose(voice.covariance("independent", lengthscale), noise + independent, atol=1e-10*(noise + independent).max())


@pytest.mark.parametrize("prior", PRIORS[1:])
def test_draws_have_the_covariance(prior):
    voice, draws = random_voice(3, 40), 3000
    x = np.array([d.samples for d in voice.sample(generator(1), draws, prior, lengthscale=.02)])
    K = voice.covariance(prior, .02)
    mean = sum_harmonics(voice.harmonics(), voice.phase())[:40] if prior == "mean" else np.zeros(40)
    assert prior != "mean" or mean.std() > .1*x.std()
    assert np.all(np.abs(x.mean(0) - mean) < 5.5*np.sqrt(np.diag(K)/draws))
    found, spread = (x - mean).T@(x - mean)/draws, np.sqrt((K**2 + np.outer(np.diag(K), np.diag(K)))/draws)
    assert np.all(np.abs(found - K) < 5.5*spread)


def test_covariance_refuses():
    voice = random_voice(4, 20)
    for arguments, message in ((("demodulated",), "not Gaussian"), (("x",), "'x' is not one of")):
        with pytest.raises(ValueError, match=message): voice.covariance(*arguments)
    with pytest.raises(ValueError, match="5000 samples; at most 4096"): random_voice(4, 5000).covariance()


# gains and draws

@few
@given(seed=seeds, frames=st.integers(2, 300), harmonics=st.integers(0, 8), step=st.floats(.001, .02), lengthscale=st.floats(.01, 5))
def test_gains(seed, frames, harmonics, step, lengthscale):
    gains = {prior: draw_gains(prior, frames, harmonics, step, generator(seed), lengthscale) for prior in PRIORS}
    assert np.all(gains["mean"] == 1) and all(np.isfinite(g).all() for g in gains.values())
    if not harmonics: return
    assert gains["rank-one"].shape == gains["mean"].shape == (frames, 1) and gains["independent"].shape == gains["demodulated"].shape == (frames, harmonics)
    assert np.array_equal(gains["demodulated"], gains["independent"]/smooth_magnitude(gains["independent"], step))
    if lengthscale > .2: assert np.median(np.abs(np.abs(gains["demodulated"]) - 1)) < .1


def test_gains_have_unit_power_and_the_lengthscale():
    z = draw_gains("independent", 41, 4000, .005, generator(5), .1)
    lags = np.array([0, 10, 20, 40])
    for i, lag in enumerate(lags):
        found = np.mean(z[lag]*z[0].conj())
        assert abs(found - np.exp(-(lag*.005/.1)**2)) < 5/np.sqrt(4000)
    assert abs(np.mean(z[0]**2)) < 5*np.sqrt(2/4000)       # no direction of the plane is preferred


@pytest.mark.parametrize("prior", PRIORS)
def test_the_same_seed_draws_the_same(word, prior):
    voice = word[1]
    one, two = voice.sample(generator(1), 2, prior)
    rng = generator(1)
    assert np.array_equal(one.samples, voice.draw(rng, prior).samples) and np.array_equal(two.samples, voice.draw(rng, prior).samples)
    assert not np.array_equal(one.samples, two.samples) and not np.array_equal(one.samples, voice.draw(generator(2), prior).samples)
    assert (one.n, one.rate) == (voice.n, voice.rate)


def test_power_of_harmonics_at_a_steady_pitch():
    "A harmonic has the two-sided density at it, times the pitch, from both sides."
    frames, f0 = 161, 100.
    voice = Voice(np.full(frames, f0), np.ones(frames), np.tile([-8, 1, .5], (frames, 1)), np.full((frames, 5), -300.), 16000., 12800)
    x = voice.draw(generator(), "mean").samples
    line = 2*np.abs(np.fft.rfft(x))[80:6400:80]/12800         # the draw lasts 80 periods
    expected = np.array([np.interp(k*f0, np.linspace(0, 8000, voice.points//2 + 1), np.exp(voice.log_density()[0])) for k in range(1, 80)])
    assert np.allclose(line**2/2, 2*f0*expected, rtol=1e-3)
    assert np.allclose(np.mean(x**2), 2*f0*expected.sum(), rtol=1e-3)


@pytest.mark.parametrize("prior, whole, stretch", [("mean", .3, 1.), ("demodulated", .3, 1.), ("independent", 1., 2.), ("rank-one", 2.5, 3.5)])
def test_power_of_the_example(word, prior, whole, stretch):
    "In dB, all of it and loud stretches of 50 ms. (A gain that all share averages slowly.)"
    recording, voice = word
    draws = np.mean([d.samples**2 for d in voice.sample(generator(2), 60, prior)], axis=0)
    original, drawn = (p.reshape(-1, 800).mean(1) for p in (recording.samples**2, draws))
    loud = original > .1*original.max()
    decibels = 10*np.log10(drawn/original)[loud]
    assert loud.sum() >= 4 and abs(10*np.log10(draws.mean()/np.mean(recording.samples**2))) < whole and np.abs(decibels).max() < stretch, decibels


@pytest.mark.parametrize("f0", [90., 120., 200., 300.])
def test_power_of_harmonics_that_are_found(f0):
    "Equal harmonics, and one that stands out by 16 dB."
    t = np.arange(8000)/16000
    for first in 1, 6:
        x = .01*sum((first if k == 1 else 1)*np.cos(2*np.pi*k*f0*t + k**2) for k in range(1, int(7900/f0)))
        drawn = Voice.fit(Recording(x, 16000.)).draw(generator(), "mean").samples
        assert abs(10*np.log10(drawn.var()/x.var())) < .25


@pytest.mark.parametrize("arguments, message", [(dict(n=0), "at least 1 draw"), (dict(n=-1), "at least 1 draw"), (dict(prior="x"), "'x' is not one of demodulated, independent"),
                                                (dict(lengthscale=0), "lengthscale: must be positive"), (dict(lengthscale=-1.), "positive"), (dict(lengthscale=np.nan), "positive")])
def test_sample_refuses(word, arguments, message):
    with pytest.raises(ValueError, match=message): word[1].sample(generator(), **arguments)


# densities

@few
@given(seed=seeds, rate=st.sampled_from([800., 8000., 11025., 44100.]), cepstra=st.integers(1, 40))
def test_cepstra_there_and_back(seed, rate, cepstra):
    cosines, solution = mel_basis(rate, circle(rate), cepstra)
    c = generator(seed).normal(size=cepstra)
    assert cosines.shape == (circle(rate)//2 + 1, cepstra) and (cepstra > len(cosines) or np.allclose(solution@(cosines@c), c, atol=1e-6))


@few
@given(seed=seeds, rate=st.sampled_from([400., 800., 8000.]))
def test_minimum_phase_is_causal(seed, rate):
    voice = random_voice(seed, 20, rate, 4)
    level = voice.log_density()
    impulse = np.fft.irfft(np.exp(level/2 + 1j*minimum_phase(level)), axis=1)
    assert np.abs(impulse[:, impulse.shape[1]*3//4:]).max() < 1e-2*np.abs(impulse).max()
    assert np.allclose(impulse[:, 0], np.exp(np.fft.irfft(level/2, axis=1)[:, 0]), rtol=1e-2)  # the geometric mean: all zeros are inside
    assert np.all(minimum_phase(np.full((2, 9), 3.)) == 0)


@pytest.mark.parametrize("f0", [70., 200.])
def test_a_long_window_is_folded_and_not_cropped(f0):
    pieces = generator(6).normal(size=(3, 801))
    short, long = (pitch_periodogram(pieces, 8000., np.full(3, f0), points)[0] for points in (256, 1024))
    first = int(np.ceil(f0/8000*256)) + 1
    assert np.allclose(short[:, first:], long[:, ::4][:, first:])


def test_below_the_pitch_the_density_is_folded():
    power = pitch_periodogram(generator(6).normal(size=(3, 301)), 8000., np.full(3, 16*8000/512), 512)[0]  # the pitch is bin 16
    assert np.allclose(power[:, 1:16], power[:, 15:0:-1])


def test_smoothing_keeps_a_constant_and_the_mean():
    power = generator(7).exponential(size=(2, 65))
    assert np.allclose(smoothed(np.ones((2, 65)), np.array([3., 9.5])), 1)
    for width in (1., 4., 7.):
        wide = smoothed(power, np.full(2, width))
        taken = lambda p: p[:, 1:-1].sum(1) + (p[:, 0] + p[:, -1])/2                  # around the circle
        assert np.allclose(taken(wide), taken(power))
    assert np.allclose(smoothed(power, np.full(2, 3.))[:, 10], power[:, 9:12].mean(1))


@pytest.mark.parametrize("f0", [80., 200., 450.])
def test_white_noise_has_its_density(f0):
    x, rate = generator(8).normal(size=16000), 8000.
    level = fit_density(x, rate, np.full(401, f0), 40)[0]@mel_basis(rate, circle(rate), 40)[0].T
    assert abs(np.mean(np.exp(level[5:-5]))*rate - 1) < .15


@pytest.mark.parametrize("rate", [4000., 16000., 44100.])
@pytest.mark.parametrize("f0", [70., 133., 400.])
def test_follow_finds_the_pitch(f0, rate):
    t = np.arange(round(.5*rate))/rate
    x = sum(np.cos(2*np.pi*k*f0*t + k)/k for k in range(1, int(.45*rate/f0) + 1))
    where = np.arange(round(.1*rate), round(.4*rate), 50)
    for off in (.93, 1.07): assert np.allclose(follow(x, where, rate, np.full(len(where), off*f0)), f0, rtol=.01)
    guess = np.full(len(where), 100.)
    assert np.array_equal(follow(np.zeros(len(x)), where, rate, guess), guess)


# fitting

@pytest.mark.parametrize("rate", [4000., 8000., 11025., 16000., 22050., 44100., 48000.])
def test_any_sound_at_any_rate_is_a_voice(rate):
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        for n in (1, 2, 3, 41, 333, round(.25*rate)):
            for name, x in sounds(n, rate).items():
                recording = Recording(x, rate)
                voice = Voice.fit(recording)
                assert (voice.n, voice.rate, voice.hop) == (n, rate, max(1, round(.005*rate))) and voice.hop*(voice.frames - 2) < n <= voice.hop*(voice.frames - 1)
                drawn = voice.sample(generator(1), 1, PRIORS[n % 4])[0]
                assert drawn.n == n and drawn.rate == rate and f"{n/rate:.3g} s" in repr(voice)
                assert np.abs(drawn.samples).max() < 8*np.abs(x).max() + 1e-12, (name, n)
                if name == "silence" or name == "constant": assert np.abs(drawn.samples).max() < 1e-12 and not voice.voicing.any()
                elif n > 333 and name in ("noise", "chord", "vowel", "faint", "loud"): assert .8 < voice.draw(generator(1), "mean").samples.std()/x.std() < 1.25, (name, n)


@pytest.mark.parametrize("rate", [8000., 11025., 16000., 22050., 44100., 48000.])
def test_the_pitch_is_found_at_every_rate(rate):
    t = np.arange(round(.4*rate))/rate
    x = sum(np.cos(2*np.pi*k*(130*t + 40*t**2) + k**2)/k for k in range(1, 20))
    voice = Voice.fit(Recording(.1*x, rate))
    inner = slice(8, -8)
    assert voice.voicing[inner].all() and np.allclose(voice.f0[inner], (130 + 80*voice.times)[inner], rtol=.01)
    drawn = fit_pitch(voice.draw(generator(3), "mean"))
    assert np.allclose(drawn.f0[8:-8], (130 + 80*drawn.times)[8:-8], rtol=.02)


@pytest.mark.parametrize("factor", [1e-6, 2.**-10, 1e3])
def test_scale_equivariance(word, factor):
    recording, voice = word
    other = Voice.fit(Recording(factor*recording.samples, recording.rate))
    assert np.array_equal(other.voicing, voice.voicing) and np.allclose(other.f0, voice.f0, rtol=1e-6)
    assert np.allclose(other.log_density(), voice.log_density() + 2*np.log(factor), atol=2e-5)  # cepstra are kept in single precision
    assert np.allclose(other.draw(generator(4)).samples/factor, voice.draw(generator(4)).samples, atol=1e-4*np.abs(recording.samples).max())


def test_a_constant_offset_is_not_heard(word):
    recording, voice = word
    other = Voice.fit(Recording(recording.samples + .3, recording.rate))
    assert np.array_equal(other.voicing, voice.voicing) and np.allclose(other.log_density(), voice.log_density(), atol=.02)


def test_silence_stays_silent():
    x = np.where(np.arange(8000) < 4000, 0, .1*generator(9).normal(size=8000))
    drawn = Voice.fit(Recording(x, 8000.)).draw(generator(1)).samples
    assert np.sqrt(np.mean(drawn[:3800]**2)) < 2*np.sqrt(FLOOR*np.mean(x**2)) and .8 < drawn[4200:].std()/.1 < 1.2


def test_a_fit_repeats_and_leaves_its_input_alone(word):
    recording, voice = word
    before = recording.samples.copy()
    assert same(Voice.fit(recording), voice) and same(Voice.analyse(recording), voice) and np.array_equal(recording.samples, before)


def test_a_given_pitch(word):
    recording, voice = word
    assert same(Voice.fit(recording, fit_pitch(recording)), voice)
    unvoiced = Voice.fit(recording, Pitch([0.], [100.], [0.]))
    assert not unvoiced.voicing.any() and unvoiced.harmonics().shape == (unvoiced.frames, 0) and np.isfinite(unvoiced.draw(generator()).samples).all()
    for f0 in (2*SLOWEST - .1, recording.rate/4, 1e5):
        with pytest.raises(ValueError, match="pitch: 10 to 4000 Hz are needed"): Voice.fit(recording, Pitch([0.], [f0], [1.]))
    for f0 in (2*SLOWEST, 30., 3000.): assert np.isfinite(Voice.fit(recording, Pitch([0.], [f0], [1.])).draw(generator()).samples).all()


def test_a_pitch_below_the_usual_range():
    x = np.zeros(16000)
    x[::400] = 1.                                          # 40 Hz
    voice = Voice.fit(Recording(x, 16000.), low=30)
    assert voice.voicing[10:-10].all() and np.allclose(voice.f0[10:-10], 40, rtol=.01)


@pytest.mark.parametrize("n, rate, options, message", [
    (61*200, 200., {}, "lasts 61.0 s; at most 60 s"), (12_000_001, 250_000., {}, "has 12000001 samples; at most 12000000"), (9, 2000., {}, "rate is 2000 Hz; at least 4000 Hz are needed"),
    (9, 3*FASTEST, {}, "rate is 3e[+]06 Hz; at most 1e[+]06 Hz"), (9, 8000., dict(high=1001.), "at least 8008 Hz are needed")])
def test_recordings_that_are_refused(n, rate, options, message):
    with pytest.raises(AudioError, match=message): Voice.fit(Recording(np.ones(n), rate), **options)


def test_a_lower_pitch_allows_a_lower_rate():
    recording = Recording(.1*generator(10).normal(size=400), 2000.)
    assert Voice.fit(recording, high=250).draw(generator()).n == 400
    with pytest.raises(ValueError, match="low, high"): Voice.fit(recording, low=100, high=100)


def test_arrays_that_are_no_voice():
    good = dict(f0=np.full(3, 100.), voicing=np.ones(3), cepstra=np.zeros((3, 4)), aperiodicity=np.zeros((3, 5)), rate=8000., n=50)
    assert Voice(**good).frames == 3
    for change, message in ((dict(f0=np.ones(4)), r"f0: shape \(3,\) is needed for 50 samples"), (dict(f0=np.zeros(3)), "f0: at least 5 Hz"), (dict(f0=[100, np.nan, 100]), "f0: 1 values are not finite"),
                            (dict(voicing=np.full(3, 1.1)), "voicing: must lie"), (dict(voicing=np.full(3, -.1)), "voicing: must lie"), (dict(cepstra=np.zeros((2, 4))), "cepstra: shape"),
                            (dict(cepstra=np.full((3, 4), np.inf)), "cepstra: 12 values"), (dict(cepstra=np.full((3, 4), 200.)), "sum to 800 in a frame; at most 600"),
                            (dict(aperiodicity=np.ones((3, 5))), "aperiodicity: must be at most 0 dB, got 1 dB"), (dict(aperiodicity=np.zeros((3, 4))), "aperiodicity: shape"),
                            (dict(rate=0.), "must be positive"), (dict(rate=np.nan), "must be positive"), (dict(rate=np.inf), "at most 1e[+]06"), (dict(n=0), "must be positive"), (dict(n=100), "shape")):
        with pytest.raises(ValueError, match=message): Voice(**good | change)
    with pytest.raises(AttributeError): Voice(**good).n = 4


# changes

@few
@given(seed=seeds, n=st.integers(1, 400), factor=st.floats(.1, 10))
def test_stretched_by_a_factor(seed, n, factor):
    voice = random_voice(seed, n)
    if round(factor*n) == 0: return
    longer = voice.stretch(factor)
    assert longer.n == round(voice.duration*factor*voice.rate) and same(voice.stretch(1), voice)
    for name in ARRAYS: assert np.all(getattr(longer, name).min(0) >= getattr(voice, name).min(0) - 1e-4) and np.all(getattr(longer, name).max(0) <= getattr(voice, name).max(0) + 1e-4)
    assert all(np.allclose(getattr(longer, name)[0], getattr(voice, name)[0]) for name in ARRAYS)


@few
@given(data=st.data(), count=st.integers(1, 5))
def test_stretched_by_a_map(data, count):
    "Time itself, carried as a cepstrum, goes where the map says."
    voice = random_voice(1, 800)                                                                     # 1 s
    steps = np.array(data.draw(st.lists(st.tuples(st.floats(.01, .19), st.floats(.01, .6)), min_size=count, max_size=count)))
    pairs = np.cumsum(steps, axis=0)
    clock = Voice(voice.f0, voice.voicing, np.stack([voice.times, -voice.times], 1), voice.aperiodicity, voice.rate, voice.n)
    result, ends = clock.stretch(pairs), pairs[-1]
    whole = np.concatenate([[(0, 0)], pairs, [(2, ends[1] + 2 - ends[0])]])
    assert result.n == round(np.interp(1, *whole.T)*800) and same(clock.stretch([(0, 0), *pairs]), result)
    expected = np.minimum(np.interp(result.times, *whole.T[::-1]), clock.times[-1])
    assert np.allclose(result.cepstra[:, 0], expected, atol=1e-6) and np.allclose(result.cepstra[:, 1], -expected, atol=1e-6)


@pytest.mark.parametrize("by", [0, -1, np.nan, np.inf, 1e9, 1e-9, [], [(1, 2, 3)], [(0, 1)], [(1, 0)], [(.1, .2), (.1, .3)], [(.1, .2), (.2, .1)], [(-1, -2)], [(.1, np.nan)], [(.1, 100.)]])
def test_stretch_refuses(word, by):
    with pytest.raises(ValueError, match="stretch: "): word[1].stretch(by)


@few
@given(seed=seeds, semitones=st.floats(-6, 12))
def test_pitch(seed, semitones):
    voice = random_voice(seed)
    other = voice.pitch(semitones)
    assert np.allclose(other.f0, voice.f0*2**(semitones/12), rtol=1e-6) and np.array_equal(other.log_density(), voice.log_density()) and same(voice.pitch(), voice)
    assert np.allclose(other.pitch(-semitones).f0, voice.f0, rtol=1e-6) and np.all(voice.pitch(curve=77.).f0 == 77) and np.allclose(voice.pitch(12, curve=voice.f0).f0, 2*voice.f0)
    bend = np.linspace(-3, 3, voice.frames)
    assert np.allclose(voice.pitch(bend).f0, voice.f0*2**(bend/12), rtol=1e-6)


@pytest.mark.parametrize("arguments", [(-48,), (120,), (np.nan,), (np.inf,), (-np.inf,), (0, 20.), (0, 8000.), (0, 0.), (0, -5.), (0, np.nan), (0, [100., 200.]), ([1., 2.],)])
def test_pitch_refuses(word, arguments):
    with pytest.raises(ValueError): word[1].pitch(*arguments)


@pytest.mark.parametrize("ratio", [.8, 1., 1.25, 2.])
def test_formants_there_and_back(word, ratio):
    voice = word[1]
    moved, w = voice.formants(ratio), np.linspace(0, 8000, voice.points//2 + 1)
    back = moved.formants(1/ratio)
    kept, level = w < 7000*min(ratio, 1/ratio), voice.log_density()
    assert np.array_equal(moved.f0, voice.f0) and np.sqrt(np.mean((back.log_density() - level)[:, kept]**2)) < .25
    if ratio == 1: assert np.allclose(moved.cepstra, voice.cepstra, atol=1e-4)
    inner = (w > 300) & (w < 3500)
    there = np.array([np.interp(w[inner]*ratio, w, row) for row in moved.log_density()])
    assert np.sqrt(np.mean((there - level[:, inner])**2)) < .25


@pytest.mark.parametrize("ratio", [.2, 4.1, 0, -1, np.nan, np.inf])
def test_formants_refuse(word, ratio):
    with pytest.raises(ValueError, match="formants: a ratio from 0.25 to 4"): word[1].formants(ratio)


def test_breathiness(word):
    voice = word[1]
    airy, clear = voice.breathiness(12), voice.breathiness(-12)
    assert np.all(airy.aperiodic_share() >= voice.aperiodic_share()) and np.all(clear.aperiodic_share() <= voice.aperiodic_share()) and np.array_equal(airy.log_density(), voice.log_density())
    assert np.allclose(clear.breathiness(12).aperiodicity, voice.aperiodicity, atol=1e-5) and np.all(voice.breathiness(1e3).aperiodicity == 0) and np.all(voice.breathiness(np.inf).aperiodic_share() == 1)
    assert np.abs(voice.breathiness(1e3).harmonics()).max(initial=0) == 0 < np.abs(voice.harmonics()).max()
    for bad in (np.nan, -np.inf):
        with pytest.raises(ValueError, match="not finite"): voice.breathiness(bad)


def test_shares_at_the_knots(word):
    voice = Voice(word[1].f0, np.full(word[1].frames, .75), word[1].cepstra, np.tile([-40., -30, -20, -10, 0], (word[1].frames, 1)), 20480., 8160)
    share = voice.aperiodic_share()[0]
    at = (KNOTS*voice.points/20480).round().astype(int)
    assert np.allclose(share[at], 1 - .75*(1 - 10**np.array([-4., -3, -2, -1, 0])), atol=.003) and np.all(share[at[-1]:] == 1)


@few
@given(seed=seeds, n=st.integers(1, 90), m=st.integers(1, 90), t=st.floats(0, 1))
def test_morph(seed, n, m, t):
    one, other = random_voice(seed, n), random_voice(seed + 1, m)
    assert same(one.morph(other, 0), one)
    end = one.morph(other, 1)
    assert same(end, other)
    itself, between = one.morph(one, t), one.morph(other, t)
    assert all(np.allclose(getattr(itself, name), getattr(one, name), rtol=1e-5, atol=1e-5) for name in ARRAYS) and itself.n == n
    assert between.n == max(1, round((1 - t)*n + t*m)) or abs(((1 - t)*n + t*m) % 1 - .5) < 1e-6
    assert between.f0.min() > .999*min(one.f0.min(), other.f0.min()) and between.f0.max() < 1.001*max(one.f0.max(), other.f0.max())


def test_morph_refuses(word):
    voice = word[1]
    for other, t, message in ((random_voice(1), .5, "same rate, got 16000 and 800 Hz"), (random_voice(1, 100, 16000.), .5, "as many mel-cepstra are needed, got 40 and 6"),
                              (voice, -.1, "t from 0 to 1"), (voice, 1.1, "t from 0 to 1"), (voice, np.nan, "t from 0 to 1")):
        with pytest.raises(ValueError, match=message): voice.morph(other, t)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seed=seeds, n=st.integers(1, 5), m=st.integers(1, 5), d=st.integers(1, 3), coarse=st.booleans())
def test_align_against_all_paths(seed, n, m, d, coarse):
    rng = generator(seed)
    one, other = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    if coarse: one, other = np.round(one), np.round(other)                                          # ties
    cost = np.sqrt(((one[:, None] - other)**2).sum(2))

    def paths(i, j):
        if (i, j) == (n - 1, m - 1): yield cost[i, j]
        for a, b in ((1, 1), (1, 0), (0, 1)):
            if i + a < n and j + b < m: yield from (cost[i, j] + rest for rest in paths(i + a, j + b))
    path = align(one, other)
    assert path[0].tolist() == [0, 0] and path[-1].tolist() == [n - 1, m - 1]
    assert set(map(tuple, np.diff(path, axis=0).tolist())) <= {(1, 1), (1, 0), (0, 1)}
    assert abs(cost[tuple(path.T)].sum() - min(paths(0, 0))) < 1e-6


def test_extremes_stay_finite(word):
    voice = word[1]
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        for change in (lambda v: v.pitch(curve=20.1), lambda v: v.pitch(curve=7999.), lambda v: v.pitch(36), lambda v: v.formants(.25), lambda v: v.formants(4), lambda v: v.stretch(.1), lambda v: v.stretch(.001),
                       lambda v: v.stretch(10), lambda v: v.breathiness(-1e5), lambda v: v.breathiness(1e5), lambda v: v.formants(4).formants(4).formants(.25), lambda v: v.pitch(curve=np.where(np.arange(v.frames) % 2, 25., 7900.))):
            changed = change(voice)
            for prior in PRIORS:
                drawn = changed.draw(generator(5), prior)
                assert drawn.n == changed.n and np.abs(drawn.samples).max() < 20


# files

@few
@given(seed=seeds, n=st.integers(1, 300), rate=st.sampled_from([800., 8000., 44100.]), cepstra=st.integers(1, 40))
def test_saved_and_loaded_bit_for_bit(tmp_path_factory, seed, n, rate, cepstra):
    voice, path = random_voice(seed, n, rate, cepstra), tmp_path_factory.mktemp("voice")/"voice.npz"
    assert voice.matrix.shape == (voice.frames, 7 + cepstra) and same(Voice.from_matrix(voice.matrix, rate, n), voice)
    voice.save(path)
    again = Voice.load(path)
    assert same(again, voice) and type(again.n) is int and type(again.rate) is float and repr(again) == repr(voice) and same(load_model(path), voice) and type(load_model(path)) is Voice
    assert np.array_equal(again.draw(generator(1)).samples, voice.draw(generator(1)).samples) and os.listdir(path.parent) == ["voice.npz"]
    again.save(path.with_name("again.npz"))
    assert path.with_name("again.npz").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("matrix", [np.zeros(8), np.zeros((3, 7)), np.zeros((3, 8)), np.full((3, 9), np.nan), np.full((4, 9), 50.), [[]], "x"])
def test_a_matrix_that_is_no_voice(matrix):
    with pytest.raises(ValueError): Voice.from_matrix(matrix, 8000., 50)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    "The bytes of a good file, and its arrays."
    path = tmp_path_factory.mktemp("good")/"voice.npz"
    random_voice(6).save(path)
    with np.load(path) as stored: return path.read_bytes(), dict(stored)


def refused(path, message=""):
    "`load` and `load_model` refuse the file in one line that names it; returns the line."
    told = set()
    for load in (Voice.load, load_model):
        with pytest.raises(ModelError, match=message or None) as caught: load(path)
        told.add(str(caught.value))
        assert str(path) in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 600
    return min(told)


def changed(good, path, without=(), **arrays):
    kept = {name: value for name, value in good[1].items() if name not in without} | arrays
    with open(path, "wb") as file: np.savez_compressed(file, **{name: np.asarray(value) for name, value in kept.items()})
    return path


def test_cut_short(good, tmp_path):
    content, path = good[0], tmp_path/"voice.npz"
    for length in [*range(0, len(content), 11), len(content) - 1]:
        path.write_bytes(content[:length])
        refused(path)


def test_a_flipped_byte_is_refused_or_harmless(good, tmp_path):
    content, path, harmless = good[0], tmp_path/"voice.npz", 0
    for where in range(0, len(content), 11):
        damaged = bytearray(content)
        damaged[where] ^= 0xFF
        path.write_bytes(damaged)
        try: voice = Voice.load(path)
        except ModelError: continue
        harmless += 1                                                       # a date or an attribute in the archive's directory
        assert same(voice, random_voice(6))
    assert harmless < len(content)/22


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04", b"PK\x03\x04" + bytes(500), b"RIFF" + bytes(100), pickle.dumps([1, 2]), b"\x93NUMPY", bytes(1000)])
def test_not_a_model(content, tmp_path):
    path = tmp_path/"voice.npz"
    path.write_bytes(content)
    refused(path)


def damaged(column, value): return lambda matrix: np.where(np.arange(matrix.shape[1]) == column % matrix.shape[1], np.float32(value), matrix)


@pytest.mark.parametrize("arrays", [
    dict(n=0), dict(n=-90), dict(n=50), dict(n=10**6), dict(n=2**62), dict(n=90.), dict(n=90.5), dict(n=[90, 90]), dict(n="90"), dict(n=np.nan), dict(n=1j),
    dict(rate=0.), dict(rate=-800.), dict(rate=np.nan), dict(rate=np.inf), dict(rate=1e300), dict(rate=2*FASTEST), dict(rate=44100.), dict(rate=[800., 800.]), dict(rate="800"),
    dict(matrix=0.), dict(matrix=[]), dict(matrix=np.ones(13)), dict(matrix=np.ones((24, 5))), dict(matrix=np.ones((24, 13, 1))), dict(matrix=np.full((24, 13), np.nan)), dict(matrix="abc"), dict(matrix=np.ones((24, 13))*1j),
    dict(matrix=damaged(0, 0)), dict(matrix=damaged(0, -100)), dict(matrix=damaged(0, 1e-30)), dict(matrix=damaged(0, np.inf)), dict(matrix=damaged(1, 1.5)), dict(matrix=damaged(1, -.5)), dict(matrix=damaged(2, 1e30)), dict(matrix=damaged(3, np.nan)), dict(matrix=damaged(-1, 3)),
    dict(matrix=lambda m: m[1:]), dict(matrix=lambda m: np.concatenate([m, m])), dict(matrix=lambda m: m.astype(str)), dict(matrix=lambda m: m.T),
    dict(schema="gp_speech Voice 2"), dict(schema="gp_speech SpeechModel 1"), dict(schema=1), dict(schema=b"gp_speech Voice 1"), dict(schema=""), dict(schema="x"*10**5), dict(schema=[VOICE_SCHEMA]*2)],
    ids=lambda arrays: f"{next(iter(arrays))}-{str(next(iter(arrays.values())))[:24]}")
def test_unusable_contents(arrays, good, tmp_path):
    refused(changed(good, tmp_path/"voice.npz", **{name: value(good[1][name]) if callable(value) else value for name, value in arrays.items()}))


def test_a_voice_too_long_for_a_fit_is_too_long_for_a_file(tmp_path):
    random_voice(1, 61*800).save(tmp_path/"voice.npz")
    refused(tmp_path/"voice.npz", "it claims 48800 samples at 800.0 Hz")


def test_arrays_missing_or_too_many(good, tmp_path):
    for name in good[1]: assert name in refused(changed(good, tmp_path/"voice.npz", without=[name]))
    assert "extra" in refused(changed(good, tmp_path/"voice.npz", extra=np.ones(3)), "missing or unknown")


class Payload:
    def __init__(self, path): self.path = path

    def __reduce__(self): return open, (str(self.path), "w")


@pytest.mark.parametrize("name", ["matrix", "schema", "n", "extra"])
def test_pickled_arrays_do_not_run(name, good, tmp_path):
    mark = tmp_path/"ran"
    pickle.loads(pickle.dumps(Payload(mark)))
    assert mark.exists()                                                    # the payload works
    mark.unlink()
    refused(changed(good, tmp_path/"voice.npz", **{name: np.array([Payload(mark)], dtype=object)}))
    (tmp_path/"voice.npy").write_bytes(pickle.dumps(Payload(mark)))
    refused(tmp_path/"voice.npy")
    assert not mark.exists()


@pytest.mark.parametrize("shape, descr", [((2**40, 13), "<f8"), ((2**33, 2**33), "<f8"), ((-1, 13), "<f8"), ((2**27,), "<f8"), ((3,), "<U1000000000")])
def test_a_header_that_promises_too_much(shape, descr, good, tmp_path):
    path, head = changed(good, tmp_path/"voice.npz", without=["matrix"]), io.BytesIO()
    np.lib.format.write_array_header_1_0(head, dict(descr=descr, fortran_order=False, shape=shape))
    with zipfile.ZipFile(path, "a") as archive: archive.writestr("matrix.npy", head.getvalue() + bytes(80))
    def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss*(1 if sys.platform == "darwin" else 1024)
    before = peak()
    refused(path)
    assert peak() - before < 2**25


def test_a_bomb_is_refused_before_it_is_unpacked(good, tmp_path):
    path = changed(good, tmp_path/"voice.npz", without=["matrix"])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("matrix.npy", "w") as file:
        for _ in range(300): file.write(bytes(2**20))
    refused(path, "bytes of arrays; at most")


def test_files_of_the_other_kind(good, tmp_path):
    path, recording = tmp_path/"segments.npz", Recording(.1*generator(11).normal(size=300), 8000.)
    SpeechModel.fit(recording, progress=False).save(path)
    assert type(load_model(path)) is SpeechModel
    with pytest.raises(ModelError, match=f"{VOICE_SCHEMA!r} is needed"): Voice.load(path)
    (tmp_path/"voice.npz").write_bytes(good[0])
    with pytest.raises(ModelError, match="schema is 'gp_speech Voice 1'"): SpeechModel.load(tmp_path/"voice.npz")


def test_missing_file_and_directory(tmp_path):
    for load in (Voice.load, load_model):
        with pytest.raises(FileNotFoundError): load(tmp_path/"none.npz")
        with pytest.raises(IsADirectoryError): load(tmp_path)


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    voice = random_voice(7)
    with pytest.raises(FileNotFoundError): voice.save(tmp_path/"no folder"/"voice.npz")
    with pytest.raises(IsADirectoryError): voice.save(tmp_path)
    (tmp_path/"voice.npz").write_text("older")
    def broken(file, **arrays): file.write(b"half"); raise OSError(28, "No space left on device")
    monkeypatch.setattr(np, "savez_compressed", broken)
    with pytest.raises(OSError, match="No space"): voice.save(tmp_path/"voice.npz")
    assert os.listdir(tmp_path) == ["voice.npz"] and (tmp_path/"voice.npz").read_text() == "older"


# pictures

@pytest.mark.parametrize("n", [1, 90])
def test_plots(n):
    import matplotlib.pyplot as plt
    voice = random_voice(8, n)
    figure, ax = plt.subplots()
    assert voice.plot(ax) is ax and ax.get_xlim() == (0, voice.duration) and ax.get_ylim() == (0, .4)
    figure.canvas.draw()
    plt.close(figure)
