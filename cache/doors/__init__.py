"""Doors: exporting a data set of a cache to other formats, and importing from them.

export_dataset(cache["mosi"], cache["mosi"].select(), Path("aligned_50.pkl"), "mmsa-aligned")
import_file(cache, "mosi", Path("CMU_MOSI_COVAREP.csd"), "csd", modality="audio")

Imported features carry the provenance `imported`: their identity is the file's SHA-256 and the place within it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sadgr.cache.doors.report import Content, ExportReport, ImportReport
    from sadgr.cache.feature_set import FeatureSet
    from sadgr.cache.store import Dataset, FeatureCache, Selection

__all__ = ["EXPORT_FORMS", "IMPORT_FORMS", "Axis", "Form", "export_dataset", "import_file"]

Form = Literal["mmsa", "mmsa-aligned", "mmsa-unaligned", "csd", "hf", "npz"]
Axis = Literal["words", "frames"]
EXPORT_FORMS: tuple[Form, ...] = ("mmsa-aligned", "mmsa-unaligned", "csd", "hf", "npz")
IMPORT_FORMS: tuple[Form, ...] = ("mmsa", "csd", "hf", "npz")
DEFAULT_LENGTH = 50
"""MMSA's own length of the word axis."""


def export_dataset(
    data: "Dataset",
    selection: "Selection",
    path: Path,
    form: Form,
    *,
    words: "FeatureSet | None" = None,
    length: int = DEFAULT_LENGTH,
) -> "ExportReport":
    """Write a data set in another format; nothing is overwritten, and what is written appears whole or not at all.

    Args:
        data: the data set.
        selection: which feature sets.
        path: the file (mmsa, npz) or folder (csd, hf) to make.
        form: one of `EXPORT_FORMS`.
        words: word times, where the form needs them; None takes the data set's only one.
        length: rows of the word axis in MMSA's pickles.

    Raises:
        CacheError: labels or features that the form needs are missing, or `path` exists.
    """
    from sadgr.cache.doors.pick import Chosen
    from sadgr.cache.errors import CacheError

    chosen = Chosen(data, selection, words or data.feature_set("words"))
    if form == "mmsa-aligned" or form == "mmsa-unaligned":
        from sadgr.cache.doors.mmsa_export import export_mmsa

        return export_mmsa(chosen, path, "aligned" if form == "mmsa-aligned" else "unaligned", length)
    if form == "csd":
        from sadgr.cache.doors.csd_export import export_csd

        return export_csd(chosen, path)
    if form == "hf":
        from sadgr.cache.doors.hf import export_hf

        return export_hf(chosen, path)
    if form == "npz":
        from sadgr.cache.doors.npz import export_npz

        return export_npz(chosen, path)
    raise CacheError(f"form {form!r}: an export is one of {', '.join(EXPORT_FORMS)}")


def import_file(
    cache: "FeatureCache",
    dataset_name: str,
    path: Path,
    form: Form,
    *,
    modality: str | None = None,
    axis: Axis = "frames",
    model: str | None = None,
) -> "ImportReport":
    """Bring a file's features and labels into a data set; a clip that must not be stored is refused by name.

    Args:
        cache: where to.
        dataset_name: an existing data set or a new one. Rows of labels.csv that stand there stay as they are.
        path: the file, or a folder of `datasets`.
        form: one of `IMPORT_FORMS`.
        modality: what a `.csd` or a `.npz` from elsewhere holds; else, the only one to read.
        axis: whether rows of such a file are words or frames.
        model: short name for people (COVAREP, FACET, GloVe); the file's name without its suffix by default.

    Raises:
        CacheError: the file is not what was said, or would have to be trusted to be read.
    """
    from sadgr.cache.doors.arrive import store

    content = _read(path, form, modality, axis)
    return store(cache, dataset_name, content, model or path.name.partition(".")[0] or path.name)


def _read(path: Path, form: Form, modality: str | None, axis: Axis) -> "Content":
    from sadgr.cache.errors import CacheError

    if form == "mmsa":
        from sadgr.cache.doors.mmsa_import import read_mmsa

        return read_mmsa(path, modality)
    if form == "csd":
        from sadgr.cache.doors.csd_import import read_csd

        return read_csd(path, modality, axis)
    if form == "hf":
        from sadgr.cache.doors.hf import read_hf

        return read_hf(path, modality)
    if form == "npz":
        from sadgr.cache.doors.npz import read_npz

        return read_npz(path, modality, axis)
    raise CacheError(f"form {form!r}: an import is one of {', '.join(IMPORT_FORMS)}")
