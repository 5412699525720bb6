"""What `gp_speech.audio` must hold beyond what its notebook shows: formats, bad input, atomic writing."""
import io, os, struct, warnings

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from gp_speech.audio import AudioError, Recording, audio_info, example_words, replacing


def tone(n=800, rate=16000, channels=1):
    t = np.arange(n) / rate
    return np.stack([0.4 * np.sin(2 * np.pi * 300 * (c + 1) * t) for c in range(channels)], axis=1)


# -- the type

def test_samples_are_copied_and_read_only():
    mine = np.zeros(4)
    recording = Recording(mine, 8000)
    mine[0] = 1
    assert recording.samples[0] == 0 and mine.flags.writeable
    with pytest.raises(ValueError, match="read-only"): recording.samples[0] = 1
    with pytest.raises(AttributeError): recording.rate = 1


def test_float32_becomes_float64():
    assert Recording(np.float32([0.1]), 8000).samples.dtype == np.float64


@pytest.mark.parametrize("samples, rate, match", [
    (np.zeros((3, 2)), 8000, r"shape \(3, 2\)"), (np.zeros(0), 8000, "0 samples"), (np.zeros(3, complex), 8000, "complex128"),
    (np.zeros(3, np.int16), 8000, "int16"), (np.array([0, np.inf]), 8000, "sample 1: inf"), (np.array([np.nan]), 8000, "sample 0: nan"),
    (np.zeros(3), 0, "0.0 Hz"), (np.zeros(3), -1, "-1.0 Hz"), (np.zeros(3), np.nan, "nan Hz"), (np.zeros(3), np.inf, "inf Hz")])
def test_what_cannot_be_sound_is_refused(samples, rate, match):
    with pytest.raises(AudioError, match=match): Recording(samples, rate)


def test_repr_is_short():
    assert repr(Recording.example()) == "Recording(64000 samples, 16000 Hz, 4 s)"
    assert repr(Recording.example("and").resample(11025)).startswith("Recording(2205 samples, 11025 Hz")


# -- formats

@pytest.mark.parametrize("extension, subtype, step", [
    ("wav", "PCM_U8", 2**-7), ("wav", "PCM_16", 2**-15), ("wav", "PCM_24", 2**-23), ("wav", "PCM_32", 2**-31), ("wav", "FLOAT", 2**-23),
    ("wav", "DOUBLE", 1e-15), ("flac", "PCM_S8", 2**-7), ("flac", "PCM_16", 2**-15), ("flac", "PCM_24", 2**-23), ("aiff", "PCM_16", 2**-15),
    ("ogg", "VORBIS", 0.05), ("au", "PCM_16", 2**-15)])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_reads(tmp_path, extension, subtype, step, channels):
    path, x = tmp_path / f"a.{extension}", tone(8000, channels=channels)
    soundfile.write(path, x, 16000, subtype=subtype)
    for channel in range(channels):
        recording = Recording.read(path, channel)
        assert recording.n == 8000 and recording.rate == 16000
        np.testing.assert_allclose(recording.samples, x[:, channel], atol=1.01 * step)
    np.testing.assert_allclose(Recording.read(path).samples, x.mean(axis=1), atol=1.01 * step)


@pytest.mark.parametrize("rate", [4000, 11025, 16000, 192000])
def test_rates(tmp_path, rate):
    Recording(tone(rate // 10, rate)[:, 0], rate).write(tmp_path / "a.wav")
    assert Recording.read(tmp_path / "a.wav").rate == rate
    at_16k = Recording.read(tmp_path / "a.wav", rate=16000)
    assert at_16k.rate == 16000 and abs(at_16k.duration - 0.1) < 2 / 16000
    middle = slice(400, 1200)
    np.testing.assert_allclose(at_16k.samples[middle], tone(1600)[middle, 0], atol=1e-3)


@settings(deadline=None, max_examples=40)
@given(values=arrays(np.int16, st.integers(1, 50)), extension=st.sampled_from([".wav", ".flac"]))
def test_16_bit_files_survive_bit_for_bit(tmp_path_factory, values, extension):
    path = tmp_path_factory.mktemp("bits") / f"a{extension}"
    soundfile.write(path, values, 16000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Recording.read(path).write(path)
    np.testing.assert_array_equal(soundfile.read(path, dtype="int16")[0], values)


@pytest.mark.parametrize("extension, subtype, dtype, bits", [
    (".wav", "PCM_U8", "int16", 8), (".flac", "PCM_S8", "int16", 8), (".wav", "PCM_24", "int32", 24), (".flac", "PCM_24", "int32", 24), (".wav", "PCM_32", "int32", 32)])
def test_other_integers_survive_bit_for_bit(tmp_path, extension, subtype, dtype, bits):
    path, values = tmp_path / f"a{extension}", np.random.default_rng(0).integers(-2**(bits - 1), 2**(bits - 1), 1000)
    Recording(values / 2.0**(bits - 1), 16000).write(path, subtype)
    np.testing.assert_array_equal(np.rint(Recording.read(path).samples * 2.0**(bits - 1)), values)
    assert soundfile.info(path).subtype == subtype


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_floating_point_holds_what_is_past_full_scale(tmp_path, subtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Recording([0.5, -2.5], 8000).write(tmp_path / "a.wav", subtype)
    np.testing.assert_array_equal(Recording.read(tmp_path / "a.wav").samples, [0.5, -2.5])


def test_past_full_scale_is_told_and_saturates(tmp_path):
    recording = Recording([0.5, 1.5, -2.5, 1.0, -1.0], 8000)
    with pytest.warns(UserWarning, match=r"a\.wav: 2 of 5 samples are past full scale \(peak 2\.5\)") as told: recording.write(tmp_path / "a.wav")
    assert told[0].filename == __file__
    np.testing.assert_array_equal(Recording.read(tmp_path / "a.wav").samples, [0.5, 1 - 2**-15, -1, 1 - 2**-15, -1])
    assert recording.samples[2] == -2.5


def test_full_scale_itself_needs_no_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Recording([1.0, -1.0], 8000).write(tmp_path / "a.wav")


# -- bad input

def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.wav"): Recording.read(tmp_path / "nowhere.wav")


def test_directory(tmp_path):
    with pytest.raises(IsADirectoryError, match="audio file is needed.*" + tmp_path.name): Recording.read(tmp_path)


def test_device():
    with pytest.raises(AudioError, match="/dev/null: a device"): Recording.read("/dev/null")


def test_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match="pipe"): Recording.read(tmp_path / "pipe.wav")


def test_unreadable(ordinary):
    folder, call = ordinary
    (folder / "a.wav").touch(mode=0)

    def read():
        with pytest.raises(PermissionError, match="a.wav"): Recording.read(folder / "a.wav")
    call(read)


@pytest.mark.parametrize("name, content, match", [
    ("empty.wav", b"", "0 bytes"), ("text.wav", b"Not a sound at all.\n" * 9, "not audio"), ("text.flac", b"no", "not audio"),
    ("text.txt", b"text", "not audio"), ("zeros.wav", bytes(4000), "not audio"), ("bare.raw", bytes(4000), "without a header"),
    ("riff.wav", b"RIFF", "not audio"), ("head.wav", b"RIFF\x00\x00\x00\x00WAVE", "not audio")])
def test_not_audio(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AudioError, match=f"{name}: .*{match}"): Recording.read(tmp_path / name)


@pytest.mark.parametrize("extension, kept", [("wav", 1000), ("wav", 45), ("wav", 44), ("aiff", 1000)])
def test_cut_short(tmp_path, extension, kept):
    path = tmp_path / f"a.{extension}"
    soundfile.write(path, tone(), 16000)
    head = path.stat().st_size - 1600
    path.write_bytes(path.read_bytes()[:kept])
    promised = 1600 if extension == "wav" else 1608  # AIFF counts 8 bytes of its own
    with pytest.raises(AudioError, match=f"a.{extension}: .* promises {promised} bytes of samples and {kept - head + promised - 1600} follow"): Recording.read(path)


def test_cut_short_behind_another_chunk(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), 16000)
    whole = (tmp_path / "a.wav").read_bytes()
    extra = b"LIST" + struct.pack("<I", 5) + b"INFOx\0"  # odd sizes are padded to even
    longer = whole[:36] + extra + whole[36:]
    (tmp_path / "a.wav").write_bytes(longer)
    assert Recording.read(tmp_path / "a.wav").n == 800
    (tmp_path / "a.wav").write_bytes(longer[:-600])
    with pytest.raises(AudioError, match="promises 1600 bytes of samples and 1000 follow"): Recording.read(tmp_path / "a.wav")


def test_flac_cut_short(tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal(50_000)
    soundfile.write(tmp_path / "a.flac", noise, 16000)
    (tmp_path / "a.flac").write_bytes((tmp_path / "a.flac").read_bytes()[:40_000])
    with pytest.raises(AudioError, match="a.flac: "): Recording.read(tmp_path / "a.flac")


@pytest.mark.parametrize("size", [0x7FFFF000, 2**31, 2**32 - 1])
def test_a_stream_that_does_not_know_its_size_is_whole(tmp_path, size):
    soundfile.write(tmp_path / "a.wav", tone(), 16000)
    whole = (tmp_path / "a.wav").read_bytes()
    unknown = struct.pack("<I", size)
    (tmp_path / "a.wav").write_bytes(whole[:4] + unknown + whole[8:40] + unknown + whole[44:])
    np.testing.assert_allclose(Recording.read(tmp_path / "a.wav").samples, tone()[:, 0], atol=2**-15)


def test_a_recorder_that_died_left_a_size_of_0(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), 16000)
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[:40] + bytes(4) + whole[44:])
    with pytest.raises(AudioError, match="a.wav: .* never finished: its header promises 0 bytes of samples and 1600 follow"): Recording.read(tmp_path / "a.wav")


@pytest.mark.parametrize("channels", [1, 2])
def test_no_samples(tmp_path, channels):
    soundfile.write(tmp_path / "a.wav", np.zeros((0, channels)), 16000)
    with pytest.raises(AudioError, match="a.wav: there are 0 samples"): Recording.read(tmp_path / "a.wav")


def test_one_sample(tmp_path):
    Recording([0.25], 16000).write(tmp_path / "a.wav")
    assert Recording.read(tmp_path / "a.wav").samples.tolist() == [0.25]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(tmp_path, bad):
    x = tone()
    x[7] = bad
    soundfile.write(tmp_path / "a.wav", x, 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match=f"a.wav: 1 of 800 samples are not finite, the first is sample 7: {bad}"): Recording.read(tmp_path / "a.wav")


@pytest.mark.parametrize("channel", [8, -1, 1.5, "left", None])
def test_no_such_channel(tmp_path, channel):
    soundfile.write(tmp_path / "a.wav", tone(channels=8), 16000)
    with pytest.raises(AudioError, match="a.wav: channel .* there are 8: a number from 0 to 7"): Recording.read(tmp_path / "a.wav", channel)


@pytest.mark.parametrize("extension", ["wav", "flac"])
def test_too_long_is_refused_by_its_header(tmp_path, extension, monkeypatch):
    path = tmp_path / f"a.{extension}"
    soundfile.write(path, np.zeros(60_001), 1000)
    monkeypatch.setattr(soundfile.SoundFile, "read", None)
    with pytest.raises(AudioError, match=f"a.{extension}: it lasts 60.001 s; at most 60 s are needed"): Recording.read(path, longest=60)


def test_a_stream_of_unknown_length_is_refused_once_it_is_too_long(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.zeros(600_000), 1000)
    stream = bytearray((tmp_path / "a.flac").read_bytes())
    assert stream[:4] == b"fLaC" and stream[4] & 127 == 0  # the first block describes the stream; 36 bits of it count the samples
    stream[21] &= 0xF0
    stream[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(stream)
    assert audio_info(tmp_path / "a.flac").frames > 2**62
    with pytest.raises(AudioError, match="a.flac: it lasts at least 262.144 s; at most 60 s are needed"): Recording.read(tmp_path / "a.flac", longest=60)


def test_just_as_long_as_allowed(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(60_000), 1000)
    assert Recording.read(tmp_path / "a.wav", longest=60).duration == 60


def test_info_without_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(channels=8), 16000)
    about = audio_info(tmp_path / "a.wav")
    assert (about.format, about.subtype, about.channels, about.samplerate, about.frames) == ("WAV", "PCM_16", 8, 16000, 800)
    (tmp_path / "text.wav").write_bytes(b"text")
    with pytest.raises(AudioError, match="text.wav: not audio"): audio_info(tmp_path / "text.wav")
    with pytest.raises(FileNotFoundError, match="nowhere"): audio_info(tmp_path / "nowhere.wav")


# -- parts and rates

@pytest.mark.parametrize("start, stop", [(-0.1, 1), (1, 1), (2, 1), (0, 4.01), (float("nan"), 1), (1e-6, 2e-6)])
def test_no_such_part(start, stop):
    with pytest.raises(AudioError): Recording.example().part(start, stop)


def test_parts_join_without_loss():
    sentence = Recording.example()
    np.testing.assert_array_equal(np.concatenate([sentence.part(0, 1.23).samples, sentence.part(1.23, 4).samples]), sentence.samples)


def test_every_word_of_the_sentence_is_there():
    assert " ".join(example_words) == "and you always want to see it in the superlative degree"
    assert all(Recording.example(word).samples.std() > 0.01 for word in example_words)
    with pytest.raises(AudioError, match="'ducks'"): Recording.example("ducks")


@settings(deadline=None, max_examples=30)
@given(n=st.integers(100, 3000), rate=st.sampled_from([4000, 8000, 11025, 44100, 48000, 192000]))
def test_resampling_keeps_the_duration(n, rate):
    recording = Recording(tone(n)[:, 0], 16000)
    assert abs(recording.resample(rate).n - n * rate / 16000) <= 1


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_no_such_rate(rate):
    with pytest.raises(AudioError, match="Hz"): Recording.example("and").resample(rate)


def test_same_rate_is_the_same_recording():
    sentence = Recording.example()
    assert sentence.resample(16000) is sentence


# -- writing

@pytest.mark.parametrize("name, subtype, match", [("a.mp3", "PCM_16", "'.mp3'"), ("a", "PCM_16", "''"), ("a.flac", "FLOAT", "FLAC cannot hold 'FLOAT'.*PCM_16")])
def test_only_what_can_be_written(tmp_path, name, subtype, match):
    with pytest.raises(AudioError, match=match): Recording([0.0], 8000).write(tmp_path / name, subtype)
    assert os.listdir(tmp_path) == []


def test_fractional_rate_cannot_be_written(tmp_path):
    with pytest.raises(AudioError, match="8000.5 Hz"): Recording([0.0], 8000.5).write(tmp_path / "a.wav")
    assert os.listdir(tmp_path) == []


def test_rate_beyond_the_format(tmp_path):
    with pytest.raises(AudioError, match="a.flac"): Recording([0.0], 10**7).write(tmp_path / "a.flac")
    assert os.listdir(tmp_path) == []


def test_a_directory_cannot_be_written_over(tmp_path):
    (tmp_path / "a.wav").mkdir()
    with pytest.raises(IsADirectoryError, match="a.wav"): Recording([0.0], 8000).write(tmp_path / "a.wav")
    assert os.listdir(tmp_path) == ["a.wav"]


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere/a.wav"): Recording([0.0], 8000).write(tmp_path / "nowhere" / "a.wav")


def test_no_right_to_write(ordinary):
    folder, call = ordinary
    (folder / "a.wav").touch(mode=0o444)
    (folder / "kept").mkdir(mode=0o555)

    def write():
        with pytest.raises(PermissionError, match="a.wav"): Recording([0.0], 8000).write(folder / "a.wav")
        with pytest.raises(PermissionError, match="b.wav"): Recording([0.0], 8000).write(folder / "kept" / "b.wav")
    call(write)
    assert (folder / "a.wav").stat().st_size == 0 and os.listdir(folder / "kept") == []


def test_a_device_is_never_replaced():
    with pytest.raises(OSError, match="device"):
        with replacing("/dev/null") as temporary: temporary.write_bytes(b"")
    assert not os.path.isfile("/dev/null")


def test_replacing_keeps_the_link_the_mode_and_the_rest(tmp_path):
    (tmp_path / "old.npz").write_bytes(b"old")
    (tmp_path / "old.npz").chmod(0o600)
    (tmp_path / "link.npz").symlink_to(tmp_path / "old.npz")
    with replacing(tmp_path / "link.npz") as temporary:
        assert temporary.suffix == ".npz" and temporary.parent == tmp_path.resolve()
        temporary.write_bytes(b"new")
        assert (tmp_path / "old.npz").read_bytes() == b"old"
    assert (tmp_path / "old.npz").read_bytes() == b"new" and (tmp_path / "link.npz").is_symlink()
    assert (tmp_path / "old.npz").stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["link.npz", "old.npz"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_replacing_nothing_on_failure(tmp_path, failure):
    with pytest.raises(failure):
        with replacing(tmp_path / "a.wav") as temporary:
            temporary.write_bytes(b"half")
            raise failure
    assert os.listdir(tmp_path) == []


# -- showing

def test_the_player_keeps_the_loudness():
    quiet = Recording(0.01 * np.ones(100), 8000)
    samples, rate = soundfile.read(io.BytesIO(quiet.player().data))
    assert rate == 8000 and np.abs(samples - 0.01).max() <= 2**-16


def test_the_plot_has_seconds():
    ax = Recording.example("and").plot()
    assert ax.get_xlabel() == "time (s)" and ax.lines[0].get_xdata()[-1] == pytest.approx(0.2, abs=1e-3)
