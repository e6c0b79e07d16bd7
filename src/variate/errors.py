"""The exceptions and warnings of variate, one tree.

    VariateError
    ├── OptionError (ValueError)        an argument or option has a value that cannot be used
    ├── DataError (ValueError)          the data cannot be used; names the file, column and row
    │   ├── SchemaError                 the data does not match the model's schema
    │   └── SupportError                a value lies outside the likelihood's support
    ├── TrainingError (RuntimeError)    training cannot go on
    │   ├── NonFiniteError              a NaN or infinity was born; names step, rows and tensor
    │   ├── CheckpointError             a checkpoint cannot be read, or belongs to another run
    │   └── ProcessError                another number of processes than asked for
    ├── ModelFileError (OSError)        a model file cannot be read
    │   └── NewerFormatError            it was written by a newer variate
    ├── OutputError (OSError)           a result cannot be written
    └── MissingExtraError (ImportError) an optional dependency is absent

    VariateWarning (UserWarning)
    ├── DataWarning                     a column was dropped, a value lies out of range
    └── CollapseWarning                 the posterior says nothing about the data

A message says what was wrong, where, what was expected and what to do about it.
This module imports nothing.
"""

__all__ = [
    "CheckpointError",
    "CollapseWarning",
    "DataError",
    "DataWarning",
    "MissingExtraError",
    "ModelFileError",
    "NewerFormatError",
    "NonFiniteError",
    "OptionError",
    "OutputError",
    "ProcessError",
    "SchemaError",
    "SupportError",
    "TrainingError",
    "VariateError",
    "VariateWarning",
]


class VariateError(Exception):
    """The root of every error that variate raises on purpose."""


class OptionError(VariateError, ValueError):
    """An argument or option has a value that cannot be used."""


class DataError(VariateError, ValueError):
    """The data cannot be used; the message names the file, column and row."""


class SchemaError(DataError):
    """The data does not match what the model was trained on."""


class SupportError(DataError):
    """A value lies outside the support of its likelihood."""


class TrainingError(VariateError, RuntimeError):
    """Training cannot go on."""


class NonFiniteError(TrainingError):
    """A NaN or an infinity was born during training."""


class CheckpointError(TrainingError):
    """A checkpoint cannot be read, or belongs to another run."""


class ProcessError(TrainingError):
    """Another number of processes is running than was asked for."""


class ModelFileError(VariateError, OSError):
    """A model file cannot be read."""


class NewerFormatError(ModelFileError):
    """A model file was written by a newer version of variate."""


class OutputError(VariateError, OSError):
    """A result cannot be written where it was asked for."""


class MissingExtraError(VariateError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, need: str, package: str, extra: str) -> None:
        """Say what needs the package and how to install it."""
        super().__init__(
            f"{need} needs the package '{package}', which is not installed. "
            f"Install it with: pip install 'variate[{extra}]'"
        )


class VariateWarning(UserWarning):
    """The root of the warnings that a user should act on."""


class DataWarning(VariateWarning):
    """A column was dropped or changed, or a value lies out of range."""


class CollapseWarning(VariateWarning):
    """The posterior has collapsed onto the prior: the codes say nothing about the data."""
