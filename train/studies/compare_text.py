"""What people read of a comparison: names, columns, and what must be known of its numbers."""

from collections.abc import Mapping, Sequence

from sadgr.train.config import ModelName
from sadgr.train.pretrain import load_heads
from sadgr.train.studies.costs import Costs
from sadgr.train.studies.rows import Row
from sadgr.train.studies.variations import Variation
from sadgr.train.tables import COLUMNS

SADGR: ModelName = "sadgr"
SPELLED = {
    "ridge": "ridge regression",
    "text": "text only",
    "concat": "concatenation",
    "late": "late fusion",
    "mult": "MulT",
    "selfmm": "Self-MM",
    "mag": "MAG-BERT",
}
"""How tables call a model where capitals would not do."""
TUNE_BERT = ("misa", "selfmm", "mag", "tetfn", "tchfn", "tmbl")
"""Models whose papers fine-tune BERT."""
NOT_READ = {
    "tchfn": "TCHFN is this project's design after the title of its paper and what SADGR's says of it, since neither its text nor a program "
    "of its authors was to be had: its score says little about the published model.",
    "tmbl": "TMBL follows the abstract of its paper and its authors' program, since the text was not to be had.",
}
"""What must be known of models whose papers could not be read."""
FIRST = {"model": "model", "data set": "dataset", "split": "split", "seeds": "seeds"}
MEGABYTE = 1e6


def title_of(name: str) -> str:
    """What tables call a model."""
    return SPELLED.get(name, name.upper())


def cost_cells(costs: Costs | None) -> Row:
    """Give the cells of what a model costs; None in each where it could not be measured."""
    if costs is None:
        return dict.fromkeys(("parameters", "epoch_seconds", "clip_milliseconds", "peak_bytes", "measured_on"))
    return {
        "parameters": costs.parameters,
        "epoch_seconds": costs.epoch_seconds,
        "clip_milliseconds": costs.clip_milliseconds,
        "peak_bytes": costs.peak_bytes,
        "measured_on": _machine(costs),
    }


def _machine(costs: Costs) -> str:
    told = costs.machine
    return f"{told['device']} {told['processor']}, {told['threads']} thread{'s' if told['threads'] != 1 else ''}"


def columns_after(metric: str | None, row: Row) -> dict[str, str]:
    """Give title -> key of the columns after the scores."""
    title, key = next((title, key) for title, key in COLUMNS if (key == metric if metric else f"{key}_std" in row))
    last = {f"deviation of {title}": f"{key}_std"}
    if metric:
        last |= {f"{title} less SADGR's": "difference", "p": "p", "p (Holm)": "p_holm"}
    return last | {
        "parameters": "parameters",
        "s an epoch": "epoch_seconds",
        "ms a clip": "clip_milliseconds",
        "peak MB": "peak_bytes",
    }


def readable(row: Row) -> Row:
    """Give a row with its costs and differences as people read them."""

    def told(key: str, form: str, scale: float = 1.0) -> str | None:
        value = row[key]
        return None if value is None else format(float(value) / scale, form)

    forms = {"difference": "+.4f", "epoch_seconds": ".3g", "clip_milliseconds": ".3g", "parameters": ",.0f"}
    return {
        **row,
        **{key: told(key, form) for key, form in forms.items()},
        "peak_bytes": told("peak_bytes", ",.0f", MEGABYTE),
    }


def notes_of(complete: Sequence[Variation], costs: Mapping[str, Costs], metric: str | None, split: str) -> list[str]:
    """Say what must be known of a table.

    Args:
        complete: Its models.
        costs: Variation -> what it costs.
        metric: That was tested; None where nothing was.
        split: Whose clips were scored.
    """
    names = [one.name for one in complete]
    notes = [
        "All models read the same cached features of frozen encoders. Widths and weights of losses are those of each one's paper or "
        "its authors' program; where neither says, they are MMSA's or this project's, as its file in train/models tells. Optimiser, "
        "learning rate, batch size and epochs are the same for all. Nothing was tuned on this data."
    ]
    notes += [told for name, told in NOT_READ.items() if name in names]
    tuned = [title_of(one) for one in names if one in TUNE_BERT]
    if tuned:
        notes.append(
            f"{', '.join(tuned)}: fine-tuned BERT in {'their papers' if len(tuned) > 1 else 'its paper'}, read cached word "
            "features here; numbers published for them are of fine-tuned encoders."
        )
    heads = next((one.request.heads for one in complete if one.name == SADGR), None)
    if heads:
        seen = load_heads(heads).plan["dataset"]
        notes.append(
            f"SADGR begins with heads pretrained on text and audio of {seen}, without labels; no other model does."
        )
    if metric:
        n_rivals = len(names) - 1
        notes.append(
            f"p: paired bootstrap over the {split} split's clips of {metric}, mean over seeds, against SADGR; p (Holm): "
            f"corrected for {n_rivals} comparison{'s' if n_rivals > 1 else ''}."
        )
    elif SADGR not in names:
        notes.append("SADGR is not among the models: nothing is tested against it.")
    if costs:
        where = "; ".join(dict.fromkeys(_machine(one) for one in costs.values()))
        notes.append(
            f"Times and memory are of the machine that measured them ({where}), one model at a time: an epoch with scoring the "
            "valid split and saving; a clip predicted by itself; the process's memory with libraries and features."
        )
    return notes
