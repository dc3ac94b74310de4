"""What can go wrong in extraction."""


class ExtractError(Exception):
    """Base of every error of this package; its message is meant for the person at the terminal."""


class StopRequested(Exception):
    """A signal came before there was anything to save; the command ends, and may be started again."""


class SourceError(ExtractError):
    """The source is missing, of no known layout, or its tables contradict themselves."""


class ModelUnavailableError(ExtractError):
    """A checkpoint is neither a local folder nor reachable, or is not what the modality needs."""


class AbsentError(ExtractError):
    """A clip has no such modality; nothing is broken."""


class ClipError(ExtractError):
    """One clip cannot be encoded; the others go on."""


class EngineUnavailableError(ExtractError):
    """What was to compute cannot be had: Ray is not installed, does not start, or no cluster answers."""
