"""The script that everyone writes: a loop over clips, one forward pass an encoder, a pickle at the end.

It is what `make bench-extract` compares with, and is written as such scripts are: transformers' own processors and
models, no batches, no overlap, no resume. Word times are given to it, as they are to ours.
"""

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

import av
import numpy as np
import torch
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoModel, AutoTokenizer

Times = tuple[np.ndarray, np.ndarray]


class PlainLoop:
    """Models and processors, loaded once."""

    def __init__(self, bert: Path, hubert: Path, vit: Path, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        self.tokenizer = AutoTokenizer.from_pretrained(bert)
        self.text, self.audio, self.video = (
            AutoModel.from_pretrained(one).eval().to(dtype) for one in (bert, hubert, vit)
        )
        self.sound = AutoFeatureExtractor.from_pretrained(hubert)
        self.picture = AutoImageProcessor.from_pretrained(vit, backend="pil")

    def run(self, clips: Iterable[tuple[str, Path, list[str]]], times: Mapping[str, Times], out: Path) -> dict:
        """Extract clips, one after the other.

        Args:
            clips: id, media file and words of each.
            times: id -> start and end of each word, in seconds.
            out: the pickle.
        """
        features = {}
        for clip_id, path, words in clips:
            features[clip_id] = self.clip(path, words, *times[clip_id])
        out.write_bytes(pickle.dumps(features))
        return features

    @torch.no_grad()
    def clip(self, path: Path, words: list[str], start: np.ndarray, end: np.ndarray) -> dict[str, np.ndarray]:
        """Extract one clip."""
        encoded = self.tokenizer(words, is_split_into_words=True, return_tensors="pt")
        tokens = self.text(**encoded).last_hidden_state[0].float().numpy()
        owners = np.array([-1 if one is None else one for one in encoded.word_ids()])
        text = np.stack([tokens[owners == word].mean(axis=0) for word in range(len(words))])

        wave = self.sound(read_sound(path), sampling_rate=16_000, return_tensors="pt").input_values.to(self.dtype)
        frames = self.audio(wave).last_hidden_state[0].float().numpy()
        centres = (np.arange(len(frames)) * 320 + 200) / 16_000
        audio = np.stack([frames[(centres >= s) & (centres < e)].mean(axis=0) for s, e in zip(start, end, strict=True)])

        pixels = self.picture(read_pictures(path, 16), return_tensors="pt").pixel_values.to(self.dtype)
        video = self.video(pixels).last_hidden_state[:, 0].float().numpy()
        return {"text": text, "audio": audio, "video": video}


def read_sound(path: Path) -> np.ndarray:
    """Return a file's sound, (n,) float32 at 16 kHz."""
    resampler = av.AudioResampler("fltp", "mono", 16_000)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def read_pictures(path: Path, count: int) -> list[np.ndarray]:
    """Return `count` pictures, (H, W, 3) uint8, at the centres of as many equal parts."""
    with av.open(str(path)) as container:
        total = container.streams.video[0].frames
        wanted = {int((part + 0.5) * total / count) for part in range(count)}
        return [
            frame.to_ndarray(format="rgb24")
            for number, frame in enumerate(container.decode(video=0))
            if number in wanted
        ]
