"""What training raises when the input, not the program, is at fault."""


class TrainError(Exception):
    """A cache, a setting or a run directory that training cannot use; the message says what would cure it."""


class Interrupted(TrainError):
    """Training stopped on request after a complete epoch; starting the same command again continues from there."""
