"""Files of weights: whole or not at all, checked, and read by other tools."""

import os
import stat

import numpy as np
import pytest
import safetensors.numpy

import graphnn as gn


def model(scale=1.0):
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    W = gn.Parameter("W", scale * np.arange(6.0).reshape(2, 3))
    scores = gn.Affine(x, W, gn.Parameter("b", scale * np.ones(3)))
    return gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))


def test_what_was_saved_comes_back(tmp_path):
    path = tmp_path / "w.safetensors"
    one, other = model(), model(scale=0.0)
    gn.save(path, one)
    gn.load(path, other)
    for name, parameter in one.parameters.items():
        np.testing.assert_array_equal(other.parameters[name].value, parameter.value)


def test_an_executable_is_saved_with_its_optimiser(tmp_path):
    path = tmp_path / "f.safetensors"
    m = model()
    step = gn.compile(m.loss, gn.SGD(lr=0.5).updates(m.loss))
    gn.save(path, step)
    step.set("lr", 0.1)
    gn.load(path, step)
    assert step.state["lr"] == np.float32(0.5)


def test_half_precision_takes_half_the_space_of_single(tmp_path):
    m = {"w": np.random.default_rng(0).normal(size=(100, 100)).astype(np.float32)}
    gn.save(tmp_path / "single", m)
    gn.save(tmp_path / "half", m, dtype="float16")
    sizes = [os.path.getsize(tmp_path / name) for name in ("single", "half")]
    assert sizes[0] - sizes[1] == pytest.approx(20_000, abs=100)
    back = {"w": np.zeros((100, 100), np.float32)}
    gn.load(tmp_path / "half", back)
    np.testing.assert_allclose(back["w"], m["w"], rtol=1e-3, atol=1e-6)
    with pytest.raises(gn.CheckpointError, match="too large for float16"):
        gn.save(tmp_path / "no", {"w": np.array([1e6])}, dtype="float16")


def test_other_tools_read_the_file_and_strided_arrays_are_whole(tmp_path):
    strided = np.arange(12.0).reshape(3, 4).T[::2]
    gn.save(tmp_path / "w", {"w": strided})
    np.testing.assert_array_equal(safetensors.numpy.load_file(tmp_path / "w")["w"], strided)


def test_a_file_of_another_tool_is_read_without_a_checksum(tmp_path):
    safetensors.numpy.save_file({"w": np.ones(3)}, tmp_path / "w")
    mine = {"w": np.zeros(3)}
    gn.load(tmp_path / "w", mine)
    np.testing.assert_array_equal(mine["w"], 1)


def test_every_flipped_byte_is_found(tmp_path):
    path = tmp_path / "w"
    gn.save(path, {"w": np.arange(3.0), "b": np.arange(2)})
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        mine = {"w": np.full(3, 7.0), "b": np.full(2, 7)}
        with pytest.raises(gn.CheckpointError):
            gn.load(path, mine)
        assert (mine["w"] == 7).all() and (mine["b"] == 7).all()


@pytest.mark.parametrize("length", [0, 3, 8, 40, 100])
def test_a_truncated_file_is_refused(tmp_path, length):
    path = tmp_path / "w"
    gn.save(path, {"w": np.arange(30.0)})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(gn.CheckpointError):
        gn.load(path, {"w": np.zeros(30)})


def test_every_misfit_is_listed_and_nothing_changes(tmp_path):
    path = tmp_path / "w"
    gn.save(path, {"a": np.ones(2), "b": np.ones(3), "c": np.ones(1)})
    mine = {"a": np.zeros(2), "b": np.zeros(4), "d": np.zeros(1)}
    with pytest.raises(gn.CheckpointError, match=r"missing d; unexpected c; 'b' is \(3,\) in the file, \(4,\) here"):
        gn.load(path, mine)
    assert not mine["a"].any()


def test_a_failed_save_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "w"
    gn.save(path, {"w": np.ones(3)})
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(gn.CheckpointError, match=r"cannot write .*, \d+ bytes: No space left"):
        gn.save(path, {"w": np.zeros(3)})
    assert [p.name for p in tmp_path.iterdir()] == ["w"]
    mine = {"w": np.zeros(3)}
    gn.load(path, mine)
    assert mine["w"].all()


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_the_mode_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        gn.save(tmp_path / "w", {"w": np.ones(1)})
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "w").st_mode) == 0o640


@pytest.mark.parametrize(
    ("thing", "says"),
    [(3, "int holds no arrays"), ({"w": [1.0]}, "list is not an array"), ({"w": np.array(["a"])}, "dtype <U1")],
)
def test_what_cannot_be_saved_is_refused(tmp_path, thing, says):
    with pytest.raises(gn.CheckpointError, match=says):
        gn.save(tmp_path / "w", thing)
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(gn.CheckpointError, match=r"cannot read .*nothing"):
        gn.load(tmp_path / "nothing", {"w": np.ones(1)})
