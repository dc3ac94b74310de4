"""Names that both directions of the `.csd` door use."""

ESCAPED_KEY = "sadgr clip ids"
"""Metadata key that tells how a clip's id became its key; files from elsewhere have none, their keys are ids."""
ESCAPED = "percent-encoded"
