"""Fig. 4: text and audio of held-out clips in the shared space, before STA-CA and after."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from torch.nn import functional

from sadgr.cache import Dataset, FeatureCache, Selection
from sadgr.cache.publish import make_folder, writable
from sadgr.train.checkpoint import write_json
from sadgr.train.config import PretrainConfig
from sadgr.train.errors import TrainError
from sadgr.train.figures import write_figure
from sadgr.train.gather import split_of
from sadgr.train.heads import ProjectionHeads
from sadgr.train.logs import Log
from sadgr.train.loop import seed_epoch
from sadgr.train.pairs import Pairs, choose_rows, read_pairs
from sadgr.train.pretrain import Pretrained, load_heads
from sadgr.train.sources import described, require_same_encoders
from sadgr.train.studies.separability import Embeddings, Separability, separability
from sadgr.train.tables import aligned, write_csv

RANDOM_STATE = 1111
PERPLEXITY = 30.0
PANELS = ("before", "after")


@dataclass(frozen=True)
class Panel:
    """One of the two pictures: embeddings (P, S), places in the plane (P, 2) of each modality, and what was measured."""

    text: NDArray[np.float32]
    audio: NDArray[np.float32]
    found: Separability


def run_tsne(
    cache: Path,
    heads: Path,
    out: Path,
    most_clips: int,
    dataset: str | None,
    text: str | None,
    audio: str | None,
    log: Log,
) -> dict[str, Any]:
    """Write OUT/tsne.json, .csv, .png and .svg.

    Args:
        cache: Where the clips are.
        heads: Folder of pretrained heads.
        out: Folder to write into.
        most_clips: Held-out clips beyond so many are left out, by chance.
        dataset: Its name; None where the cache has one.
        text: Text features; None where there is one set.
        audio: Audio features, likewise.
        log: Takes progress lines.

    Returns:
        What tsne.json holds.

    Raises:
        TrainError: Other encoders than the heads', fewer than two held-out clips, or a held-out part that cannot be told.
    """
    pretrained = load_heads(heads)
    data = FeatureCache(cache).dataset(dataset)
    selection = replace(data.select(text, audio), video=None)
    features = described(text=selection.text, audio=selection.audio)
    require_same_encoders(pretrained.plan["features"], features, f"the heads in {heads}")
    settings = PretrainConfig(**pretrained.plan["settings"])
    ids, pairs = held_out_pairs(data, selection, pretrained, log)
    total = len(ids)
    chosen = np.sort(np.random.default_rng(RANDOM_STATE).permutation(total)[:most_clips])
    ids, pairs = [ids[row] for row in chosen], pairs[torch.from_numpy(chosen)]
    if len(ids) < 2:
        raise TrainError(
            f"{data.name} has {len(ids)} held-out clips with both text and audio; a picture needs 2 or more"
        )
    panels = {}
    for name, one in zip(PANELS, (untrained_heads(settings, pairs), trained_heads(pretrained)), strict=True):
        log(f"t-SNE {name} STA-CA: {len(ids)} of {total} held-out clips")
        panels[name] = draw_panel(one, pairs)
    told = {
        "dataset": data.name,
        "clips": len(ids),
        "held_out_clips": total,
        "seed_of_untrained_heads": settings.seed,
        "random_state": RANDOM_STATE,
        **{name: asdict(panel.found) for name, panel in panels.items()},
    }
    with writable(out):
        make_folder(out)
    write_json(out / "tsne.json", told)
    write_csv(out / "tsne.csv", tsne_rows(ids, panels))
    write_figure(out / "tsne", tsne_figure(panels, data.name, settings.seed))
    return told


def held_out_pairs(dataset: Dataset, selection: Selection, pretrained: Pretrained, log: Log) -> tuple[list[str], Pairs]:
    """Read what pretraining held out of this data set, or, of a data set that it never saw, what it would hold out.

    Returns:
        Ids, and their pairs in float32.

    Raises:
        TrainError: The data set is the one that heads learned from, and no longer as it was.
    """
    settings = PretrainConfig(**pretrained.plan["settings"])
    _, held_out = read_pairs(dataset, selection, settings, log)
    digest = pretrained.plan.get("pairs", [None, None])[1]
    if pretrained.plan["dataset"] == dataset.name and held_out.digest() != digest:
        raise TrainError(
            f"{dataset.name} is no longer what the heads learned from, so that it is not known which clips they never saw: "
            "pretrain again on this cache"
        )
    ids, _, _ = dataset.means(selection, audio=settings.audio_mean)
    splits = split_of(dataset.labels()).reindex(ids, fill_value="").to_numpy()
    _, rows = choose_rows(splits, settings.valid_fraction, settings.seed)
    return [ids[row] for row in rows], Pairs(held_out.text.float(), held_out.audio.float())


def untrained_heads(settings: PretrainConfig, pairs: Pairs) -> ProjectionHeads:
    """Make the heads that pretraining began with. Raw features are of different spaces, so they are no "before"."""
    with torch.random.fork_rng(devices=[]):
        seed_epoch(settings.seed, 0)
        return ProjectionHeads(pairs.text.shape[1], pairs.audio.shape[1], settings.d_shared)


def trained_heads(pretrained: Pretrained) -> ProjectionHeads:
    """Make the heads that pretraining kept."""
    d_shared, d_text = pretrained.tensors["text.weight"].shape
    heads = ProjectionHeads(d_text, pretrained.tensors["audio.weight"].shape[1], d_shared)
    heads.load_state_dict(dict(pretrained.tensors))
    return heads


@torch.no_grad()
def draw_panel(heads: ProjectionHeads, pairs: Pairs) -> Panel:
    """Project pairs to the unit sphere of the shared space, measure there, and lay them out in a plane."""
    text, audio = (functional.normalize(one, dim=-1).numpy() for one in heads(pairs.text, pairs.audio))  # (P, S) each
    places = in_plane(np.concatenate([text, audio]))
    return Panel(places[: len(text)], places[len(text) :], separability(text, audio))


def in_plane(rows: Embeddings) -> NDArray[np.float32]:
    """(R, S) to (R, 2) by t-SNE, the same each time. Perplexity must stay below R: a third of it where rows are few."""
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    return np.asarray(TSNE(perplexity=perplexity, init="pca", random_state=RANDOM_STATE).fit_transform(rows))


def tsne_rows(ids: list[str], panels: Mapping[str, Panel]) -> list[dict[str, str | float]]:
    """One row for each panel, modality and clip."""
    return [
        {"panel": name, "modality": modality, "clip_id": clip_id, "x": float(x), "y": float(y)}
        for name, panel in panels.items()
        for modality, places in (("text", panel.text), ("audio", panel.audio))
        for clip_id, (x, y) in zip(ids, places, strict=True)
    ]


def tsne_figure(panels: Mapping[str, Panel], dataset: str, seed: int) -> Figure:
    """Draw both panels; what was measured in the shared space stands above each."""
    figure = Figure(figsize=(10, 5.4), layout="constrained")
    titles = {"before": f"before: untrained heads, seed {seed}", "after": "after STA-CA"}
    for axes, (name, panel) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        _draw(axes, panel, titles[name])
    count = len(panels["after"].text)
    figure.suptitle(f"{dataset}, held-out clips, N = {count}", parse_math=False)
    figure.supxlabel(
        "t-SNE of unit vectors in the shared space; the numbers above are of that space, not of the picture", fontsize=8
    )
    return figure


def _draw(axes: Axes, panel: Panel, title: str) -> None:
    axes.scatter(panel.text[:, 0], panel.text[:, 1], s=14, alpha=0.6, color="tab:blue", label="text")
    axes.scatter(panel.audio[:, 0], panel.audio[:, 1], s=14, alpha=0.6, color="tab:orange", marker="^", label="audio")
    found = panel.found
    axes.set_title(
        f"{title}\ntold apart: {found.accuracy:.3f} (0.5 = mixed); cosine of pairs {found.pair_cosine:.3f}, of others "
        f"{found.other_cosine:.3f}",
        fontsize=9,
    )
    axes.set(xticks=[], yticks=[])
    axes.legend(frameon=False)


def separability_table(told: Mapping[str, Any]) -> str:
    """One line a measure, before and after, and what it was measured on."""
    names = {
        "accuracy": "told apart (0.5 = mixed)",
        "pair_cosine": "cosine of pairs",
        "other_cosine": "cosine of others",
    }
    rows = [["shared space", *PANELS]]
    rows += [[title, *(f"{told[panel][name]:.4f}" for panel in PANELS)] for name, title in names.items()]
    return f"{aligned(rows)}\n{told['dataset']}: {told['clips']} of {told['held_out_clips']} held-out clips"
