"Edge cases and properties of draws beyond what notebook 03 shows."
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.linalg import toeplitz

from gp_speech.kernels import Kernel, SpectralMixture, symbols
from gp_speech.simulation import (SimulationData, backward_factor, circulant_eigenvalues, colour, condition, condition_dense, covariances,
                                  draw, draw_dense, draw_following, embedding_matrix, known_samples, plausible_length)

rate = 8000.
seeds = st.integers(0, 2**32 - 1)


def generator(seed=0): return np.random.default_rng(seed)


def random_mixture(rng, components, noise=None):
    return SpectralMixture(rng.uniform(.1, 1, components), rng.uniform(.0003, .005, components), rng.uniform(0, rate/2, components),
                           rng.uniform(.05, .2) if noise is None else noise, rate)


class OneAtATime:
    "In place of a generator: its normal numbers are all zero but one, so that a linear map shows its columns."
    def __init__(self, which=None): self.which, self.used = which, 0

    def standard_normal(self, size):
        numbers = np.zeros(size)
        if self.which is not None and 0 <= self.which - self.used < numbers.size: numbers.flat[self.which - self.used] = 1
        self.used += numbers.size
        return numbers


def moments(sample):
    "Mean and covariance, exactly, of what `sample(rng)` draws: it is linear in its white noise."
    silent = OneAtATime()
    mean = sample(silent)
    columns = np.array([sample(OneAtATime(i)) - mean for i in range(silent.used)])
    return mean, columns.T@columns


@settings(deadline=None, max_examples=20, derandomize=True)
@given(seed=seeds, n=st.integers(1, 40), components=st.integers(0, 3))
def test_draws_have_exactly_the_covariance(seed, n, components):
    mixture = random_mixture(generator(seed), components)
    K = toeplitz(mixture.kernel(np.arange(n)/rate))
    for twin in draw, draw_dense:
        mean, covariance = moments(lambda rng: twin(mixture.kernel, n, rate, rng))
        assert np.all(mean == 0) and np.abs(covariance - K).max() <= 1e-12*mixture.variance*n


@pytest.mark.parametrize("n", [1, 2, 3, 10, 11])
@pytest.mark.parametrize("draws", [1, 2, 3])
def test_several_draws_are_independent(n, draws):
    mixture = random_mixture(generator(n), 2)
    K = toeplitz(mixture.kernel(np.arange(n)/rate))
    mean, covariance = moments(lambda rng: draw(mixture.kernel, n, rate, rng, draws).ravel())
    assert np.all(mean == 0) and np.allclose(covariance, np.kron(np.eye(draws), K), atol=1e-12)


@pytest.mark.parametrize("twin", [draw, draw_dense])
def test_shapes_and_repeats(twin):
    kernel = random_mixture(generator(), 2).kernel
    for n in (1, 2, 3, 17):
        assert twin(kernel, n, rate, generator()).shape == (n,) and twin(kernel, n, rate, generator(), draws=3).shape == (3, n)
        assert np.array_equal(twin(kernel, n, rate, generator(7), draws=4), twin(kernel, n, rate, generator(7), draws=4))
        assert not np.array_equal(twin(kernel, n, rate, generator(7)), twin(kernel, n, rate, generator(8)))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seed=seeds, n=st.integers(1, 300), components=st.integers(0, 4), noise=st.sampled_from([None, 0., 1e-12]))
def test_embedding_is_the_kernel_on_a_circle(seed, n, components, noise):
    mixture = random_mixture(generator(seed), components, noise)
    values, M = circulant_eigenvalues(mixture.kernel, n, rate)
    assert M % 2 == 0 and M//2 >= n - 1 and values.shape == (M//2 + 1,) and np.all(values >= 0)
    row = np.fft.irfft(values, M)
    assert np.abs(row[:n] - mixture.kernel(np.arange(n)/rate)).max() <= 1e-10*max(mixture.variance, 1e-12)


@pytest.mark.parametrize("l", [.01, .1, .5])
def test_embedding_grows_as_far_as_it_must(l):
    tone = SpectralMixture([1.], [l], [440.], 0., rate)
    n = 20
    values, M = circulant_eigenvalues(tone.kernel, n, rate)
    assert M > 4*n and np.abs(np.fft.irfft(values, M)[:n] - tone.kernel(np.arange(n)/rate)).max() < 1e-10


def test_what_is_no_covariance_is_refused():
    with pytest.raises(ValueError, match="not positive definite within 1000 points"):
        circulant_eigenvalues(lambda r: np.where(r == 0, 1., np.where(np.round(r*rate) == 1, .9, 0.)), 50, rate, largest=1000)
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="kernel: not finite"): draw(lambda r: np.full(r.shape, bad), 5, rate, generator())


def test_more_than_the_largest_circle_is_refused_in_words():
    with pytest.raises(ValueError, match="at most 64"): circulant_eigenvalues(SpectralMixture([], [], [], 1., rate).kernel, 1000, rate, largest=64)


@pytest.mark.parametrize("n", [0, -1])
def test_no_samples(n):
    with pytest.raises(ValueError, match=f"at least 1 sample is needed, got {n}"): draw(SpectralMixture([], [], [], 1., rate).kernel, n, rate, generator())


@pytest.mark.parametrize("family", ["exponential", "matern32", "matern52", "squared_exponential"])
def test_every_family_can_be_drawn(family):
    kernel = Kernel(((family, 2., .002, 300.), ("white", .1, 1., 1.)), rate).kernel
    _, covariance = moments(lambda rng: draw(kernel, 12, rate, rng))
    assert np.allclose(covariance, toeplitz(kernel(np.arange(12)/rate)), atol=1e-11)


def test_many_draws_have_the_variance():
    mixture = random_mixture(generator(3), 3)
    draws = draw(mixture.kernel, 2, rate, generator(4), draws=40_000)
    k = mixture.kernel(np.arange(2)/rate)
    products = np.stack([draws[:, 0]**2, draws[:, 0]*draws[:, 1]])
    assert np.all(np.abs(products.mean(1) - k) < 4.5*products.std(1)/200)


# conditioning

def following_dense(mixture, past, n):
    "Mean and covariance of the n samples after a past."
    m = len(past)
    mean, covariance = condition_dense(mixture, np.arange(m), past, m + n, rate)
    return mean[m:], covariance[m:, m:]


def some_of(rng, n, which):
    "Indices of known samples, not in order."
    if which == "random": return rng.permutation(n)[:rng.integers(1, n + 1)]
    start, stop = np.sort(rng.integers(0, n + 1, 2))
    inside = (np.arange(n) >= start) & (np.arange(n) < stop)
    return rng.permutation(np.flatnonzero({"gap": ~inside, "piece": inside, "all": np.ones(n, dtype=bool)}[which]))


def conditioned_every_way(monkeypatch, *arguments, **options):
    "By a Cholesky factor, by the precision of what is missing, and by conjugate gradients on the known samples."
    import gp_speech.simulation as simulation
    yield condition(*arguments, **options)
    monkeypatch.setattr(simulation.Known, "FEW", -1)
    monkeypatch.setattr(simulation.Known, "MANY", -1)
    yield condition(*arguments, **options)
    monkeypatch.setattr(simulation.Known, "RANGE", 1.)
    yield condition(*arguments, **options)
    monkeypatch.undo()


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seed=seeds, n=st.integers(1, 120), components=st.integers(0, 4), which=st.sampled_from(["random", "gap", "piece", "all"]), noise=st.sampled_from([0., 1e-3, 1.]))
def test_condition_is_the_dense_formula(seed, n, components, which, noise):
    rng = generator(seed)
    mixture, observed = random_mixture(rng, components), some_of(rng, n, which)
    values = draw(mixture, n, rate, rng)[observed]
    exact, covariance = condition_dense(mixture, observed, values, n, rate, noise)
    with pytest.MonkeyPatch.context() as patch:
        for posterior in conditioned_every_way(patch, mixture, observed, values, n, rate, noise):
            assert posterior.residual <= 1e-10 and posterior.mean.shape == (n,)
            assert np.abs(posterior.mean - exact).max() <= 1e-8
            assert np.abs(posterior.variance() - np.diag(covariance)).max() <= 1e-9*mixture.variance


@settings(deadline=None, max_examples=10, derandomize=True)
@given(seed=seeds, n=st.integers(1, 14), which=st.sampled_from(["random", "gap", "piece", "all"]), noise=st.sampled_from([0., .1]))
def test_conditioned_draws_have_exactly_the_moments(seed, n, which, noise):
    rng = generator(seed)
    mixture, observed = random_mixture(rng, 2), some_of(rng, n, which)
    values = rng.normal(size=len(observed))
    exact = condition_dense(mixture, observed, values, n, rate, noise)
    with pytest.MonkeyPatch.context() as patch:
        for posterior in conditioned_every_way(patch, mixture, observed, values, n, rate, noise):
            mean, covariance = moments(posterior.draw)
            assert np.abs(mean - exact[0]).max() < 1e-7 and np.abs(covariance - exact[1]).max() < 1e-7


@settings(deadline=None, max_examples=8, derandomize=True)
@given(seed=seeds, share=st.sampled_from([.02, .1, .5]), noise=st.sampled_from([0., 1e-2]))
def test_condition_on_two_thousand_samples(seed, share, noise):
    rng, n = generator(seed), 2000
    mixture = random_mixture(rng, 6, noise=10.**rng.uniform(-5, -1))
    lost = rng.random(n) < share
    lost[700:700 + rng.integers(0, 300)] = True
    observed = np.flatnonzero(~lost)
    values = draw(mixture, n, rate, rng)[observed]
    posterior = condition(mixture, observed, values, n, rate, noise)
    assert posterior.residual <= 1e-10 and np.abs(posterior.mean - condition_dense(mixture, observed, values, n, rate, noise)[0]).max() <= 1e-8


def test_variances_are_bounded_from_both_sides():
    rng, n = generator(1), 4300
    mixture = SpectralMixture([1., .3], [.002, .001], [300., 1500.], .05, rate)
    for noise in (.1,):
        observed = np.flatnonzero(rng.random(n) > .2)
        posterior = condition(mixture, observed, draw(mixture, n, rate, rng)[observed], n, rate, noise)
        lower, upper = posterior.variance_bounds(tolerance=1e-6, progress=False)
        exact = np.diag(condition_dense(mixture, observed, np.zeros(len(observed)), n, rate, noise)[1])
        assert np.all(lower <= exact + 1e-9) and np.all(exact <= upper + 1e-9) and np.max(upper - lower) <= 1e-6*mixture.variance
        with pytest.warns(RuntimeWarning, match="a longer window is needed"): posterior.variance(tolerance=1e-14, widest=256, progress=False)


def test_several_waveforms_at_once():
    mixture, rng, n = random_mixture(generator(2), 3), generator(3), 700
    observed = np.flatnonzero(rng.random(n) > .1)
    values = draw(mixture, n, rate, rng, draws=3)[:, observed]
    together = condition(mixture, observed, values, n, rate)
    assert together.mean.shape == together.draw(rng).shape == (3, n)
    for row, mean in zip(values, together.mean): assert np.allclose(condition(mixture, observed, row, n, rate).mean, mean, atol=1e-8)
    assert np.allclose(together.draw(rng)[:, observed], values, atol=1e-7)
    with pytest.raises(ValueError, match="3 rows already"): together.draw(rng, 2)
    assert condition(mixture, observed, values[0], n, rate).draw(rng, 2).shape == (2, n)


def test_nothing_known_and_nothing_left():
    mixture = random_mixture(generator(4), 2)
    nothing = condition(mixture, np.empty(0, dtype=int), [], 30, rate)
    assert not nothing.mean.any() and np.allclose(nothing.variance(), mixture.variance) and nothing.draw(generator()).shape == (30,)
    everything = condition(mixture, np.arange(30), np.arange(30.), 30, rate)
    assert np.allclose(everything.mean, np.arange(30.)) and not everything.variance().any()
    assert not condition(mixture, np.arange(5), np.zeros(5), 30, rate).mean.any()


def test_a_solution_that_falls_short_says_by_how_much():
    tone = SpectralMixture([1.], [.4], [440.], 0., rate)
    x = draw(tone, 900, rate, generator(5))
    with pytest.warns(RuntimeWarning, match=r"relative residual \d"): posterior = condition(tone, np.arange(0, 900, 3), x[::3] + generator(6).normal(size=300), 900, rate)
    assert 1e-10 < posterior.residual


@pytest.mark.parametrize("observed, message", [
    ([0, 9], "0 to 8 are needed, got 0 to 9"), ([-1], "got -1 to -1"), ([2, 2], "given twice"), ([[1, 2]], "one dimension"), ([.5/8000], "whole numbers of samples"),
    ([np.nan], "whole numbers of samples"), (np.ones(8, dtype=bool), "a mask of shape")])
def test_samples_that_cannot_be_known(observed, message):
    with pytest.raises(ValueError, match=message): known_samples(observed, 9, rate)


@pytest.mark.parametrize("values, noise, message", [
    ([1.], 0., "2 are needed"), ([1., np.nan], 0., "1 are not finite"), ([1., 2.], -1., "a variance is needed, got -1"), (np.ones((2, 2, 2)), 0., "2 are needed")])
def test_values_that_cannot_be(values, noise, message):
    with pytest.raises(ValueError, match=message): condition(random_mixture(generator(), 1), [1, 3], values, 9, rate, noise)


def test_a_mixture_knows_its_rate():
    mixture = random_mixture(generator(), 2)
    assert np.allclose(covariances(mixture, 50, rate), covariances(mixture.kernel, 50, rate), atol=1e-12)
    with pytest.raises(ValueError, match="the mixture's is 8000 Hz, got 16000 Hz"): draw(mixture, 5, 16000., generator())


@settings(deadline=None, max_examples=30, derandomize=True)
@given(seed=seeds, n=st.integers(1, 60), components=st.integers(0, 4))
def test_a_draw_is_its_dense_twin_of_the_same_noise(seed, n, components):
    mixture = random_mixture(generator(seed), components)
    values, M = circulant_eigenvalues(mixture, n, rate)
    A = embedding_matrix(values, M, n)
    assert np.abs(A@A.T - toeplitz(mixture.kernel(np.arange(n)/rate))).max() <= 1e-12*mixture.variance*n
    assert np.allclose(colour(values, M, n, generator(seed)), A@generator(seed).standard_normal(M), atol=1e-11)


# what follows

@settings(deadline=None, max_examples=60, derandomize=True)
@given(seed=seeds, m=st.integers(1, 60), components=st.integers(0, 4))
def test_backward_factor_is_the_cholesky_factor(seed, m, components):
    lags = random_mixture(generator(seed), components).kernel(np.arange(m)/rate)
    before = lags.copy()
    factor = backward_factor(lags)
    assert factor.shape == (m, m) and np.array_equal(lags, before)
    assert np.allclose(factor, np.linalg.cholesky(toeplitz(lags)), rtol=1e-8, atol=1e-10) and np.all(np.triu(factor, 1) == 0)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seed=seeds, m=st.integers(1, 200), components=st.integers(1, 4), factor=st.sampled_from([1e-200, 1., 1e200]))
def test_backward_factor_ends_where_rounding_begins(seed, m, components, factor):
    mixture = random_mixture(generator(seed), components, noise=0.)
    lags = factor*mixture.kernel(np.arange(m)/rate)
    L = backward_factor(lags)
    j = len(L)
    assert L.shape == (j, j) and 1 <= j <= m and np.all(np.isfinite(L)) and np.all(np.diag(L) > 0)
    assert np.allclose(L@L.T/lags[0], toeplitz(lags[:j])/lags[0], atol=1e-13*m)


@pytest.mark.parametrize("lags, length", [(np.ones(9), 1), ([3.], 1), (np.cos(.7*np.arange(9)), 2), ([1., 1.1, 1.], 1)])
def test_backward_factor_of_what_is_determined(lags, length): assert len(backward_factor(np.asarray(lags))) == length


@settings(deadline=None, max_examples=50, derandomize=True)
@given(seed=seeds, m=st.integers(1, 60), components=st.integers(0, 3), wrong=st.floats(.1, 30))
def test_plausible_length(seed, m, components, wrong):
    rng = generator(seed)
    factor = backward_factor(random_mixture(rng, components).kernel(np.arange(m)/rate))
    past = np.concatenate([(factor@rng.normal(size=(len(factor), 20))).T, wrong*rng.normal(size=(20, len(factor)))])
    past_before, lengths = past.copy(), plausible_length(factor, past)
    assert lengths.shape == (40,) and np.all(lengths >= 1) and np.all(lengths <= len(factor)) and np.array_equal(past, past_before)
    doubts = [plausible_length(factor, past, doubt) for doubt in (1e-12, 1e-8, 1e-4, 1e-2, .5)]
    assert np.all(np.diff(doubts, axis=0) <= 0)                            # the more doubt, the less is believed
    assert np.array_equal(plausible_length(factor, -past), lengths)
    assert plausible_length(factor, past[0]) == lengths[0] and plausible_length(factor, past[0]).shape == ()
    assert np.array_equal(plausible_length(factor, past.reshape(4, 10, -1)), lengths.reshape(4, 10))
    assert np.all(plausible_length(factor, 0*past) == len(factor))         # silence is nothing that a kernel could not have done


def test_a_past_of_its_own_is_believed_and_a_strange_one_is_not():
    m = 100
    own, other = SpectralMixture([1.], [.004], [300.], 1e-4, rate), SpectralMixture([1.], [.004], [3000.], 1e-4, rate)
    factor = backward_factor(own.kernel(np.arange(m)/rate))
    believed = [plausible_length(factor, draw(mixture.kernel, m, rate, generator(1), draws=2000)) for mixture in (own, other)]
    assert np.mean(believed[0] < m) < .01 + 4*np.sqrt(.01/2000)            # at most 100 lengths, each doubted with probability 1e-4
    assert np.median(believed[1]) < 5


@settings(deadline=None, max_examples=15, derandomize=True)
@given(seed=seeds, m=st.integers(1, 12), n=st.integers(1, 12), components=st.integers(0, 3))
def test_following_has_exactly_the_moments(seed, m, n, components):
    rng = generator(seed)
    mixture, past = random_mixture(rng, components), rng.normal(size=m)
    past.flags.writeable = False
    for believe in {m, 1, (m + 1)//2}:
        mean, covariance = moments(lambda rng: draw_following(mixture.kernel, past, n, rate, rng, believe=believe))
        exact = following_dense(mixture, past[m - believe:], n)
        scale = max(1., np.abs(past).max())*mixture.variance
        assert np.abs(mean - exact[0]).max() < 1e-8*scale and np.abs(covariance - exact[1]).max() < 1e-8*scale


def test_following_moments_by_hand():
    mixture = SpectralMixture([1.], [.001], [200.], .1, rate)
    k0, k1 = mixture.kernel(np.arange(2)/rate)
    mean, covariance = following_dense(mixture, np.array([2.]), 1)
    assert np.allclose(mean, 2*k1/k0) and np.allclose(covariance, k0 - k1**2/k0)


def test_many_that_follow_have_the_moments():
    mixture, draws = SpectralMixture([1., .5], [.002, .001], [300., 1500.], .05, rate), 20_000
    past = draw(mixture.kernel, 30, rate, generator(2))
    sample = draw_following(mixture.kernel, np.tile(past, (draws, 1)), 6, rate, generator(3), believe=30)
    mean, covariance = following_dense(mixture, past, 6)
    deviations = sample - mean
    assert np.all(np.abs(deviations.mean(0)) < 4.5*np.sqrt(np.diag(covariance)/draws))
    products = deviations[:, :, None]*deviations[:, None]
    assert np.all(np.abs(products.mean(0) - covariance) < 4.5*products.std(0)/np.sqrt(draws))


@pytest.mark.parametrize("shape, n", [((5,), 3), ((1,), 1), ((1, 5), 3), ((4, 5), 1), ((4, 1), 7)])
def test_following_shapes(shape, n):
    mixture = random_mixture(generator(5), 2)
    past = generator(6).normal(size=shape)
    before = past.copy()
    after = draw_following(mixture.kernel, past, n, rate, generator(7))
    assert after.shape == shape[:-1] + (n,) and np.all(np.isfinite(after)) and np.array_equal(past, before)
    nothing = draw_following(SpectralMixture([], [], [], 0., rate).kernel, past, n, rate, generator(7))
    assert nothing.shape == after.shape and not nothing.any()


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seed=seeds, m=st.integers(1, 256), loud=st.sampled_from([0., 1e-9, 1., 1e6]), kind=st.sampled_from(["noise", "constant", "alternating", "impulse"]),
       noise=st.sampled_from([0., 1e-15, .1]))
def test_whatever_came_before_what_follows_is_bounded(seed, m, loud, kind, noise):
    rng = generator(seed)
    past = loud*{"noise": rng.normal(size=m), "constant": np.ones(m), "alternating": (-1.)**np.arange(m), "impulse": np.eye(1, m, m//2)[0]}[kind]
    mixture = random_mixture(rng, 2, noise)
    after = draw_following(mixture.kernel, past, 50, rate, rng)
    assert np.all(np.isfinite(after)) and np.abs(after).max() < 20*(np.sqrt(mixture.variance) + loud)


# the seed's names

def test_simulation_data():
    simulation = SimulationData()
    for call, message in ((simulation.gen_chol, "gen_grid first"), (lambda: simulation.simulate(generator()), "gen_chol first")):
        with pytest.raises(ValueError, match=message): call()
    times = simulation.gen_grid(10, 5)
    assert np.allclose(times, .5*np.arange(10))
    with pytest.raises(ValueError, match="give a kernel"): simulation.gen_chol()
    expression, names = simulation.gen_expcos_kern(l=.4, s=1.5, p=.7)
    r, l, s, p = names
    assert expression.free_symbols == set(names) and names[0] is symbols()["r"]
    value = float(expression.subs({r: .3, l: .4, s: 1.5, p: .7}))
    assert np.isclose(simulation.kernel_func(.3), value) and np.isclose(value, 1.5**2*np.exp(-(.3/.4)**2)*np.cos(2*np.pi*.7*.3))
    factor = simulation.gen_chol()
    assert np.allclose(factor@factor.T, toeplitz(simulation.kernel_func(times)))
    assert simulation.simulate(generator()).shape == (10,) and simulation.simulate(generator(), 3).shape == (3, 10)


@pytest.mark.parametrize("arguments", [(0, 1.), (-1, 1.), (5, 0.), (5, -1.), (5, np.nan)])
def test_a_grid_that_cannot_be(arguments):
    with pytest.raises(ValueError, match="n >= 1 and u > 0"): SimulationData().gen_grid(*arguments)


def test_a_matrix_that_has_no_factor():
    with pytest.raises(np.linalg.LinAlgError): draw_dense(lambda r: np.ones(r.shape), 5, rate, generator())
