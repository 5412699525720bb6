"""The bundled sentence of four seconds, whole: how long each stage of fitting and drawing takes."""
from shared import Method

METHODS = (
    Method("fit and draw, first call in a fresh process", "first", (None,), note="imports not counted, the compilation of formulas counted"),
    Method("fit and draw", "whole", (None,)),
    Method("envelope", "envelope", (None,)),
    Method("segments", "finding", (None,)),
    Method("mixtures", "mixtures", (None,)),
    Method("one draw", "drawing", (None,)),
)


def whole():
    "`SpeechModel.fit` and one draw."
    import numpy as np
    from gp_speech import Recording, SpeechModel
    recording = Recording.example()

    def call():
        model = SpeechModel.fit(recording, progress=False)
        return model, model.sample(np.random.default_rng(0))
    return call, lambda result: dict(duration=recording.duration, segments=len(result[0].segmentation), components=int(result[0].components.sum()))


def first():
    "The same once."
    call, describe = whole()
    done = []

    def once():
        if not done: done.append(call())
        return done[0]
    return once, describe


def stages():
    "(recording, carrier, segmentation, model)."
    from gp_speech import Recording, SpeechModel
    recording = Recording.example()
    model = SpeechModel.fit(recording, progress=False)
    return recording, model.envelope.carrier(recording), model.segmentation, model


def envelope():
    from gp_speech.envelope import fit_envelope
    recording, *_ = stages()
    return lambda: fit_envelope(recording, lengthscale=.025, progress=False), lambda _: {}


def finding():
    from gp_speech.segments import find_segments
    _, carrier, *_ = stages()
    return lambda: find_segments(carrier), lambda _: {}


def mixtures():
    from gp_speech.synthesis import fit_segment
    _, carrier, segmentation, _ = stages()
    return lambda: [fit_segment(carrier.samples[piece], carrier.rate) for piece in segmentation], lambda _: {}


def drawing():
    import numpy as np
    *_, model = stages()
    return lambda: model.sample(np.random.default_rng(0)), lambda _: {}


def remark(r):
    "What the table says beside time and memory."
    return f"{r['duration']:g} s of speech, {r['segments']} segments, {r['components']} components" if "duration" in r else ""


def bars(found):
    "What this part must reach: [(name, measured, needed, unit)], measured at most needed; None where it was not measured."
    by = {r["method"]: r for r in found if r["status"] == "ok"}
    ratio = lambda name, key: by[name][key]/by[name]["duration"] if name in by else None
    return [("fit and draw of the sentence / its duration, first call", ratio("fit and draw, first call in a fresh process", "first_seconds"), 1., ""),
            ("fit and draw of the sentence / its duration, later calls", ratio("fit and draw", "seconds"), 1., "")]
