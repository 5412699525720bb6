"""What `make quality` prints, and its figure: all made of quality.json."""

# key: (heading, unit, what is better, format)
COLUMNS = {
    "lsd": ("LSD", "dB", "low", ".2f"),
    "mcd": ("MCD", "dB", "low", ".2f"),
    "pesq": ("PESQ-wb", "", "high", ".2f"),
    "stoi": ("STOI", "", "high", ".3f"),
    "dnsmos": ("DNSMOS", "", "high", ".2f"),
    "wer": ("WER", "%", "low", ".1f"),
    "correlation": ("corr.", "", "low", ".2f"),
    "magnitude": ("|corr.|", "", "low", ".2f"),
    "analysis": ("analysis", "x real time", "low", ".3f"),
    "draw": ("draw", "x real time", "low", ".4f"),
}
NAMES = dict(lsd="log-spectral distance", mcd="mel-cepstral distortion", pesq="PESQ-wb", stoi="STOI", dnsmos="DNSMOS overall", wer="word error rate (pocketsphinx)",
             correlation="correlation of two draws", magnitude="magnitude of that correlation", analysis="analysis, time per duration", draw="draw, time per duration")
ALL = "all at 16 kHz"      # the bars are judged on these
MAIN = "bundled", "asterisk", "flite"
METHODS = "original", "WORLD", "Griffin-Lim", "segments", "independent", "rank-one", "mean", "demodulated"

# (method, key, number, other method: its value is added); at most or at least, as the column is better low or high
BARS = (
    ("demodulated", "lsd", 3.2, None), ("demodulated", "lsd", 0., "WORLD"), ("independent", "lsd", 3.9, None),
    ("demodulated", "mcd", 2.1, None), ("demodulated", "mcd", 0., "WORLD"), ("rank-one", "mcd", 2.6, None),
    ("demodulated", "pesq", 2.8, None), ("demodulated", "pesq", -.05, "WORLD"), ("independent", "pesq", 1.8, None),
    ("demodulated", "stoi", .97, None), ("independent", "stoi", .90, None),
    ("demodulated", "dnsmos", -.05, "WORLD"), ("independent", "dnsmos", -.1, "WORLD"),
    ("demodulated", "wer", 2., "original"),
    ("demodulated", "correlation", .2, None), ("independent", "correlation", .2, None),
    ("demodulated", "analysis", .1, None), ("independent", "analysis", .1, None), ("demodulated", "draw", .03, None), ("independent", "draw", .03, None),
)


def summary(results, group, method):
    """{key: value} over the sentences of a group (None where nothing was measured), `n` of them measured of `of`: means, but words in error
    over all words, and time over all time."""
    listed = {s["name"]: s for s in results["sentences"] if s["group"] in (MAIN if group == ALL else (group,))}
    records = [r for r in results["records"] if r["method"] == method and r["sentence"] in listed]
    done = [r for r in records if r["status"] == "ok"]
    mean = lambda values: sum(values)/len(values) if values else None
    found = {key: mean([r[key] for r in done if key in r]) for key in ("lsd", "mcd", "pesq", "stoi", "dnsmos", "correlation")}
    found["magnitude"] = mean([abs(r["correlation"]) for r in done if "correlation" in r])
    heard, seconds = [r for r in done if "edits" in r], sum(listed[r["sentence"]]["seconds"] for r in done)
    found["wer"] = 100*sum(r["edits"] for r in heard)/sum(listed[r["sentence"]]["words"] for r in heard) if heard else None
    for key in ("analysis", "draw"): found[key] = sum(r[f"{key}_seconds"] for r in done)/seconds if done else None
    return found | dict(n=len(done), of=len(records))


def remark(results, group, method, found):
    "What the last column says: why there is no row, or why some sentences or measures are missing from it."
    if method in results["absent"]: return f"not there: {results['absent'][method]}"
    listed = {s["name"] for s in results["sentences"] if s["group"] in (MAIN if group == ALL else (group,))}
    mine = [r for r in results["records"] if r["method"] == method and r["sentence"] in listed]
    if not mine: return "not measured"
    said = [f"{found['of'] - found['n']} of {found['of']} failed: {next(r['why'] for r in mine if r['status'] != 'ok')}"] if found["n"] < found["of"] else []
    said += dict.fromkeys(f"{name}: {why}" for r in mine for name, why in r.get("errors", {}).items())
    return "; ".join(said)


def row(results, group, method):
    "Cells of the table."
    found = summary(results, group, method)
    cells = ["-" if found[key] is None else format(found[key], form) for key, (*_, form) in COLUMNS.items()]
    return [group, method, str(found["n"]) if found["n"] else "-", *cells, remark(results, group, method, found)]


def table(results):
    "Lines of the whole table: a row for each group and method; the groups at 16 kHz together come first."
    there = {s["group"] for s in results["sentences"]}
    groups = [ALL]*bool(there & {*MAIN}) + [g for g in (*MAIN, "8 kHz", "48 kHz") if g in there]
    rows = [["sentences", "method", "n", *(heading + (f" {unit}" if unit in ("dB", "%") else "") for heading, unit, *_ in COLUMNS.values()), ""]]
    for group in groups: rows += [row(results, group, method) for method in METHODS]
    widths = [max(len(r[k]) for r in rows) for k in range(len(rows[0]) - 1)]
    return ["  ".join([*(cell.ljust(w) if k < 2 else cell.rjust(w) for k, (cell, w) in enumerate(zip(r, widths))), r[-1]]).rstrip() for r in rows]


def bars(results):
    "[{method, measure, measured, sense, needed, of, unit, verdict}] on all sentences at 16 kHz."
    found = {method: summary(results, ALL, method) for method in METHODS}
    lines = []
    for method, key, number, other in BARS:
        measured, beside = found[method][key], found[other][key] if other else 0.
        needed = None if beside is None else beside + number
        sense = "at most" if COLUMNS[key][2] == "low" else "at least"
        met = None if None in (measured, needed) else measured <= needed if sense == "at most" else measured >= needed
        lines.append(dict(method=method, measure=key, measured=measured, sense=sense, needed=needed, of=f"{other} {number:+g}" if other and number else other or "",
                          unit=COLUMNS[key][1], verdict={None: "not measured", True: "met", False: "NOT met"}[met]))
    return lines


def bar_lines(results):
    shown = lambda value, key: "-" if value is None else format(value, COLUMNS[key][3])
    return [f"bar  {b['method']}, {NAMES[b['measure']]}: measured {shown(b['measured'], b['measure'])}, needed {b['sense']} {shown(b['needed'], b['measure'])}"
            + (f" ({b['of']})" if b["of"] else "") + (f" {b['unit']}" if b["unit"] else "") + f": {b['verdict']}" for b in bars(results)]


OURS = {"segments": "segments", **{prior: f"voice, {prior}" for prior in METHODS[4:]}}  # how the README calls them


def markdown(results):
    "The README's table: all sentences at 16 kHz, a row for each method; and what is beside it."
    headings = ["", *((heading + (f" ({unit})" if unit in ("dB", "%") else "")).replace("|", "\\|") for heading, unit, *_ in COLUMNS.values())]
    table, said, counts = ["| " + " | ".join(headings) + " |", "|---|" + "--:|"*len(COLUMNS)], [], []
    for method in METHODS:
        found = summary(results, ALL, method)
        _, _, n, *cells, why = row(results, ALL, method)
        label = f"**{OURS[method]}**" if method in OURS else method
        table.append(f"| {label} | " + " | ".join(cells if found["n"] else ["not measured", *[""]*(len(cells) - 1)]) + " |")
        if found["n"]: counts.append(int(n))
        if found["of"] and why: said.append(f"{method}: {why}.")
    m, verdicts = results["machine"], [b["verdict"] for b in bars(results)]
    spread = " or ".join(map(str, sorted(set(counts)))) or "no"
    said += [f"Means over {spread} sentences, measured on {m['cores']} cores of {m['cpu']}, Python {m['python']}, NumPy {m['versions']['numpy']}, SciPy {m['versions']['scipy']}, {results['date']}.",
             f"Bars that the project sets itself: {verdicts.count('met')} met, {verdicts.count('NOT met')} not met, {verdicts.count('not measured')} not measured."]
    return "\n".join([*table, "", " ".join(said)])


def lines(results):
    "All that is printed."
    m = results["machine"]
    said = [*table(results), "",
            "n: sentences. LSD, MCD: distance to the original, in 80 mel bands and by 24 cepstra of 40 mel bands, over 25 ms frames every 5 ms at most 40 dB below the loudest. corr.: of two draws at lag 0, mean over the sentences; |corr.|: mean of its magnitude.",
            "analysis, draw: time per duration, in one thread. WER by pocketsphinx's default English model; no Whisper: no package in use ships its weights.",
            *(f"{name}: {note}" for name, note in results["notes"].items()), "",
            f"{m['cores']} cores of {m['cpu']}, Python {m['python']}, " + ", ".join(f"{k} {v}" for k, v in m["versions"].items() if v) + f", {results['date']}"]
    said += [f"{group}: no sentences: {why}" for group, why in results["missing"].items()]
    said += [f"{name} could not be installed: {found['error']}" for name, found in results["peers"].items() if "error" in found]
    return said + ["", *bar_lines(results)]


COLOURS = {"original": "#000000", "WORLD": "#0072B2", "Griffin-Lim": "#56B4E9", "segments": "#999999",  # Okabe and Ito's, apart for every eye
           "independent": "#E69F00", "rank-one": "#CC79A7", "mean": "#009E73", "demodulated": "#D55E00"}
MARKS = {"bundled": "D", "asterisk": "o", "flite": "^"}


def values(results, key, method):
    "[(group, value)] of the sentences at 16 kHz: the dots of a panel."
    listed = {s["name"]: s for s in results["sentences"] if s["group"] in MAIN}
    for r in results["records"]:
        if r["method"] != method or r["status"] != "ok" or r["sentence"] not in listed: continue
        s = listed[r["sentence"]]
        if key == "wer": value = 100*r["edits"]/s["words"] if "edits" in r else None
        elif key in ("analysis", "draw"): value = r[f"{key}_seconds"]/s["seconds"]
        else: value = r.get(key)
        if value is not None: yield s["group"], value


def panel(ax, results, key, methods):
    "A mark for each sentence, a line for the mean of each method, its number with a tick or a cross at the right, dashed lines for the bars."
    timed = key in ("analysis", "draw")
    for height, method in enumerate(methods):
        if timed and method == "original": continue  # nothing is done to it
        for k, (group, value) in enumerate(values(results, key, method)):
            ax.plot(value, height + .6*((k*.618) % 1 - .5), MARKS[group], ms=4.5, mew=0, alpha=.5, color=COLOURS[method])
        mean = summary(results, ALL, method)[key]
        if mean is None: continue
        ax.plot([mean]*2, [height - .4, height + .4], "-", lw=3, color=COLOURS[method])
        mine = [b for b in results["bars"] if b["measure"] == key and b["method"] == method and b["needed"] is not None]
        for b in mine: ax.plot([b["needed"]]*2, [height - .48, height + .48], "--", lw=1.3, color="0.1")
        verdict = "" if not mine else " ✓" if all(b["verdict"] == "met" for b in mine) else " ✗"
        ax.text(1.02, height, format(mean, COLUMNS[key][3]) + verdict, transform=ax.get_yaxis_transform(), fontsize=9, va="center", fontweight="bold" if mine else "normal")


def figure(results, path):
    "A panel for each measure: methods one below the other."
    import matplotlib.pyplot as plt
    from gp_speech.audio import replacing
    methods = [m for m in METHODS if any(r["method"] == m for r in results["records"])]
    fig, axes = plt.subplots(3, 3, figsize=(13, 2.4 + 1.2*len(methods)), sharey=True, layout="constrained")
    for ax, (key, (_, unit, better, _)) in zip(axes.flat, ((key, COLUMNS[key]) for key in COLUMNS if key != "magnitude")):  # its dots show it
        if key in ("analysis", "draw"): ax.set_xscale("log")
        panel(ax, results, key, methods)
        ax.set_title(NAMES[key] + (f" ({unit})" if unit in ("dB", "%") else ""), fontsize=10.5)
        ax.set_xlabel("better →" if better == "high" else "← better", fontsize=9, loc="right" if better == "high" else "left")
        ax.grid(axis="x", alpha=.3); ax.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set(yticks=range(len(methods)), yticklabels=methods, ylim=(len(methods) - .4, -.6))
    there = {s["group"] for s in results["sentences"]}
    handles = [plt.Line2D([], [], ls="", marker=MARKS[g], color="0.4", label=f"a sentence: {g}") for g in MAIN if g in there]
    handles += [plt.Line2D([], [], lw=3, color="0.4", label="mean, its value at the right"), plt.Line2D([], [], ls="--", lw=1.3, color="0.1", label="bar: ✓ met, ✗ not")]
    fig.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=9)
    with replacing(path) as temporary: fig.savefig(temporary, dpi=100)
    plt.close(fig)
