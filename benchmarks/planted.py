"""A data set whose truth is planted: does the method do what it says?

Every clip has a hidden content z, which text and audio both show, each through a mapping of its own; an expression of the face
v, which video shows; and whether the face is honest. Sentiment comes from z and from v. Where the face is not honest, it
comes from z alone, and what video shows has nothing to do with it; the voice tells that. So a model can know from audio alone, and for each clip, how much of video to let pass; and pairs of text and audio can be aligned without any label.

All values are drawn; nothing here says anything about people. The generator, its settings and its seeds were written down
before the training code that they judge: `DEVELOPMENT_SEEDS` may be looked at while building it, `HELD_OUT_SEEDS` are for the
report alone.
"""

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from sadgr.cache import (
    ClipRecord,
    Dataset,
    FeatureCache,
    FeatureSetSpec,
    FeatureWriter,
    create_feature_set,
    publishing_method,
    source_digest,
    write_labels,
)

DEVELOPMENT_SEEDS = (1, 2)
HELD_OUT_SEEDS = (101, 102, 103)
LABELLED, PAIRS = "planted", "planted-pairs"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Planted:
    """What is planted.

    Attributes:
        seed: of everything drawn.
        train: labelled clips to learn from; few, as in the field.
        valid: labelled clips that choose the epoch.
        test: labelled clips that are scored.
        pairs: clips of text and audio without labels, to pretrain on.
        d_text: width of text features.
        d_audio: width of audio features.
        d_video: width of video features.
        d_content: width of the hidden content z.
        lying: share of clips whose face is not honest.
        word_noise: deviation of what a word shows besides its clip's content.
        noise: deviation of the noise of every value.
        face_weight: how much of sentiment is the face's; the rest is the content's.
        shuffled_audio: the control: each clip has another clip's audio, so that no voice tells of its own clip's face.
    """

    seed: int
    train: int = 800
    valid: int = 200
    test: int = 500
    pairs: int = 8_000
    d_text: int = 64
    d_audio: int = 48
    d_video: int = 40
    d_content: int = 16
    lying: float = 0.5
    word_noise: float = 0.7
    noise: float = 0.5
    face_weight: float = 0.7
    shuffled_audio: bool = False


@dataclass(frozen=True)
class World:
    """What is the same for all clips: how content, expression and honesty show.

    Attributes:
        text: (d_content, d_text) how content shows in text.
        audio: (d_content, d_audio) how it shows in audio.
        honesty: (d_audio,) how the voice of an honest face differs.
        face: (d_video,) how an expression shows.
        sentiment: (d_content,) which content is positive; of length 1.
    """

    text: Array
    audio: Array
    honesty: Array
    face: Array
    sentiment: Array

    @classmethod
    def draw(cls, planted: Planted, rng: Generator) -> "World":
        """Draw one."""
        content = planted.d_content
        sentiment = rng.normal(size=content)
        return cls(
            text=rng.normal(size=(content, planted.d_text)) / np.sqrt(content),
            audio=rng.normal(size=(content, planted.d_audio)) / np.sqrt(content),
            honesty=rng.normal(size=planted.d_audio) * 0.5,
            face=rng.normal(size=planted.d_video),
            sentiment=sentiment / np.linalg.norm(sentiment),
        )


@dataclass(frozen=True)
class Clip:
    """One clip's features, and what is planted in it.

    Attributes:
        text: (N, d_text) words.
        audio: (N, d_audio) the same words.
        video: (Lv, d_video) frames.
        label: sentiment in [-3, 3].
        honest: whether video shows the face that counts.
    """

    text: Array
    audio: Array
    video: Array
    label: float
    honest: bool


def draw_clip(planted: Planted, world: World, rng: Generator) -> Clip:
    """Draw one clip."""
    words, frames = int(rng.integers(3, 21)), int(rng.integers(6, 17))
    content = rng.normal(size=planted.d_content)
    said = content + planted.word_noise * rng.normal(size=(words, planted.d_content))  # (N, d_content)
    expression, pretence = rng.normal(size=2)
    honest = bool(rng.random() >= planted.lying)
    shown = expression if honest else pretence
    moving = shown + 0.3 * rng.normal(size=(frames, 1))  # (Lv, 1)

    def noisy(values: Array) -> Array:
        return values + planted.noise * rng.normal(size=values.shape)

    mood = (1 - planted.face_weight) * content @ world.sentiment + planted.face_weight * expression * honest
    return Clip(
        text=noisy(said @ world.text),
        audio=noisy(said @ world.audio + world.honesty * (1.0 if honest else -1.0)),
        video=noisy(moving * world.face),
        label=float(np.clip(2.0 * mood + 0.1 * rng.normal(), -3, 3)),
        honest=honest,
    )


def write_planted(folder: Path, planted: Planted) -> Path:
    """Write a cache with the labelled data set and the pairs; gives its folder."""
    rng = np.random.default_rng(planted.seed)
    world = World.draw(planted, rng)
    cache = FeatureCache.create(folder)
    splits = ["train"] * planted.train + ["valid"] * planted.valid + ["test"] * planted.test
    clips = [draw_clip(planted, world, rng) for _ in splits]
    if planted.shuffled_audio:
        clips = _with_others_audio(clips, rng)
    data = cache.create_dataset(LABELLED)
    _write(data, clips, planted, ("text", "audio", "video"))
    rows = {"mode": splits, "label": [one.label for one in clips], "planted_gate": [float(one.honest) for one in clips]}
    write_labels(data.path, pd.DataFrame(rows, index=_ids(len(clips))))
    pairs = cache.create_dataset(PAIRS)
    _write(pairs, [draw_clip(planted, world, rng) for _ in range(planted.pairs)], planted, ("text", "audio"))
    write_labels(pairs.path, pd.DataFrame({"mode": [""] * planted.pairs}, index=_ids(planted.pairs)))
    return folder


def _ids(count: int) -> "pd.Index[str]":
    return pd.Index([_clip_id(number) for number in range(count)], name="id")


def _with_others_audio(clips: list[Clip], rng: Generator) -> list[Clip]:
    """Give each clip the audio of another one, cut or repeated to its number of words."""
    others = rng.permutation(len(clips))
    return [
        Clip(
            one.text,
            np.resize(clips[other].audio, (len(one.text), one.audio.shape[1])),
            one.video,
            one.label,
            one.honest,
        )
        for one, other in zip(clips, others, strict=True)
    ]


def _clip_id(number: int) -> str:
    return f"planted$_${number}"


def _write(data: Dataset, clips: list[Clip], planted: Planted, modalities: tuple[str, ...]) -> None:
    for modality in modalities:
        spec = FeatureSetSpec(
            modality, "planted", {"encoder": {"synthetic": {**asdict(planted), "modality": modality}}}
        )
        one = create_feature_set(data.path, spec)
        with FeatureWriter(one, publishing_method(data.path)) as writer:
            for number, clip in enumerate(clips):
                writer.add(ClipRecord(_clip_id(number), source_digest(planted=planted.seed), _arrays(clip, modality)))


def _arrays(clip: Clip, modality: str) -> dict[str, NDArray[np.generic]]:
    if modality == "text":
        arrays = {"words": clip.text, "mean": clip.text.mean(axis=0)}
    elif modality == "audio":
        mean = clip.audio.mean(axis=0)
        arrays = {"words": clip.audio, "mean": mean, "mean_words": mean}
    else:
        return {"frames": clip.video.astype(np.float16), "seconds": np.arange(len(clip.video)) / 2}
    return {name: array.astype(np.float16) for name, array in arrays.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the cache to write")
    parser.add_argument("--seed", type=int, default=DEVELOPMENT_SEEDS[0])
    options = parser.parse_args()
    print(write_planted(options.folder, Planted(options.seed)))
