"""Parts of a source: each clip in one of them, speakers whole, the same parts everywhere."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sadgr.extract.choice import Choice
from sadgr.extract.clips import Clip
from sadgr.extract.shard import Shard, in_words, parse_shards


def clip(number: int, **columns: str) -> Clip:
    return Clip(f"clip {number}", "so it goes", columns=columns)


def ids(clips) -> list[str]:
    return [one.clip_id for one in clips]


voices = st.lists(st.sampled_from(["ann", "bob", "cyd", "dan", ""]), max_size=30)


@given(voices, st.integers(1, 6))
def test_every_clip_is_in_one_part_and_every_speaker_too(speakers, count):
    clips = [clip(number, speaker=speaker) for number, speaker in enumerate(speakers)]
    parts = [Shard(index, count).of(clips) for index in range(count)]
    assert sorted(ids(one for part in parts for one in part)) == sorted(ids(clips))
    assert all(ids(part) == [one for one in ids(clips) if one in ids(part)] for part in parts)  # in their order
    for speaker in {*speakers} - {""}:
        assert sum(any(one.speaker == speaker for one in part) for part in parts) == 1


@given(voices, st.integers(1, 6), st.randoms())
def test_the_parts_do_not_depend_on_how_the_clips_are_listed(speakers, count, shuffling: random.Random):
    clips = [clip(number, video_id=speaker) for number, speaker in enumerate(speakers)]
    others = shuffling.sample(clips, len(clips))
    for index in range(count):
        assert sorted(ids(Shard(index, count).of(clips))) == sorted(ids(Shard(index, count).of(others)))


def test_parts_differ_by_no_more_than_the_largest_speaker():
    sizes = [40, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    clips = [clip(100 * voice + n, speaker=f"v{voice}") for voice, size in enumerate(sizes) for n in range(size)]
    for count in (1, 2, 3, 4):
        loads = [len(Shard(index, count).of(clips)) for index in range(count)]
        assert sum(loads) == sum(sizes) and max(loads) <= max(40, sum(sizes) / count + 11), loads
    assert sorted(len(Shard(index, 3).of(clips)) for index in range(3)) == [33, 33, 40]


def test_who_speaks_is_the_speaker_else_the_video_else_nobody():
    clips = [clip(0, speaker="a", video_id="v"), clip(1, speaker="a", video_id="w"), clip(2, video_id="v"), clip(3)]
    assert [one.speaker for one in clips] == ["a", "a", "v", ""]
    assert Counter(len(Shard(index, 3).of(clips)) for index in range(3)) == {2: 1, 1: 2}


def test_there_may_be_more_parts_than_clips():
    clips = [clip(0), clip(1)]
    assert [len(Shard(index, 5).of(clips)) for index in range(5)] == [1, 1, 0, 0, 0]


def test_a_part_of_a_part_and_what_a_person_chose_beside_it():
    clips = [clip(number, speaker=f"v{number // 2}", mode="test" if number % 2 else "train") for number in range(16)]
    halves = [Choice(shards=(Shard(index, 2),)) for index in range(2)]
    quarters = [Choice(shards=(Shard(i, 2), Shard(j, 2))) for i in range(2) for j in range(2)]
    for half, (first, second) in zip(halves, (quarters[:2], quarters[2:]), strict=True):
        parts = [ids(one.here(clips, clips)) for one in (first, second)]
        assert sorted(ids(half.here(clips, clips))) == sorted(parts[0] + parts[1]) and all(
            len(one) == 4 for one in parts
        )
    # A clip's part is the same whatever else is chosen, and --limit is of all parts together.
    whole = {one: index for index, half in enumerate(halves) for one in ids(half.here(clips, clips))}
    for choice in ({"splits": ("test",)}, {"patterns": ("clip 1*",)}, {"limit": 5}):
        chosen = Choice(**choice).of(clips)
        for index in range(2):
            mine = Choice(**choice, shards=(Shard(index, 2),)).here(clips, chosen)
            assert ids(mine) == [one for one in ids(chosen) if whole[one] == index]


def test_parts_are_written_as_they_are_read():
    assert parse_shards("1/4,0/2") == (Shard(1, 4), Shard(0, 2)) and in_words(parse_shards("1/4,0/2")) == "1/4,0/2"


@pytest.mark.parametrize("text", ["", "1", "1/", "/2", "a/b", "-1/2", "2/2", "0/0", "1/2/3", "1/4,", "0.5/2", "²/3"])
def test_what_names_no_part_is_an_error_that_says_so(text):
    with pytest.raises(ValueError, match=r"expected I/N|the parts of \d are"):
        parse_shards(text)


def slurm(**said: object) -> Shard | None:
    return Shard.of_slurm({f"SLURM_ARRAY_TASK_{name}": str(text) for name, text in said.items()})


def test_slurms_array_says_which_part_wherever_its_ids_begin():
    assert Shard.of_slurm({}) is None and Shard.of_slurm({"SLURM_JOB_ID": "7"}) is None
    assert slurm(ID=2, COUNT=8, MIN=0, MAX=7, STEP=1) == Shard(2, 8)
    assert slurm(ID=3, COUNT=8, MIN=1, MAX=8, STEP=1) == Shard(2, 8)
    assert [slurm(ID=number, COUNT=5, MIN=1, MAX=9, STEP=2) for number in range(1, 10, 2)] == [
        Shard(index, 5) for index in range(5)
    ]
    assert slurm(ID=1, COUNT=3, MIN=1, MAX=6, STEP=2) == Shard(0, 3)  # --array=1-6:2 is 1, 3, 5
    assert slurm(ID=5, COUNT=1, MIN=5, MAX=5, STEP=1) == Shard(0, 1)  # one task started again alone does what is left
    assert slurm(ID=4, COUNT=8) == Shard(4, 8)


@pytest.mark.parametrize(
    "said",
    [
        {"ID": 7, "COUNT": 3, "MIN": 0, "MAX": 7, "STEP": 1},  # --array=0,3,7
        {"ID": 0, "COUNT": 3, "MIN": 0, "MAX": 7, "STEP": 1},
        {"ID": 2, "COUNT": 5, "MIN": 1, "MAX": 9, "STEP": 2},
        {"ID": "x", "COUNT": 5},
        {"ID": 9, "COUNT": 5},
    ],
)
def test_an_irregular_array_is_an_error_with_a_remedy(said):
    with pytest.raises(ValueError, match="add --shard I/N"):
        slurm(**said)
