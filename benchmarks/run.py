"""`make bench`, or `python benchmarks/run.py [PARTS] [--only TEXT] [--quick] [--out FOLDER]` in the environment that install.py made.

Measures the parts (draws, conditioning, fits, sentence; all of them if none is named), prints the table and the bars, and writes
results.json and the figures. Parts that are not measured keep what results.json says of them. `--quick` is a trial
of the machinery: small sizes, few steps; its numbers mean nothing, and go to benchmarks/quick/."""
import argparse, json, os, platform, re, subprocess, sys, tempfile, time
from datetime import date
from pathlib import Path

from tqdm import tqdm

import report
from install import python_of
from measure import GIGABYTES, SECONDS, measure

here = Path(__file__).resolve().parent
SMALL = 3_000  # largest size of a trial


def machine(python, peers):
    "What a reader must know of the machine and its software; no names and no places."
    code = "import json; from importlib.metadata import version as v; print(json.dumps({p: v(p) for p in ('gp_speech', 'numpy', 'scipy')}))"
    versions = json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)
    try: cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError): cpu = platform.processor() or platform.machine()
    import psutil
    return dict(cores=os.cpu_count(), cpu=cpu.strip(), memory_gb=round(psutil.virtual_memory().total/2**30), system=f"{platform.system()} {platform.machine()}",
                python=platform.python_version(), versions=versions | {name: found.get("version") for name, found in peers.items()})


def impersonal(text):
    "An error message without addresses and places."
    return re.sub(r"\w+://\S+|(?<![\w.])(/[\w.@+-]+){2,}/?", "...", text)


def measure_part(name, peers, quick, only, before):
    "Every method of a part at every size: a list of records. With `only`, methods with that in their names; the others keep the records from before."
    module, records = report.part(name), []
    chosen = [m for m in module.METHODS if only in m.name]
    sizes = lambda m: m.sizes if not quick else [n for n in m.sizes if n is None or n <= SMALL] if m.growing else m.sizes[:1]
    bar = tqdm(total=sum(len(sizes(m)) for m in chosen), desc=name)
    with tempfile.TemporaryDirectory() as folder:
        shared = dict(path=str(Path(folder) / "data.npz")) if hasattr(module, "prepare") else {}
        if shared and (prepared := measure(sys.executable, name, "prepare", shared))["status"] != "ok": sys.exit(f"{name}: prepare: {prepared['why']}")
        for method in module.METHODS:
            if method not in chosen: records += [r for r in before if r["method"] == method.name]; continue
            peer = peers.get(method.peer, {"environment": "", "error": f"{method.peer} is not in peers.json"}) if method.peer else {"environment": ""}
            for n in sizes(method):
                bar.set_postfix_str(f"{method.name} {report.size(n)}")
                arguments = shared | method.options | (method.quick if quick else {}) | ({} if n is None else {"n": n})
                if "error" in peer: found = dict(status="not installed", why=peer["error"])
                else: found = measure(python_of(peer["environment"]), name, method.function, arguments, method.seconds)
                if "why" in found: found["why"] = impersonal(found["why"])
                records.append(dict(method=method.name, n=n, peer=method.peer, note=method.note, limit_seconds=method.seconds, **found))
                bar.write("  ".join(report.row(name, records[-1])))
                bar.update()
                if found["status"] != "ok" and (method.growing or found["status"] == "not installed"): break
    bar.close()
    return records


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PARTS", help=f"any of {', '.join(report.PARTS)}")
    parser.add_argument("--only", default="", metavar="TEXT", help="only methods with this in their names; the others keep what results.json says")
    parser.add_argument("--quick", action="store_true", help="a trial: small sizes, few steps")
    parser.add_argument("--out", type=Path, help="folder for results.json and the figures")
    options = parser.parse_args()
    if (unknown := set(options.parts) - set(report.PARTS)): parser.error(f"{', '.join(sorted(unknown))}: not one of {', '.join(report.PARTS)}")
    out = options.out or (here / "quick" if options.quick else here)
    out.mkdir(exist_ok=True)
    where, start = out / "results.json", time.monotonic()
    peers = json.loads(Path(sys.prefix, "peers.json").read_text(encoding="utf-8"))
    results = json.loads(where.read_text(encoding="utf-8")) if where.exists() else {"parts": {}}
    results |= dict(limits=dict(seconds=SECONDS, gigabytes=GIGABYTES),
                    peers={name: {k: impersonal(v) for k, v in found.items() if k != "environment"} for name, found in peers.items()})
    from gp_speech.audio import replacing
    for name in options.parts or report.PARTS:
        before, this = results["parts"].get(name, {}), machine(sys.executable, peers)
        if options.only and before.get("machine") != this: parser.error(f"--only: {name} was measured on another machine or with other versions; measure all of it")
        results["parts"][name] = dict(date=date.today().isoformat(), quick=options.quick, machine=this, records=measure_part(name, peers, options.quick, options.only, before.get("records", [])))
        results["parts"] = {name: results["parts"][name] for name in report.PARTS if name in results["parts"]}
        results["bars"] = [dict(zip(("name", "measured", "needed", "unit", "verdict"), bar)) for bar in report.bars(results)]
        with replacing(where) as temporary: temporary.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for lines in report.table(results), report.notes(results), report.machines(results): print("\n".join(lines), end="\n\n")
    for name, found in results["peers"].items():
        if "error" in found: print(f"{name} could not be installed: {found['error']}")
        elif found["note"]: print(f"{name} {found['version']}: a first attempt failed: {found['note']}")
    print("\n".join(report.bar_lines(results)))
    report.growth(results, out / "growth.png")
    report.fits_figure(results, out / "fits.png")
    print(f"{(time.monotonic() - start)/60:.1f} minutes; written: {', '.join(name for name in ('results.json', 'growth.png', 'fits.png') if (out / name).exists())}")


if __name__ == "__main__": main()
