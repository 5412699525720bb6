"""The methods that are compared: each takes a recording apart (`analyse`) and makes it anew from what it kept (`draw`).

`analyse(x, rate)` gets float64 samples and gives whatever it likes; `draw(kept, seed)` gives samples. `resynthesise` times both."""
from dataclasses import dataclass
from typing import Callable


@dataclass(frozen=True)
class Method:
    "One row of the table."
    name: str            # as the table prints it
    analyse: Callable    # (samples, rate) -> whatever it keeps
    draw: Callable       # (what was kept, seed) -> samples
    peer: str = ""       # package without which it cannot run; "" for gp_speech and the original
    module: str = ""     # of gp_speech, without which it cannot run
    note: str = ""       # what a reader must know to compare it


def world_parts(x, rate):
    "Fundamental frequency, envelope and aperiodicity every 5 ms."
    import numpy as np, pyworld
    x = np.ascontiguousarray(x, dtype=np.float64)
    f0, times = pyworld.harvest(x, int(rate))
    return f0, pyworld.cheaptrick(x, f0, times, int(rate)), pyworld.d4c(x, f0, times, int(rate)), int(rate), len(x)


def world_sound(kept, seed):
    "WORLD's synthesis has no seed: its noise is always the same."
    import pyworld
    f0, envelope, aperiodicity, rate, n = kept
    return fitted(pyworld.synthesize(f0, envelope, aperiodicity, rate), n)


GRIFFIN_LIM = dict(window=.050, hop=.0125, bands=80, iterations=60)  # s, s: as in Tacotron (Wang et al. 2017)


def mel_power(x, rate):
    "Power in 80 mel bands, and what is needed to go back."
    import librosa
    window, hop = (round(GRIFFIN_LIM[key]*rate) for key in ("window", "hop"))
    return librosa.feature.melspectrogram(y=x, sr=rate, n_fft=window, hop_length=hop, n_mels=GRIFFIN_LIM["bands"]), rate, window, hop, len(x)


def griffin_lim(kept, seed):
    "Magnitudes by non-negative least squares, phases by the fast Griffin-Lim algorithm from random ones."
    import librosa
    power, rate, window, hop, n = kept
    magnitudes = librosa.feature.inverse.mel_to_stft(power, sr=rate, n_fft=window)
    return librosa.griffinlim(magnitudes, n_iter=GRIFFIN_LIM["iterations"], hop_length=hop, n_fft=window, length=n, random_state=seed)


def fitted(y, n):
    "Cut or filled up with zeros to n samples: WORLD rounds up to its frames."
    import numpy as np
    return np.pad(y[:n], (0, max(0, n - len(y))))


def fit_segments(x, rate):
    from gp_speech import Recording, SpeechModel
    return SpeechModel.fit(Recording(x, rate), progress=False)


def fit_voice(x, rate):
    from gp_speech import Recording
    from gp_speech.voice import Voice
    return Voice.fit(Recording(x, rate))


def sampled(kept, seed, **options):
    "A draw of one of gp_speech's models."
    import numpy as np
    draw = kept.sample(np.random.default_rng(seed), **options)
    return (draw[0] if isinstance(draw, list) else draw).samples


def voice(prior, note):
    return Method(prior, fit_voice, lambda kept, seed: sampled(kept, seed, prior=prior), module="voice", note=note)


METHODS = (
    Method("original", lambda x, rate: x, lambda x, seed: x, note="the recording itself: the best that each measure can say"),
    Method("WORLD", world_parts, world_sound, peer="pyworld", note="Harvest, CheapTrick and D4C every 5 ms; its noise has a fixed seed, so all its draws are one"),
    Method("Griffin-Lim", mel_power, griffin_lim, peer="librosa",
           note="80 mel bands of power, 50 ms windows every 12.5 ms, 60 fast iterations: as in Tacotron, for librosa's own defaults (128 ms every 32 ms at 16 kHz) come less near"),
    Method("segments", fit_segments, sampled, note="SpeechModel: stationary segments"),
    voice("independent", "Voice, a gain of its own for each harmonic"),
    voice("rank-one", "Voice, one gain for all harmonics"),
    voice("mean", "Voice, gains at 1: only the noise is drawn"),
    voice("demodulated", "Voice, each harmonic's gain divided by its own smoothed magnitude: the default prior"),
)


def resynthesise(name, x, rate, draws=2):
    "Run a method once: ({analysis_seconds, draw_seconds (mean of the draws)}, draws as float32)."
    import time
    import numpy as np
    from threadpoolctl import threadpool_limits
    method = next(m for m in METHODS if m.name == name)
    with threadpool_limits(1):
        start = time.perf_counter()
        kept = method.analyse(x, rate)
        between = time.perf_counter()
        sounds = [method.draw(kept, seed) for seed in range(draws)]
        end = time.perf_counter()
    for y in sounds:
        if len(y) != len(x): raise ValueError(f"{name} gave {len(y)} samples for {len(x)}")
        if not np.all(np.isfinite(y)): raise ValueError(f"{name} gave samples that are not finite")
    return dict(analysis_seconds=between - start, draw_seconds=(end - between)/draws), [np.asarray(y, dtype=np.float32) for y in sounds]
