"""Errors that a user can act on; each message names the culprit, what is wrong, what to do."""


class MrisrError(Exception):
    """Base of all errors that are shown to the user without a traceback."""


class ConfigError(MrisrError):
    """A study, method or dataset file is wrong; the message names the file and the key."""


class InputError(MrisrError):
    """A scan or a file is missing or unusable; the message names the file or the subject."""


class TrainingError(MrisrError):
    """Training cannot go on; the message names the method and the step."""
