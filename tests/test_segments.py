"Edge cases and properties of segmentations beyond what notebook 08 shows."
import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gp_speech.audio import Recording
from gp_speech.segments import Segmentation, band_powers, cheapest_cuts, find_segments

rate = 8000.
seeds = st.integers(0, 2**32 - 1)


def generator(seed=0): return np.random.default_rng(seed)


def price(powers, counts, penalty, cuts):
    return sum(penalty + (j - i)*np.sum(counts*np.log(powers[i:j].mean(0))) for i, j in zip(cuts, cuts[1:]))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seed=seeds, frames=st.integers(1, 11), bands=st.integers(1, 3), penalty=st.floats(0, 5), shortest=st.integers(1, 4), contrast=st.floats(0, 3))
def test_cheapest_cuts_against_all_cuttings(seed, frames, bands, penalty, shortest, contrast):
    rng = generator(seed)
    powers = rng.exponential(size=(frames, bands))*np.exp(contrast*rng.normal(size=(frames, 1)))
    counts = rng.uniform(.5, 4, bands)
    before = powers.copy()
    cuts = cheapest_cuts(powers, counts, penalty, shortest)
    assert np.array_equal(powers, before) and cuts[0] == 0 and cuts[-1] == frames
    if frames < shortest: assert len(cuts) == 2; return
    all_cuttings = [(0, *inner, frames) for k in range(frames) for inner in itertools.combinations(range(1, frames), k)]
    allowed = [c for c in all_cuttings if min(np.diff(c)) >= shortest]
    assert np.diff(cuts).min() >= shortest
    assert price(powers, counts, penalty, cuts) <= min(price(powers, counts, penalty, c) for c in allowed) + 1e-9


@settings(deadline=None, max_examples=30, derandomize=True)
@given(seed=seeds, frames=st.integers(1, 60))
def test_a_higher_price_never_gives_more_segments(seed, frames):
    rng = generator(seed)
    powers = rng.exponential(size=(frames, 3))*np.exp(np.cumsum(rng.normal(size=(frames, 1)), axis=0))
    numbers = [len(cheapest_cuts(powers, np.ones(3), penalty)) - 1 for penalty in (0, 1, 3, 10, 1e6)]
    assert np.all(np.diff(numbers) <= 0) and numbers[-1] == 1


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seed=seeds, step=st.integers(8, 200), bands=st.integers(1, 40), frames=st.integers(1, 8), rest=st.integers(0, 199), hz=st.sampled_from([4000., 16000., 192000.]))
def test_band_powers(seed, step, bands, frames, rest, hz):
    x = 2*generator(seed).normal(size=frames*step + rest % step)
    powers, counts = band_powers(x, hz, step, bands)
    assert powers.shape == (frames, len(counts)) and 1 <= len(counts) <= bands
    assert np.all(powers > 0) and np.all(counts > 0) and np.isclose(counts.sum(), step/3)
    assert np.array_equal(powers, band_powers(x[:frames*step], hz, step, bands)[0])
    assert np.allclose(band_powers(3*x, hz, step, bands)[0], 9*powers)


def test_band_powers_of_white_noise():
    powers, counts = band_powers(2*generator().normal(size=800_000), rate, 80, 6)
    error = powers.std(0)/np.sqrt(len(powers))
    assert np.all(np.abs(powers.mean(0) - 4/rate) < 4.5*error)


def odd_sounds(n, seed=0):
    t = np.arange(n)
    return {"silent": np.zeros(n), "constant": np.ones(n), "ramp": t/n - .5, "impulse": np.eye(1, n, n//2)[0], "first": np.eye(1, n, 0)[0],
            "last": np.eye(1, n, n - 1)[0], "alternating": (-1.)**t, "tone": np.sin(2*np.pi*t/7.3), "bin": np.cos(2*np.pi*t/8),
            "square": np.sign(np.sin(2*np.pi*(t + .5)/20)), "step": (t >= n//2)*1., "noise": generator(seed).normal(size=n),
            "half": np.where(t < n//2, 0, generator(seed).normal(size=n))}


@pytest.mark.parametrize("kind", list(odd_sounds(4)))
@pytest.mark.parametrize("scale", [1., 1e-150, 1e150])
def test_odd_sounds(kind, scale):
    for n in (1, 2, 3, 7, 8, 15, 16, 17, 40, 159, 160, 161, 1000, 4001):
        x = scale*odd_sounds(n)[kind]
        x.flags.writeable = False
        with np.errstate(divide="raise", invalid="raise", over="raise"): found = find_segments(x, rate)
        assert found.boundaries[0] == 0 and found.boundaries[-1] == n and found.rate == rate
        if kind in ("silent", "alternating", "bin") and n > 160: assert len(found) == 1, f"{n} samples: {found}"


@settings(deadline=None, max_examples=25, derandomize=True)
@given(seed=seeds, n=st.integers(1, 6000), hz=st.sampled_from([4000., 8000., 48000., 192000.]), factor=st.sampled_from([1e-150, 1e-6, 3., 1e150]))
def test_scale_and_sign_do_not_matter(seed, n, hz, factor):
    rng = generator(seed)
    x = rng.normal(size=n)*np.exp(np.cumsum(rng.normal(size=n))*.02)
    found = find_segments(x, hz)
    assert np.array_equal(find_segments(-factor*x, hz).boundaries, found.boundaries)
    assert found.boundaries[-1] == n and np.diff(found.boundaries).min() >= min(n, .03*hz - hz*.005)


def test_stationary_noise_is_one_segment_and_a_change_is_found():
    ones = [len(find_segments(generator(i).normal(size=8000), rate)) for i in range(20)]
    assert np.mean(ones) < 1.2
    for i in range(5):
        x = generator(i).normal(size=8000)
        x[4000:] = np.convolve(x, np.ones(6)/6**.5, "same")[4000:]
        found = find_segments(x, rate).boundaries
        assert len(found) == 3 and abs(found[1] - 4000) <= 160


def test_digital_silence_is_a_segment_of_its_own():
    x = generator().normal(size=8000)
    x[2400:4800] = 0
    found = find_segments(x, rate)
    assert np.allclose(found.boundaries, [0, 2400, 4800, 8000], atol=80)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(bad):
    x = np.ones(1000)
    x[[3, 5]] = bad
    with pytest.raises(ValueError, match="2 of 1000 samples are not finite"): find_segments(x, rate)


@pytest.mark.parametrize("boundaries", [[0], [], [1, 5], [0, 5, 5], [0, 5, 4], [0, 2.5, 4], [[0, 5]], 0, [0, np.nan, 5], [0, np.inf], [-1, 5]])
def test_boundaries_that_cannot_be(boundaries):
    with pytest.raises(ValueError, match="boundaries: whole numbers"): Segmentation(boundaries, rate)


@pytest.mark.parametrize("hz", [0., -1., np.nan, np.inf])
def test_rate_that_cannot_be(hz):
    with pytest.raises(ValueError, match="rate"): Segmentation([0, 5], hz)


def test_a_segmentation_does_not_share_its_boundaries():
    given = np.array([0, 3, 9])
    segmentation = Segmentation(given, rate)
    given[1] = 5
    assert segmentation.boundaries.tolist() == [0, 3, 9] and segmentation.boundaries.dtype == np.int64
    with pytest.raises(ValueError, match="read-only"): segmentation.boundaries[0] = 1
    assert Segmentation(np.array([0., 3., 9.]), rate).boundaries.dtype == np.int64
    assert len(segmentation) == 2 and [(s.start, s.stop) for s in segmentation] == [(0, 3), (3, 9)]
    assert np.allclose(segmentation.times, [0, 3/rate, 9/rate]) and "2 segments" in repr(segmentation)


def test_by_fractions():
    x = Recording(np.zeros(1000), rate)
    assert Segmentation.by_fractions(x).boundaries.tolist() == [0, 250, 500, 825, 1000]
    assert Segmentation.by_fractions(np.zeros(10), (), rate).boundaries.tolist() == [0, 10]
    for fractions in ((.5, .25), (0.,), (1.,), (1.5,), (.5, .5), (-.1,)):
        with pytest.raises(ValueError, match="boundaries"): Segmentation.by_fractions(x, fractions)
    with pytest.raises(ValueError, match="boundaries"): Segmentation.by_fractions(np.zeros(3), rate=rate)


def test_picture():
    import matplotlib.pyplot as plt
    ax = Segmentation([0, 400, 1000], rate).plot(Recording(.1*generator().normal(size=1000), rate))
    assert [line.get_xdata()[0] for line in ax.lines] == [400/rate]
    plt.close(ax.figure)
