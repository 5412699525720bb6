"""Spectral mixtures fitted to segments of the bundled sentence: the time, and how probable the recording is under the result.

Beside GPyTorch and MOGPTK, which maximise the exact likelihood of a dense covariance matrix: three segments of different
length. Each method sees the first two thirds of a segment, with as many components as gp_speech finds there; then our own code
takes the mixture that came out and computes the exact log-likelihood of what was seen, and of the last third given it,
by Cholesky, the same way for all.

Beside the seed's recipe and SciPy's optimiser: every segment of the sentence, whole, and the Whittle likelihood."""
from shared import Method

chosen = 10, 50, 70  # segments at these per cent of the order by length
ADAM = 10_000           # steps of the seed's recipe

METHODS = (
    Method("gp_speech", "ours", chosen, growing=False),
    Method("GPyTorch", "gpytorch", chosen, "gpytorch", growing=False, quick=dict(steps=3), note="SpectralMixtureKernel, initialize_from_data, 100 steps of Adam at 0.1"),
    Method("GPyTorch, empirical spectrum", "gpytorch", chosen, "gpytorch", dict(start="initialize_from_data_empspect"), growing=False,
           quick=dict(steps=3), note="the same from initialize_from_data_empspect"),
    Method("MOGPTK", "mogptk", chosen, "mogptk", growing=False, quick=dict(steps=3), note="SM, init_parameters BNSE, 500 steps of Adam at 0.1"),
    Method("MOGPTK, Lomb-Scargle", "mogptk", chosen, "mogptk", dict(start="LS"), growing=False, quick=dict(steps=3), note="the same from init_parameters LS"),
    Method("gp_speech, all segments", "all_ours", (None,)),
    Method("gp_speech for the plain likelihood, all segments", "all_ours", (None,), options=dict(taper=False, debiased=False),
           note="no taper, not debiased: what the seed's data term is"),
    Method("the seed's recipe, all segments", "all_seed", (None,), "tensorflow", seconds=900, quick=dict(steps=30),
           note=f"TensorFlow, compiled step, {ADAM} steps of Adam"),
    Method("climb against L-BFGS-B, all segments", "race", (None,), seconds=300, note="the same start, likelihood, gradient and parameters"),
    Method("climb against L-BFGS-B in climb's units, all segments", "race", (None,), seconds=300, options=dict(lent=True), note="and the parameters scaled by climb's natural units"),
)


def prepare(path):
    "Find the sentence's segments and write their samples, each of unit variance, for the other cases."
    import numpy as np
    from gp_speech import Recording, SpeechModel
    recording = Recording.example()
    model = SpeechModel.fit(recording, progress=False)
    carrier = model.envelope.carrier(recording)
    pieces = [carrier.samples[piece] for piece in model.segmentation]
    np.savez(path, rate=carrier.rate, **{f"{k:04d}": x/x.std() for k, x in enumerate(pieces) if len(x) >= 3})
    return lambda: None, lambda _: dict(segments=len(pieces))


def segments(path):
    "(list of arrays, rate in Hz)."
    import numpy as np
    with np.load(path) as file: return [file[name] for name in sorted(file.files) if name != "rate"], float(file["rate"])


def third(path, n):
    "(samples of the chosen segment, how many of them are to be fitted, rate in Hz)."
    pieces, rate = segments(path)
    x = sorted(pieces, key=len)[n*len(pieces)//100]
    return x, 2*len(x)//3, rate


def values(mixture, x, seen):
    "What our code says of a mixture: nats per sample, seen and held out, and the Whittle likelihood of what was seen."
    import numpy as np
    from scipy.linalg import cholesky, solve_triangular, toeplitz
    from gp_speech.mixture import whittle
    row = mixture.kernel(np.arange(len(x))/mixture.rate)
    row[0] *= 1 + 1e-9  # the same for all: a covariance matrix that is positive definite to rounding
    factor = cholesky(toeplitz(row), lower=True)
    each = -solve_triangular(factor, x, lower=True)**2/2 - np.log(np.diag(factor)) - np.log(2*np.pi)/2
    return dict(samples=len(x), components=len(mixture.variances), train_nats=float(each[:seen].mean()), heldout_nats=float(each[seen:].mean()),
                whittle_nats=whittle(mixture, x[:seen], taper=False))


def ours(path, n):
    "`fit_mixture` on the first two thirds."
    from gp_speech.mixture import fit_mixture
    x, seen, rate = third(path, n)
    return lambda: fit_mixture(x[:seen], rate), lambda mixture: values(mixture, x, seen)


def size_of_ours(x, rate):
    "How many components gp_speech finds, at least one."
    from gp_speech.mixture import fit_mixture
    return max(1, len(fit_mixture(x, rate).variances))


def gpytorch(path, n, start="initialize_from_data", steps=100):
    "The recipe of GPyTorch's own example, in double precision and with time in milliseconds, so that frequencies are a few units."
    import gpytorch, numpy as np, torch
    from gp_speech.kernels import SpectralMixture
    x, seen, rate = third(path, n)
    Q = size_of_ours(x[:seen], rate)
    torch.set_default_dtype(torch.float64)  # initialize_from_data_empspect mixes types otherwise
    times, y = torch.arange(seen, dtype=torch.float64)*1000/rate, torch.tensor(x[:seen])

    class Model(gpytorch.models.ExactGP):
        def __init__(self, likelihood):
            super().__init__(times, y, likelihood)
            self.mean_module, self.covar_module = gpytorch.means.ZeroMean(), gpytorch.kernels.SpectralMixtureKernel(num_mixtures=Q)
        def forward(self, t): return gpytorch.distributions.MultivariateNormal(self.mean_module(t), self.covar_module(t))

    def call():
        torch.manual_seed(0); np.random.seed(0)
        likelihood = gpytorch.likelihoods.GaussianLikelihood()
        model = Model(likelihood)
        getattr(model.covar_module, start)(times, y)
        model.train(); likelihood.train()
        optimiser, objective = torch.optim.Adam(model.parameters(), lr=.1), gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
        for _ in range(steps):
            optimiser.zero_grad()
            loss = -objective(model(times), y)
            loss.backward()
            optimiser.step()
        return model

    def describe(model):
        kernel = model.covar_module  # exp(-2 (pi v r)^2), v in cycles per ms
        variances, v, p = (part.detach().numpy().ravel() for part in (kernel.mixture_weights, kernel.mixture_scales, kernel.mixture_means))
        mixture = SpectralMixture(variances, 1e-3/(np.sqrt(2)*np.pi*v), 1e3*p, model.likelihood.noise.item(), rate)
        theirs = model.covar_module(times[:1], times).to_dense().detach().numpy().ravel()
        same(mixture, theirs, seen, rate)
        return values(mixture, x, seen)
    return call, describe


def mogptk(path, n, start="BNSE", steps=500):
    "MOGPTK's SM, its initialisation and its number of steps, with time in milliseconds."
    import mogptk, numpy as np, torch
    from gp_speech.kernels import SpectralMixture
    x, seen, rate = third(path, n)
    Q = size_of_ours(x[:seen], rate)
    times = np.arange(seen)*1000/rate

    def call():
        torch.manual_seed(0); np.random.seed(0)
        model = mogptk.SM(mogptk.Data(times, x[:seen]), Q=Q)
        model.init_parameters(start)
        model.train(method="Adam", lr=.1, iters=steps)
        return model

    def describe(model):
        kernel = model.gpr.kernel[0]  # exp(-2 pi^2 v r^2), v in (cycles per ms)^2
        variances, v, p = (part.numpy().ravel() for part in (kernel.magnitude, kernel.variance, kernel.mean))
        mixture = SpectralMixture(variances, 1e-3/(np.pi*np.sqrt(2*v)), 1e3*p, float(model.gpr.likelihood.scale.numpy().ravel()[0])**2, rate)
        theirs = kernel.K(torch.tensor(times[:1, None]), torch.tensor(times[:, None])).detach().numpy().ravel()
        same(mixture, theirs, seen, rate)
        return values(mixture, x, seen)
    return call, describe


def same(mixture, theirs, seen, rate):
    "Is the mixture that we made of a peer's parameters the covariance that the peer computes?"
    import numpy as np
    difference = np.abs(mixture.kernel(np.arange(seen)/rate)[1:] - theirs[1:]).max()
    if not difference < 1e-6*mixture.variance: raise AssertionError(f"parameters misread: covariances differ by {difference:g}")


def each_whittle(mixtures, pieces):
    "Whittle log-likelihoods of each segment: plain, debiased, and debiased with the taper (what `fit_mixture` maximises)."
    from gp_speech.mixture import whittle
    return dict(tapered=[whittle(m, x) for m, x in zip(mixtures, pieces)],
                plain=[whittle(m, x, taper=False, debiased=False) for m, x in zip(mixtures, pieces)],
                debiased=[whittle(m, x, taper=False, debiased=True) for m, x in zip(mixtures, pieces)],
                components=sum(len(m.variances) for m in mixtures), segments=len(pieces))


def all_ours(path, **options):
    "`fit_mixture` on every segment."
    from gp_speech.mixture import fit_mixture
    pieces, rate = segments(path)
    return lambda: [fit_mixture(x, rate, **options) for x in pieces], lambda mixtures: each_whittle(mixtures, pieces)


def all_seed(path, steps=ADAM):
    "The seed's recipe on every segment."
    from gp_speech.mixture import fit_mixture
    pieces, rate = segments(path)
    return lambda: [fit_mixture(x, rate, method="adam", steps=steps, progress=False) for x in pieces], lambda mixtures: each_whittle(mixtures, pieces)


def race(path, lent=False, away=.3, gain=1e-6, close=.01):
    """`climb` and SciPy's L-BFGS-B on every segment, from the same start: the fitted mixture, each parameter moved by a normal
    number times `away` of its natural unit. `climb` stops when a step gains less than `gain` nats, L-BFGS-B when rounding lets no
    step gain; it is given the same likelihood, gradient, bounds and, if `lent`, units. Segments count where both end within
    `close` nats of each other, and L-BFGS-B's time is up to the moment when it comes that close to `climb`'s end."""
    import time
    import numpy as np
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits
    from gp_speech.mixture import Ordinates, bounds, climb, fit_mixture, pack, step_scale
    pieces, rate = segments(path)
    rng, ready = np.random.default_rng(0), []
    for x in pieces:
        fitted = pack(fit_mixture(x, rate))
        if len(fitted) > 1: ready.append((x, fitted + away*step_scale(Ordinates(x, rate), fitted)*rng.standard_normal(len(fitted))))

    def scoring(x, start):
        ordinates = Ordinates(x, rate)  # new each time, so that nothing is remembered of another run
        begun = time.perf_counter()
        value = climb(ordinates, start, tolerance=gain)[1]
        return float(value), time.perf_counter() - begun

    def quasi_newton(x, start, goal):
        ordinates, reached = Ordinates(x, rate), []
        scale = step_scale(ordinates, start) if lent else np.ones(len(start))
        limits = [limit/scale for limit in bounds(ordinates, len(start)//3)]
        begun = time.perf_counter()

        def downhill(scaled):
            jacobian = ordinates.jacobian(scaled*scale)
            expected = ordinates.expected(scaled*scale, jacobian)
            value = ordinates.log_likelihood(expected)
            if value >= goal - close and not reached: reached.append(time.perf_counter() - begun)
            return -value, -ordinates.c*(jacobian@((ordinates.I/expected - 1)/expected))*scale
        end = minimize(downhill, np.clip(start/scale, *limits), jac=True, method="L-BFGS-B", bounds=list(zip(*limits)),
                       options=dict(maxiter=10_000, maxfun=20_000, ftol=0., gtol=0.))
        seconds = time.perf_counter() - begun
        return -float(end.fun), seconds, reached[0] if reached else seconds, end.nfev

    def call():
        with threadpool_limits(1, "blas"):  # as in `fit_mixture`: the matrices are small
            climbed = [scoring(x, start) for x, start in ready]
            return [(*ours, *quasi_newton(x, start, ours[0])) for (x, start), ours in zip(ready, climbed)]

    def describe(found):
        same = [row[1:] for row in found if abs(row[0] - row[2]) < close]
        sums = [sum(row[k] for row in same) if same else None for k in (0, 2, 3, 4)]
        return dict(segments=len(found), same_optimum=len(same), **dict(zip(("climb_seconds", "lbfgs_seconds", "lbfgs_as_good_seconds", "lbfgs_evaluations"), sums)),
                    climb_higher=sum(row[0] > row[2] + close for row in found), lbfgs_higher=sum(row[2] > row[0] + close for row in found))
    return call, describe


def remark(r):
    "What the table says beside time and memory."
    if "heldout_nats" in r: return f"{r['components']} components: {r['heldout_nats']:.2f} nats a sample held out, {r['train_nats']:.2f} seen"
    if "same_optimum" in r:
        return (f"same optimum in {r['same_optimum']} of {r['segments']} segments: {r['climb_seconds'] or 0:.2f} s against {r['lbfgs_as_good_seconds'] or 0:.2f} s "
                f"({r['lbfgs_seconds'] or 0:.2f} s until L-BFGS-B stops); elsewhere climb ends higher in {r['climb_higher']}, L-BFGS-B in {r['lbfgs_higher']}")
    return f"{r['segments']} segments, {r['components']} components; Whittle {sum(r['plain']):.0f} plain, {sum(r['debiased']):.0f} debiased, {sum(r['tapered']):.0f} and tapered"


def bars(found):
    "What this part must reach: [(name, measured, needed, unit)], measured at most needed; None where it was not measured."
    by = {r["method"].split(",")[0]: r for r in found if r["n"] is None and r["status"] == "ok"}
    ours, plain, seed = by.get("gp_speech"), by.get("gp_speech for the plain likelihood"), by.get("the seed's recipe")
    raced, lent = by.get("climb against L-BFGS-B", {}), by.get("climb against L-BFGS-B in climb's units", {})
    short = lambda mine, kind: seed and mine and kind in mine and kind in seed and sum(a < b for a, b in zip(mine[kind], seed[kind], strict=True))
    ratio = lambda a, b: a and b and a/b
    return [
        ("fits of all segments, time / the seed's recipe's", ratio(ours and ours["seconds"], seed and seed["seconds"]), 1/100, ""),
        ("segments whose debiased, tapered Whittle value is below the seed's recipe's", short(ours, "tapered"), 0, ""),
        ("segments whose debiased Whittle value is below the seed's recipe's", short(ours, "debiased"), 0, ""),
        ("segments whose plain Whittle value is below the seed's recipe's", short(ours, "plain"), 0, ""),
        ("the same when the plain likelihood is what is fitted", short(plain, "plain"), 0, ""),
        ("climb, time / L-BFGS-B's from the same start to the same optimum", ratio(raced.get("climb_seconds"), raced.get("lbfgs_as_good_seconds")), 1/10, ""),
        ("climb, the same where L-BFGS-B is lent climb's units", ratio(lent.get("climb_seconds"), lent.get("lbfgs_as_good_seconds")), 1/10, "")]
