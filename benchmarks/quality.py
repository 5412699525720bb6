"""`make quality`, or `python benchmarks/quality.py [GROUPS] [--only TEXT,TEXT] [--sentences N] [--quick] [--keep FOLDER] [--out FOLDER] [--report]` in the environment of `install.py quality`.

Resynthesises sentences by each method, in one thread, measures how near it comes, prints the table and the bars, and writes
quality.json and quality.png. GROUPS are any of bundled, asterisk, flite, "8 kHz", "48 kHz"; all of them if none is named. What is not measured
anew keeps what quality.json says of it. A quarter of an hour for the first four methods, 44 recordings and two cores, most of it the recogniser's.
`--quick` is a trial with two sentences, which goes to benchmarks/quick/; `--report` measures nothing and shows quality.json again."""
import argparse, json, os, sys, time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from datetime import date
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

import quality_report as report
import resynthesis, speech
from measures import all_measures
from run import impersonal, machine

here = Path(__file__).resolve().parent
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")} | {"MPLBACKEND": "Agg", "PYTHONWARNINGS": "ignore"}


@contextmanager
def children(count):
    "Processes of their own for what a package might crash; none of its imports or threads come here."
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"))
    try: yield pool
    finally: pool.shutdown(wait=False, cancel_futures=True)


def why_not(method, peers):
    "None, or why a method cannot run here."
    from importlib.util import find_spec
    if method.peer and "version" not in peers.get(method.peer, {}): return peers.get(method.peer, {}).get("error", f"{method.peer} is not in peers.json")
    if method.module and find_spec(f"gp_speech.{method.module}") is None: return f"gp_speech has no module {method.module} yet"


def resynthesise_all(method, sentences, bar):
    "[(status and times, draws)] of a method, one sentence after the other in one process, which first warms up on a word."
    results = []
    try:
        with children(1) as pool:
            word = sentences[0].recording
            try: pool.submit(resynthesis.resynthesise, method.name, word.part(0, min(1., word.duration)).samples, word.rate).result()
            except BrokenProcessPool: raise
            except Exception: pass  # it will be told of each sentence
            for s in sentences:
                bar.set_postfix_str(f"{method.name}: {s.name}")
                try: times, draws = pool.submit(resynthesis.resynthesise, method.name, s.recording.samples, s.recording.rate).result()
                except BrokenProcessPool: raise
                except Exception as e: times, draws = dict(status="failed", why=impersonal(f"{type(e).__name__}: {e}")[:300]), None
                else: times["status"] = "ok"
                results.append((times, draws))
                bar.update()
    except BrokenProcessPool:  # the sentence that ended it; the next ones get a process of their own
        results.append((dict(status="failed", why="its process crashed"), None))
        bar.update()
        if rest := sentences[len(results):]: results += resynthesise_all(method, rest, bar)
    return results


def measure_all(method, sentences, results, bar):
    "Records of a method: its times, and the measures of its draws, several sentences at a time."
    with children(os.cpu_count()) as pool:
        waiting = [draws and pool.submit(all_measures, s.recording.samples, draws, s.recording.rate, s.text) for s, (_, draws) in zip(sentences, results)]
        records = []
        for s, (times, _), future in zip(sentences, results, waiting):
            bar.set_postfix_str(f"measures of {method.name}: {s.name}")
            found = times
            if future:
                try: found = times | future.result()
                except BrokenProcessPool: found = dict(status="failed", why="a measure crashed its process")
            if "errors" in found: found["errors"] = {name: impersonal(why) for name, why in found["errors"].items()}
            records.append(dict(method=method.name, sentence=s.name, **found))
            bar.update()
    return records


def keep(folder, method, sentences, results):
    "Write the recordings' resyntheses, a folder for each method."
    from gp_speech import Recording
    to = folder / method.name
    to.mkdir(parents=True, exist_ok=True)
    for s, (_, draws) in zip(sentences, results):
        for k, y in enumerate(draws or []): Recording(y/max(1., abs(y).max()), s.recording.rate).write(to / f"{s.name.replace('/', '-')} {k}.wav")


def described(sentences):
    from measures import words
    return [dict(name=s.name, group=s.group, rate=s.recording.rate, seconds=round(s.recording.duration, 4), words=len(words(s.text))) for s in sentences]


def chosen_by(options):
    "The methods that are measured anew."
    return [m for m in resynthesis.METHODS if any(text in m.name for text in options.only.split(","))]


def options_of(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", metavar="GROUPS", help=f"any of {', '.join(speech.GROUPS)}")
    parser.add_argument("--only", default="", metavar="TEXT", help="only methods with this, or one of these parted by commas, in their names; the others keep what quality.json says")
    parser.add_argument("--sentences", type=int, default=28, metavar="N", help="how many of the asterisk package (28)")
    parser.add_argument("--quick", action="store_true", help="a trial: two sentences")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write what every method made, as WAV files")
    parser.add_argument("--out", type=Path, help="folder for quality.json and quality.png")
    parser.add_argument("--report", action="store_true", help="measure nothing: table and figure of quality.json")
    options = parser.parse_args(arguments)
    if unknown := set(options.groups) - set(speech.GROUPS): parser.error(f"{', '.join(sorted(unknown))}: not one of {', '.join(speech.GROUPS)}")
    if not chosen_by(options): parser.error(f"--only {options.only}: not in any of {', '.join(m.name for m in resynthesis.METHODS)}")
    if options.sentences < 1: parser.error(f"--sentences {options.sentences}: at least 1 is needed")
    return parser, options


def kept_before(parser, options, results, this, sentences):
    "Records of an earlier run that this one does not measure anew; ends if they are of another machine or other sentences."
    again = {m.name for m in chosen_by(options)}
    before = [r for r in results.get("records", []) if r["method"] not in again or r["sentence"] not in {s.name for s in sentences}]
    if not (options.only or options.groups): return []
    known = {s["name"]: s for s in results.get("sentences", [])}
    if before and results.get("machine") != this: parser.error("quality.json was measured on another machine or with other versions; measure all of it, or use --out")
    if any(known.get(s["name"], s) != s for s in described(sentences)): parser.error("quality.json has other recordings by the same names; measure all of it, or use --out")
    return before


def show(results, out):
    "Print everything and draw the figure."
    print("\n".join(report.lines(results)))
    report.figure(results, out / "quality.png")


def main(arguments=None):
    parser, options = options_of(arguments)
    start = time.monotonic()
    os.environ.update(ONE_THREAD)  # before any process is started
    out = options.out or (here / "quick" if options.quick else here)
    out.mkdir(parents=True, exist_ok=True)
    where = out / "quality.json"
    if options.report: return show(json.loads(where.read_text(encoding="utf-8")), out)
    peers = json.loads(Path(sys.prefix, "peers.json").read_text(encoding="utf-8"))
    results = json.loads(where.read_text(encoding="utf-8")) if where.exists() else {}
    sentences, missing = speech.gather(options.sentences, options.groups)
    if options.quick: sentences = sentences[:2]
    this = machine(sys.executable, peers)
    records = kept_before(parser, options, results, this, sentences)
    chosen = chosen_by(options)
    listed = {s["name"]: s for s in [*(results.get("sentences", []) if records else []), *described(sentences)]}
    used = {r["sentence"] for r in records} | {s.name for s in sentences}
    missing = {group: why for group, why in results.get("missing", {}).items() if records and group not in {s["group"] for s in listed.values()}} | missing
    absent = {name: why for name, why in results.get("absent", {}).items() if records and name not in {m.name for m in chosen}}
    results = dict(date=date.today().isoformat(), quick=options.quick, machine=this, sentences=[s for s in listed.values() if s["name"] in used],
                   missing={group: impersonal(why) for group, why in missing.items()}, absent=absent, notes={m.name: m.note for m in resynthesis.METHODS},
                   peers={name: {k: impersonal(v) for k, v in found.items() if k != "environment"} for name, found in peers.items()}, records=records)
    from gp_speech.audio import replacing
    bar = tqdm(total=2*len(chosen)*len(sentences), desc="quality", unit="")
    for method in chosen:
        if reason := why_not(method, peers):
            results["absent"][method.name] = impersonal(reason)
            bar.update(2*len(sentences))
            continue
        made = resynthesise_all(method, sentences, bar)
        if options.keep: keep(options.keep, method, sentences, made)
        results["records"] += measure_all(method, sentences, made, bar)
        results["bars"] = report.bars(results)
        with replacing(where) as temporary: temporary.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        bar.write("  ".join(report.row(results, report.ALL, method.name)))
    bar.close()
    with replacing(where) as temporary: temporary.write_text(json.dumps(results | {"bars": report.bars(results)}, indent=1) + "\n", encoding="utf-8")
    show(results, out)
    print(f"{(time.monotonic() - start)/60:.1f} minutes; written: quality.json, quality.png" + (f", WAV files in {options.keep}" if options.keep else ""))


if __name__ == "__main__": main()
