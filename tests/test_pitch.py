"Edge cases and properties of pitch and voicing beyond what notebook 10 shows."
import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import gp_speech.pitch as pitch
from gp_speech.audio import Recording
from gp_speech.pitch import Costs, Pitch, best_path, chain_costs, cost_matrix, fit_pitch, harmonic_combs, posterior, refine, vertex

seeds = st.integers(0, 2**32 - 1)


def generator(seed=0): return np.random.default_rng(seed)


def voice(f0, rate, duration=.6, noise=.01, lowest=1, rng=None):
    "Harmonics of equal falling power at a pitch (a number, or one for each sample), from the `lowest` one up."
    t = np.arange(round(duration*rate))/rate
    f = np.broadcast_to(f0, t.shape)
    phase = 2*np.pi*np.cumsum(f)/rate
    x = sum(np.cos(k*phase + k**2)*(k*f < .45*rate)/k for k in range(lowest, int(.45*rate/f.min()) + 1))
    return x/x.std() + noise*(rng or generator()).standard_normal(len(t))


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seed=seeds, frames=st.integers(1, 4), K=st.integers(1, 4), contrast=st.floats(0, 10))
def test_path_and_posterior_against_all_paths(seed, frames, K, contrast):
    rng = generator(seed)
    ratio, costs = contrast*rng.standard_normal((frames, K)), Costs(*rng.exponential(size=5))
    step, first = cost_matrix(costs, K), np.append(np.full(K, np.log(2*K)), np.log(2))
    paths = np.array(list(itertools.product(range(K + 1), repeat=frames)))
    score = np.hstack([ratio, np.zeros((frames, 1))])
    values = score[np.arange(frames), paths].sum(1) - first[paths[:, 0]] - step[paths[:, :-1], paths[:, 1:]].sum(1)
    mine = values[(paths == best_path(ratio, costs)).all(1)][0]
    assert mine > values.max() - 1e-9
    weights = np.exp(values - values.max())
    expected = [[weights[paths[:, t] == i].sum() for i in range(K + 1)] for t in range(frames)]/weights.sum()
    assert np.allclose(posterior(ratio, costs), expected, atol=1e-10)


@settings(deadline=None, max_examples=20, derandomize=True)
@given(seed=seeds, frames=st.integers(2, 60), K=st.integers(3, 147))
def test_path_against_the_dense_recursion(seed, frames, K):
    ratio, costs = 4*generator(seed).standard_normal((frames, K)) - 2, chain_costs(K, .005)
    step, score = cost_matrix(costs, K), np.hstack([-ratio, np.zeros((frames, 1))])
    least = score[0] + np.append(np.full(K, np.log(2*K)), np.log(2))
    for t in range(1, frames): least = (least[:, None] + step).min(axis=0) + score[t]
    path = best_path(ratio, costs)
    price = score[np.arange(frames), path].sum() + step[path[:-1], path[1:]].sum() + np.where(path[0] < K, np.log(2*K), np.log(2))
    assert price < least.min() + 1e-8


def test_the_chain_loses_nothing_but_what_leaves_the_grid():
    total = np.exp(-cost_matrix(chain_costs(147, .005), 147)).sum(axis=1)
    assert np.allclose(total[[70, 147]], 1, atol=1e-12) and (total <= 1 + 1e-12).all() and total.min() > .5


@settings(deadline=None, max_examples=20, derandomize=True)
@given(f0=st.floats(60, 500), spread=st.floats(.003, .03), breath=st.floats(0, 1))
def test_combs_are_positive_with_mean_one(f0, spread, breath):
    comb = harmonic_combs([f0], 361, 8000., 1024, spread, breath)[0]
    w = np.arange(513)*8000/1024
    assert comb.min() >= 0 and comb.shape == (513,)
    inner = (w > f0/2) & (w < (int(3500/f0) - .5)*f0)
    assert abs(comb[inner].mean() - 1) < .05


def test_vertex_of_a_parabola_and_of_what_is_none():
    i = np.arange(9.)
    assert np.allclose(vertex(-(i[None] - np.array([[3.3], [5.8]]))**2, np.array([3, 6])), [3.3, 5.8])
    assert vertex((i[None] - 4)**2, np.array([4])) == 4          # opens upwards
    assert vertex(i[None], np.array([8])) == 8 and vertex(-i[None], np.array([0])) == 0  # on the edge


def test_refinement_leaves_the_guess_where_there_is_nothing():
    comb = pitch.prepare_combs(60., 500., 8000.)
    assert refine(np.zeros(800), np.array([0, 400]), comb, np.array([100., 200.])).tolist() == [100., 200.]


@pytest.mark.parametrize("rate", [8000., 11025., 16000., 22050., 44100., 48000., 12345.6])
@pytest.mark.parametrize("f0", [65., 100., 250., 450.])
def test_any_voice_at_any_rate(f0, rate):
    found = fit_pitch(voice(f0, rate), rate)
    inside = slice(8, -8)
    assert found.voiced[inside].all()
    assert np.abs(found.f0[inside]/f0 - 1).max() < .003


@pytest.mark.parametrize("f0", [80., 120., 180.])
def test_a_fundamental_that_is_missing(f0):
    found = fit_pitch(voice(f0, 8000., lowest=int(300/f0) + 1), 8000.)  # as a telephone does
    assert found.voiced[8:-8].mean() > .95 and np.abs(found.f0[8:-8]/f0 - 1).max() < .005


def test_an_octave_jump_is_followed():
    f = np.where(np.arange(12800) < 6400, 110., 220.)
    found = fit_pitch(voice(f, 16000., .8), 16000.)
    before, after = (found.times > .05) & (found.times < .37), (found.times > .43) & (found.times < .75)
    assert np.allclose(found.f0[before], 110, rtol=.01) and np.allclose(found.f0[after], 220, rtol=.01)
    assert found.voiced[before | after].all()


def test_silence_between_voices_is_unvoiced_and_bridged_in_log():
    x = np.concatenate([voice(100., 8000.), np.zeros(4800), voice(400., 8000.)])
    found = fit_pitch(x, 8000.)
    silent = (found.times > .65) & (found.times < 1.15)
    assert not found.voiced[silent].any() and found.voicing[silent].max() < .05
    middle = np.argmin(np.abs(found.times - .9))
    assert abs(found.f0[middle]/200 - 1) < .02
    assert np.all(np.diff(np.log(found.f0[silent])) > 0) and np.ptp(np.diff(np.log(found.f0[silent]))) < 1e-9


@pytest.mark.parametrize("hum", [20., 40., 50.])
def test_hum_is_not_a_voice_and_hides_none(hum):
    t = np.arange(32000)/16000
    x = .5*np.sin(2*np.pi*hum*t)
    assert not fit_pitch(x, 16000.).voiced.any()
    assert not fit_pitch(x + .01*generator().standard_normal(len(x)), 16000.).voiced.any()
    x[8000:17600] += voice(120., 16000.)
    found = fit_pitch(x, 16000.)
    inside, outside = (found.times > .53) & (found.times < 1.07), (found.times < .47) | (found.times > 1.13)
    assert found.voiced[inside].all() and not found.voiced[outside].any()
    assert np.abs(found.f0[inside]/120 - 1).max() < .005


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("colour", ["white", "brown", "hiss"])
def test_noise_is_unvoiced(seed, colour):
    x = generator(seed).standard_normal(48000)
    x = dict(white=x, brown=np.cumsum(x), hiss=np.diff(x))[colour]
    assert fit_pitch(x, 16000.).voiced.mean() < .01


def test_a_step_a_click_and_an_offset_are_unvoiced():
    step, click = np.repeat([0., .5], 8000), np.zeros(16000)
    click[7777] = 1.
    for x in step, click, np.full(16000, -.3), np.full(16000, 1e-300):
        found = fit_pitch(x, 16000.)
        assert not found.voiced.any() and np.ptp(found.f0) == 0 and np.isclose(found.f0[0], np.sqrt(60*500))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seed=seeds, n=st.integers(1, 500), rate=st.sampled_from([4000., 8000., 16000., 48000.]), kind=st.sampled_from(["noise", "tone", "zeros", "one", "ramp"]))
def test_very_short_sounds_have_a_pitch(seed, n, rate, kind):
    x = dict(noise=generator(seed).standard_normal(n), tone=np.sin(np.arange(n)), zeros=np.zeros(n), one=np.eye(1, n)[0], ramp=np.arange(n)/n)[kind]
    found = fit_pitch(x, rate)
    assert len(found.times) == int(n/rate/.005 + 1e-6) + 1 and found.times[-1] <= n/rate + 1e-8
    assert np.isfinite(found.f0).all() and 50 < found.f0.min() and found.f0.max() < 530


@settings(deadline=None, max_examples=25, derandomize=True)
@given(n=st.integers(800, 9000), rate=st.sampled_from([8000., 11025., 16000., 44100.]), step=st.sampled_from([.001, .005, .0101, .05]))
def test_frames_are_where_they_were_promised(n, rate, step):
    found = fit_pitch(generator().standard_normal(n), rate, step=step)
    assert np.allclose(found.times, np.arange(len(found.times))*step, atol=1e-12)
    assert found.times[-1] <= n/rate + 1e-6*step and found.times[-1] + step > n/rate


def test_loudness_polarity_and_offset_change_nothing():
    x = np.concatenate([voice(140., 16000.), .5*generator().standard_normal(8000)])
    same = fit_pitch(x, 16000.)
    before = x.copy()
    assert np.array_equal(fit_pitch(x, 16000.).f0, same.f0) and np.array_equal(before, x)
    assert np.array_equal(fit_pitch(Recording(x, 16000.)).voicing, same.voicing)
    for other in -x, 1e-100*x, 1e100*x, x + .3:
        found = fit_pitch(other, 16000.)
        assert np.allclose(found.f0, same.f0, rtol=1e-6) and np.allclose(found.voicing, same.voicing, atol=1e-5)


def test_parts_make_no_difference(monkeypatch):
    x = np.concatenate([voice(140., 8000.), .5*generator().standard_normal(4000)])
    whole = fit_pitch(x, 8000.)
    monkeypatch.setattr(pitch, "in_parts", lambda values: [values[i:i + 7] for i in range(0, len(values), 7)])
    parts = fit_pitch(x, 8000.)
    assert np.allclose(parts.f0, whole.f0, rtol=1e-10) and np.allclose(parts.voicing, whole.voicing, atol=1e-8)


@pytest.mark.parametrize("low, high, f0, rate", [(30., 400., 35., 16000.), (100., 1000., 900., 44100.), (60., 250., 200., 2000.), (60., 500., 300., 4000.), (90., 110., 100., 8000.)])
def test_other_ranges(low, high, f0, rate):
    found = fit_pitch(voice(f0, rate), rate, low=low, high=high, step=.01)
    assert found.voiced[6:-6].all() and np.abs(found.f0[6:-6]/f0 - 1).max() < .005


@pytest.mark.parametrize("x, rate, options, words", [
    (np.zeros(0), 8000., {}, "0 samples"),
    (np.array([0., np.inf, np.nan]), 8000., {}, "2 of 3 samples are not finite"),
    (np.zeros(9), None, {}, "need their rate"),
    (np.zeros((9, 2)), 8000., {}, "one dimension"),
    (np.zeros(9), 8000., dict(low=10.), "got 10 and 500"),
    (np.zeros(9), 8000., dict(low=470.), "got 470 and 500"),
    (np.zeros(9), 8000., dict(high=1001.), "<= 1000 Hz"),
    (np.zeros(9), 3000., {}, "<= 375 Hz"),
    (np.zeros(9), 8000., dict(low=np.nan), "got nan"),
    (np.zeros(9), 8000., dict(step=0.), "step: 0.0005 to 0.05 s are needed, got 0")])
def test_what_is_refused(x, rate, options, words):
    with pytest.raises(ValueError, match=words): fit_pitch(x, rate, **options)


@pytest.mark.parametrize("times, f0, voicing, words", [
    ([], [], [], "times: finite numbers"), ([0., np.nan], [1., 1.], [0., 0.], "times: finite"), ([0., 0.], [1., 1.], [0., 0.], "increasing"),
    ([0.], [0.], [0.], "f0: positive"), ([0.], [1.], [1.5], "voicing: probabilities"), ([0.], [1., 2.], [0.], "got 1, 2 and 1"), ([[0.]], [1.], [0.], r"got shape \(1, 1\)")])
def test_a_pitch_that_cannot_be(times, f0, voicing, words):
    with pytest.raises(ValueError, match=words): Pitch(times, f0, voicing)


def test_a_pitch_is_a_value_of_its_own():
    f0 = np.array([100., 200.])
    made = Pitch(np.array([0., .005]), f0, np.array([.9, .1]))
    f0[0] = 7
    assert made.f0[0] == 100
    with pytest.raises(ValueError, match="read-only"): made.f0[0] = 1
    assert made.voiced.tolist() == [True, False]


def test_plots_of_long_short_and_unvoiced():
    import matplotlib.pyplot as plt
    for recording in Recording.example("see"), Recording(np.zeros(500), 8000.), Recording(np.ones(1)*.5, 8000.):
        found = fit_pitch(recording)
        axes = [found.plot()] + ([found.plot(recording)] if recording.n > 1 else [])
        for ax in axes:
            assert ax.get_xlabel() == "time (s)" and ax.get_ylabel() == "frequency (Hz)"
            ax.figure.canvas.draw()
            plt.close(ax.figure)
