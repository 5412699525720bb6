"""Fit a Gaussian process to recorded speech and draw new speech from it."""

from importlib import import_module

__version__ = "0.1.0"

# Where each of the main names lives. A module is imported when one of its names
# is first asked for, so that `import gp_speech` costs nothing.
_home = {
    "Recording": "audio", "players": "audio",
    "periodogram": "spectrum",  # (the function `spectrum` shares its module's name: from gp_speech.spectrum import spectrum)
    "SpectralMixture": "kernels",
    "draw": "simulation", "draw_following": "simulation", "condition": "simulation", "SimulationData": "simulation",
    "spectrum_check": "checks", "convergence_check": "checks",
    "Envelope": "envelope", "fit_envelope": "envelope",
    "fit_mixture": "mixture", "whittle": "mixture", "residuals": "mixture",
    "Segmentation": "segments", "find_segments": "segments",
    "SpeechModel": "synthesis", "log_spectral_distance": "synthesis",
    "Pitch": "pitch", "fit_pitch": "pitch",
    "Voice": "voice", "load_model": "voice",
    "Corpus": "corpora", "fit_many": "corpora",
}

__all__ = list(_home)


def __getattr__(name):
    "Import the module that holds `name` (PEP 562)."
    if name not in _home: raise AttributeError(f"module 'gp_speech' has no attribute {name!r}")
    return getattr(import_module(f"gp_speech.{_home[name]}"), name)


def __dir__(): return sorted([*globals(), *__all__])
