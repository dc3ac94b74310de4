"""What a large data set takes: a calculation from counted FLOPs and measured rates, not a measurement.

Prints the tables of docs/scaling.md. FLOPs are counted on the architectures themselves; bytes follow from the cache's format;
what a machine reaches, and what was measured of decoding, stands in the constants below, with where it comes from.
"""

from dataclasses import dataclass
from functools import cache

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from sadgr.extract.encoder import hold

FRAMES = 16
WIDTH = 768
PIECES_PER_WORD = 1.3
"""WordPiece over English speech; with [CLS] and [SEP] added."""
DECODE_SECONDS_PER_VIDEO_SECOND = 0.030
"""CPU time of one core for 360p at 25 frames a second, resizing included: measured, `make bench-extract`."""
DECODE_SECONDS_PER_SOUND_SECOND = 0.005
"""Likewise for AAC at 16 kHz."""
SHARD_BYTES, COMPACTED_BYTES = 16 * 2**20, 128 * 2**20


@dataclass(frozen=True)
class Data:
    """A data set: clips, hours, words, whether it has pictures, and bytes of media an hour."""

    name: str
    clips: int
    hours: float
    words: int
    has_video: bool
    media_bytes_an_hour: float


@dataclass(frozen=True)
class Machine:
    """What one device reaches: FLOP/s in practice, and how many cores decode for it."""

    name: str
    flops: float
    cores: int


DATA = (
    Data("LibriSpeech-960", 281_241, 960.9, 9_403_555, False, 62e6),
    Data("CMU-MOSEI", 22_856, 65.9, 447_143, True, 450e6),
    Data("one million hours", 360_000_000, 1e6, 9_000_000_000, True, 450e6),
)
MACHINES = (
    Machine("two CPU cores, fp32 (measured)", 0.16e12, 2),
    Machine("A100, fp32 (19.5 TFLOP/s, 70 % assumed)", 0.7 * 19.5e12, 16),
    Machine("A100, bf16 (312 TFLOP/s, 40 % assumed)", 0.4 * 312e12, 16),
    Machine("H100, bf16 (989 TFLOP/s, 40 % assumed)", 0.4 * 989e12, 16),
)


@cache
def flops_of(data: Data) -> float:
    """FLOPs of all clips, each of the data set's mean length."""
    seconds, words = 3600 * data.hours / data.clips, data.words / data.clips
    text, audio, video = counted(round(PIECES_PER_WORD * words) + 2, seconds)
    return data.clips * (text + audio + (FRAMES * video if data.has_video else 0.0))


def counted(pieces: int, seconds: float) -> tuple[float, float, float]:
    """FLOPs of BERT-base over a transcript, of HuBERT-base over its sound, and of ViT-B/16 over one frame."""
    bert = transformers.BertModel(transformers.BertConfig(), add_pooling_layer=False)
    hubert = transformers.HubertModel(transformers.HubertConfig())
    vit = transformers.ViTModel(transformers.ViTConfig(), add_pooling_layer=False)
    inputs = (
        torch.zeros(1, pieces, dtype=torch.long),
        torch.zeros(1, round(16_000 * seconds)),
        torch.zeros(1, 3, 224, 224),
    )
    found = []
    for model, given in zip((bert, hubert, vit), inputs, strict=True):
        hold(model)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model.eval()(given)
        found.append(float(counter.get_total_flops()))
    return found[0], found[1], found[2]


def feature_bytes(data: Data) -> dict[str, float]:
    """Bytes of features in float16, by feature set; `seconds` of frames are float64."""
    one = 2 * WIDTH
    found = {
        "words": data.words * (16 + 8 + 5),  # about: two times, a score, a flag, and the word itself
        "text": one * (data.words + data.clips),
        "audio": one * (data.words + 2 * data.clips),
    }
    return found | ({"video": data.clips * FRAMES * (one + 8)} if data.has_video else {})


def decode_core_seconds(data: Data) -> float:
    """CPU time of one core that decoding takes."""
    video = DECODE_SECONDS_PER_VIDEO_SECOND if data.has_video else 0.0
    return 3600 * data.hours * (DECODE_SECONDS_PER_SOUND_SECOND + video)


def sizes_table() -> list[str]:
    """What each data set comes to, whatever the machine."""
    lines = [
        "| | clips | FLOPs | features, fp16 | means alone | shards as written | compacted | media read | decoding, one core |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for data in DATA:
        sizes = feature_bytes(data)
        written, compacted = (
            sum(max(1, round(one / size)) for one in sizes.values()) for size in (SHARD_BYTES, COMPACTED_BYTES)
        )
        means = 2 * WIDTH * data.clips * (3 if data.has_video else 2)
        lines.append(
            f"| {data.name} | {data.clips:,} | {flops_of(data):.2g} | {_bytes(sum(sizes.values()))} | {_bytes(means)} | "
            f"{written:,} | {compacted:,} | {_bytes(data.hours * data.media_bytes_an_hour)} | "
            f"{_hours(decode_core_seconds(data))} |"
        )
    return lines


def time_table() -> list[str]:
    """What each machine takes for each data set, and what bounds it."""
    lines = [
        "| one device | data set | encoding | decoding | bound by | clips/s | media read, MB/s | features written, MB/s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for machine in MACHINES:
        for data in DATA:
            encoding = flops_of(data) / machine.flops
            decoding = decode_core_seconds(data) / machine.cores
            whole = max(encoding, decoding)
            bound = (
                "encoding"
                if encoding >= decoding
                else f"decoding ({decode_core_seconds(data) / encoding:.0f} cores keep up)"
            )
            lines.append(
                f"| {machine.name} | {data.name} | {_hours(encoding)} | {_hours(decoding)} | {bound} | "
                f"{data.clips / whole:.3g} | {data.hours * data.media_bytes_an_hour / whole / 1e6:.3g} | "
                f"{sum(feature_bytes(data).values()) / whole / 1e6:.3g} |"
            )
    return lines


def _bytes(size: float) -> str:
    for unit, one in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if size >= one:
            return f"{size / one:.3g} {unit}"
    return f"{size / 1e6:.3g} MB"


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:,.0f} h" if hours >= 10 else f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"


if __name__ == "__main__":
    print("\n".join([*sizes_table(), "", *time_table()]))
