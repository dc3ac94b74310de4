import h5py
import numpy as np
import pytest

from sadgr.cache import ClipRecord, FeatureSet, FeatureWriter, RefusedValueError, ShardInvalidError, source_digest
from sadgr.cache.hdf5_memory import structure_bytes
from sadgr.cache.shard import HEADER_BYTES, check_content, encode_shard
from sadgr.cache.shard_reader import ShardReader


@pytest.mark.parametrize("modality", ["text", "audio", "video", "words"])
def test_what_is_written_is_read(tmp_path, planted, modality):
    spec = planted.specs[modality]
    records = [planted.record("a$_$1", modality), planted.record("-b/ü", modality, words=1, seed=2)]
    records.append(ClipRecord("gone", source_digest(transcript=""), None))
    path = tmp_path / "one.h5"
    path.write_bytes(encode_shard(spec, records))
    with ShardReader(path, spec.fingerprint, modality) as shard:
        assert shard.ids == ["a$_$1", "-b/ü", "gone"]
        assert shard.sources == [one.source for one in records]
        assert shard.present.tolist() == [True, True, False]
        for row in (0, 1):
            arrays = shard.arrays(records[row].clip_id, row)
            assert arrays.keys() == records[row].arrays.keys()
            for name, written in records[row].arrays.items():
                np.testing.assert_array_equal(arrays[name], written)


def test_any_hdf5_tool_reads_a_shard_and_head_tells_what_it_is(tmp_path, planted):
    path = tmp_path / "one.h5"
    path.write_bytes(encode_shard(planted.specs["text"], [planted.record("a$_$1")]))
    with h5py.File(path) as file:
        assert file["ids"][0].decode() == "a$_$1"
        assert file["clips/a$_$1/words"].dtype == np.float16
        assert file["mean"].fletcher32 and file["clips/a$_$1/words"].fletcher32
    assert path.read_bytes()[:14] == b"SADGR shard 1\n"


def test_a_reader_of_many_clips_holds_little_of_their_headers(tmp_path, planted):
    """HDF5 alone would hold 1 MB of this file's structure once all was read."""
    spec, path = planted.specs["words"], tmp_path / "one.h5"
    path.write_bytes(encode_shard(spec, [planted.record(f"clip {number}", "words") for number in range(600)]))
    with ShardReader(path, spec.fingerprint, "words") as shard:
        for row, clip_id in enumerate(shard.ids):
            shard.arrays(clip_id, row)
        _, _, held, _ = shard._file.id.get_mdc_size()
    assert held <= structure_bytes(path.stat().st_size) < 2**16


def test_a_clip_without_words_keeps_its_empty_axis(tmp_path, planted):
    spec = planted.specs["audio"]
    arrays = {"words": np.zeros((0, 4), np.float32), "mean": np.ones(4, np.float32)}
    path = tmp_path / "one.h5"
    path.write_bytes(encode_shard(spec, [ClipRecord("mute", source_digest(), arrays), planted.record("b", "audio")]))
    with ShardReader(path, spec.fingerprint, "audio") as shard:
        assert shard.arrays("mute", 0)["words"].shape == (0, 4)
        assert "mean_words" not in shard.arrays("mute", 0)
        assert np.isnan(shard.table("mean_words")[0]).all()  # loud for a reader who ignores `present`


def test_arrays_that_need_not_be_there(tmp_path, planted):
    """Tokens beside words, means alone, frames alone: each clip has what it has; none at all is refused."""
    spec = planted.specs["text"]
    tokens = {"tokens": np.ones((4, 5), np.float32), "input_ids": np.arange(4), "word_ids": np.array([-1, 0, 0, -1])}
    records = [
        ClipRecord("all", source_digest(), {**planted.arrays("text"), **tokens}),
        ClipRecord("mean", source_digest(), {"mean": np.ones(5, np.float32)}),
    ]
    path = tmp_path / "one.h5"
    path.write_bytes(encode_shard(spec, records))
    with ShardReader(path, spec.fingerprint, "text") as shard:
        assert set(shard.arrays("all", 0)) == {"words", "mean", *tokens} and set(shard.arrays("mean", 1)) == {"mean"}
        assert shard.arrays("all", 0)["word_ids"].tolist() == [-1, 0, 0, -1]
    with pytest.raises(RefusedValueError, match="is missing"):
        encode_shard(spec, [ClipRecord("none", source_digest(), {})])
    words = planted.arrays("words")
    del words["score"]
    with pytest.raises(RefusedValueError, match="'score' is missing"):
        encode_shard(planted.specs["words"], [ClipRecord("x", source_digest(), words)])


def test_every_flipped_bit_is_found(tmp_path, planted):
    spec = planted.specs["text"]
    whole = encode_shard(spec, [planted.record(f"clip{n}", seed=n) for n in range(3)])
    path = tmp_path / "one.h5"
    path.write_bytes(whole)
    check_content(path)
    for place in np.random.default_rng(0).choice(len(whole), 200, replace=False):
        if whole[: place + 1].count(b"\0", HEADER_BYTES - 250) and place < HEADER_BYTES:
            continue  # padding of the header, refused below as well
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(ShardInvalidError):
            check_content(path)
            ShardReader(path, spec.fingerprint, "text")  # another feature set's name in the header


def test_every_truncation_is_found_without_reading_the_file(tmp_path, planted):
    spec = planted.specs["text"]
    whole = encode_shard(spec, [planted.record("a")])
    path = tmp_path / "one.h5"
    for length in (0, 1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 8, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ShardInvalidError):
            ShardReader(path, spec.fingerprint, "text")


def test_a_flipped_bit_in_the_data_is_noticed_by_ordinary_reading(tmp_path, planted):
    spec, one = planted.specs["text"], planted.record("a")
    whole = encode_shard(spec, [one])
    needle = one.arrays["words"].astype(np.float16).tobytes()
    place = whole.index(needle)
    path = tmp_path / "one.h5"
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with ShardReader(path, spec.fingerprint, "text") as shard, pytest.raises(ShardInvalidError, match="words"):
        shard.arrays("a", 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": np.array([[np.nan] * 5] * 3)}, "not finite"),
        ({"mean": np.full(5, 70000.0)}, "float16 can hold"),
        ({"words": np.zeros(5)}, "expected 2 dimension"),
        ({"frames": np.zeros((2, 2))}, "no array 'frames'"),
        ({"words": np.array([["a"] * 5] * 3)}, "expected numbers"),
        ({"tokens": np.zeros((4, 5)), "input_ids": np.zeros(3)}, "differ in length"),
    ],
)
def test_values_that_must_not_be_stored_are_refused_with_the_clips_name(text_set, planted, change, message):
    bad = ClipRecord("bad clip", source_digest(), {**planted.arrays("text"), **change})
    with FeatureWriter(text_set, "link") as writer:
        with pytest.raises(RefusedValueError, match=f"'bad clip'.*{message}"):
            writer.add(bad)
        writer.add(planted.record("good"))
    assert list(FeatureSet(text_set.path).entries()) == ["good"]


def test_a_file_that_points_outside_itself_is_refused(tmp_path, planted):
    spec = planted.specs["text"]
    body = tmp_path / "body.h5"
    other = tmp_path / "secret.h5"
    with h5py.File(other, "w") as file:
        file["words"] = np.ones((3, 5), np.float16)
    path = tmp_path / "one.h5"
    path.write_bytes(encode_shard(spec, [planted.record("a"), planted.record("b"), planted.record("c")]))
    body.write_bytes(path.read_bytes()[HEADER_BYTES:])
    with h5py.File(path, "r+") as file:
        for clip in "abc":
            del file[f"clips/{clip}/words"]
        file["clips/a/words"] = h5py.ExternalLink(str(other), "words")
        file["clips/b"].create_dataset("words", (3, 5), "f2", external=[(str(other), 0, 30)])
        layout = h5py.VirtualLayout((3, 5), "f2")
        layout[:] = h5py.VirtualSource(str(other), "words", (3, 5))
        file["clips/c"].create_virtual_dataset("words", layout)
    _reseal(path, spec.fingerprint)
    with ShardReader(path, spec.fingerprint, "text") as shard:
        for row, clip in enumerate("abc"):
            with pytest.raises(ShardInvalidError, match="refused"):
                shard.arrays(clip, row)


def _reseal(path, fingerprint):
    """Give an altered file a matching header, as an attacker would."""
    import hashlib

    body = path.read_bytes()[HEADER_BYTES:]
    header = f"SADGR shard 1\nfeatureset {fingerprint}\nbytes {len(body)}\nsha256 {hashlib.sha256(body).hexdigest()}\n"
    path.write_bytes(header.encode().ljust(HEADER_BYTES, b"\0") + body)
