"Edge cases and properties of the mixture fit beyond what notebook 07 shows."
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gp_speech.audio import Recording
from gp_speech.kernels import SpectralMixture
from gp_speech.mixture import (Ordinates, bic, bounds, climb, fit_adam, fit_mixture, fit_whittle, grow, information, joined, missing_components,
                               pack, prune, residuals, seed_frequencies, step_scale, unpack, whittle)
from gp_speech.simulation import draw
from gp_speech.spectrum import expected_periodogram, periodogram, sine_taper

rate = 8000.
seeds = st.integers(0, 2**32 - 1)
ways = pytest.mark.parametrize("taper, debiased", [(t, d) for t in (True, False) for d in (True, False)])


def generator(seed=0): return np.random.default_rng(seed)


def random_mixture(rng, components, hz=rate):
    return SpectralMixture(rng.uniform(.1, 1, components), rng.uniform(3, 40, components)/hz, np.sort(rng.uniform(0, hz/2, components)), rng.uniform(.01, .2), hz)


def odd_sounds(n, seed=0):
    t = np.arange(n)
    return {"ramp": t/n, "impulse": np.eye(1, n, n//2)[0], "first": np.eye(1, n, 0)[0], "last": np.eye(1, n, n - 1)[0], "alternating": (-1.)**t,
            "tone": np.sin(2*np.pi*t/7.3), "bin": np.cos(2*np.pi*t/8), "square": np.sign(np.sin(2*np.pi*(t + .5)/20)), "step": (t >= n//2)*1.,
            "noise": generator(seed).normal(size=n), "silence and noise": np.where(t < n//2, 0, generator(seed).normal(size=n)),
            "steps of a 16-bit file": np.round(generator(seed).normal(size=n))/32768, "offset": 1 + 1e-9*generator(seed).normal(size=n), "binomial": (t % 3 == 0)*1.}


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seed=seeds, components=st.integers(0, 6))
def test_unpack_undoes_pack(seed, components):
    mixture = random_mixture(generator(seed), components)
    again = unpack(pack(mixture), rate)
    assert len(pack(mixture)) == 3*components + 1
    for name in ("variances", "lengthscales", "frequencies", "noise"): assert np.allclose(getattr(again, name), getattr(mixture, name), rtol=1e-12)


def test_components_come_in_order_of_frequency():
    mixed = SpectralMixture([1., 2., 3.], [.1, .2, .3], [300., 100., 200.], 1., rate)
    assert unpack(pack(mixed), rate).variances.tolist() == pytest.approx([2, 3, 1])


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seed=seeds, n=st.integers(3, 80), components=st.integers(0, 4), taper=st.booleans(), debiased=st.booleans())
def test_jacobian_against_differences(seed, n, components, taper, debiased):
    rng = generator(seed)
    ordinates, parameters = Ordinates(rng.normal(size=n), rate, taper, debiased), pack(random_mixture(rng, components))
    jacobian, scale = ordinates.jacobian(parameters), step_scale(ordinates, parameters)
    assert jacobian.shape == (3*components + 1, len(ordinates.w)) and np.all(scale > 0)
    for i, row in enumerate(jacobian):
        h = 1e-5*scale[i]*np.eye(len(parameters))[i]
        differences = (ordinates.expected(parameters + h) - ordinates.expected(parameters - h))/(2e-5)
        assert np.abs(differences - scale[i]*row).max() <= 1e-7*ordinates.expected(parameters).max()


@settings(deadline=None, max_examples=30, derandomize=True)
@given(seed=seeds, n=st.integers(3, 100), components=st.integers(0, 4), taper=st.booleans())
def test_expected_ordinates_are_those_of_the_mixture(seed, n, components, taper):
    rng = generator(seed)
    mixture, x = random_mixture(rng, components), rng.normal(size=n)
    debiased, plain = (Ordinates(x, rate, taper, way) for way in (True, False))
    assert np.allclose(debiased.expected(pack(mixture)), expected_periodogram(mixture.kernel, n, rate, sine_taper(n) if taper else None), rtol=1e-9, atol=1e-14*n)
    assert np.allclose(plain.expected(pack(mixture)), mixture.density(plain.w), rtol=1e-9)
    for ordinates, way in ((debiased, True), (plain, False)):
        E = ordinates.expected(pack(mixture))
        assert np.isclose(whittle(mixture, x, taper, way), -ordinates.c*np.sum(np.log(E) + ordinates.I/E), rtol=1e-12)
        assert np.allclose(residuals(mixture, x, taper, way), ordinates.I/E)
        assert np.isclose(bic(mixture, x, taper, way), -2*whittle(mixture, x, taper, way) + (3*components + 1)*np.log(max(ordinates.c*len(E), 1)))


def test_information_is_the_share_that_is_independent():
    assert information(None) == 1 and np.isclose(information(np.full(50, 50**-.5)), 1)
    for n in 200, 201: assert np.isclose(information(sine_taper(n)), 2/3, rtol=.01)


def test_a_noiseless_mixture_has_a_likelihood():
    mixture = SpectralMixture([1.], [.001], [500.], 0., rate)
    with np.errstate(all="raise", under="ignore"):
        value = whittle(mixture, draw(mixture.kernel, 40, rate, generator()))
    assert not np.isnan(value)


@ways
def test_the_truth_is_likelier_than_what_is_near(taper, debiased):
    truth = SpectralMixture([1.], [.004], [900.], .05, rate)
    x = draw(truth.kernel, 40_000, rate, generator(1))
    for other in (truth.scaled(1.1), truth.scaled(.9), SpectralMixture([1.], [.004], [930.], .05, rate), SpectralMixture([1.], [.0048], [900.], .05, rate)):
        assert whittle(truth, x, taper, debiased) > whittle(other, x, taper, debiased)


def test_what_is_remembered_is_what_is_computed():
    rng = generator(9)
    ordinates = Ordinates(rng.normal(size=300), rate)
    for _ in range(400):                                   # more components than are remembered
        parameters = pack(random_mixture(rng, 4))
        first = ordinates.jacobian(parameters)
        assert np.array_equal(first, ordinates.jacobian(parameters)) and len(ordinates.remembered) <= 510
    assert np.array_equal(first, Ordinates(rng.normal(size=300), rate).jacobian(parameters))


# climbing

@settings(deadline=None, max_examples=20, derandomize=True)
@given(seed=seeds, n=st.integers(20, 300), components=st.integers(1, 5))
def test_only_what_is_free_moves(seed, n, components):
    rng = generator(seed)
    ordinates = Ordinates(draw(random_mixture(rng, 3), n, rate, rng), rate)
    start = np.clip(pack(random_mixture(rng, components)), *bounds(ordinates, components))
    free = rng.random(components) < .5
    found, value = climb(ordinates, start, free=free)
    assert np.array_equal(found[:-1].reshape(3, -1)[:, ~free], start[:-1].reshape(3, -1)[:, ~free])
    assert value >= ordinates.log_likelihood(ordinates.expected(start))
    assert np.array_equal(climb(ordinates, start, free=np.ones(components, dtype=bool))[0], climb(ordinates, start)[0])


@settings(deadline=None, max_examples=30, derandomize=True)
@given(seed=seeds, n=st.integers(3, 120), components=st.integers(0, 4), taper=st.booleans(), debiased=st.booleans(), kind=st.sampled_from(list(odd_sounds(3))))
def test_climb_never_descends(seed, n, components, taper, debiased, kind):
    rng = generator(seed)
    x = odd_sounds(n, seed)[kind]
    if x.std() <= 1e-12: return
    ordinates = Ordinates(x/x.std(), rate, taper, debiased)
    low, high = bounds(ordinates, components)
    parameters = np.clip(pack(random_mixture(rng, components)), low, high)
    before, values = parameters.copy(), [ordinates.log_likelihood(ordinates.expected(parameters))]
    assert np.all(low <= high)
    for steps in (1, 2, 5, 20):
        found, value = climb(ordinates, parameters, steps=steps)
        assert np.all(np.isfinite(found)) and np.all(low <= found) and np.all(found <= high) and np.array_equal(parameters, before)
        assert value == ordinates.log_likelihood(ordinates.expected(found))
        values.append(value)
    assert np.all(np.diff(values) >= 0)


def test_climb_ends_where_the_slope_vanishes():
    truth = SpectralMixture([1., .5], [.004, .002], [700., 2400.], .05, rate)
    ordinates = Ordinates(draw(truth.kernel, 2000, rate, generator(2)), rate)
    found, value = climb(ordinates, pack(truth))
    for i, h in enumerate(1e-3*step_scale(ordinates, found)):
        for sign in (1, -1):
            assert ordinates.log_likelihood(ordinates.expected(found + sign*h*np.eye(7)[i])) <= value + 1e-6


def test_white_noise_alone_has_its_optimum_at_the_mean():
    ordinates = Ordinates(generator(3).normal(size=501), rate)
    found, _ = climb(ordinates, np.array([2.]))
    assert np.isclose(np.exp(found[0])/rate, ordinates.I.mean(), rtol=1e-3)


@settings(deadline=None, max_examples=20, derandomize=True)
@given(seed=seeds, n=st.integers(3, 300), components=st.integers(0, 3))
def test_grow_and_prune_lower_bic(seed, n, components):
    rng = generator(seed)
    ordinates = Ordinates(draw(random_mixture(rng, 3).kernel, n, rate, rng), rate)
    parameters = np.clip(pack(random_mixture(rng, components)), *bounds(ordinates, components))
    def price(parameters, value): return -2*value + len(parameters)*np.log(max(ordinates.c*len(ordinates.w), 1))
    start = parameters, ordinates.log_likelihood(ordinates.expected(parameters))
    grown, pruned = grow(ordinates, *start, 10), prune(ordinates, *start)
    assert price(*grown) <= price(*start) and price(*pruned) <= price(*start)
    assert len(start[0]) <= len(grown[0]) <= 31 and len(pruned[0]) <= len(start[0])


def test_missing_components_are_where_they_are_missing():
    truth = SpectralMixture([1., 1.], [.01, .01], [1000., 3000.], .01, rate)
    ordinates = Ordinates(draw(truth, 4000, rate, generator(5)), rate)
    proposals = missing_components(ordinates, np.full(len(ordinates.w), ordinates.I.mean()), 2, 0.)
    assert sorted(round(p[2]/500)*500 for p in proposals) == [1000, 3000] and np.all(np.isfinite(proposals))
    assert missing_components(ordinates, ordinates.I, 5, 0.) == []                     # nothing is missing
    assert len(joined(np.array([0.]), proposals)) == 7


# fitting

@pytest.mark.parametrize("kind", list(odd_sounds(3)))
def test_odd_sounds_give_a_mixture_or_an_error_never_a_nan(kind):
    for n in [*range(3, 13), 16, 17, 31, 40, 257]:
        x = odd_sounds(n)[kind]
        if x.std() <= 1e-12*np.abs(x).max(): continue
        x.flags.writeable = False
        with np.errstate(divide="raise", invalid="raise", over="raise"): mixture = fit_mixture(x, rate)
        assert np.isfinite(mixture.variance) and mixture.variance > 0 and np.all(mixture.frequencies <= rate/2)
        assert np.isfinite(whittle(mixture, x)) and np.all(np.isfinite(draw(mixture.kernel, n, rate, generator())))


@ways
@pytest.mark.parametrize("kind", ["bin", "tone", "impulse", "ramp", "alternating", "square"])
def test_odd_sounds_in_every_way(kind, taper, debiased):
    for n in (3, 4, 5, 16, 17, 100):
        x = odd_sounds(n)[kind]
        if np.ptp(x) == 0: continue
        if not periodogram(x/x.std(), rate, sine_taper(n) if taper else None)[1].any():     # alternating, even n, no taper
            with pytest.raises(ValueError, match="where there is no ordinate"): fit_mixture(x, rate, taper=taper, debiased=debiased)
            continue
        mixture = fit_mixture(x, rate, taper=taper, debiased=debiased)
        assert np.isfinite(mixture.variance) and mixture.variance > 0


@pytest.mark.parametrize("x, message", [
    (np.ones(2), "at least 3 samples, got 2"), (np.ones(0), "at least 3 samples, got 0"), (np.zeros(9), "all 9 samples are 0"), (np.full(9, -2.), "all 9 samples are -2"),
    (np.array([1., np.nan, 2.]), "1 of 3 samples are not finite"), (np.array([1., np.inf, -np.inf]), "2 of 3"), (np.ones((3, 3)), "one dimension")])
def test_refused(x, message):
    with pytest.raises(ValueError, match=message): fit_mixture(x, rate)


def test_unknown_method():
    with pytest.raises(ValueError, match="method: 'mcmc'"): fit_mixture(np.arange(9.), rate, method="mcmc")


@settings(deadline=None, max_examples=20, derandomize=True)
@given(seed=seeds, n=st.integers(3, 400), exponent=st.sampled_from([-150, -100, -3, 3, 100, 150]), components=st.integers(0, 3))
def test_scale_equivariance(seed, n, exponent, components):
    rng = generator(seed)
    x = draw(random_mixture(rng, components).kernel, n, rate, rng)
    factor = 2.**round(exponent*np.log2(10))                               # a power of two: nothing is rounded differently
    one, other = fit_mixture(x, rate), fit_mixture(-factor*x, rate)
    assert np.allclose(other.variances/factor**2, one.variances, rtol=1e-6) and np.isclose(other.noise/factor**2, one.noise, rtol=1e-6)
    assert np.allclose(other.lengthscales, one.lengthscales, rtol=1e-6) and np.allclose(other.frequencies, one.frequencies, rtol=1e-6)


@settings(deadline=None, max_examples=10, derandomize=True)
@given(seed=seeds, n=st.integers(3, 300), exponent=st.integers(-6, 6))
def test_the_unit_of_time_does_not_matter(seed, n, exponent):
    rng = generator(seed)
    x = draw(random_mixture(rng, 2).kernel, n, rate, rng)
    one, other = fit_mixture(x, rate), fit_mixture(x, rate*2.**exponent)
    assert len(one.variances) == len(other.variances)
    assert np.allclose(other.frequencies, one.frequencies*2.**exponent, rtol=1e-4) and np.allclose(other.variances, one.variances, rtol=1e-3)


def test_a_fit_repeats_and_leaves_its_input_alone():
    x = draw(random_mixture(generator(5), 3).kernel, 500, rate, generator(6))
    x.flags.writeable = False
    before, one = x.copy(), fit_mixture(x, rate)
    other = fit_mixture(Recording(x, rate))
    for name in ("variances", "lengthscales", "frequencies", "noise"): assert np.array_equal(getattr(one, name), getattr(other, name))
    assert np.array_equal(x, before)
    with pytest.raises(ValueError, match="read-only"): one.variances[:] = 0


@ways
def test_white_noise_is_white_noise(taper, debiased):
    fits = [fit_mixture(3*generator(i).normal(size=1000), rate, taper=taper, debiased=debiased) for i in range(10)]
    assert np.mean([len(f.variances) == 0 for f in fits]) >= .8
    assert np.isclose(np.mean([f.variance for f in fits]), 9, rtol=.06)  # 10,000 samples: 0.014, and a taper's price


def test_what_was_put_in_is_found():
    truth = SpectralMixture([1., .5], [.006, .004], [700., 2400.], .05, rate)
    found = fit_mixture(draw(truth.kernel, 40_000, rate, generator(7)), rate)
    assert len(found.variances) == 2 and np.allclose(found.frequencies, truth.frequencies, atol=10)
    assert np.allclose(found.lengthscales, truth.lengthscales, rtol=.1) and np.allclose(found.variances, truth.variances, rtol=.15)
    assert np.isclose(found.noise, .05, rtol=.05)


def test_most_components():
    truth = SpectralMixture(np.ones(5), np.full(5, .01), np.arange(1, 6)*600., .01, rate)
    x = draw(truth.kernel, 2000, rate, generator(8))
    assert [len(fit_whittle(x, rate, most_components=most).variances) for most in (0, 1, 2)] == [0, 1, 2]


# the seed's recipe

def test_seed_frequencies_of_short_and_long():
    for n in range(3, 60):
        w = np.arange(1, (n + 1)//2)*rate/n
        fixed, free = seed_frequencies(w, generator(n).exponential(size=len(w)))
        assert 1 <= len(fixed) and len(free) == 3 and np.all(np.isin(fixed, w)) and np.all((0 < free) & (free <= rate/2))


@pytest.mark.parametrize("kind", ["noise", "impulse", "ramp", "step", "bin", "square", "alternating"])
def test_adam_on_odd_sounds(kind):
    x = odd_sounds(40)[kind]
    try: mixture = fit_adam(x, rate, steps=5, progress=False)
    except (FloatingPointError, ValueError) as error: assert kind not in ("noise", "impulse", "ramp") and str(error)
    else: assert np.isfinite(mixture.variance)


@pytest.mark.parametrize("n", [3, 4, 5, 15, 16, 17])
def test_adam_on_short_sounds(n):
    mixture = fit_mixture(generator(n).normal(size=n), rate, method="adam", steps=5, progress=False)
    assert np.isfinite(mixture.variance) and mixture.rate == rate
