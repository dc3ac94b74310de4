"""Reading clips for an export: what each feature set has of a clip, in the order of labels.csv."""

from dataclasses import dataclass

from sadgr.cache.doors.report import Arrays
from sadgr.cache.errors import CacheError, SelectionError
from sadgr.cache.feature_set import FeatureSet
from sadgr.cache.store import Dataset, Selection


@dataclass(frozen=True)
class Chosen:
    """What is exported: a data set, a feature set of each modality, and the word times where there are some."""

    data: Dataset
    selection: Selection
    words: FeatureSet | None = None

    def feature_sets(self) -> dict[str, FeatureSet]:
        """Return the chosen feature sets by modality, `words` first."""
        chosen = self.selection
        found = {"words": self.words, "text": chosen.text, "audio": chosen.audio, "video": chosen.video}
        return {modality: one for modality, one in found.items() if one is not None}

    def needed(self, modality: str, form: str) -> FeatureSet:
        """Return the feature set of a modality that a form cannot do without.

        Raises:
            SelectionError: the data set has none.
        """
        found = self.feature_sets().get(modality)
        if found is None:
            raise SelectionError(
                f"{self.data.name} has no {modality} feature set, and {form} needs one; extract it first"
            )
        return found


def arrays_of(feature_set: FeatureSet | None, clip_id: str) -> Arrays | None:
    """Return a clip's arrays in their stored types, None where it lacks the modality or was never extracted."""
    if feature_set is None or clip_id not in feature_set.known_entries():
        return None
    return feature_set.read(clip_id)


def check_columns(chosen: Chosen, form: str, *columns: str) -> None:
    """Make sure that labels.csv has the columns that a form needs.

    Raises:
        CacheError: one is missing.
    """
    table = chosen.data.labels()
    for column in columns:
        if column not in table:
            raise CacheError(
                f"labels.csv of {chosen.data.name} has no column {column!r}, and {form} needs it; it has "
                f"{', '.join(table.columns) or 'only ids'}: add the column, or extract from a source that has it"
            )
