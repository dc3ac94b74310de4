import pytest

from sadgr.extract.choice import Choice
from sadgr.extract.clips import Clip
from sadgr.extract.errors import ExtractError, SourceError
from sadgr.extract.layers import LAST
from sadgr.extract.presets import PRESETS
from sadgr.extract.recipe import Recipe

CLIPS = [
    Clip(f"{video}$_${number}", "so it goes", columns={"mode": split})
    for video, split in (("-a[1]", "train"), ("b c", "test"), ("Zoë", ""))
    for number in range(3)
]
IDS = [clip.clip_id for clip in CLIPS]


def chosen(**choice) -> list[str]:
    return [clip.clip_id for clip in Choice(**choice).of(CLIPS)]


def test_everything_is_chosen_where_nothing_is_said():
    assert chosen() == IDS


def test_splits_patterns_files_and_a_limit_work_together(tmp_path):
    assert chosen(splits=("train", "test")) == IDS[:6]
    assert chosen(patterns=("b c*",)) == IDS[3:6]
    assert chosen(patterns=("*$_$1",), splits=("test",)) == [IDS[4]]
    assert chosen(patterns=("-a[1]$_$2", "Zoe\u0308$_$0")) == [
        IDS[2],
        IDS[6],
    ]  # an id holds brackets; another is not NFC
    (tmp_path / "ids.txt").write_text(f"\ufeff{IDS[5]}\n\n {IDS[0]} \n", encoding="utf-8")
    assert chosen(patterns=(str(tmp_path / "ids.txt"),)) == [IDS[0], IDS[5]]
    assert chosen(patterns=("b c*", str(tmp_path / "ids.txt")), limit=2) == [IDS[0], IDS[3]]


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"splits": ("valid",)}, ["no clip of the source is in split valid", "test, train"]),
        ({"patterns": ("x*",)}, ["'x*'", "no file of ids"]),
        ({"patterns": ("b c*",), "splits": ("train",)}, ["no clip is left"]),
    ],
)
def test_what_fits_nothing_is_an_error_that_says_so(choice, words):
    with pytest.raises(SourceError) as error:
        chosen(**choice)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize("pattern", ["", "x" * 300, "a\0b", "[", "/"])
def test_no_pattern_is_too_odd_to_be_told_so(pattern):
    with pytest.raises(SourceError, match="is no clip of the source"):
        chosen(patterns=(pattern,))


def test_a_pattern_may_be_decomposed_and_a_listed_id_hold_any_mark(tmp_path):
    assert chosen(patterns=("Zoe\u0308*",)) == IDS[6:]
    odd = Clip("a\u2028b", "so")
    (tmp_path / "ids.txt").write_text("a\u2028b\n", encoding="utf-8")
    assert Choice(patterns=(str(tmp_path / "ids.txt"),)).of([odd]) == [odd]


def test_a_file_that_names_strangers_is_an_error(tmp_path):
    (tmp_path / "ids.txt").write_text("b c$_$1\nnobody\n")
    with pytest.raises(SourceError, match=r"names 1 clips .* 'nobody'"):
        chosen(patterns=(str(tmp_path / "ids.txt"),))


def test_a_recipe_keeps_what_training_reads_unless_told_otherwise():
    models = PRESETS["paper"]
    assert Recipe(models).kept == {
        "text": {"words", "mean"},
        "audio": {"words", "mean"},
        "video": {"frames"},
    }
    means = Recipe(models, ("text", "audio"), frozenset({"mean"}))
    assert means.kept == {"text": {"mean"}, "audio": {"mean"}} and not means.needs_words
    assert Recipe(models, ("audio",)).needs_words and not Recipe(models, ("text", "video")).needs_words
    everything = frozenset({"words", "mean", "frames", "tokens"})
    assert Recipe(models, store=everything).kept["audio"] == {"words", "mean", "frames"}
    assert Recipe(models).text_layer == LAST
    with pytest.raises(ExtractError, match=r"keeps nothing of video.*--modality"):
        Recipe(models, store=frozenset({"words"}))
    with pytest.raises(ExtractError, match="'hidden'"):
        Recipe(models, store=frozenset({"words", "hidden", "frames"}))
