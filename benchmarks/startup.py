"""How long `variate --help` and `import variate` take, as a person sees them: whole processes.

nothing      python -c pass
import       python -c 'import variate'           promised: under 0.1 s
import, own  the same less `nothing`, round by round
help         variate --help                       promised: under 0.3 s
usage        variate sample --help
"""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from harness.arguments import parser
from harness.record import Record, ratios, show, summary

COMMAND = [str(Path(sys.executable).with_name("variate"))]
COMMANDS = {
    "nothing": [sys.executable, "-c", "pass"],
    "import": [sys.executable, "-c", "import variate"],
    "help": [*COMMAND, "--help"],
    "usage": [*COMMAND, "sample", "--help"],
}


def main() -> None:
    made = parser(__doc__.partition("\n\n")[0])
    made.add_argument("--rounds", type=int, default=20, help="rounds, after one to warm up")
    options = made.parse_args()
    rounds = 5 if options.quick else options.rounds
    record = Record("startup", {"rounds": rounds})
    record.head()
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(rounds + 1):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if turn > 0:
                taken[name].append(time.perf_counter() - start)
    bare = taken["nothing"]
    taken["import, own"] = [a - b for a, b in zip(taken["import"], bare, strict=True)]
    rows = [
        [name, show(values, 0, 1000), show(ratios(values, bare), 1)]
        for name, values in taken.items()
    ]
    record.table("median (min..max)", ["command", "ms", "ratio to nothing"], rows)
    record.target("seconds of `variate --help`", median(taken["help"]), 0.3, least=False)
    record.target("seconds of `import variate`", median(taken["import"]), 0.1, least=False)
    record.results = {name: summary(values) for name, values in taken.items()}
    record.write(options)


if __name__ == "__main__":
    main()
