"""How near word times are to those that a person set: each aligner, and even spacing as the floor to beat.

`make bench-align` scores onsets and ends on one real recording: 26.7 s of spontaneous, fast and slow speech with a word
tier (`textgrid/acoustic_corpus.*` below $SADGR_SHARED_DATA, or `shared/data` beside the checkout). The aligners get the
raw transcript. Its 59 words are paired with the tier's 58 in order; the tier lacks one "uh". No number is kept from
earlier runs: all are measured now, and every error is listed.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
from praatio import textgrid

from sadgr.align import AlignerUnavailable, Utterance, WordTime, evenly_spaced, split_words
from sadgr.align.mfa import MfaAligner
from sadgr.align.pocketsphinx import PocketSphinxAligner
from sadgr.align.quality import LOW_SCORE
from sadgr.extract.media.audio import SAMPLE_RATE_HZ, read_audio
from sadgr.extract.sources import open_source, read_clips

REPEATS = 5
WITHIN_SECONDS = 0.05


def main() -> None:
    """Align, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    beside = Path(__file__).parents[2] / "shared/data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SADGR_SHARED_DATA") or beside))
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    folder = options.data / "textgrid"
    if not folder.is_dir():
        sys.exit(f"{folder} is missing; set SADGR_SHARED_DATA to the folder that holds textgrid/acoustic_corpus.*")
    words = split_words((folder / "acoustic_corpus.lab").read_text(encoding="utf-8"))
    tier = textgrid.openTextgrid(str(folder / "acoustic_corpus.TextGrid"), False).getTier("words")
    truth = [(entry.label, entry.start, entry.end) for entry in tier.entries if entry.label]
    waveform = read_audio(folder / "acoustic_corpus.wav")
    pairs = paired(words, [label for label, *_ in truth])
    results = {}
    for name, times, seconds in candidates(Utterance("acoustic_corpus", words, waveform, SAMPLE_RATE_HZ)):
        errors = [
            (label, start, times[i].start_seconds - start, times[i].end_seconds - end, times[i].score)
            for i, (label, start, end) in ((i, truth[j]) for i, j in pairs)
        ]
        results[name] = {
            **scored(errors),
            "real_time_factor": seconds * SAMPLE_RATE_HZ / len(waveform),
            "errors": errors,
        }
    if options.json:
        print(json.dumps(results, indent=1))
        return
    print_tables(results)
    print_mismatches(Path(__file__).parents[1] / "examples/demo/talking")
    if shutil.which("mfa") is None:
        print("MFA: NOT RUN (no mfa on PATH)")


def candidates(utterance: Utterance) -> Iterator[tuple[str, tuple[WordTime, ...], float]]:
    """Give name, word times and the median of some runs' seconds of each aligner that works here."""
    aligners = {"pocketsphinx": (PocketSphinxAligner, REPEATS)}
    if shutil.which("mfa"):
        aligners["mfa"] = (MfaAligner, 1)
    for name, (make, repeats) in aligners.items():
        try:
            aligner = make()
            seconds = []
            for _ in range(repeats + 1):  # the first run loads models
                begun = time.perf_counter()
                (found,) = aligner.align_all([utterance])
                seconds.append(time.perf_counter() - begun)
        except AlignerUnavailable as error:
            print(f"{name}: NOT RUN ({error})")
            continue
        yield name, found.words, float(np.median(seconds[1:]))
    yield "even spacing", evenly_spaced(utterance.words, utterance.duration_seconds), 0.0


def paired(words: tuple[str, ...], labels: list[str]) -> list[tuple[int, int]]:
    """Pair words with labels in order; a run of other words of the same length pairs one to one."""
    pairs = []
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, words, labels, autojunk=False).get_opcodes():
        if kind == "equal" or i2 - i1 == j2 - j1:
            pairs += zip(range(i1, i2), range(j1, j2), strict=True)
    return pairs


def scored(errors: list[tuple[str, float, float, float, float]]) -> dict[str, float]:
    """Return median, mean and worst absolute error in ms, and the share within 50 ms, of onsets and of ends."""
    scores: dict[str, float] = {"words": len(errors)}
    for name, column in (("onset", 2), ("end", 3)):
        off = np.abs([error[column] for error in errors])
        scores |= {
            f"{name}_median_ms": float(np.median(off)) * 1e3,
            f"{name}_mean_ms": float(off.mean()) * 1e3,
            f"{name}_within_50_ms": float((off <= WITHIN_SECONDS + 1e-9).mean()),
            f"{name}_worst_ms": float(off.max()) * 1e3,
        }
    return scores


def print_tables(results: dict[str, dict]) -> None:
    """Print a line an aligner, then a line a word with each aligner's errors."""
    print("real recording, one speaker; errors of absolute times in ms\n")
    print(f"{'':14} {'N':>3}  {'onset: median':>13} {'mean':>7} {'<=50 ms':>8} {'worst':>7}  {'end: median':>11} {'mean':>7} "
          f"{'<=50 ms':>8} {'worst':>7}  {'x real time':>11}")  # fmt: skip
    for name, one in results.items():
        onset, end = (
            [one[f"{edge}_{key}"] for key in ("median_ms", "mean_ms", "within_50_ms", "worst_ms")]
            for edge in ("onset", "end")
        )
        print(
            f"{name:14} {one['words']:3}  {onset[0]:13.0f} {onset[1]:7.1f} {onset[2]:8.1%} {onset[3]:7.0f}  {end[0]:11.0f} "
            f"{end[1]:7.1f} {end[2]:8.1%} {end[3]:7.0f}  {one['real_time_factor']:11.3f}"
        )
    print(f"\n{'word':12} {'at s':>7}  " + "  ".join(f"{name + ' onset/end ms (score)':>34}" for name in results))
    for row in zip(*(one["errors"] for one in results.values()), strict=True):
        cells = [f"{onset * 1e3:+.0f} / {end * 1e3:+.0f} ({score:.2f})" for *_, onset, end, score in row]
        print(f"{row[0][0]:12} {row[0][1]:7.3f}  " + "  ".join(f"{cell:>34}" for cell in cells))


def print_mismatches(folder: Path) -> None:
    """Print mean scores of clips with their own transcripts and with the next clip's: what `doubts` tells apart."""
    clips = read_clips(open_source(folder))
    aligner = PocketSphinxAligner()
    scores: dict[str, list[float]] = {"own": [], "another's": []}
    failed = 0
    for clip, other in zip(clips, [*clips[1:], clips[0]], strict=True):
        sound = read_audio(clip.audio)
        for name, words in (("own", clip.words), ("another's", other.words)):
            (found,) = aligner.align_all([Utterance(clip.clip_id, words, sound)])
            failed += bool(found.failure)
            scores[name] += [float(np.mean([word.score for word in found.words]))] if found.words else []
    print(f"\nmean score of a clip's words, {len(clips)} synthetic clips, flagged below {LOW_SCORE}:")
    for name, values in scores.items():
        low, mid, high = np.quantile(values, [0, 0.5, 1])
        flagged = np.mean([value < LOW_SCORE for value in values])
        print(
            f"  {name:10} transcript: {low:.2f} to {high:.2f}, median {mid:.2f}, {flagged:.0%} flagged, N {len(values)}"
        )
    print(f"  {failed} alignments failed outright")


if __name__ == "__main__":
    main()
