"""Stands in for the program `mfa`: takes its arguments, and answers with files that MFA 3.4.3 once wrote.

An utterance whose .lab has the words of a recorded file gets that file, byte for byte, under its own name; any other
gets none, as MFA leaves out what it cannot align. The folder in RECORDED_MFA holds what it notes and how it misbehaves:
`calls.jsonl` is appended to; `plan.json` may say, for the n-th call of `align`: `exit` (code), `say` (last words),
`hang` (true), `leave_out` (words of a .lab), `empty` (words of a .lab that gets an empty tier).
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

RECORDED = Path(__file__).parent / "data/mfa/json"
BESIDE = Path(os.environ["RECORDED_MFA"])


def words_of(path: Path) -> str:
    return " ".join(label for *_, label in json.loads(path.read_text())["tiers"]["words"]["entries"])


def align(arguments: list[str]) -> int:
    corpus, dictionary, acoustic, output = map(Path, arguments[:4])
    labs = sorted(corpus.rglob("*.lab"))
    calls = BESIDE / "calls.jsonl"
    earlier = len(calls.read_text().splitlines()) if calls.exists() else 0
    note = {
        "arguments": arguments[4:],
        "root": os.environ.get("MFA_ROOT_DIR"),
        "models": [dictionary.name, acoustic.name],
        "labs": {str(lab.relative_to(corpus)): lab.read_text() for lab in labs},
        "wavs": sorted(str(path.relative_to(corpus)) for path in corpus.rglob("*.wav")),
    }
    with calls.open("a") as file:
        file.write(json.dumps(note) + "\n")
    plans = json.loads((BESIDE / "plan.json").read_text()) if (BESIDE / "plan.json").exists() else []
    plan = plans[earlier] if earlier < len(plans) else {}
    print(" INFO     Setting up corpus information...", flush=True)
    for percent in range(0, 101, 20):
        print(f"  {percent}% ---- {percent}/100", end="\r", flush=True)
    if plan.get("hang"):
        time.sleep(600)
    known = {words_of(path): path for path in RECORDED.rglob("*.json")}
    for lab in labs if not plan.get("exit") else ():
        said = lab.read_text().strip()
        recorded = known.get(said)
        if recorded is None or said in plan.get("leave_out", ()):
            continue
        target = output / lab.relative_to(corpus).with_suffix(".json")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(recorded, target)
        if said in plan.get("empty", ()):
            content = json.loads(target.read_text())
            content["tiers"]["words"]["entries"] = []
            target.write_text(json.dumps(content))
    shutil.copyfile(RECORDED / "alignment_analysis.csv", output / "alignment_analysis.csv") if output.exists() else None
    print(plan.get("say", " INFO     Done! Everything took 1.0 seconds"), file=sys.stderr, flush=True)
    return int(plan.get("exit", 0))


if __name__ == "__main__":
    if sys.argv[1] == "version":
        print("3.4.3")
    elif sys.argv[1] == "align":
        raise SystemExit(align(sys.argv[2:]))
