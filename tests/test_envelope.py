"Edge cases and properties of the envelope beyond what notebook 06 shows."
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gp_speech.audio import AudioError, Recording
from gp_speech.envelope import (Envelope, envelope_log_density, fast_log_density, fit_envelope, inducing_grid, inverse_softplus,
                                softplus, unconstrained_log_density, unit_mean)

rate = 16000.
seeds = st.integers(0, 2**32 - 1)


def noise(seed, n): return np.random.default_rng(seed).normal(size=n)


@settings(deadline=None, max_examples=60)
@given(seed=seeds, n=st.integers(1, 700), samples=st.floats(20, 900), mu=st.floats(-3, 3))
def test_fast_equals_dense(seed, n, samples, mu):
    rng = np.random.default_rng(seed)
    grid = inducing_grid(n, rate, samples / rate)
    assert grid.times[-1] >= (n - 1) / rate and grid.times[1] <= samples / rate / 2 * (1 + 1e-8)
    u, x = mu + rng.normal(size=len(grid.times)), rng.normal(size=n)
    fast, fast_gradient = fast_log_density(u, x, grid, mu)
    dense, dense_gradient = envelope_log_density(u, x, np.arange(n) / rate, grid.times, samples / rate, mu)
    assert abs(fast - dense) <= 1e-9 * abs(dense)
    assert np.abs(fast_gradient - dense_gradient).max() <= 1e-9 * np.abs(dense_gradient).max()


@settings(deadline=None, max_examples=20)
@given(seed=seeds, n=st.integers(1, 300), samples=st.floats(20, 400))
def test_to_and_from_samples_are_transposes(seed, n, samples):
    rng = np.random.default_rng(seed)
    grid = inducing_grid(n, rate, samples / rate)
    w, v = rng.normal(size=len(grid.times)), rng.normal(size=n)
    assert np.isclose(v @ grid.to_samples(w), grid.from_samples(v) @ w, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("adjust", [True, False])
def test_gradient_over_unbounded_v(adjust):
    x, grid = noise(1, 300), inducing_grid(300, rate, 60 / rate)
    v = 0.1 * noise(2, len(grid.times))
    density = lambda v: unconstrained_log_density(v, lambda u: fast_log_density(u, x, grid), adjust_transform=adjust)
    differences = np.array([(density(v + e)[0] - density(v - e)[0]) / 2e-5 for e in 1e-5 * np.eye(len(v))])
    assert np.abs(differences - density(v)[1]).max() < 1e-6 * np.abs(differences).max()


def test_draws_have_the_covariance():
    grid, rng = inducing_grid(200, rate, 40 / rate), np.random.default_rng(3)
    draws = np.array([grid.draw(rng) for _ in range(20_000)])
    expected = np.exp(-((grid.times[:, None] - grid.times) * rate / 40)**2)
    assert np.abs(draws.T @ draws / len(draws) - expected).max() < 0.05  # standard error at most sqrt(2 / 20000) = 0.01


@settings(deadline=None, max_examples=50)
@given(st.floats(-10, 10))
def test_link_and_its_inverse(g): assert np.isclose(inverse_softplus(softplus(g)), g, rtol=0, atol=1e-10)


def test_link_does_not_overflow(): assert softplus(np.array([-1e4, 1e4])).tolist() == [0, 1e4]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10, 160, 399])
def test_short_recordings(n):
    recording = Recording(0.1 * noise(n, n) + 0.05, rate)
    envelope = fit_envelope(recording)
    assert envelope.lengthscale == pytest.approx(20 / rate) and envelope.found_twice
    assert envelope.values.shape == (n,) and np.all(np.isfinite(envelope.values)) and np.all(envelope.values > 0)
    assert np.allclose(envelope.apply(envelope.carrier(recording)).samples, recording.samples, rtol=1e-14)


@pytest.mark.parametrize("size", [1e-300, 1e-4, 1., 1e300])
def test_constant_and_scale(size):
    envelope = fit_envelope(Recording(np.full(1000, size), rate))
    assert np.allclose(envelope.values / size, 1, atol=1e-4)


def test_scale_and_sign_do_not_matter():
    x = 0.1 * noise(4, 2000)
    one, other = fit_envelope(Recording(x, rate)), fit_envelope(Recording(-3 * x, rate))
    assert np.allclose(other.values, 3 * one.values, rtol=1e-4)


@pytest.mark.parametrize("n", [1, 100, 5000])
def test_all_zero(n):
    with pytest.raises(AudioError, match=f"all {n} samples are zero"): fit_envelope(Recording(np.zeros(n), rate))


@pytest.mark.parametrize("arguments", [dict(lengthscale=0.), dict(lengthscale=-1.), dict(lengthscale=np.nan), dict(lengthscale=np.inf),
    dict(lengthscale=1e-3), dict(mu=np.nan), dict(mu=11.), dict(lower=1.), dict(lower=-np.inf), dict(upper=np.inf), dict(starts=1)])
def test_arguments_out_of_range(arguments):
    with pytest.raises(ValueError, match="need"): fit_envelope(Recording(noise(5, 1000), rate), **arguments)


def test_lengthscale_beyond_the_recording_is_flat():
    x = Recording(0.1 * noise(6, 500), rate)
    values = fit_envelope(x, lengthscale=100.).values
    assert np.ptp(values) < 1e-3 * values[0] and np.isclose(values[0], np.sqrt(np.mean(x.samples**2)), rtol=0.01)


def test_optimum_with_active_bounds_satisfies_kuhn_tucker():
    x = noise(7, 4000)
    x[1000:3000] = 0
    envelope = fit_envelope(Recording(x, rate), lengthscale=200 / rate)
    gradient = fast_log_density(envelope.u, x / envelope.scale, inducing_grid(4000, rate, 200 / rate))[1]
    at_bound, free = envelope.u <= -10, (envelope.u > -10) & (envelope.u < 10)
    assert envelope.found_twice and at_bound.sum() > 5
    assert np.all(gradient[at_bound] < 0) and np.abs(gradient[free]).max() < 0.01


def test_no_step_away_from_the_optimum_is_higher():
    x, rng = noise(8, 4000) * np.exp(np.sin(np.arange(4000) / 500)), np.random.default_rng(9)
    envelope = fit_envelope(Recording(x, rate))
    grid = inducing_grid(4000, rate, envelope.lengthscale)
    for size in (1e-3, 1e-2, 1e-1, 1):
        for _ in range(20): assert fast_log_density(envelope.u + size * grid.draw(rng), x / envelope.scale, grid)[0] < envelope.log_density


def test_recovers_a_known_envelope():
    grid, rng = inducing_grid(64000, rate, 0.2), np.random.default_rng(10)
    a = softplus(unit_mean + grid.to_samples(grid.solve(grid.draw(rng))))
    found = fit_envelope(Recording(0.05 * a * rng.normal(size=64000), rate), lengthscale=0.2).values
    assert np.sqrt(np.mean(np.log(found / (0.05 * a))**2)) < 0.05  # about 3000 samples inform each point: 1 / sqrt(2 * 3000) = 0.013 at best


def test_found_once_is_reported():
    with pytest.warns(UserWarning, match="found only once"):
        envelope = fit_envelope(Recording(0.1 * np.ones(90), rate), lengthscale=1., mu=20., upper=30., starts=2)
    assert not envelope.found_twice and envelope.found == 1 and len(envelope.optima) == 2


def test_same_rng_same_fit():
    x = Recording(noise(11, 2000), rate)
    one, other = (fit_envelope(x, rng=np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(one.u, other.u) and np.array_equal(fit_envelope(x).u, fit_envelope(x).u)


def test_rebuilt_from_its_fields_and_read_only():
    x = Recording(noise(12, 2000), rate)
    envelope = fit_envelope(x)
    again = Envelope(**{name: getattr(envelope, name) for name in Envelope.__dataclass_fields__})
    assert np.array_equal(again.values, envelope.values)
    with pytest.raises(ValueError, match="read-only"): envelope.u[0] = 0
    with pytest.raises(ValueError, match="finite"): Envelope(envelope.grid, envelope.u * np.nan, *[getattr(envelope, f) for f in list(Envelope.__dataclass_fields__)[2:]])
    with pytest.raises(ValueError, match="finite"): envelope.at([np.nan])


def test_at_any_time():
    x = Recording(0.1 * noise(13, 2003), rate)
    envelope = fit_envelope(x)
    assert np.allclose(envelope.at(x.times), envelope.values, rtol=1e-12)
    far = envelope.scale * softplus(envelope.mu)
    assert np.allclose(envelope.at([-10., 10.]), far, rtol=1e-12) and envelope.at(0.01).shape == ()


def test_another_length_or_rate_is_refused():
    x = Recording(noise(14, 2000), rate)
    envelope = fit_envelope(x)
    for other in (Recording(x.samples[:-1], rate), Recording(x.samples, 8000.)):
        with pytest.raises(AudioError, match="2000 at 16000 Hz"): envelope.carrier(other)
        with pytest.raises(AudioError, match="2000 at 16000 Hz"): envelope.apply(other)


def test_import_is_light():
    import subprocess, sys
    code = "import sys, gp_speech.envelope; print([m for m in ('stan', 'tensorflow', 'matplotlib', 'sympy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
