"""What is resynthesised: the bundled sentence, sentences of Debian's package asterisk-core-sounds-en-g722 (one woman's voice, CC-BY-SA,
its transcripts in asterisk-core-sounds-en), the male voices of flite if that command is here, and a few of them at 8 and 48 kHz."""
import gzip, re, shutil, subprocess, tempfile
from dataclasses import dataclass
from pathlib import Path

from measures import words

here = Path(__file__).resolve().parent
CACHE = here / "recordings"  # git ignores it
PACKAGES, TRANSCRIPTS = ("asterisk-core-sounds-en-g722", "asterisk-core-sounds-en"), "core-sounds-en.txt*"
GROUPS = "bundled", "asterisk", "flite", "8 kHz", "48 kHz"
BUNDLED_TEXT = "And you always want to see it in the superlative degree."
FLITE_VOICES = "kal16", "rms", "awb"  # three men: diphones, and two statistical voices
FLITE_TEXTS = (BUNDLED_TEXT, "The quick brown fox jumps over the lazy dog.", "We were away a year ago, and nobody knew where the money had gone.")
LONGEST, SHORTEST = 6., 1.5  # s


class NoSpeech(Exception):
    "Why a group is missing."


@dataclass(frozen=True, eq=False)
class Sentence:
    "A recording and what it says."
    name: str
    group: str
    text: str
    recording: object  # gp_speech.Recording

    def __repr__(self): return f"Sentence({self.name!r}, {self.group!r}, {self.recording.duration:.2f} s)"


def bundled():
    from gp_speech import Recording
    return [Sentence("bundled", "bundled", BUNDLED_TEXT, Recording.example())]


def fetch(folder=CACHE):
    "Have apt download the recordings and their transcripts and dpkg unpack them (neither needs root); raises `NoSpeech` that says how else to get them."
    if any(folder.rglob("*.g722")) and any(folder.rglob(TRANSCRIPTS)): return folder
    folder.mkdir(exist_ok=True)
    how = f"get {' and '.join(f'{name}_*_all.deb' for name in PACKAGES)} from a Debian mirror, put them into benchmarks/{folder.name}/ and unpack them there (`dpkg-deb -x`, or `ar x` and `tar xf`)"
    if absent := [name for name in PACKAGES if not any(folder.glob(f"{name}_*.deb"))]:
        if not shutil.which("apt-get"): raise NoSpeech(f"there is no apt-get here: {how}")
        done = subprocess.run(["apt-get", "download", *absent], cwd=folder, capture_output=True, text=True)
        if done.returncode: raise NoSpeech(f"`apt-get download {' '.join(absent)}`: {(done.stderr.strip().splitlines() or ['failed'])[-1]}; perhaps after `apt-get update`, or {how}")
    if not shutil.which("dpkg-deb"): raise NoSpeech(f"there is no dpkg-deb here: {how}")
    for name in PACKAGES: subprocess.run(["dpkg-deb", "-x", next(folder.glob(f"{name}_*.deb")), folder], check=True)
    return folder


def transcripts(folder):
    "{name: text} of the package's list, whose lines are `name: text` and whose comments begin with a semicolon."
    path = min(folder.rglob(TRANSCRIPTS))
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode("utf-8", "replace")
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith(";"))
    return {name.strip(): said.strip() for name, said in pairs}


def plain(text): return bool(re.fullmatch(r"[A-Za-z' ,.?!;-]+", text)) and len(text.split()) >= 4


def asterisk(count, folder=CACHE):
    """The `count` longest of 1.5 to 6 s: among equally long ones the first by name; transcripts of four words or more, without digits,
    brackets or abbreviations, none twice. (A byte of G.722 at 64 kbit/s holds two samples of 16 kHz.)"""
    texts = transcripts(fetch(folder))
    by_name = {}
    for path in sorted(folder.rglob("*.g722")):
        name = next((n for n in (path.stem, f"{path.parent.name}/{path.stem}") if n in texts), None)
        if name and SHORTEST <= path.stat().st_size/8000 <= LONGEST and plain(texts[name]): by_name.setdefault(name, path)
    chosen, seen = [], set()
    for name in sorted(by_name, key=lambda n: (-by_name[n].stat().st_size, n)):
        said = tuple(words(texts[name]))
        if said not in seen and len(chosen) < count: chosen.append(name)
        seen.add(said)
    return [Sentence(name, "asterisk", texts[name], decoded(by_name[name])) for name in chosen]


def decoded(path):
    "A G.722 file as a recording."
    import numpy as np
    from G722 import G722
    from gp_speech import Recording
    return Recording(np.array(G722(16000, 64000).decode(path.read_bytes()), dtype=float)/2**15, 16000)


def flite():
    "Three sentences by each of three male voices of the command flite."
    from gp_speech import Recording
    if not shutil.which("flite"): raise NoSpeech("there is no command flite here (in Debian: the package flite)")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for voice in FLITE_VOICES:
            for k, text in enumerate(FLITE_TEXTS):
                path = Path(folder) / "speech.wav"
                done = subprocess.run(["flite", "-voice", voice, "-t", text, "-o", path], capture_output=True, text=True)
                if done.returncode: raise NoSpeech(f"flite with the voice {voice}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
                found.append(Sentence(f"{voice} {k + 1}", "flite", text, Recording.read(path, rate=16000)))
    return found


def at_rate(sentences, rate):
    "The first sentence of each group, resampled."
    first = {s.group: s for s in reversed(sentences)}
    return [Sentence(f"{s.name} at {rate/1000:g} kHz", f"{rate/1000:g} kHz", s.text, s.recording.resample(rate)) for s in reversed(first.values())]


def gather(count, groups=(), folder=CACHE):
    "(sentences of these groups, or of all, {group: why it is missing})."
    sentences, missing = bundled(), {}
    wanted = lambda group: not groups or group in groups or any(" kHz" in g for g in groups)
    for group, get in (("asterisk", lambda: asterisk(count, folder)), ("flite", flite)):
        if not wanted(group): continue
        try: sentences += get()
        except NoSpeech as e: missing[group] = str(e)
        except (ImportError, OSError, subprocess.CalledProcessError) as e: missing[group] = f"{type(e).__name__}: {e}"
    everything = sentences + at_rate(sentences, 8000) + at_rate(sentences, 48000)
    return [s for s in everything if not groups or s.group in groups], missing
