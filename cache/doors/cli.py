"""`sadgr-cache export` and `sadgr-cache import`."""

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from sadgr.cache.console import EXIT_CLIPS_FAILED, friendly
from sadgr.cache.doors import DEFAULT_LENGTH, EXPORT_FORMS, IMPORT_FORMS, Axis, Form
from sadgr.cache.errors import CacheError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CACHE = click.argument("cache", type=click.Path(path_type=Path, file_okay=False, exists=True))


@click.command("export")
@_CACHE
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--form", type=click.Choice(EXPORT_FORMS), required=True, help="Format to write.")
@click.option("--dataset", metavar="NAME", help="Data set; needed only where the cache has several.")
@click.option("--text", metavar="FEATURE_SET", help="Text features; needed only where there are several.")
@click.option("--audio", metavar="FEATURE_SET", help="Audio features, likewise.")
@click.option("--video", metavar="FEATURE_SET", help="Video features, likewise.")
@click.option("--words", metavar="FEATURE_SET", help="Word times, likewise.")
@click.option(
    "--length", default=DEFAULT_LENGTH, show_default=True, type=click.IntRange(min=1), help="Word axis (mmsa)."
)
@friendly(CacheError)
def export_command(
    cache: Path,
    path: Path,
    form: Form,
    dataset: str | None,
    text: str | None,
    audio: str | None,
    video: str | None,
    words: str | None,
    length: int,
) -> None:
    """Write a data set of CACHE to PATH for other tools: MMSA, CMU-MultimodalSDK, Hugging Face datasets, NumPy.

    PATH is a file (mmsa, npz) or a folder (csd, hf) that does not exist yet.
    """
    from sadgr.cache.doors import export_dataset
    from sadgr.cache.store import FeatureCache

    data = FeatureCache(cache).dataset(dataset)
    times = data.feature_set("words", words)
    report = export_dataset(data, data.select(text, audio, video), path, form, words=times, length=length)
    click.echo(f"{report.path}: {report.clips} clips")
    for note in report.notes:
        click.echo(f"  {note}")
    _end(report.left_out, "left out")


@click.command("import")
@_CACHE
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--form", type=click.Choice(IMPORT_FORMS), required=True, help="Format of PATH.")
@click.option("--dataset", metavar="NAME", required=True, help="Data set to bring it into; made where it is new.")
@click.option(
    "--modality",
    type=click.Choice(["text", "audio", "video"]),
    help="What a .csd (or a .npz from elsewhere) holds; else the only one to read.",
)
@click.option(
    "--axis",
    type=click.Choice(get_args(Axis)),
    default="frames",
    show_default=True,
    help="What the rows of such a file are.",
)
@click.option(
    "--model", metavar="NAME", help="Short name of the features, such as COVAREP.  [default: the file's name]"
)
@friendly(CacheError)
def import_command(
    cache: Path, path: Path, form: Form, dataset: str, modality: str | None, axis: Axis, model: str | None
) -> None:
    """Bring features that others made from PATH into CACHE, with their provenance.

    Nothing in PATH is run: a pickle is read as arrays and plain containers only.
    """
    from sadgr.cache.doors import import_file
    from sadgr.cache.store import FeatureCache

    report = import_file(FeatureCache(cache), dataset, path, form, modality=modality, axis=axis, model=model)
    kept = f", {report.labels_kept} rows of labels.csv left as they were" if report.labels_kept else ""
    click.echo(f"{report.dataset}: {report.clips} records stored, {report.labels_added} clips new in labels.csv{kept}")
    for name in report.feature_sets:
        click.echo(f"  {name}")
    _end(report.refused, "refused")


def _end(failed: "Mapping[str, str]", what: str) -> None:
    for clip, reason in failed.items():
        click.echo(f"{what}: {clip}: {reason}", err=True)
    if failed:
        raise SystemExit(EXIT_CLIPS_FAILED)
