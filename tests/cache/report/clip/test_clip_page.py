"""What a clip's page says, held against what was planted: words, norms, provenance, and what is missing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from sadgr.cache import (
    ClipRecord,
    FeatureCache,
    FeatureSetSpec,
    FeatureWriter,
    RunLog,
    SelectionError,
    create_feature_set,
)
from sadgr.cache.cli import main
from sadgr.cache.media_paths import MediaPath, note_media
from sadgr.cache.merge import merge
from sadgr.cache.notebook import clip_figure, clip_html
from sadgr.cache.report import ClipPlace, Site, gather
from sadgr.cache.report.clip_page import clip_files
from sadgr.cache.report.timeline import held_arrays, time_line
from sadgr.cache.store import ClipFeatures, WordTimes
from sadgr.cache.timeline_text import cleaned, columns_of, drawn, fitted, sparkline

ESCAPES = "\x1b[31mred\x1b[0m\u202ereversed\nline"


def page_of(cache: Path, clip_id: str = "a", sections: Any = ()) -> tuple[str, dict[str, Any], dict[str, bytes]]:
    """The page's HTML, its data, and its files."""
    files = {
        one.path: one.content
        for one in clip_files(Site("t"), gather(FeatureCache(cache)), ClipPlace(clip_id, None, None), sections)
    }
    assert all(isinstance(content, bytes) for content in files.values())
    [script] = [path for path in files if path.endswith(".js")]
    text = files[script].decode()
    data = json.loads(json.loads(text[text.index(",") + 1 : text.rindex(")")]))
    return files[f"clip/{clip_id}.html"].decode(), data, files


def test_norms_are_those_of_the_stored_features_at_their_times(recorded: Callable[..., Any], planting: Any) -> None:
    made = recorded()
    _, data, _ = page_of(made.cache)
    text, video = data["curves"]
    np.testing.assert_allclose(text["series"][0]["values"], made.text_norms, rtol=1e-12)
    np.testing.assert_allclose(text["series"][0]["seconds"], (planting.starts + planting.ends) / 2)
    np.testing.assert_allclose(video["series"][0]["values"], made.frame_norms, rtol=1e-12)
    assert video["series"][0]["seconds"] == [0.0, 0.5, 1.0, 1.5]


def test_the_values_stand_in_the_page_to_the_last_digit(recorded: Callable[..., Any]) -> None:
    made = recorded()
    html, _, _ = page_of(
        made.cache,
        sections=[
            {
                "title": "g",
                "kind": "curve",
                "unit": "u",
                "series": [{"name": "n", "seconds": [0.1 + 0.2], "values": [1 / 3]}],
            }
        ],
    )
    for value in (*made.text_norms.tolist(), *made.frame_norms.tolist(), 1 / 3, 0.1 + 0.2):
        assert f">{value!r}</t" in html


def test_sound_pictures_and_peaks_belong_to_the_clip(recorded: Callable[..., Any], planting: Any) -> None:
    html, data, files = page_of(recorded().cache)
    assert sorted(path for path in files if path.startswith("media/")) == [
        *(f"media/a/frame{number:03}.jpg" for number in range(4)),
        "media/a/sound.ogg",
        "media/a/spectrogram.png",
    ]
    high = np.array(data["peaks"][0])
    seconds = (np.arange(len(high)) + 0.5) * data["soundSeconds"] / len(high)
    for start, end in zip(planting.starts, planting.ends, strict=True):
        assert high[(seconds > start + 0.03) & (seconds < end - 0.03)].min() > 0.3
    assert high[seconds < planting.starts[0] - 0.1].max() < 0.05
    assert "data-fault" not in html
    assert html.count("the very file that") == 2


def test_another_file_in_its_place_is_not_taken_for_the_same(recorded: Callable[..., Any], planting: Any) -> None:
    made = recorded()
    planting.video(made.video, sound=planting.sound()[::-1].copy())
    html, _, _ = page_of(made.cache)
    assert "the very file that" not in html and html.count("perhaps another file") == 2


def test_a_span_is_told_and_checked(recorded: Callable[..., Any]) -> None:
    made = recorded()
    with RunLog(made.cache, {}) as log:
        note_media(log.path, "synthetic", {"a": {"audio": MediaPath(made.video, 0.25, 1.0)}})
    html, data, _ = page_of(made.cache)
    assert data["soundSeconds"] == pytest.approx(0.75, abs=1e-4)
    assert "0.25 s to 1.0 s" in html and "perhaps another file" in html  # the features are of the whole file


def test_without_a_path_the_page_says_so_and_shows_the_rest(recorded: Callable[..., Any]) -> None:
    html, data, files = page_of(recorded(tell=False).cache)
    assert "No run noted where" in html
    assert data["peaks"] is None and data["seconds"] == 1.9 and len(data["curves"]) == 2
    assert not [path for path in files if path.startswith("media/")]
    assert "<audio" not in html and "data-play" not in html


def test_paths_come_along_when_caches_are_merged(recorded: Callable[..., Any], tmp_path: Path) -> None:
    made = recorded()
    merge(FeatureCache.create(tmp_path / "both"), FeatureCache(made.cache), "link")
    assert page_of(tmp_path / "both")[0].count("the very file that") == 2


def test_a_damaged_file_is_told_with_its_reason(recorded: Callable[..., Any]) -> None:
    made = recorded()
    made.video.write_bytes(b"no medium at all")
    html, _, _ = page_of(made.cache)
    assert html.count("cannot be read (") == 2 and "Sound is not shown" in html and "Video frames are not shown" in html


def test_what_failed_and_what_is_missing_is_shown(recorded: Callable[..., Any]) -> None:
    made = recorded()
    data = FeatureCache(made.cache)["synthetic"]
    audio = create_feature_set(data.path, FeatureSetSpec("audio", "tiny", {"encoder": 1}))
    with FeatureWriter(audio, "link") as writer:
        writer.add(ClipRecord("b", "0" * 64, None))
    with RunLog(made.cache, {"feature_sets": {"audio": {"name": audio.name}}}) as log:
        log.clip("synthetic", "a", "failed", "audio", "it was <b>too</b> loud")
    html, _, _ = page_of(made.cache)
    assert "audio failed: <bdi>it was &lt;b&gt;too&lt;/b&gt; loud</bdi>" in html
    assert f'Not in: <span class="mono">{audio.name}</span>' in html
    assert "The clip has no audio." in page_of(made.cache, "b")[0]


def test_features_stand_at_the_word_times_that_they_were_pooled_by(recorded: Callable[..., Any], planting: Any) -> None:
    made = recorded()
    data = FeatureCache(made.cache)["synthetic"]
    later = {**planting.words_arrays(), "start": planting.starts + 0.05, "end": planting.ends + 0.05}
    other = FeatureSetSpec("words", "other", {"aligner": "other"})
    specs = {other.fingerprint: later, planting.words_spec.fingerprint: planting.words_arrays()}
    with FeatureWriter(create_feature_set(data.path, other), "link") as writer:
        writer.add(ClipRecord("a", "0" * 64, later))
    for fingerprint, arrays in specs.items():
        spec = FeatureSetSpec("audio", "tiny", {"encoder": 1, "alignment": fingerprint})
        with FeatureWriter(create_feature_set(data.path, spec), "link") as writer:
            writer.add(ClipRecord("a", "0" * 64, {"words": np.ones((4, 2))}))
        line = time_line(held_arrays(data.feature_sets(), "a"))
        [curve] = [one for one in line.norms if one.name in ("audio, per word", f"{spec.name}, per word")]
        np.testing.assert_array_equal(curve.seconds, (arrays["start"] + arrays["end"]) / 2)
        assert len(line.lanes) == 2


def test_a_clip_of_nothing_has_a_page(recorded: Callable[..., Any]) -> None:
    made = recorded(tell=False)
    labels = made.cache / "synthetic/labels.csv"
    labels.write_text(labels.read_text() + "empty,,,\n")
    html, data, _ = page_of(made.cache, "empty")
    assert "Nothing of this clip has a time" in html and "No feature set holds this clip" in html
    assert data["seconds"] == 0


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"title": "t", "kind": "picture"}, "curve, table, text"),
        ({"title": "t", "kind": "table", "rows": []}, "curve, table, text"),
        (
            {"title": "t", "kind": "curve", "unit": "", "series": [{"name": "n", "seconds": [1], "values": []}]},
            "0 values at 1 times",
        ),
    ],
)
def test_a_section_of_another_form_is_refused(recorded: Callable[..., Any], section: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        page_of(recorded().cache, sections=[section])


def test_the_same_cache_gives_the_same_page(recorded: Callable[..., Any]) -> None:
    made = recorded()
    assert page_of(made.cache) == page_of(made.cache)


# ---- In a terminal


def show(cache: Path, *arguments: str, columns: int = 80) -> str:
    done = CliRunner().invoke(main, ["show", str(cache), *arguments], env={"COLUMNS": str(columns)})
    assert done.exit_code == 0, done.output
    return done.output


def test_show_draws_words_where_they_begin(recorded: Callable[..., Any], planting: Any) -> None:
    made = recorded()
    rows = show(made.cache, "a", columns=92).splitlines()
    row = {
        one.split()[0]: one[12:]
        for one in rows
        if one[:11].strip() in ("seconds", "words", "confidence", "frames", "text", "video")
    }
    columns = 80 / (80 / 14)  # a second's
    for word, start in zip(planting.words, planting.starts, strict=True):
        place = int(start * columns)
        assert row["words"][place] == "|"
        assert word.startswith(row["words"][place + 1 :].split("|")[0].strip())
    assert row["words"].startswith("   |how")
    assert [place for place, mark in enumerate(row["frames"]) if mark == "^"] == [0, 7, 14, 21]
    assert row["confidence"][int(0.3 * columns)] == "▃" and row["confidence"][int(1.6 * columns)] == "█"
    assert row["confidence"][int(0.6 * columns)] == " ", "nobody speaks there"
    blocks = dict(zip("▁▂▃▄▅▆▇█", range(8), strict=True))
    drawn_norms = [blocks[row["video"][place]] for place in (0, 7, 14, 21)]
    norms = made.frame_norms
    assert drawn_norms == [min(7, int((one - norms.min()) / (norms.max() - norms.min()) * 8)) for one in norms]
    assert f"norm of text, per word: {made.text_norms.min():.4g} to {made.text_norms.max():.4g}" in "\n".join(rows)


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_the_time_line_keeps_to_the_terminals_width(recorded: Callable[..., Any], columns: int) -> None:
    made = recorded(texts=("日本語日本語", "e\u0301" * 40, "it", "שלום"))
    data = FeatureCache(made.cache)["synthetic"]
    rows = drawn(time_line(held_arrays(data.feature_sets(), "a")), columns)
    assert rows
    assert max(columns_of(row) for row in rows if "norm of" not in row) <= columns


def test_a_terminal_is_not_commanded_by_a_transcript(recorded: Callable[..., Any]) -> None:
    out = show(recorded(ids=(ESCAPES,), transcript=ESCAPES, texts=(ESCAPES, "b", "c", "d")).cache, ESCAPES)
    assert "\x1b" not in out and "\u202e" not in out
    assert cleaned(ESCAPES) == "?[31mred?[0m?reversed?line"


def test_an_hour_takes_a_screen_and_no_more(planting: Any) -> None:
    arrays = planting.words_arrays()
    times = WordTimes(**{**arrays, "start": arrays["start"] * 1800, "end": arrays["end"] * 1800})
    from sadgr.cache.report.timeline import of_features

    assert len(drawn(of_features(ClipFeatures("a"), times), 80)) == 12 * 3


def test_a_sparkline_goes_from_low_to_high() -> None:
    assert sparkline(np.arange(8.0), 0, 8) == "▁▂▃▄▅▆▇█"
    assert sparkline(np.array([5.0, np.nan, 5.0]), 5, 5) == "▁ ▁"
    assert sparkline(np.array([0.0, 1.0]), 0, 1, "12345678") == "18"
    assert fitted("日本語", 5) == "日本" and columns_of("日本e\u0301") == 5


# ---- In a notebook


def test_a_clip_is_read_with_the_words_that_its_audio_was_pooled_by(
    recorded: Callable[..., Any], planting: Any
) -> None:
    made = recorded()
    data = FeatureCache(made.cache)["synthetic"]
    clip = data.clip("a")
    assert clip.words is not None and clip.words.text.tolist() == list(planting.words)
    assert next(data.clips(["a"], data.select())).words is None, "training reads none"
    other = FeatureSetSpec("words", "other", {"aligner": "other"})
    with FeatureWriter(create_feature_set(data.path, other), "link") as writer:
        writer.add(ClipRecord("a", "0" * 64, planting.words_arrays(("w", "x", "y", "z"))))
    with pytest.raises(SelectionError, match="several words feature sets"):
        data.clip("a")
    assert data.clip("a", words=other.name).words.text.tolist() == ["w", "x", "y", "z"]
    spec = FeatureSetSpec("audio", "tiny", {"encoder": 1, "alignment": other.fingerprint})
    with FeatureWriter(create_feature_set(data.path, spec), "link") as writer:
        writer.add(ClipRecord("a", "0" * 64, {"words": np.ones((4, 2))}))
    assert data.clip("a").words.text.tolist() == ["w", "x", "y", "z"]
    with pytest.raises(SelectionError, match="no clip 'nobody'"):
        data.clip("nobody")


def test_the_figure_shows_words_and_norms_at_their_times(recorded: Callable[..., Any], planting: Any) -> None:
    made = recorded()
    words, text, video = FeatureCache(made.cache)["synthetic"].clip("a").plot().axes
    bars = words.patches[1::2]  # a word's span, then its bar
    assert [bar.get_x() for bar in bars] == planting.starts.tolist()
    assert [bar.get_height() for bar in bars] == planting.scores.tolist()
    assert [label.get_text() for label in words.texts] == list(planting.words)
    np.testing.assert_allclose(text.lines[0].get_ydata(), made.text_norms)
    np.testing.assert_allclose(video.lines[0].get_data(), [[0.0, 0.5, 1.0, 1.5], made.frame_norms])


@pytest.mark.parametrize("clip", [ClipFeatures("a"), ClipFeatures("$a_b", text_mean=np.ones(3, np.float32))])
def test_a_clip_without_times_can_be_drawn(clip: ClipFeatures) -> None:
    figure = clip_figure(clip)
    figure.canvas.draw()
    assert figure.get_suptitle().replace("\\", "") == clip.clip_id


def test_a_notebook_takes_text_for_text(planting: Any) -> None:
    hostile = "<script>alert(1)</script>$x$"
    times = WordTimes(**planting.words_arrays((hostile, "b", "c", "d")))
    clip = ClipFeatures(hostile, text_words=np.ones((4, 3), np.float32), words=times)
    html = clip_html(clip)
    assert html == clip._repr_html_() and "<script" not in html and html.count("&lt;script&gt;") == 2
    assert '<td style="text-align:left">4 × 3</td>' in html
    clip.plot().canvas.draw()
