"""How near can gains of mean zero come? `python benchmarks/fading.py [SENTENCES]`, in the environment of `make quality`.

A complex Gaussian gain fades, and a draw with it: its levels spread about their own mean, over draws, whatever was recorded.
For the prior "independent" this prints, in dB of the log-spectral distance of measures.py: that spread; how far the mean of the levels
is from the recording; the distance of a draw; and what would be left of it if each band's level were right on average."""
import sys

DRAWS, LENGTHSCALES = 15, (1., .1, .015)


def distance(a, b):
    "Root of the mean square over bands, mean over frames."
    import numpy as np
    return np.sqrt(((a - b)**2).mean(axis=-1)).mean()


def main():
    import numpy as np
    from gp_speech import Voice
    from measures import BANDS, mel_levels
    from speech import asterisk, bundled
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    print(f"{'sentence':24s} {'lengthscale':>11s} {'spread':>7s} {'centre':>7s} {'draw':>7s} {'levels right':>13s}")
    for sentence in [*bundled(), *asterisk(count)]:
        recording = sentence.recording
        voice = Voice.fit(recording)
        for lengthscale in LENGTHSCALES:
            draws = voice.sample(np.random.default_rng(0), DRAWS, "independent", lengthscale)
            original = mel_levels(recording.samples, recording.samples, recording.rate, BANDS)[0]
            levels = np.array([mel_levels(recording.samples, draw.samples, recording.rate, BANDS)[1] for draw in draws])
            centre = levels.mean(axis=0)
            right = levels + (original - centre).mean(axis=0)
            print(f"{sentence.name:24s} {lengthscale:9g} s {distance(levels, centre):7.2f} {distance(original, centre):7.2f} "
                  f"{distance(original, levels):7.2f} {distance(original, right):13.2f}", flush=True)


if __name__ == "__main__": main()
