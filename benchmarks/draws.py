"""Draws from a stationary Gaussian process: one draw of n samples, from the kernel to the samples."""
from shared import RATE, Method, celerite_kernel, speech_like

decades = 1_000, 10_000, 100_000, 1_000_000, 10_000_000
between = tuple(sorted({*decades, 3_000, 30_000, 300_000, 3_000_000}))
fractional = "fractional Gaussian noise: the same algorithm on a kernel without components"

METHODS = (
    Method("gp_speech", "ours", between),
    Method("gp_speech, a line 1 Hz wide", "ours", between, options=dict(line=True)),
    Method("dense Cholesky", "dense", between, note="gp_speech's `draw_dense`"),
    Method("celerite2", "celerite2", decades, "celerite2", note="its own kernel of the nearest shape"),
    Method("gstools", "gstools", decades, "gstools", seconds=60, note="randomisation, 1000 modes: another, approximate covariance at each draw"),
    Method("stochastic", "stochastic", decades, "stochastic", note=fractional),
    Method("fbm", "fbm", decades, "fbm", seconds=60, note=fractional),
)


def ours(n, line=False):
    """Circulant embedding; beside it the time of its ingredients, the embedding's normals and one real FFT of its length.
    Draws and ingredients take turns, so that what else the machine does meets both."""
    import numpy as np
    from scipy.fft import rfft
    from gp_speech.simulation import circulant_eigenvalues, draw
    from measure import seconds
    mixture, rng = speech_like(line), np.random.default_rng(0)

    def call(): return draw(mixture, n, RATE, rng)

    def describe(drawn):
        M = circulant_eigenvalues(mixture, n, RATE)[1]
        row, rounds = rng.standard_normal(M), []
        for _ in range(9 if n <= 1_000_000 else 1): rounds.append([seconds(f) for f in (call, lambda: rng.standard_normal(M), lambda: rfft(row))])
        _, normals, transform = np.median(rounds, axis=0)
        return dict(embedding=M, normals_seconds=normals, fft_seconds=transform, ratio=float(np.median([r[0]/(r[1] + r[2]) for r in rounds])))
    return call, describe


def dense(n):
    "Cholesky factor of the covariance matrix, times white noise."
    import numpy as np
    from gp_speech.simulation import draw_dense
    mixture, rng = speech_like(), np.random.default_rng(0)
    return lambda: draw_dense(mixture.kernel, n, RATE, rng), lambda drawn: {}


def celerite2(n):
    "A semiseparable factor of the covariance matrix of a sum of 40 damped oscillators, times white noise."
    import numpy as np
    from celerite2 import GaussianProcess
    mixture, rng, times = speech_like(), np.random.default_rng(0), np.arange(n)/RATE
    process = GaussianProcess(celerite_kernel(mixture), mean=0.)

    def call():
        process.compute(times, diag=mixture.noise)
        return process.dot_tril(rng.standard_normal(n))
    return call, lambda drawn: {}


def gstools(n, modes=1000):
    "A sum of cosines with random frequencies; beside it how far their covariance is from the one asked for."
    import numpy as np
    import gstools as gs
    from scipy.special import ndtr
    mixture, seeds = speech_like(), iter(range(10_000))
    share, spread = mixture.variances/mixture.variances.sum(), 1/(np.sqrt(2)*np.pi*mixture.lengthscales)
    grid = np.linspace(0, RATE/2, 400_001)
    below = sum(s*(ndtr((grid - p)/d) - ndtr(-(grid + p)/d)) for s, p, d in zip(share, mixture.frequencies, spread))

    class Mixture(gs.CovModel):
        "The mixture without its noise, of unit variance; wave numbers are angular."
        def cor(self, h): return (mixture.kernel(h) - np.where(np.asarray(h) == 0, mixture.noise, 0))/mixture.variances.sum()
        def spectral_rad_cdf(self, r): return np.interp(np.asarray(r)/(2*np.pi), grid, below)
        def spectral_rad_ppf(self, u): return 2*np.pi*np.interp(u, below, grid)

    model = Mixture(dim=1, var=mixture.variances.sum(), len_scale=1., nugget=mixture.noise)
    field, times = gs.SRF(model, mode_no=modes), np.arange(n)/RATE

    def describe(drawn):
        lags = np.arange(1, 800)/RATE
        implied = mixture.variances.sum()*np.cos(lags[:, None]*field.generator._cov_sample[0]).mean(1)
        return dict(covariance_error=float(np.abs(implied - mixture.kernel(lags)).max()/mixture.variance))
    return lambda: field(times, seed=next(seeds)), describe


def stochastic(n):
    "Fractional Gaussian noise by Davies and Harte's circulant embedding."
    import numpy as np
    from stochastic.processes.noise import FractionalGaussianNoise
    rng = np.random.default_rng(0)
    return lambda: FractionalGaussianNoise(hurst=.7, rng=rng).sample(n), lambda drawn: {}


def fbm(n):
    "Fractional Gaussian noise by Davies and Harte's circulant embedding."
    from fbm import FBM
    return lambda: FBM(n=n, hurst=.7, length=1, method="daviesharte").fgn(), lambda drawn: {}


def remark(r):
    "What the table says beside time and memory."
    if "covariance_error" in r: return f"covariance off by up to {r['covariance_error']:.1%} of the variance"
    if "ratio" in r: return f"exact; {r['ratio']:.1f} times its normals and one real FFT, on {r['embedding']} points"
    return "exact for its own kernel" if r["peer"] else "exact"


def bars(found):
    "What this part must reach: [(name, measured, needed, unit)], measured at most needed; None where it was not measured."
    def at(name, n): return next((r for r in found if r["method"] == name and r["n"] == n and r["status"] == "ok"), None)
    lines = []
    for name in "gp_speech", "gp_speech, a line 1 Hz wide":
        million, ten = at(name, 1_000_000), at(name, 10_000_000)
        lines += [(f"draw of 10^6 samples ({name}) / (its normals + one real FFT)", million and million.get("ratio"), 3., ""),
                  (f"draw of 10^7 samples ({name}), peak of the whole process", ten and ten["process_mb"]/1000, 2., "GB")]
    return lines
