"""Training: a generator of events, resumable at any step, in one process or many."""

from variate.training.augment import AugmentedSource
from variate.training.batches import MemorySource, Source
from variate.training.checkpoint import remove_checkpoint
from variate.training.events import Event, Finished, Saved, Started, Step, Validated
from variate.training.health import active_dimensions
from variate.training.interrupt import interruptible
from variate.training.lengths import LengthSource
from variate.training.loop import train
from variate.training.private import train_privately
from variate.training.stream import StreamSource
from variate.training.tensorboard import tensorboard

__all__ = [
    "AugmentedSource",
    "Event",
    "Finished",
    "LengthSource",
    "MemorySource",
    "Saved",
    "Source",
    "Started",
    "Step",
    "StreamSource",
    "Validated",
    "active_dimensions",
    "interruptible",
    "remove_checkpoint",
    "tensorboard",
    "train",
    "train_privately",
]
