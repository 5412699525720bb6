"""How near a resynthesis comes to its recording, how it sounds to models of listeners, and how much two draws have in common.

A measure takes the original and the draw as arrays of one length with their rate; better is lower for distances and errors,
higher for scores. The first half needs NumPy alone; the second half asks packages, each imported where it is used."""

STEP, WINDOW = .005, .025   # s: from frame to frame, and length of a frame under its Hann window
ACTIVE = 40.                # dB: frames of the original this far below its loudest one are left out
FLOOR = 70.                 # dB below the loudest point of the original's spectrogram: added to every power, for both alike
BANDS = 80                  # mel bands of the log-spectral distance: narrow enough to see the lower harmonics
SMOOTH, ORDER = 40, 24      # mel bands of the envelope, and how many cepstral coefficients of it are compared
WIDEBAND = 16000            # Hz: the rate that PESQ-wb, STOI, DNSMOS and the recognisers get


def frames(x, rate):
    "Power spectra of 25 ms Hann frames every 5 ms, float64[frames, bins], zero-padded to twice the next power of two; signals shorter than a frame are filled up."
    import numpy as np
    length, hop = round(WINDOW*rate), round(STEP*rate)
    x = np.pad(np.asarray(x, dtype=float), (0, max(0, length - len(x))))
    pieces = np.lib.stride_tricks.sliding_window_view(x, length)[::hop]
    return np.abs(np.fft.rfft(pieces*np.hanning(length + 2)[1:-1], 2**(int(np.ceil(np.log2(length))) + 1)))**2


def filters(rate, bins, bands):
    "Triangles of equal width on the mel scale 2595 log10(1 + w/700), from 0 Hz to 8 kHz or half the rate, float64[bands, bins], each of sum 1."
    import numpy as np
    top = 2595*np.log10(1 + min(8000., rate/2)/700)
    edges = 700*(10**(np.linspace(0, top, bands + 2)/2595) - 1)
    w = np.linspace(0, rate/2, bins)
    rising, falling = (w - edges[:-2, None])/np.diff(edges)[:-1, None], (edges[2:, None] - w)/np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return triangles/triangles.sum(axis=1, keepdims=True)


def mel_levels(original, draw, rate, bands):
    "Levels in mel bands of the active frames, in dB: two arrays float64[active frames, bands]. Raises `ValueError` for lengths that differ, and for silence."
    import numpy as np
    if len(original) != len(draw): raise ValueError(f"the original has {len(original)} samples and the draw {len(draw)}; as many are needed")
    powers = [frames(x, rate) for x in (original, draw)]
    loudness = powers[0].sum(axis=1)
    if loudness.max() == 0: raise ValueError("the original is silent")
    active, bank = loudness > loudness.max()*10**(-ACTIVE/10), filters(rate, powers[0].shape[1], bands)
    means = [p[active] @ bank.T for p in powers]
    floor = means[0].max()*10**(-FLOOR/10)
    return [10*np.log10(m + floor) for m in means]


def log_spectral_distance(original, draw, rate):
    """dB: the root of the mean squared difference of the levels in 80 mel bands up to 8 kHz, in each active frame; then the mean over
    these frames. (25 ms Hann frames every 5 ms; active: at most 40 dB below the original's loudest.)"""
    import numpy as np
    a, b = mel_levels(original, draw, rate, BANDS)
    return float(np.sqrt(((a - b)**2).mean(axis=1)).mean())


def mel_cepstral_distortion(original, draw, rate):
    r"""dB: $\frac{10}{\ln 10}\sqrt{2\sum_{m=1}^{24}(c_m-c_m')^2}$, mean over active frames. $\ln|H|=c_0+\sum_m c_m\cos(\pi m u)$ is the
    log-amplitude in 40 mel bands at $u=(b+\frac12)/40$; ending at $m=24$ makes the envelope smooth. $c_0$, the loudness, is left out; no time warping."""
    import numpy as np
    from scipy.fft import dct
    cepstra = [np.log(10)/20*dct(levels, axis=1)[:, 1:ORDER + 1]/SMOOTH for levels in mel_levels(original, draw, rate, SMOOTH)]
    return float(10/np.log(10)*np.sqrt(2*((cepstra[0] - cepstra[1])**2).sum(axis=1)).mean())


def correlation(one, two):
    "Correlation coefficient of two draws at lag 0, over the whole signal, -1 to 1; 1 for equal ones (and for two silences)."
    import numpy as np
    one, two = (np.asarray(x, dtype=float) - np.mean(x, dtype=float) for x in (one, two))
    size = np.linalg.norm(one)*np.linalg.norm(two)
    return float(one @ two/size) if size else 1.


def words(text):
    "Lower-case words: letters and apostrophes; what stands between them parts them."
    import re
    return re.findall(r"[a-z']+", text.lower())


def edits(said, heard):
    "Fewest words to put in, take out or replace to come from one list of words to the other (Levenshtein)."
    costs = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        before, costs[0] = costs[0], i
        for j, other in enumerate(heard, 1):
            before, costs[j] = costs[j], min(before + (word != other), costs[j] + 1, costs[j - 1] + 1)
    return costs[-1]


def wideband(x, rate):
    "At 16 kHz, and no louder than full scale."
    import numpy as np
    from gp_speech import Recording
    y = np.asarray(x, dtype=float) if rate == WIDEBAND else Recording(np.asarray(x, dtype=float), rate).resample(WIDEBAND).samples
    return y/max(1., np.abs(y).max())


def pesq_wb(original, draw, rate):
    "PESQ, ITU-T P.862.2 (wideband), 1.04 to 4.64: the predicted opinion of listeners. By the package pesq."
    from pesq import pesq
    return float(pesq(WIDEBAND, wideband(original, rate), wideband(draw, rate), "wb"))


def stoi(original, draw, rate):
    "Short-time objective intelligibility, 0 to 1 (Taal et al. 2011). By the package pystoi."
    import pystoi
    return float(pystoi.stoi(wideband(original, rate), wideband(draw, rate), WIDEBAND))


def dnsmos(draw, rate):
    "DNSMOS P.835 overall, 1 to 5: the opinion that a network predicts, without an original. By the package speechmos."
    from speechmos import dnsmos
    return float(dnsmos.run(wideband(draw, rate), sr=WIDEBAND)["ovrl_mos"])


_decoders = []  # the one of this process: its model takes a second to load


def heard(draw, rate):
    "What pocketsphinx hears: its default US English model, dictionary and language model; cepstral means of each utterance by itself."
    import numpy as np
    from pocketsphinx import Decoder
    if not _decoders: _decoders.append(Decoder(samprate=WIDEBAND, cmn="batch", loglevel="FATAL"))
    decoder = _decoders[0]
    decoder.start_utt()
    decoder.process_raw(np.round(32767*wideband(draw, rate)).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    return decoder.hyp().hypstr if decoder.hyp() else ""


def all_measures(original, draws, rate, text):
    "Every measure of the first draw, the correlation of the first two, and the mean word edits of both (a recogniser is the noisiest judge): a dictionary; `errors` tells of those that failed."
    found, errors = {}, {}
    for name, measure in (("lsd", lambda: log_spectral_distance(original, draws[0], rate)), ("mcd", lambda: mel_cepstral_distortion(original, draws[0], rate)),
                          ("pesq", lambda: pesq_wb(original, draws[0], rate)), ("stoi", lambda: stoi(original, draws[0], rate)), ("dnsmos", lambda: dnsmos(draws[0], rate)),
                          ("edits", lambda: sum(edits(words(text), words(heard(d, rate))) for d in draws[:2])/2), ("correlation", lambda: correlation(*draws[:2]))):
        try: found[name] = measure()
        except Exception as e: errors[name] = f"{type(e).__name__}: {e}"[:200]  # a package may raise anything: that is a finding
    return found | ({"errors": errors} if errors else {})
