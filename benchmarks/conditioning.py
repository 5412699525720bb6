"""A process that is known, with noise, at nine tenths of its n samples: its mean at all of them.

The missing tenth is scattered at random, or one gap in the middle. Values are a draw from each method's own kernel plus noise
of variance 0.001. The error is the largest difference to the dense solution for the same kernel, where that is quick."""
from shared import RATE, Method, celerite_kernel, speech_like

sizes = {"scattered": (1_000, 2_000, 10_000, 100_000, 1_000_000), "a gap": (2_000, 10_000, 100_000, 1_000_000)}
NOISE = 1e-3       # variance of the noise in the values; the process has variance 1
LARGEST_CHECK = 2_000  # samples to which the error is found


def both(name, function, peer="", note="", seconds=60, largest=1_000_000, **options):
    "A method, for scattered missing samples and for a gap."
    return tuple(Method(f"{name}, {pattern}", function, tuple(n for n in sizes[pattern] if n <= largest), peer, dict(pattern=pattern, **options), seconds, note=note)
                 for pattern in sizes)


METHODS = (
    *both("gp_speech", "ours", seconds=180),
    *both("dense solve", "dense", note="Cholesky of the matrix of the known samples"),
    *both("celerite2", "celerite2", "celerite2", note="its own kernel of the nearest shape"),
    both("GPyTorch KISS-GP", "kiss", "gpytorch", note="the same kernel; Toeplitz grid = the samples; default settings", seconds=60, tight=False)[0],
    both("GPyTorch KISS-GP", "kiss", "gpytorch", note="the same kernel; Toeplitz grid = the samples; default settings", largest=10_000, tight=False)[1],
    both("GPyTorch KISS-GP tightened", "kiss", "gpytorch", largest=10_000, tight=True,
         note="conjugate gradients to 1e-5, about the least that its own reach, in up to 10,000 steps")[0],
    both("GPyTorch exact", "exact", "gpytorch", note="the same kernel, default settings")[0],
)


def which(n, pattern):
    "Indices of the samples that are known."
    import numpy as np
    known = np.ones(n, dtype=bool)
    if pattern == "a gap": known[n//2 - n//20:n//2 - n//20 + n//10] = False
    else: known[np.random.default_rng(n).choice(n, n//10, replace=False)] = False
    return np.flatnonzero(known)


def dense_mean(kernel, observed, values, n):
    "The formula as it stands, O(n^3): K_*o (K_oo + noise)^-1 y."
    import numpy as np
    from scipy.linalg import cho_factor, cho_solve, matmul_toeplitz
    row = kernel(np.arange(n)/RATE)
    K = row[np.abs(observed[:, None] - observed)]
    K[np.diag_indices_from(K)] += NOISE
    weights = np.zeros(n)
    weights[observed] = cho_solve(cho_factor(K, lower=True, overwrite_a=True), values)
    return matmul_toeplitz(row, weights)


def prepared(n, pattern):
    "(mixture without noise, indices of the known samples, their values)."
    import numpy as np
    from gp_speech.simulation import draw
    mixture, observed, rng = speech_like(noise=0.), which(n, pattern), np.random.default_rng(n)
    return mixture, observed, draw(mixture, n, RATE, rng)[observed] + np.sqrt(NOISE)*rng.standard_normal(len(observed))


def error(mean, kernel, observed, values, n):
    "Largest difference to the dense solution, or nothing."
    import numpy as np
    return dict(error=float(np.abs(mean - dense_mean(kernel, observed, values, n)).max())) if n <= LARGEST_CHECK else {}


def ours(n, pattern):
    "Preconditioned conjugate gradients; beside it what one draw takes."
    import numpy as np
    from gp_speech.simulation import condition
    from measure import seconds
    mixture, observed, values = prepared(n, pattern)

    def call():
        found = condition(mixture, observed, values, n, RATE, noise=NOISE)
        return found, found.mean

    def describe(result):
        found, mean = result
        drawing = dict(draw_seconds=seconds(lambda: found.draw(np.random.default_rng(0)))) if n <= 100_000 else {}
        return dict(residual=float(found.residual), iterations=int(found.iterations), **drawing, **error(mean, mixture.kernel, observed, values, n))
    return call, describe


def dense(n, pattern):
    "The formula as it stands; it is held against `condition_dense` of gp_speech."
    import numpy as np
    from gp_speech.simulation import condition_dense
    mixture, observed, values = prepared(n, pattern)

    def describe(mean):
        if n > 1_000: return {}
        return dict(error=float(np.abs(mean - condition_dense(mixture, observed, values, n, RATE, NOISE)[0]).max()))
    return lambda: dense_mean(mixture.kernel, observed, values, n), describe


def celerite2(n, pattern):
    "A semiseparable factor of the matrix of the known samples, and a second pass to all of them."
    import numpy as np
    from celerite2 import GaussianProcess
    mixture, observed, rng = speech_like(noise=0.), which(n, pattern), np.random.default_rng(n)
    kernel, times = celerite_kernel(mixture), np.arange(n)/RATE
    process = GaussianProcess(kernel, mean=0.)
    process.compute(times, diag=1e-12)
    values = process.dot_tril(rng.standard_normal(n))[observed] + np.sqrt(NOISE)*rng.standard_normal(len(observed))
    process = GaussianProcess(kernel, mean=0.)

    def call():
        process.compute(times[observed], diag=NOISE)
        return process.predict(values, t=times)
    return call, lambda mean: error(mean, kernel.get_value, observed, values, n)


def gpytorch_model(mixture, observed, values, grid):
    "(model, test inputs): an exact Gaussian process of this mixture in units of samples; with `grid`, interpolated from the grid of all n samples."
    import gpytorch, numpy as np, torch
    inputs, values = torch.tensor(observed, dtype=torch.float64), torch.tensor(values)
    kernel = gpytorch.kernels.SpectralMixtureKernel(num_mixtures=len(mixture.variances)).double()
    kernel.mixture_weights = torch.tensor(mixture.variances.copy())
    kernel.mixture_means = torch.tensor(mixture.frequencies/RATE).view(-1, 1, 1)
    kernel.mixture_scales = torch.tensor(1/(np.sqrt(2)*np.pi*mixture.lengthscales*RATE)).view(-1, 1, 1)
    if grid is not None: # two points more at each end, which cubic interpolation needs
        kernel = gpytorch.kernels.GridInterpolationKernel(kernel, grid_size=grid + 4, grid_bounds=((0., grid - 1.),)).double()
        kernel.update_grid([torch.arange(-2., grid + 2., dtype=torch.float64)])
    likelihood = gpytorch.likelihoods.GaussianLikelihood(noise_constraint=gpytorch.constraints.GreaterThan(1e-8)).double()
    likelihood.noise = NOISE

    class Model(gpytorch.models.ExactGP):
        def __init__(self):
            super().__init__(inputs, values, likelihood)
            self.mean_module, self.covar_module = gpytorch.means.ZeroMean(), kernel
        def forward(self, x): return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))
    return Model().double().eval()


def gpytorch_mean(n, pattern, grid, *settings):
    "Mean of an exact Gaussian process of GPyTorch under these settings."
    from contextlib import ExitStack
    import torch
    from gpytorch.settings import skip_posterior_variances
    mixture, observed, values = prepared(n, pattern)
    everywhere = torch.arange(n, dtype=torch.float64)

    def call():
        with ExitStack() as stack:
            for setting in (torch.no_grad(), skip_posterior_variances(True), *(make() for make in settings)): stack.enter_context(setting)
            return gpytorch_model(mixture, observed, values, grid)(everywhere).mean.numpy()
    return call, lambda mean: error(mean, mixture.kernel, observed, values, n)


def kiss(n, pattern, tight):
    "Structured kernel interpolation (Wilson & Nickisch 2015): conjugate gradients with Toeplitz products."
    from gpytorch import settings
    tightened = (lambda: settings.eval_cg_tolerance(1e-5), lambda: settings.max_cg_iterations(10_000), lambda: settings.max_cholesky_size(1))
    return gpytorch_mean(n, pattern, n, *(tightened if tight else ()))


def exact(n, pattern):
    "The dense covariance matrix; Cholesky to 800 samples, then conjugate gradients."
    return gpytorch_mean(n, pattern, None)


def remark(r):
    "What the table says beside time and memory."
    said = [f"error {r['error']:.0e}"] if "error" in r else []
    if "residual" in r: said += [f"residual {r['residual']:.0e} after {r['iterations']} iterations"]
    if "draw_seconds" in r: said += [f"a draw after that {r['draw_seconds']:.2g} s"]
    return "; ".join(said)


def bars(found):
    "What this part must reach: [(name, measured, needed, unit)], measured at most needed; None where it was not measured."
    def at(name, n, key): return next((r[key] for r in found if r["method"] == name and r["n"] == n and r["status"] == "ok"), None)
    return [line for pattern in ("scattered", "a gap") for line in (
        (f"conditioning 2,000 samples ({pattern} missing), largest difference to the dense formula", at(f"gp_speech, {pattern}", 2_000, "error"), 1e-8, ""),
        (f"conditioning 10^5 samples ({pattern} missing)", at(f"gp_speech, {pattern}", 100_000, "seconds"), 10., "s"))]
