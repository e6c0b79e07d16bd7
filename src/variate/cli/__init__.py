"""The command line: `variate VERB`, one function a verb.

Results go to standard output or to `--out`, everything said about them to standard error.
The exit status is 0 when done, 1 for a stated error, 2 for wrong usage. torch is imported inside
the verbs, so that `variate --help` answers at once.

This module does not know any mathematics: each verb reads, calls the verb of the same name, writes.
"""

import os
import sys
import warnings

from cyclopts import CycloptsError

from variate.cli.app import app
from variate.cli.composing import accompany, adapt, continue_
from variate.cli.deciding import decide
from variate.cli.detecting import detect, recalibrate
from variate.cli.filling import impute
from variate.cli.forecasting import forecast
from variate.cli.pictures import traverse
from variate.cli.steering import direction, move
from variate.cli.telling import constraints, demo, evaluate, info
from variate.cli.training import fit
from variate.cli.using import balance, encode, interpolate, reconstruct, sample, score, vary
from variate.console import flush, mute, say, show_warning
from variate.errors import OptionError, OutputError, VariateError

__all__ = [
    "accompany",
    "adapt",
    "app",
    "balance",
    "constraints",
    "continue_",
    "decide",
    "demo",
    "detect",
    "direction",
    "encode",
    "evaluate",
    "fit",
    "forecast",
    "impute",
    "info",
    "interpolate",
    "main",
    "move",
    "recalibrate",
    "reconstruct",
    "sample",
    "score",
    "traverse",
    "vary",
]


def main() -> None:
    """Run the command line; every stated error is one line on standard error."""
    # Threads that wait by spinning cost a machine that is shared more than they save.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    warnings.showwarning = show_warning
    try:
        app(sys.argv[1:], exit_on_error=False, print_error=False)
        flush()
    except CycloptsError as error:
        say(f"usage: {error}")
        say("`variate --help` and `variate VERB --help` show how it is used.")
        raise SystemExit(2) from None
    except OptionError as error:
        say(f"error: {error}")
        raise SystemExit(2) from None
    except BrokenPipeError:
        mute()
        raise SystemExit(1) from None
    except OutputError as error:
        say(f"error: {error}")
        mute()
        raise SystemExit(1) from None
    except VariateError as error:
        say(f"error: {error}")
        raise SystemExit(1) from None
    except OSError as error:  # of the machine: a full disk under --help, say
        say(f"error: {error}")
        mute()
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        say("interrupted")
        raise SystemExit(1) from None
