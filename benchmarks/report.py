"""What `make bench` prints, what the README shows of it, and the figures: all made of results.json."""
from importlib import import_module
from pathlib import Path

PARTS = "draws", "conditioning", "fits", "sentence"
here = Path(__file__).resolve().parent


def part(name):
    "The module of a part, found from wherever this one was imported."
    import sys
    if str(here) not in sys.path: sys.path.insert(0, str(here))
    return import_module(name)


def in_seconds(value):
    if value < 1e-3: return f"{1e6*value:.0f} µs"
    if value < 1: return f"{1e3*value:.3g} ms"
    return f"{value:.3g} s" if value < 100 else f"{value:.0f} s"


def in_megabytes(value): return f"{value:.0f} MB" if value < 1000 else f"{value/1000:.1f} GB"


def size(n): return "" if n is None else f"{n:,}"


def row(name, r):
    "Cells of the table for one measurement."
    if r["status"] != "ok": return name, r["method"], size(r["n"]), r["status"], "", r["why"]
    return name, r["method"], size(r.get("samples", r["n"])), in_seconds(r["seconds"]), in_megabytes(r["mb"]), part(name).remark(r)


def table(results):
    "Lines of the whole table: one for each measurement, whatever came of it."
    rows = [("part", "method", "n", "time", "memory", ""), *(row(name, r) for name, found in results["parts"].items() for r in found["records"])]
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    return ["  ".join([*(cell.rjust(w) if k in (2, 3, 4) else cell.ljust(w) for k, (cell, w) in enumerate(zip(row, widths))), row[5]]).rstrip() for row in rows]


def notes(results):
    "Lines on what is compared with what."
    return [f"{r['method']}: {r['note']}" for found in results["parts"].values() for r in {r["method"]: r for r in found["records"] if r["note"]}.values()]


def bars(results):
    "[(name, measured, needed, unit, verdict)] of every part that was measured."
    lines = [bar for name, found in results["parts"].items() for bar in part(name).bars(found["records"])]
    return [(*bar, "not measured" if bar[1] is None else "met" if bar[1] <= bar[2] else "NOT met") for bar in lines]


def bar_lines(results):
    return [f"bar  {name}: measured {'-' if measured is None else f'{measured:.3g}'}{unit and ' ' + unit}, needed at most {needed:.3g}{unit and ' ' + unit}: {verdict}"
            for name, measured, needed, unit, verdict in bars(results)]


def machines(results):
    "One line for each machine that the parts were measured on."
    said = {f"{m['cores']} cores of {m['cpu']}, Python {m['python']}, NumPy {m['versions']['numpy']}, SciPy {m['versions']['scipy']}, {found['date']}": None
            for found in results["parts"].values() for m in [found["machine"]]}
    return list(said)


# (heading, part, n, [(method, what is beside it)])
SHOWN = (
    ("a draw of 10^6 samples", "draws", 1_000_000, ("gp_speech", "celerite2", "gstools", "dense Cholesky")),
    ("the mean of 10^5 samples, a tenth of them missing", "conditioning", 100_000,
     ("gp_speech, scattered", "celerite2, scattered", "GPyTorch KISS-GP, scattered", "dense solve, scattered")),
    ("a mixture for one segment", "fits", 50, ("gp_speech", "GPyTorch", "MOGPTK")),
    ("mixtures for all segments", "fits", None, ("gp_speech, all segments", "the seed's recipe, all segments")),
    ("the sentence, fitted and drawn", "sentence", None, ("fit and draw",)),
)


def shown(records, method, n):
    "(time, memory, remark) of a method at a size, or how and where it ended."
    mine = [r for r in records if r["method"] == method]
    exactly = next((r for r in mine if r["n"] == n and r["status"] == "ok"), None)
    if exactly: return in_seconds(exactly["seconds"]), in_megabytes(exactly["mb"]), exactly
    ended = next((r for r in mine if r["status"] != "ok"), None)
    if ended is None: return "not measured", "", None
    return f"{ended['status']}" + (f" at {size(ended['n'])}" if ended["n"] and ended["n"] != n else ""), "", None


def beside(name, records, method, found):
    "The last column of the README's table."
    note = {"celerite2": "another kernel of like shape", "celerite2, scattered": "another kernel of like shape", "gp_speech, all segments": "",
            "fit and draw": "gp_speech"}.get(method, "")
    if found is None: return note
    if name == "draws" and method != "celerite2": return "exact" if "covariance_error" not in found else f"covariance off by {found['covariance_error']:.0%}"
    if name == "conditioning" and not note:
        errors = [r for r in records if r["method"] == method and "error" in r]
        return f"error {errors[-1]['error']:.0e} at {size(errors[-1]['n'])} samples" if errors else ""
    if "heldout_nats" in found: return f"{found['heldout_nats']:.2f} nats a sample held out"
    if "tapered" in found: return f"log-likelihood {sum(found['tapered']):,.0f} (debiased Whittle, tapered)"
    if "duration" in found: return f"for {found['duration']:g} s of speech"
    return note


def markdown(results):
    "The README's table."
    lines = ["| | | time | memory | |", "|---|---|--:|--:|---|"]
    for heading, name, n, methods in SHOWN:
        records = results["parts"].get(name, {}).get("records", [])
        for k, method in enumerate(methods):
            seconds, memory, found = shown(records, method, n)
            label = method.split(",")[0].replace("fit and draw", "gp_speech")
            lines.append(f"| {'' if k else heading} | {f'**{label}**' if label == 'gp_speech' else label} | {seconds} | {memory} | {beside(name, records, method, found)} |")
    met = [verdict for *_, verdict in bars(results)]
    lines += ["", f"Measured on {'; '.join(machines(results))}. Of {len(met)} bars that the project sets itself, {met.count('met')} are met."]
    return "\n".join(lines)


COLOURS = {"gp_speech": "C3", "gp_speech, a line 1 Hz wide": "C1", "dense Cholesky": "C7", "dense solve": "C7", "celerite2": "C0", "gstools": "C2",
           "stochastic": "C4", "fbm": "C5", "GPyTorch KISS-GP": "C4", "GPyTorch KISS-GP tightened": "C6", "GPyTorch exact": "C9",
           "GPyTorch": "C4", "GPyTorch, empirical spectrum": "C6", "MOGPTK": "C0", "MOGPTK, Lomb-Scargle": "C9"}
OTHER_KERNEL = "celerite2", "stochastic", "fbm"


def curve(ax, records, key, limit, ended):
    "One method's growth; hollow where it is approximate, dashed where the kernel is another one, a cross where it ended."
    label = records[0]["method"].removesuffix(", scattered")
    done = [r for r in records if r["status"] == "ok"]
    rough = any(r.get("covariance_error", 0) > 1e-6 or r.get("error", 0) > 1e-6 for r in done)
    style = dict(color=COLOURS[label], **dict(lw=1.4, zorder=3) if "gp_speech" in label else dict(lw=1.))
    x, y = [r["n"] for r in done], [max(r[key], .1 if key == "mb" else 0) for r in done]
    ax.loglog(x, y, "--" if label in OTHER_KERNEL else "-", marker="o", ms=4, mfc="white" if rough else style["color"], label=label, **style)
    for r in records:
        if r["status"] != ended: continue
        ax.loglog([*x[-1:], r["n"]], [*y[-1:], limit], ":", **style)
        ax.loglog(r["n"], limit, "x", ms=7, mew=2, color=style["color"])


def growth(results, path):
    "Time and memory against the number of samples, for draws and for conditioning."
    import matplotlib.pyplot as plt
    from gp_speech.audio import replacing
    columns = [(name, title) for name, title in (("draws", "one draw of n samples"), ("conditioning", "the mean at n samples, a tenth missing")) if name in results["parts"]]
    if not columns: return
    fig, axes = plt.subplots(2, len(columns), figsize=(5.2*len(columns), 7), sharex="col", squeeze=False, layout="constrained")
    for column, (name, title) in zip(axes.T, columns):
        groups = {}
        for r in results["parts"][name]["records"]:
            if r["n"] is not None and not r["method"].endswith(", a gap"): groups.setdefault(r["method"], []).append(r)
        gigabytes = results["limits"]["gigabytes"]
        for records in groups.values():
            curve(column[0], records, "seconds", records[0]["limit_seconds"], "out of time")
            curve(column[1], records, "mb", 1000*gigabytes, "out of memory")
        column[0].set(title=title, ylabel="time (s)"); column[1].set(xlabel="samples n", ylabel="memory beside imports and data (MB)", ylim=(.3, 2000*gigabytes))
        column[1].axhline(1000*gigabytes, color="0.6", lw=.7); column[1].text(column[1].get_xlim()[0]*1.15, 1100*gigabytes, "limit", fontsize=7, color="0.4")
        for ax in column: ax.grid(alpha=.3)
        column[0].legend(fontsize=7)
    fig.supxlabel("hollow: approximate; dashed: a kernel of its own;\ncross: ended there, out of time (above) or of memory (below)", fontsize=8)
    with replacing(path) as temporary: fig.savefig(temporary, dpi=160)
    plt.close(fig)


def fits_figure(results, path):
    "Held-out log-likelihood against the time of the fit, for each of the chosen segments."
    import matplotlib.pyplot as plt
    from gp_speech.audio import replacing
    records = [r for r in results["parts"].get("fits", {}).get("records", []) if r["n"] is not None]
    chosen = sorted({r["n"] for r in records if "samples" in r})
    if not chosen: return
    fig, axes = plt.subplots(1, len(chosen), figsize=(3.6*len(chosen), 3.6), squeeze=False, sharex=True, layout="constrained")
    for ax, n in zip(axes[0], chosen):
        height = .04  # of the next cross: those that ran out of time stand one above the other
        for r in records:
            if r["n"] != n: continue
            if r["status"] == "ok": ax.semilogx(r["seconds"], r["heldout_nats"], "o", ms=8, color=COLOURS[r["method"]], label=r["method"])
            else:
                ax.semilogx(r["limit_seconds"], height, "x", ms=8, mew=2, color=COLOURS[r["method"]], transform=ax.get_xaxis_transform(), label=f"{r['method']}: {r['status']}")
                height += .07
        samples = next(r["samples"] for r in records if r["n"] == n and "samples" in r)
        ax.set(title=f"a segment of {samples} samples", xlabel="time of the fit (s)"); ax.grid(alpha=.3); ax.margins(.15)
    axes[0, 0].set_ylabel("held-out log-likelihood\n(nats per sample)")
    handles = {label: handle for ax in axes[0] for handle, label in zip(*ax.get_legend_handles_labels())}
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=8)
    with replacing(path) as temporary: fig.savefig(temporary, dpi=160)
    plt.close(fig)
