"""One measurement in a process of its own: how long, how much memory, or how it failed.

A case is a function of benchmarks/draws.py, conditioning.py, fits.py or sentence.py. It imports what it needs, prepares its
data and returns `(call, describe)`: `call()` is what is measured, and `describe(result)` tells more about what it gave.

The first call warms up (compilation, caches, threads) and is told apart; then the median of three to nine calls is taken,
unless the first took so long that it is all there is. Memory is the largest resident set during the calls, less what the
imports and the data had taken before. The parent watches the resident set of the child, and ends it when it has
too much of that or of time: an address-space limit would also count what libraries reserve and never touch."""
import gc, json, os, resource, signal, subprocess, sys, tempfile, time
from importlib import import_module
from pathlib import Path
from statistics import median

SECONDS, GIGABYTES = 120, 8  # what a child may take, preparation included
here = Path(__file__).resolve().parent


def peak():
    "Largest resident set of this process, in MB. (Linux's `ru_maxrss` also remembers the parent's, and cannot be reset.)"
    try: lines = Path("/proc/self/status").read_text().splitlines()
    except OSError: return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10


def forget_peak():
    "Count the largest resident set from here on (Linux; elsewhere a large one during the preparation hides a smaller one later)."
    gc.collect()
    try: Path("/proc/self/clear_refs").write_text("5")
    except OSError: pass


def seconds(call):
    "How long a call takes."
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def timed(call, patience=2.):
    "(what the times were, result of the last call)."
    results, later = [], []
    def once():
        results.clear()  # so that two results are never held at once
        return seconds(lambda: results.append(call()))
    first = once()
    while first < patience and (len(later) < 3 or (sum(later) < .5 and len(later) < 9)): later.append(once())
    return dict(seconds=median(later) if later else first, first_seconds=first, calls=1 + len(later)), results[0]


def child(part, function, arguments, path):
    "Measure a case and write what came of it."
    try:
        call, describe = getattr(import_module(part), function)(**json.loads(arguments))
        forget_peak()
        before = peak()
        times, result = timed(call)
        memory = dict(mb=peak() - before, process_mb=peak())
        found = dict(status="ok", **times, **memory, **describe(result))
    except Exception as e:  # a peer may raise anything: that is a finding
        words = [line.strip() for line in f"{type(e).__name__}: {e}".splitlines() if line.strip()]
        memory = isinstance(e, MemoryError) or "alloc" in str(e)
        found = dict(status="out of memory" if memory else "failed", why=(words[0] if len(words) < 2 else f"{words[0]} ... {words[-1]}")[:300])
    Path(path).write_text(json.dumps(found), encoding="utf-8")


def watch(process, seconds, gigabytes):
    "Wait for a child; returns None, or why it was ended."
    import psutil
    start, seen = time.monotonic(), psutil.Process(process.pid)
    while True:
        try: process.wait(timeout=.05)
        except subprocess.TimeoutExpired: pass
        if process.returncode is not None: return None
        try: resident = seen.memory_info().rss / 2**30
        except psutil.Error: continue
        if resident > gigabytes: ended = dict(status="out of memory", why=f"ended at {gigabytes:g} GB of resident memory")
        elif time.monotonic() - start > seconds: ended = dict(status="out of time", why=f"ended after {seconds:g} s")
        else: continue
        process.kill()
        process.wait()
        return ended


def measure(python, part, function, arguments, seconds=SECONDS, gigabytes=GIGABYTES):
    "Run a case under a Python interpreter; returns what came of it as a dictionary with at least `status`."
    with tempfile.TemporaryDirectory() as folder:
        result, complaints = Path(folder) / "result.json", Path(folder) / "stderr"
        environment = os.environ | {"MPLBACKEND": "Agg", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
        command = [python, here / "measure.py", part, function, json.dumps(arguments), result]
        with open(complaints, "wb") as stderr:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, env=environment)
            ended = watch(process, seconds, gigabytes)
        if ended: return ended
        if result.exists(): return json.loads(result.read_text(encoding="utf-8"))
        if process.returncode < 0: return dict(status="failed", why=f"ended by {signal.Signals(-process.returncode).name}")
        lines = [line for line in complaints.read_text(errors="replace").splitlines() if line.strip()]
        return dict(status="failed", why=f"exit code {process.returncode}: {lines[-1].strip() if lines else 'no message'}"[:300])


if __name__ == "__main__": child(*sys.argv[1:])
