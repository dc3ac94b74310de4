import builtins
import os
import pickle
import pickletools
import struct

import numpy as np
import pytest

from sadgr.cache import CacheError, FeatureCache, RefusedValueError
from sadgr.cache.doors import import_file
from sadgr.cache.doors.mmsa_pickle import load_plain


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def hostile(marker) -> dict[str, bytes]:
    """Pickles that would make the file `marker` if they were believed."""
    touch = f"open({str(marker)!r}, 'w').close()"
    shell = f"touch {marker}"
    name = str(marker).encode()
    command = b"S'touch " + name + b"'\n"
    return {
        "os.system": pickle.dumps(Calls(os.system, shell)),
        "posix.system by GLOBAL": b"cposix\nsystem\n(" + command + b"tR.",
        "posix.system by INST": b"(" + command + b"iposix\nsystem\n.",
        "posix.system by OBJ": b"(cposix\nsystem\n" + command + b"o.",
        "subprocess by NEWOBJ": b"csubprocess\nPopen\n((lS'touch'\naS'" + name + b"'\natt\x81.",
        "builtins.eval": pickle.dumps(Calls(builtins.eval, f"__import__('os').system({shell!r})")),
        "builtins.exec": pickle.dumps(Calls(builtins.exec, touch)),
        "nested getattr": b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(S'os'\ntRS'system'\ntR(" + command + b"tR.",
        "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.",
        "dotted name through numpy": b"\x80\x04\x8c\x05numpy\x8c\x0ef2py.os.system\x93" + b"(" + command + b"tR.",
        "numpy runstring": b"cnumpy.testing._private.utils\nrunstring\n(S" + repr(touch).encode() + b"\n}tR.",
        "numpy load": b"cnumpy\nload\n(S'" + name + b"'\ntR.",
        "numpy fromfile": b"cnumpy\nfromfile\n(S'" + name + b"'\ntR.",
        "numpy memmap": pickle.dumps(Calls(np.memmap, str(marker), "uint8", "w+", 0, (1,))),
        "inside an object array": pickle.dumps({"train": {"id": np.array([Calls(os.system, shell)], dtype=object)}}),
        "inside MMSA's own keys": pickle.dumps({"train": {"id": ["a"], "audio": Calls(os.system, shell)}}),
        "codecs": b"c_codecs\ndecode\n(S'a'\nS'rot13'\ntR.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent id": b"Pos\n.",
    }


NAMES = list(hostile("x"))


@pytest.mark.parametrize("name", NAMES)
def test_hostile_pickles_run_nothing(tmp_path, name) -> None:
    marker, path = tmp_path / "marker", tmp_path / "evil.pkl"
    path.write_bytes(hostile(marker)[name])
    with pytest.raises(CacheError):
        load_plain(path)
    with pytest.raises(CacheError):
        import_file(FeatureCache.create(tmp_path / "cache"), "demo", path, "mmsa")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["os.system", "posix.system by GLOBAL", "builtins.exec", "nested getattr"])
def test_they_would_have_run(tmp_path, name) -> None:
    """The proof above counts only if these do harm to one who believes them."""
    marker = tmp_path / "marker"
    pickle.loads(hostile(marker)[name])  # noqa: S301 - harmless: it makes one empty file
    assert marker.exists()


@pytest.mark.parametrize("name, said", [
    ("os.system", "posix.system"), ("builtins.eval", "builtins.eval"), ("numpy load", "numpy.load"),
    ("numpy runstring", "numpy.testing._private.utils.runstring"),
])  # fmt: skip
def test_the_error_names_what_was_refused(tmp_path, name, said) -> None:
    (tmp_path / "evil.pkl").write_bytes(hostile(tmp_path / "marker")[name])
    with pytest.raises(RefusedValueError, match=said):
        load_plain(tmp_path / "evil.pkl")


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("value", [
    np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(6, dtype=">f8").reshape(2, 3).T,
    np.array(["a", "bcd"]), np.array([b"x"]), np.array(["ü", 1, 2.5, b"z"], dtype=object), np.zeros((0, 4)),
    np.array([True, False]), np.array([[1, 2]], dtype=np.int64), np.array(3, np.int8),
])  # fmt: skip
def test_arrays_come_back(tmp_path, value, protocol) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"train": {"a": value, "one": np.float32(0.5)}}, protocol=protocol))
    found = load_plain(path)["train"]
    np.testing.assert_array_equal(found["a"], value)
    assert found["a"].shape == value.shape and found["a"].dtype.kind == value.dtype.kind and found["one"] == 0.5


def test_numpy_1_names_are_known(tmp_path) -> None:
    raw = pickle.dumps({"a": np.arange(3.0)}, protocol=2)
    (tmp_path / "old.pkl").write_bytes(raw.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert load_plain(tmp_path / "old.pkl")["a"].tolist() == [0, 1, 2]
    assert any(argument and "_core" in str(argument) for _, argument, _ in pickletools.genops(raw))


def setstate(shape: bytes, dtype: bytes, body: bytes) -> bytes:
    """An array by hand: (1, shape, dtype, False, body)."""
    made = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    return b"\x80\x02" + made + b"(I1\n" + shape + dtype + b"\x89" + body + b"tb."


F4 = b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"


@pytest.mark.parametrize("raw", [
    setstate(b"(I99\nt", F4, b"U\x04abcd"),
    setstate(b"(I-1\nt", F4, b"U\x04abcd"),
    setstate(b"(I1\nt", b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR", b"U\x04abcd"),
    setstate(b"(I1\nt", b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR", b"(lcnumpy\nndarray\na"),
    setstate(b"(I1\nt", b"S'f4'\n", b"U\x04abcd"),
    b"cnumpy\nndarray\n(I5\ntR.",
    b"cnumpy\nndarray\n(N}S'__call__'\nS'x'\nstb.",
    b"cnumpy._core.multiarray\n_reconstruct\n(N}S'__call__'\nS'x'\nstb.",
    b"\x80\x02cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(N}S'text'\nS'O'\nstb.",
    b"", b"no pickle", b"\x80\x05.", b"\x8e" + struct.pack("<Q", 1 << 62), b"]" * 10 + b".",
])  # fmt: skip
def test_crafted_arrays_are_refused(tmp_path, raw) -> None:
    (tmp_path / "x.pkl").write_bytes(raw)
    with pytest.raises(CacheError):
        import_file(FeatureCache.create(tmp_path / "cache"), "demo", tmp_path / "x.pkl", "mmsa")
    (tmp_path / "good.pkl").write_bytes(pickle.dumps(np.arange(2.0)))
    assert load_plain(tmp_path / "good.pkl").tolist() == [0, 1]


def test_a_list_within_itself_does_not_hang(tmp_path) -> None:
    loop: list = []
    loop.append(loop)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"train": loop}))
    with pytest.raises(CacheError):
        load_plain(tmp_path / "x.pkl")
