"Edge cases and properties of the spectrum beyond what notebook 01 shows."
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gp_speech.audio import Recording
from gp_speech.kernels import SpectralMixture
from gp_speech.simulation import draw
from gp_speech.spectrum import (expected_from_covariances, expected_periodogram, expected_periodogram_dense, lag_weights, periodogram,
                                plot_spectrogram, samples_and_rate, sine_taper, spectrogram, spectrum)

rate = 8000.
seeds = st.integers(0, 2**32 - 1)


def generator(seed=0): return np.random.default_rng(seed)


def random_mixture(rng, components, rate=rate):
    return SpectralMixture(rng.uniform(.1, 1, components), rng.uniform(.0005, .02, components), rng.uniform(0, rate/2, components), rng.uniform(0, .2), rate)


def random_taper(rng, n):
    taper = rng.normal(size=n)
    return taper/np.sqrt(np.sum(taper**2))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seed=seeds, n=st.integers(1, 70), components=st.integers(0, 4), kind=st.sampled_from(["none", "sine", "random"]))
def test_expected_periodogram_equals_dense(seed, n, components, kind):
    rng = generator(seed)
    mixture = random_mixture(rng, components)
    taper = {"none": None, "sine": sine_taper(n), "random": random_taper(rng, n)}[kind]
    fast, dense = (f(mixture.kernel, n, rate, taper) for f in (expected_periodogram, expected_periodogram_dense))
    assert fast.shape == dense.shape == ((n + 1)//2 - 1,)
    assert np.abs(fast - dense).max(initial=0) <= 1e-12*mixture.variance*n/rate
    assert np.all(dense > -1e-15)


@pytest.mark.parametrize("n", [3, 4, 50, 51])
@pytest.mark.parametrize("tapered", [False, True])
def test_expected_periodogram_is_the_mean_over_draws(n, tapered):
    mixture = SpectralMixture([1., .3], [.004, .001], [700., 2500.], .1, rate)
    taper = sine_taper(n) if tapered else None
    draws = draw(mixture.kernel, n, rate, generator(n), draws=8000)
    ordinates = np.array([periodogram(x, rate, taper)[1] for x in draws])
    error = ordinates.std(0)/np.sqrt(len(draws))
    assert np.all(np.abs(ordinates.mean(0) - expected_periodogram(mixture.kernel, n, rate, taper)) < 4.5*error)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seed=seeds, n=st.integers(3, 200), kind=st.sampled_from(["none", "sine", "random"]))
def test_white_noise_is_expected_to_be_flat(seed, n, kind):
    taper = {"none": None, "sine": sine_taper(n), "random": random_taper(generator(seed), n)}[kind]
    white = SpectralMixture([], [], [], 2., rate)
    assert np.allclose(expected_periodogram(white.kernel, n, rate, taper), 2/rate, rtol=1e-12)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seed=seeds, n=st.integers(1, 90), kind=st.sampled_from(["none", "sine", "random"]))
def test_lag_weights_are_the_autocorrelation_of_the_taper(seed, n, kind):
    taper = {"none": None, "sine": sine_taper(n), "random": random_taper(generator(seed), n)}[kind]
    h = np.full(n, n**-.5) if taper is None else taper
    weights = lag_weights(n, taper)
    assert np.isclose(weights[0], 1) and np.allclose(weights, [h[k:]@h[:n - k] for k in range(n)], atol=1e-13)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seed=seeds, n=st.integers(3, 60), a=st.floats(-5, 5))
def test_expected_from_covariances_is_linear_and_leaves_them_alone(seed, n, a):
    k = generator(seed).normal(size=(2, 3, n))
    before = k.copy()
    k.flags.writeable = False
    together = expected_from_covariances(k, rate, sine_taper(n))
    assert together.shape == (2, 3, (n + 1)//2 - 1) and np.array_equal(k, before)
    assert np.allclose(expected_from_covariances(k[0] + a*k[1], rate, sine_taper(n)), together[0] + a*together[1], atol=1e-14)
    assert np.allclose(expected_from_covariances(k, rate, weights=lag_weights(n, sine_taper(n))), together, atol=1e-16)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seed=seeds, n=st.integers(3, 300), hz=st.floats(1e-3, 1e6))
def test_parseval(seed, n, hz):
    x = generator(seed).normal(size=n)
    w, I = periodogram(x, hz)
    assert w.shape == I.shape == ((n + 1)//2 - 1,) and w[0] == pytest.approx(hz/n) and w[-1] < hz/2 and np.all(np.diff(w) > 0)
    half = np.sum(x*(-1.)**np.arange(n))**2/(n*hz) if n % 2 == 0 else 0.
    assert np.isclose((np.sum(x)**2/(n*hz) + half + 2*I.sum())*hz/n, np.mean(x**2), rtol=1e-10)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seed=seeds, n=st.integers(3, 120), factor=st.floats(1e-3, 1e3))
def test_scale_rotation_reversal_and_mean(seed, n, factor):
    x = generator(seed).normal(size=n)
    I = periodogram(x, rate)[1]
    assert np.allclose(periodogram(-factor*x, rate)[1], factor**2*I, rtol=1e-9)
    for same in (np.roll(x, seed % n), x[::-1], x + 3):
        assert np.allclose(periodogram(same, rate)[1], I, rtol=1e-9, atol=1e-13/rate*n)


@pytest.mark.parametrize("n", [16, 17, 400, 401])
def test_a_tone_is_where_it_should_be(n):
    for j in (1, 5, (n + 1)//2 - 1):
        x = np.sqrt(2)*np.cos(2*np.pi*j*np.arange(n)/n + .3)
        w, I = periodogram(x, rate)
        assert I.argmax() == j - 1 and np.isclose(w[I.argmax()], j*rate/n) and np.isclose(2*I[j - 1]*rate/n, 1)
        assert np.delete(I, j - 1).max() < 1e-20*I.max()


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seed=seeds, n=st.integers(2, 200), u=st.floats(1e-3, 1e3))
def test_spectrum_against_the_seeds_formula(seed, n, u):
    x = generator(seed).normal(size=n)
    w, psd = spectrum(x, u)
    assert np.array_equal(spectrum(x, u, return_freq=False), psd) and w.shape == psd.shape == (n//2,)
    full = np.fft.fft(x)
    assert np.allclose(psd, np.abs(full[1:n//2 + 1]/n)**2*u, rtol=1e-9, atol=1e-16) and np.allclose(w, np.arange(1, n//2 + 1)/u)
    if n >= 3:
        ours = periodogram(x, n/u)
        assert np.allclose(w[:len(ours[0])], ours[0]) and np.allclose(psd[:len(ours[1])], ours[1], rtol=1e-9, atol=1e-16)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(n=st.integers(1, 60))
def test_sine_tapers_are_orthonormal(n):
    tapers = np.array([sine_taper(n, order) for order in range(1, n + 1)])
    assert np.allclose(tapers@tapers.T, np.eye(n), atol=1e-12)
    assert np.all(tapers[0] > 0) and np.allclose(tapers[0], tapers[0, ::-1])


@pytest.mark.parametrize("order", [0, -1, 11])
def test_order_of_a_taper(order):
    with pytest.raises(ValueError, match="order: a number from 1 to n=10"): sine_taper(10, order)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_short(n):
    with pytest.raises(ValueError, match=f"at least 3 samples, got {n}"): periodogram(np.ones(n), rate)


@pytest.mark.parametrize("x, u", [(np.ones(1), 1), (np.ones(0), 1), (np.ones((2, 3)), 1), (np.ones(5), 0), (np.ones(5), -1), (np.ones(5), np.nan)])
def test_spectrum_refuses(x, u):
    with pytest.raises(ValueError, match="needed|needs"): spectrum(x, u)


@pytest.mark.parametrize("value", [None, 0, -1., np.nan])
def test_rate_is_needed(value):
    with pytest.raises(ValueError, match="rate: bare samples need their rate"): periodogram(np.ones(9), value)


def test_samples_and_rate_of_a_recording():
    recording = Recording(.1*generator().normal(size=50), rate)
    for given_rate in (None, rate, int(rate)): assert samples_and_rate(recording, given_rate)[1] == rate
    with pytest.raises(ValueError, match="8000 Hz, but 16000 Hz"): periodogram(recording, 16000.)
    with pytest.raises(ValueError, match="one dimension"): periodogram(np.ones((4, 2)), rate)
    assert np.array_equal(periodogram(recording)[1], periodogram(list(recording.samples), rate)[1])


@pytest.mark.parametrize("length", [9, 11, 1])
def test_a_taper_of_another_length(length):
    with pytest.raises(ValueError, match="taper: shape"): periodogram(np.ones(10), rate, np.ones(length))


def test_arguments_are_not_changed():
    x, taper = generator().normal(size=33), sine_taper(33)
    x.flags.writeable = taper.flags.writeable = False
    before = x.copy(), taper.copy()
    periodogram(x, rate, taper), spectrum(x), spectrogram(x, rate, window=.002, step=.001)
    assert np.array_equal(x, before[0]) and np.array_equal(taper, before[1])


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seed=seeds, hz=st.sampled_from([4000., 11025., 48000.]), extra=st.integers(0, 400), window=st.floats(.002, .03), share=st.floats(.05, 2))
def test_spectrogram_columns_lie_within_the_sound(seed, hz, extra, window, share):
    m = max(4, round(window*hz))
    times, w, power = spectrogram(generator(seed).normal(size=m + extra), hz, window, share*window)
    assert power.shape == (len(w), len(times)) and np.all(np.isfinite(power)) and np.all(power >= 0) and len(times) >= 1
    assert w[0] == 0 and w[-1] <= hz/2*(1 + 1e-12) and np.allclose(np.diff(times), max(1, round(share*window*hz))/hz)
    assert 0 <= times[0] and times[-1] <= (m + extra)/hz


@pytest.mark.parametrize("step", [5, 12, 18])
def test_a_sound_of_one_window_is_seen_whole(step):
    levels = [spectrogram(x, 1000., .02, step/1000)[2][2:-2].mean()*1000 for x in generator(step).normal(size=(1500, 20))]
    assert np.isclose(np.mean(levels), 1, atol=.05)  # standard error about 0.01


def test_mean_spectrogram_of_white_noise_is_flat():
    _, _, power = spectrogram(2*generator().normal(size=400_000), rate)
    level = power[2:-2].mean(1)*rate/4
    assert np.abs(level - 1).max() < .1 and np.isclose(level.mean(), 1, atol=.02)  # about 4000 independent windows: 0.016 each


def test_too_short_for_a_spectrogram():
    with pytest.raises(ValueError, match="needs 200 samples, got 199"): spectrogram(np.ones(199), rate)
    times, _, power = spectrogram(np.ones(200), rate)
    assert power.shape[1] == len(times) == 1


@pytest.mark.parametrize("x", [np.zeros(400), np.ones(400), np.eye(1, 400, 200)[0], 1e-150*np.ones(400)])
def test_pictures_of_odd_sounds(x):
    import matplotlib.pyplot as plt
    with np.errstate(all="raise", under="ignore"): ax = plot_spectrogram(x, rate)
    assert np.all(np.isfinite(ax.images[0].get_array())) and "(s)" in ax.get_xlabel() and "(kHz)" in ax.get_ylabel()
    ax.figure.canvas.draw()
    plt.close(ax.figure)
