"""A signal is answered within ten seconds, whatever hangs; the encoders' part of this is in test_extract_cli.py."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from sadgr.cache import FeatureCache

HANGING = """
import sys, time
from sadgr.align import Flag, WordTime, one_by_one
from sadgr.extract import align_cli
from sadgr.extract.aligner_options import AlignerOptions

class Hanging:
    name, settings = "hanging", {}
    def align_all(self, utterances):
        return one_by_one(self.align, utterances)
    def align(self, one):
        if one.clip_id == "2":
            print("aligning", flush=True)
            time.sleep(120)
        return tuple(WordTime(word, i / 8, (i + 1) / 8, 1.0, Flag.ALIGNED) for i, word in enumerate(one.words))

AlignerOptions.build = lambda *_: Hanging()
align_cli.main(sys.argv[1:])
"""


def test_an_alignment_that_takes_minutes_holds_no_signal_up(tmp_path, make_clip):
    """Such as an hour's recording; what came before it, clips without a word among them, is published."""
    for number in range(4):
        make_clip(tmp_path / f"source/{number}.mp4")
        (tmp_path / f"source/{number}.txt").write_text("" if number == 1 else "so it goes")
    line = [sys.executable, "-c", HANGING, str(tmp_path / "source"), str(tmp_path / "cache"), "--dataset", "demo"]
    process = subprocess.Popen([*line, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "aligning\n"
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, told = process.communicate(timeout=60)
    assert process.returncode == 75 and time.monotonic() - begun < 10, told
    summary = json.loads(out)
    assert summary["left"] == 2 and not summary["finished"] and "Traceback" not in told
    (words,) = FeatureCache(tmp_path / "cache")["demo"].feature_sets()
    assert sorted(words.entries()) == ["0", "1"]
    log = [json.loads(one) for one in Path(summary["log"]).read_text().splitlines()[1:]]
    assert sorted((one["clip"], one["state"]) for one in log) == [("0", "done"), ("1", "flagged")]
