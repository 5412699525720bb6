"""What several parts measure with: a process that is shaped like speech, and the records of what is measured."""
from dataclasses import dataclass, field

RATE = 16000.  # Hz


@dataclass(frozen=True)
class Method:
    "One line of a part: a function that is measured at one or more sizes."
    name: str                # as the table prints it
    function: str            # of the part's module; see measure.py for what it returns
    sizes: tuple             # values of its argument `n`
    peer: str = ""           # package without which it cannot run; "" for gp_speech itself
    options: dict = field(default_factory=dict)  # further arguments
    seconds: float = 120     # time limit of each size
    growing: bool = True     # leave out larger sizes after a failure?
    note: str = ""           # what a reader must know to compare it
    quick: dict = field(default_factory=dict)    # further arguments in a trial run


def speech_like(line=False, noise=1e-3):
    """A mixture of 40 harmonics of 110 Hz under three formants, of unit variance: bandwidths from 8 Hz for the lowest to 40 Hz.
    With `line`, the strongest one is 1 Hz wide."""
    import numpy as np
    from gp_speech.kernels import SpectralMixture
    frequencies = 110.*np.arange(1, 41)
    formants = sum(1/(1 + ((frequencies - centre)/width)**2) for centre, width in ((500, 80), (1500, 120), (2500, 160)))
    variances = formants*110/frequencies
    lengthscales = .04/(1 + frequencies/1100)
    if line: lengthscales[variances.argmax()] = 1/np.pi
    mixture = SpectralMixture(variances/variances.sum()*(1 - noise), lengthscales, frequencies, noise, RATE)
    mixture.kernel(0.)  # compiled here: what SymPy takes is the import's, not the method's
    return mixture


def celerite_kernel(mixture):
    "celerite2's kernel of the nearest shape: a damped oscillator for each component, of its variance, frequency and width at half height."
    import numpy as np
    from celerite2 import terms
    damping = mixture.lengthscales/(2*np.sqrt(np.log(2)))  # s: exp(-t/damping) has a Lorentzian as wide at half height as the Gaussian
    parts = [terms.SHOTerm(sigma=np.sqrt(v), rho=1/p, tau=d) for v, p, d in zip(mixture.variances, mixture.frequencies, damping)]
    return terms.TermSum(*parts)
