"""What can be had from planted data at all: by one who knows how they are drawn, and in closed form.

They stand beside the trained models in docs/planted.md, so that a score can be told from what the data allow.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from planted import Planted, World

Array = NDArray[np.float64]
MOVING = 0.3
"""Deviation of a frame's expression around its clip's, as `planted.draw_clip` draws it."""


@dataclass(frozen=True)
class Means:
    """What P clips show on average.

    Attributes:
        text: (P, d_text) over words.
        audio: (P, d_audio) over words.
        video: (P, d_video) over frames.
        words: (P,) how many there are.
        frames: (P,) likewise.
    """

    text: Array
    audio: Array
    video: Array
    words: Array
    frames: Array


def drawn_world(planted: Planted) -> World:
    """Give the world that `write_planted` draws first of all."""
    return World.draw(planted, np.random.default_rng(planted.seed))


def knowing_labels(planted: Planted, means: Means) -> Array:
    """Estimate sentiment as one can who knows the generator's maps and noise, but not what it drew: posterior means, (P,).

    All is Gaussian but for honesty, of which there are two kinds; the audio must be the clips' own.
    """
    world, words = drawn_world(planted), means.words[:, None]
    shows = np.concatenate([world.text, world.audio], axis=1)  # (d_content, D), D = d_text + d_audio
    strength, axes = np.linalg.eigh(shows.T @ shows)  # (D,), (D, D)
    said = 1 + planted.word_noise**2 / words  # (P, 1) variance of what words show on average, per dimension of content
    variance = said * strength + planted.noise**2 / words  # (P, D) along the axes
    seen = np.concatenate([means.text, means.audio], axis=1)
    voice = np.concatenate([np.zeros(planted.d_text), world.honesty])
    if_honest, if_not = (seen - voice) @ axes, (seen + voice) @ axes  # (P, D) what is left for content and noise
    evidence = 0.5 * ((if_not**2 - if_honest**2) / variance).sum(axis=1) + np.log((1 - planted.lying) / planted.lying)
    honest = 1 / (1 + np.exp(-np.clip(evidence, -500, 500)))
    left = honest[:, None] * if_honest + (1 - honest[:, None]) * if_not
    content = (left / variance) @ (shows @ axes).T  # (P, d_content)
    mood = (1 - planted.face_weight) * content @ world.sentiment
    mood += planted.face_weight * honest * _expression(planted, world, means)
    return np.asarray(np.clip(2 * mood, -3, 3), np.float64)


def cca(train: tuple[Array, Array], held_out: tuple[Array, Array], components: int) -> tuple[Array, Array]:
    """Map held-out text and audio by the canonical correlations of the training pairs: no gradient, no temperature.

    Args:
        train: text (P, d_text) and audio (P, d_audio) to learn from.
        held_out: those to map.
        components: width of the shared space.

    Returns:
        Both, (P, components), to be compared by cosine.
    """
    centres = [one.mean(axis=0) for one in train]
    bases = [np.linalg.svd(one - centre, full_matrices=False) for one, centre in zip(train, centres, strict=True)]
    left, _, right = np.linalg.svd(bases[0][0].T @ bases[1][0])
    maps = [basis[2].T / basis[1] @ side[:, :components] for basis, side in zip(bases, (left, right.T), strict=True)]
    text, audio = ((one - centre) @ own for one, centre, own in zip(held_out, centres, maps, strict=True))
    return text, audio


def _expression(planted: Planted, world: World, means: Means) -> Array:
    """(P,) posterior mean of what faces show: one Gaussian number, seen along the face with noise."""
    length = world.face @ world.face
    noise = (MOVING**2 + planted.noise**2 / length) / means.frames
    return (means.video @ world.face / length) / (1 + noise)
