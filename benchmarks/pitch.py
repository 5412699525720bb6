"""Pitch and voicing beside Harvest, DIO with StoneMask (WORLD, through pyworld) and Praat (through parselmouth):
`python benchmarks/pitch.py [--quick]` in an environment that has gp_speech, pyworld and praat-parselmouth.

By itself, for its answer is one of quality, not only of time. Speech with a known answer is made with WORLD's synthesis: the spectra of the
bundled sentence, and of voices of flite and espeak-ng where those programs are installed, are spoken again at a pitch and a voicing that
are given (as they were, or transposed to a man's of 95 Hz or a child's of 300 Hz, formants 10% lower or 20% higher), with a fixed
aperiodicity. Each is then heard at 8, 16 and 48 kHz, clean and with white noise 10 dB below. The pitch that is given is that on
which Harvest and Praat agree in the original, smoothed, within 0.8 octaves of its median. Prints the tables and writes them to pitch.json."""
import argparse, json, shutil, subprocess, tempfile, time
from pathlib import Path

here = Path(__file__).resolve().parent
STEP, LOW, HIGH = .005, 60., 500.  # s, Hz, Hz
TEXTS = ("Nobody had been there for many years, and yet a thin line of grey smoke was rising above the chimney.",  # not those that the constants were chosen on
         "Will you give me a hand with the luggage? I am leaving on Monday evening, and my father is already waiting.")
VOICES = ("flite", "awb", 0), ("flite", "rms", 1), ("flite", "kal16", 0), ("flite", "slt", 1), ("espeak-ng", "en+f2", 0), ("espeak-ng", "en+f4", 1), ("espeak-ng", "en+m1", 1), ("espeak-ng", "en+m7", 0)
KINDS = ("man", 95., .9), ("as it was", None, 1.), ("child", 300., 1.2)


def ours(x, rate):
    from gp_speech.pitch import fit_pitch
    found = fit_pitch(x, rate, LOW, HIGH, STEP)
    return found.f0*found.voiced


def harvest(x, rate):
    import pyworld
    return pyworld.harvest(x, rate, f0_floor=LOW, f0_ceil=HIGH, frame_period=1000*STEP)[0]


def dio(x, rate):
    import pyworld
    return pyworld.stonemask(x, *pyworld.dio(x, rate, f0_floor=LOW, f0_ceil=HIGH, frame_period=1000*STEP), rate)


def praat(x, rate):
    import numpy as np, parselmouth
    found = parselmouth.Sound(x, rate).to_pitch_ac(time_step=STEP, pitch_floor=LOW, pitch_ceiling=HIGH)
    return np.nan_to_num([found.get_value_at_time(t) for t in np.arange(int(len(x)/rate/STEP + 1e-6) + 1)*STEP])


METHODS = {"gp_speech": ours, "Harvest": harvest, "DIO + StoneMask": dio, "Praat": praat}


def originals():
    "(name, samples at 16 kHz) of the voices that this machine has."
    import soundfile, soxr
    from gp_speech.audio import Recording
    yield "arctic", Recording.example().samples
    with tempfile.TemporaryDirectory() as folder:
        for program, voice, text in VOICES:
            if not shutil.which(program): print(f"{program} is not installed: without its voice {voice}"); continue
            path = Path(folder, f"{voice}.wav")
            subprocess.run({"flite": ["flite", "-voice", voice, "-t", TEXTS[text], "-o", path], "espeak-ng": ["espeak-ng", "-v", voice, "-w", path, TEXTS[text]]}[program], check=True)
            x, rate = soundfile.read(path)
            yield f"{program} {voice}", soxr.resample(x, rate, 16000)


def known(x):
    "Pitch (Hz, 0 where unvoiced) that is to be given to a sentence at 16 kHz, and its spectra."
    import numpy as np, pyworld
    from scipy.ndimage import binary_opening, gaussian_filter1d, median_filter
    f0, times = pyworld.harvest(x, 16000, f0_floor=LOW, f0_ceil=HIGH)
    f0, other = pyworld.stonemask(x, f0, times, 16000), praat(x, 16000)[:len(f0)]
    level = 10*np.log10(pyworld.cheaptrick(x, f0, times, 16000).mean(axis=1))
    both = (f0 > 0) & (other > 0)
    agreed = np.flatnonzero(both & (np.abs(np.log2(np.maximum(f0, 1)/np.maximum(other, 1))) < .1))
    smooth = np.exp(gaussian_filter1d(median_filter(np.interp(np.arange(len(f0)), agreed, np.log(f0[agreed])), 15), 3))
    near = np.abs(np.log2(smooth/np.median(smooth[both]))) < .8
    given = np.where(binary_opening(both & near & (level > level.max() - 40), np.ones(6)), smooth, 0.)
    return given, pyworld.cheaptrick(x, given, times, 16000)


def sounds():
    "(voice, kind, samples at 16 kHz, pitch every 5 ms)."
    import numpy as np, pyworld
    w = np.linspace(0, 8000, 513)
    breath = 10**(np.interp(w, [0, 3500, 8000], [-60, -10, -2])/20)
    for name, x in originals():
        given, spectra = known(np.ascontiguousarray(x))
        for kind, target, formants in KINDS:
            f0 = given*(target/np.median(given[given > 0]) if target else 1.)
            moved = np.array([np.interp(w/formants, w, s) for s in spectra])
            yield name, kind, pyworld.synthesize(f0, moved, np.where(f0[:, None] > 0, breath, 1.), 16000), f0


def heard(x, noisy, rate):
    "The sound with or without its noise, at a rate."
    import numpy as np, soxr
    if noisy: x = x + x.std()*10**-.5*np.random.default_rng(0).standard_normal(len(x))
    return x if rate == 16000 else soxr.resample(x, 16000, rate)


def compare(truth, f0):
    "Voicing errors (share of all frames), gross errors (share of frames that both call voiced) and the rest in cents."
    import numpy as np
    n = min(len(truth), len(f0))
    truth, f0 = truth[:n], f0[:n]
    both = (truth > 0) & (f0 > 0)
    cents = 1200*np.log2(f0[both]/truth[both])
    gross = np.abs(f0[both]/truth[both] - 1) > .2
    return dict(voicing=np.mean((truth > 0) != (f0 > 0)), missed=np.mean((truth > 0) & (f0 == 0)), invented=np.mean((truth == 0) & (f0 > 0)),
                gross=gross.mean(), mean=cents[~gross].mean(), deviation=cents[~gross].std())


def measure(quick):
    "A record for each method, sound, rate and noise."
    from tqdm import tqdm
    records, rates = [], (16000,) if quick else (8000, 16000, 48000)
    made = list(sounds())[:3 if quick else None]
    for voice, kind, x, truth in tqdm(made):
        for rate in rates:
            for noisy in False, True:
                y = heard(x, noisy, rate)
                for method, f in METHODS.items():
                    f(y[:rate], rate)  # warm
                    begin = time.perf_counter()
                    f0 = f(y, rate)
                    seconds = time.perf_counter() - begin
                    records.append(dict(method=method, voice=voice, kind=kind, rate=rate, noisy=noisy, time=seconds*rate/len(y), **compare(truth, f0)))
    return records


def table(records, *keys):
    "Rows of means over all records that share their method and these."
    groups = {}
    for r in records: groups.setdefault((*(r[k] for k in keys), r["method"]), []).append(r)
    lines = ["| | | voicing error | missed | invented | gross | mean, cents | deviation, cents | time / duration |", "|---|---|--:|--:|--:|--:|--:|--:|--:|"]
    for (*where, method), found in groups.items():
        m = {k: sum(r[k] for r in found)/len(found) for k in ("voicing", "missed", "invented", "gross", "mean", "deviation", "time")}
        name = ", ".join({False: "clean", True: "noise 10 dB below"}.get(v, v) if isinstance(v, bool) else f"{v/1000:g} kHz" if isinstance(v, int) else v for v in where)
        lines.append(f"| {name} | {method} | {m['voicing']:.1%} | {m['missed']:.1%} | {m['invented']:.1%} | {m['gross']:.2%} | {m['mean']:+.1f} | {m['deviation']:.1f} | {m['time']:.3f} |")
    return "\n".join(lines)


def example():
    "On the example, where nobody knows the answer: share of frames in which another method says the same of voicing, and how far its pitch is away."
    import numpy as np
    from gp_speech.audio import Recording
    x = Recording.example().samples.copy()
    mine, lines = ours(x, 16000), []
    for name, f in METHODS.items():
        if f is ours: continue
        theirs = f(x, 16000)[:len(mine)]
        both = (mine > 0) & (theirs > 0)
        cents = 1200*np.log2(mine[both]/theirs[both])
        lines.append(f"{name}: voicing alike in {np.mean((mine > 0) == (theirs > 0)):.1%} of frames (voiced: ours {np.mean(mine > 0):.1%}, theirs {np.mean(theirs > 0):.1%}); "
                     f"over 20% apart {np.mean(np.abs(cents) > 1200*np.log2(1.2)):.2%}; median difference {np.median(np.abs(cents)):.1f} cents")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one voice at one rate; nothing is written")
    quick = parser.parse_args().quick
    records = measure(quick)
    tables = {"noise": table(records, "noisy"), "rates": table(records, "noisy", "rate"), "voices": table([r for r in records if r["rate"] == 16000], "noisy", "kind")}
    print("\n\n".join([*tables.values(), "\n".join(agree := example())]))
    if quick: return
    voices = sorted({r["voice"] for r in records})
    with open(here / "pitch.json", "w", encoding="utf-8") as f: f.write(json.dumps(dict(voices=voices, tables=tables, example=agree), indent=1) + "\n")


if __name__ == "__main__": main()
