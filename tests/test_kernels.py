"Edge cases and properties of the kernels beyond what notebook 02 shows."
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.integrate import quad
from scipy.linalg import toeplitz

from gp_speech.kernels import FAMILIES, Kernel, SpectralMixture, compile_family, covariance_expression, density_expression

rate = 8000.
seeds = st.integers(0, 2**32 - 1)
coloured = [family for family in FAMILIES if family != "white"]
parameters = dict(s=st.floats(.1, 5), l=st.floats(1e-4, 1.), p=st.floats(0, 4000))


def random_mixture(rng, components):
    return SpectralMixture(rng.uniform(.1, 1, components), rng.uniform(.0005, .02, components), rng.uniform(0, rate/2, components), rng.uniform(0, .2), rate)


def grid(l, p):
    "Frequencies around 0 and around p, near and far in units of the bandwidth."
    spread = np.concatenate([[0.], np.geomspace(1e-3, 1e3, 60)])/l
    return np.concatenate([spread, p + spread, np.abs(p - spread)])


@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None, max_examples=15, derandomize=True)
@given(**parameters)
def test_densities_are_even_and_not_negative(family, s, l, p):
    kernel, density = compile_family(family)
    w, r = grid(l, p), np.linspace(0, 5*l, 50)
    S = np.broadcast_to(density(w, s, l, p, rate), w.shape)
    assert np.all(np.isfinite(S)) and np.all(S >= 0) and np.allclose(S, density(-w, s, l, p, rate), rtol=1e-12, atol=0)
    assert np.allclose(kernel(r, s, l, p), kernel(-r, s, l, p), rtol=1e-12, atol=0)
    assert np.isclose(kernel(0., s, l, p), s**2, rtol=1e-14) and np.all(np.abs(kernel(r, s, l, p)) <= s**2*(1 + 1e-12))


@pytest.mark.parametrize("family", coloured)
@settings(deadline=None, max_examples=30, derandomize=True)
@given(**parameters)
def test_densities_integrate_to_the_variance(family, s, l, p):
    density = compile_family(family)[1]
    t = np.linspace(-30, 30, 6001)                                # w = p + sinh(t)/l: fine around the bump at p, far out in the tails
    either = density(p + np.sinh(t)/l, s, l, p, rate)*np.cosh(t)/l
    other = density(2*p + np.sinh(t)/l, s, l, 0., rate)*np.cosh(t)/l/2   # the bump at -p, which this grid does not resolve
    assert np.isclose(np.trapezoid(either - other, t), s**2/2, rtol=1e-7)
    around = grid(l, p)
    halves = (density(around - p, s, l, 0., rate) + density(around + p, s, l, 0., rate))/2
    assert np.allclose(density(around, s, l, p, rate), halves, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("family", coloured)
@pytest.mark.parametrize("s, l, p", [(1., 1., 0.), (.5, .5, 2.), (2., .1, 7.), (1., 3., .3)])
def test_densities_are_fourier_transforms(family, s, l, p):
    kernel, density = compile_family(family)
    for w in (0., .5*p, p, p + .5/l, p + 2/l):
        transform = 2*quad(lambda r: float(kernel(r, s, l, p)*np.cos(2*np.pi*w*r)), 0, 45*l, limit=4000, epsabs=1e-12)[0]
        assert np.isclose(transform, density(w, s, l, p, rate), rtol=1e-6, atol=1e-9)


def test_white_noise():
    kernel, density = compile_family("white")
    assert kernel(np.array([-1., -1e-9, 0., 1e-9, 1.]), 3., 1., 1.).tolist() == [0, 0, 9, 0, 0]
    assert np.allclose(density(np.linspace(-1, 1, 5), 3., 1., 1., rate), 9/rate)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 1e-3)])
def test_tensorflow_says_the_same(family, dtype, tolerance):
    import tensorflow as tf
    rng = np.random.default_rng(1)
    kernel, density = compile_family(family, "tensorflow", dtype)
    for _ in range(8):
        s, l, p = rng.uniform(.1, 2), 10**rng.uniform(-4, 0), rng.uniform(0, 4000)
        w, r = grid(l, p), np.linspace(0, 3*l, 40)
        S, K = (np.broadcast_to(np.asarray(a), np.shape(b)) for a, b in ((density(w, s, l, p, rate), w), (kernel(r, s, l, 3/l), r)))
        assert S.dtype == K.dtype == dtype and np.all(np.isfinite(S)) and np.all(S >= 0)
        assert np.allclose(S, np.broadcast_to(np.asarray(density(-w, s, l, p, rate)), w.shape), rtol=100*np.finfo(dtype).eps, atol=0)
        reference = compile_family(family)
        assert np.abs(S - reference[1](w, s, l, p, rate)).max() <= tolerance*np.max(reference[1](w, s, l, p, rate))
        assert np.abs(K - reference[0](r, s, l, 3/l)).max() <= tolerance*s**2
        t = np.linspace(-14, 14, 4001)
        total = np.trapezoid(np.asarray(density(np.sinh(t)/l, s, l, 0., rate), dtype=float)*np.cosh(t)/l, t) if family != "white" else s**2
        assert np.isclose(total, s**2, rtol=max(tolerance, 1e-5))


@pytest.mark.parametrize("family", coloured)
def test_tensorflow_gradients_are_finite_and_right(family):
    import tensorflow as tf
    start = np.array([.8, .02, 300.])
    w = np.linspace(0, 1000, 101)
    for which in 0, 1:
        x = np.linspace(0, .05, 101) if which == 0 else w
        arguments = () if which == 0 else (rate,)
        variables = tf.Variable(start, dtype="float64")
        with tf.GradientTape() as tape: total = tf.reduce_sum(compile_family(family, "tensorflow")[which](x, *tf.unstack(variables), *arguments))
        gradient, numpy = tape.gradient(total, variables).numpy(), compile_family(family)[which]
        for i, h in enumerate(1e-6*start):
            up, down = (numpy(x, *(start + sign*h*np.eye(3)[i]), *arguments).sum() for sign in (1, -1))
            assert np.isclose(gradient[i], (up - down)/(2*h), rtol=1e-5, atol=1e-7*abs(total))


def test_compiled_once():
    for family in FAMILIES:
        assert compile_family(family) is compile_family(family) and covariance_expression(family) is covariance_expression(family)


@pytest.mark.parametrize("call, message", [
    (lambda: covariance_expression("periodic"), "family: 'periodic'"), (lambda: density_expression("periodic"), "family: 'periodic'"),
    (lambda: compile_family("periodic"), "family: 'periodic'"), (lambda: compile_family("white", "jax"), "backend: 'jax'"),
    (lambda: compile_family("white", "numpy", "float16"), "dtype: 'float16'")])
def test_unknown_names(call, message):
    with pytest.raises(ValueError, match=message): call()


@settings(deadline=None, max_examples=30, derandomize=True)
@given(seed=seeds, components=st.integers(0, 5))
def test_mixture_is_the_sum_it_says_it_is(seed, components):
    rng = np.random.default_rng(seed)
    mixture = random_mixture(rng, components)
    r, w = rng.normal(size=(3, 4))*.01, rng.uniform(-4000, 4000, (5, 2))
    r[0, 0] = 0
    v, l, p = (np.asarray(a)[:, None, None] for a in (mixture.variances, mixture.lengthscales, mixture.frequencies))
    k = (v*np.exp(-(r/l)**2)*np.cos(2*np.pi*p*r)).sum(0) + mixture.noise*(r == 0)
    S = (np.sqrt(np.pi)/2*v*l*(np.exp(-(np.pi*l*(w - p))**2) + np.exp(-(np.pi*l*(w + p))**2))).sum(0) + mixture.noise/rate
    assert mixture.kernel(r).shape == r.shape and np.allclose(mixture.kernel(r), k, rtol=1e-10, atol=1e-13)
    assert mixture.density(w).shape == w.shape and np.allclose(mixture.density(w), S, rtol=1e-9, atol=1e-18)
    assert np.isclose(mixture.variance, mixture.kernel(0.)) and np.ndim(mixture.kernel(0.)) == 0
    terms = [("squared_exponential", *term) for term in zip(np.sqrt(mixture.variances), mixture.lengthscales, mixture.frequencies)]
    same = Kernel((*terms, ("white", mixture.noise**.5, 1., 1.)), rate)
    assert np.allclose(same.kernel(r), k, rtol=1e-10, atol=1e-13) and np.allclose(same.density(w), S, rtol=1e-9, atol=1e-18)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(seed=seeds, components=st.integers(0, 5), n=st.integers(1, 60), factor=st.floats(1e-100, 1e100))
def test_covariance_matrices_are_not_negative_and_scale(seed, components, n, factor):
    mixture = random_mixture(np.random.default_rng(seed), components)
    r, w = np.arange(n)/rate, np.linspace(0, rate/2, 30)
    assert np.linalg.eigvalsh(toeplitz(mixture.kernel(r))).min() >= -1e-12*n*mixture.variance
    scaled = mixture.scaled(factor)
    assert np.allclose(scaled.kernel(r)/factor, mixture.kernel(r), rtol=1e-12, atol=1e-12*mixture.variance)
    assert np.allclose(scaled.density(w)/factor, mixture.density(w), rtol=1e-9) and np.isclose(scaled.variance/factor, mixture.variance)


@pytest.mark.parametrize("arguments, message", [
    (([1.], [1., 1.], [1.], 0., 1.), "lengthscales: shape"), (([1.], [1.], [], 0., 1.), "frequencies: shape"), (([[1.]], [[1.]], [[1.]], 0., 1.), "variances: shape"),
    ((1., 1., 1., 0., 1.), "variances: shape"), (([-1.], [1.], [1.], 0., 1.), "variances: finite"), (([np.nan], [1.], [1.], 0., 1.), "variances: finite"),
    (([1.], [0.], [1.], 0., 1.), "lengthscales: finite"), (([1.], [np.inf], [1.], 0., 1.), "lengthscales: finite"), (([1.], [1.], [-1.], 0., 1.), "frequencies: finite"),
    (([], [], [], -1., 1.), "noise"), (([], [], [], np.nan, 1.), "noise"), (([], [], [], np.inf, 1.), "noise"),
    (([], [], [], 0., 0.), "rate"), (([], [], [], 0., -1.), "rate"), (([], [], [], 0., np.inf), "rate"), (([], [], [], 0., np.nan), "rate")])
def test_a_mixture_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message): SpectralMixture(*arguments)


def test_a_mixture_does_not_share_its_arrays():
    given = [np.array([1., 2.]) for _ in range(3)]
    mixture = SpectralMixture(*given, .1, rate)
    for array, name in zip(given, ("variances", "lengthscales", "frequencies")):
        stored = getattr(mixture, name)
        assert array.flags.writeable and not stored.flags.writeable and not np.shares_memory(array, stored)
        array[0] = 99
        assert stored[0] == 1
        with pytest.raises(ValueError, match="read-only"): stored[0] = 0
    with pytest.raises(AttributeError): mixture.noise = 1.
    with pytest.raises(ValueError, match="read-only"): mixture.scaled(2.).variances[0] = 0


def test_a_sum_of_kernels():
    one, other = (Kernel(((family, 1., .01, 100.),), rate) for family in ("matern32", "exponential"))
    both, r, w = one + other, np.linspace(0, .1, 9), np.linspace(0, 500, 9)
    assert np.allclose(both.kernel(r), one.kernel(r) + other.kernel(r)) and np.allclose(both.density(w), one.density(w) + other.density(w))
    assert len(one.terms) == len(other.terms) == 1
    with pytest.raises(ValueError, match="rate: kernels of 8000 Hz and 1 Hz"): one + Kernel(other.terms, 1.)


@pytest.mark.parametrize("components", [0, 1, 3])
def test_pictures_and_words(components):
    import matplotlib.pyplot as plt
    mixture = random_mixture(np.random.default_rng(2), components)
    assert repr(mixture).count("\n") == components and f"{components} components" in repr(mixture)
    ax = mixture.plot(np.random.default_rng(3).normal(size=99))
    assert len(ax.lines) == 2 and "(Hz)" in ax.get_xlabel()
    plt.close(ax.figure)
