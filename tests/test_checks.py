"Edge cases and properties of the checks beyond what notebooks 04 and 05 show."
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gp_speech.checks import ConvergenceCheck, compare_spectrum, convergence_check, spectrum_check
from gp_speech.kernels import Kernel, SpectralMixture
from gp_speech.simulation import draw
from gp_speech.spectrum import sine_taper


def generator(seed=0): return np.random.default_rng(seed)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 80), components=st.integers(0, 3), taper=st.booleans())
def test_right_mixtures_pass(seed, n, components, taper):
    rng = generator(seed)
    mixture = SpectralMixture(rng.uniform(.1, 1, components), rng.uniform(.002, .02, components), rng.uniform(50, 3900, components), .05, 8000.)
    draws = draw(mixture.kernel, n, 8000., rng, draws=4000)
    check = compare_spectrum(draws, mixture, sine_taper(n) if taper else None)
    assert check.mean.shape == check.density.shape == ((n + 1)//2 - 1,)
    assert 1 - 1e-9 <= check.independent <= len(check.mean) + 1e-9
    assert check.pvalue > 1e-4


@pytest.mark.parametrize("factor", [.9, 1.1])
def test_a_wrong_scale_fails(factor):
    mixture = SpectralMixture([1.], [.01], [440.], .05, 8000.)
    draws = draw(mixture.kernel, 160, 8000., generator(), draws=10_000)
    assert compare_spectrum(draws, mixture).pvalue > 1e-3
    assert compare_spectrum(draws, mixture.scaled(factor)).pvalue < 1e-6


@pytest.mark.parametrize("shape", [(100,), (1, 100), (2, 3, 4)])
def test_draws_of_another_shape(shape):
    with pytest.raises(ValueError, match="draws: shape"): compare_spectrum(np.ones(shape), SpectralMixture([], [], [], 1., 1.))


def test_white_noise_has_independent_frequencies():
    white = Kernel((("white", 1., 1., 1.),), 100.)
    check = compare_spectrum(generator().standard_normal((20_000, 41)), white)
    assert check.independent > 19.5 and len(check.mean) == 20


def test_spectrum_check_repeats_and_follows_its_generator():
    first, again, other = spectrum_check(n=10), spectrum_check(n=10, rng=generator(0)), spectrum_check(n=10, rng=generator(1))
    assert np.array_equal(first.mean, again.mean) and not np.array_equal(first.mean, other.mean)
    assert first.draws == 10 and "10 draws" in repr(first)


def test_bias_and_rmse_by_hand():
    track = np.full((5, 2, 3), 9.)
    track[2:, 0], track[2:, 1] = [1., 3., 3.], [3., 3., 3.]
    check = ConvergenceCheck(track, np.array([1., 2., 4.]), "by hand")
    assert np.allclose(check.bias[0], [1, 1, -1]) and np.allclose(check.bias[1], [1, 0, 0])
    assert np.allclose(check.rmse[0], [2**.5, 1, 1]) and np.allclose(check.rmse[1], [2/(2*2**.5), 0, 0])


def test_one_lost_run_is_not_hidden():
    track = np.full((5, 2, 3), 2.)
    track[3, 1, 0] = np.nan
    check = ConvergenceCheck(track, np.ones(3), "by hand")
    assert check.finite.tolist() == [True, False] and "1 of 2 runs" in repr(check) and np.isnan(check.bias[0][0])


@pytest.mark.parametrize("arguments, message", [
    (dict(loss="cubes"), "loss: 'cubes'"), (dict(curve="mean"), "curve: 'mean'"), (dict(dtype="float16"), "dtype: 'float16'"),
    (dict(parametrisation="sqrt"), "parametrisation: 'sqrt'"), (dict(runs=1), "runs"), (dict(steps=70), "steps"), (dict(steps=0), "steps"),
    (dict(start=(1., 2.)), "start"), (dict(start=(1., -2., 1.)), "start"), (dict(truth=(1., np.nan, 1.)), "truth")])
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message): convergence_check(**arguments)


def test_a_fit_repeats_and_types_agree():
    first, again, single = (convergence_check(steps=200, runs=3, dtype=dtype, rng=generator(5)) for dtype in ("float64", "float64", "float32"))
    assert np.array_equal(first.track, again.track) and first.track.shape == (5, 3, 3)
    assert np.allclose(first.track, single.track, rtol=1e-2)


@pytest.mark.parametrize("loss", ["squares", "log_squares", "whittle"])
@pytest.mark.parametrize("curve", ["expected", "density"])
def test_losses_against_numpy(loss, curve):
    import tensorflow as tf
    from gp_speech.checks import loss_function
    from gp_speech.spectrum import expected_periodogram
    parameters = generator(1).uniform(.2, .6, (4, 3))
    for n in 20, 21:  # even and odd
        w = np.arange(1, (n + 1)//2)/n*5.
        I = generator(2).exponential(size=(4, len(w)))
        models = [Kernel((("squared_exponential", s, l, p),), 5.) for l, s, p in parameters]
        S = np.array([expected_periodogram(m.kernel, n, 5.) if curve == "expected" else m.density(w) for m in models])
        by_hand = {"squares": (I - S)**2, "log_squares": (np.log(I) - np.log(S))**2, "whittle": np.log(S) + I/S}[loss].sum()
        ours = loss_function(loss, curve, "float64", n, 5.)(tf.constant(parameters), tf.constant(I)).numpy()
        assert np.isclose(ours, by_hand, rtol=1e-10)


def test_runs_do_not_touch_each_other():
    from gp_speech.checks import _adam, _streams, loss_function
    stream = _streams(.5, .5, 2., 100, 20., 2, 3, generator(3))
    lost = stream.copy()
    lost[:, 1] = np.nan
    ways = []
    for ordinates in stream, lost:
        advance = _adam(loss_function("whittle", "expected", "float64", 100, 20.), (1., 1., 1.), 3, True, "float64", 20, .01)
        ways.append(np.array([advance(x) for x in ordinates]))
    assert np.isnan(ways[1][:, 1]).all() and np.array_equal(ways[0][:, [0, 2]], ways[1][:, [0, 2]])
