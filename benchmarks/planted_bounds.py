"""What can be had from planted data at all: by who knows how it is drawn, and by closed forms.

They stand beside the trained models in docs/planted.md, so that a score can be told from what the data allow.
"""

import numpy as np
from numpy.typing import NDArray
from planted import Planted, World
from sklearn.cross_decomposition import CCA

Array = NDArray[np.float64]


def drawn_world(planted: Planted) -> World:
    """Give the world that `write_planted` draws first of all."""
    return World.draw(planted, np.random.default_rng(planted.seed))


def knowing_label(planted: Planted, text: Array, audio: Array, video: Array) -> float:
    """Estimate a clip's sentiment as one can who knows the generator's maps and noise, but not what it drew.

    Content is the mean of a Gaussian posterior over text and audio, honesty its probability given the same, and the expression the mean
    of a Gaussian posterior over video.

    Args:
        planted: What is planted; audio must be the clip's own.
        text: (N, d_text) words.
        audio: (N, d_audio) the same words.
        video: (Lv, d_video) frames.
    """
    world, variance = drawn_world(planted), planted.noise**2
    shows = np.concatenate([world.text, world.audio], axis=1).T  # (d_text + d_audio, d_content)
    said = 1 + planted.word_noise**2 / len(text)  # variance of the mean of what words show, per dimension
    covariance = said * shows @ shows.T + variance / len(text) * np.eye(len(shows))
    voice = np.concatenate([np.zeros(planted.d_text), world.honesty])
    seen = np.concatenate([text.mean(axis=0), audio.mean(axis=0)])
    apart = np.stack([seen - voice, seen + voice])  # (2, d_text + d_audio): if honest, if not
    weighed = np.linalg.solve(covariance, apart.T).T
    likelihood = -0.5 * (apart * weighed).sum(axis=1) + np.log([1 - planted.lying, planted.lying])
    honest = 1 / (1 + np.exp(np.clip(likelihood[1] - likelihood[0], -500, 500)))
    content = np.array([honest, 1 - honest]) @ (weighed @ shows)  # (d_content,): content's covariance with `seen` is shows.T
    expression = _expression(planted, world, video)
    mood = (1 - planted.face_weight) * content @ world.sentiment + planted.face_weight * honest * expression
    return float(np.clip(2 * mood, -3, 3))


def cca_retrieval(train: tuple[Array, Array], held_out: tuple[Array, Array], components: int) -> tuple[Array, Array]:
    """Map held-out text and audio means by scikit-learn's CCA of the training pairs: no gradient, no temperature.

    Args:
        train: text (P, d_text) and audio (P, d_audio) to learn from.
        held_out: those to map.
        components: width of the shared space.

    Returns:
        Both, (P, components), to be compared by cosine.
    """
    found = CCA(n_components=components).fit(*train)
    text, audio = found.transform(*held_out)
    return text, audio


def _expression(planted: Planted, world: World, video: Array) -> float:
    """Mean of what is shown, given all frames: one Gaussian number, seen through the face with noise."""
    face = world.face
    read = video.mean(axis=0) @ face / (face @ face)  # the generalised least-squares estimate: its noise is the same all round
    noise = (MOVING**2 + planted.noise**2 / (face @ face)) / len(video)
    return float(read / (1 + noise))


MOVING = 0.3
"""Deviation of a frame's expression, as `planted.draw_clip` draws it."""
