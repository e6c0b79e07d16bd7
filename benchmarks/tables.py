"""Synthetic tables."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def judge(options):
    done = subprocess.run(
        [str(options.metrics_python), "-m", "harness.table_judge", str(options.data.resolve()), options.set,
         str(options.synthetic if str(options.synthetic) == "test" else options.synthetic.resolve()),
         "--seed", str(options.seed), "--threads", str(options.threads),
         *(["--details"] if options.details else [])],
        cwd=HERE, check=True, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(options.threads)},
    )
    return json.loads(done.stdout)


def main():
    made = argparse.ArgumentParser()
    made.add_argument("command", choices=["judge"])
    made.add_argument("--set", required=True)
    made.add_argument("--synthetic", required=True, type=Path)
    made.add_argument("--metrics-python", required=True, type=Path)
    made.add_argument("--data", type=Path, default=os.environ.get("VARIATE_DATA"))
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--details", action="store_true")
    print(json.dumps(judge(made.parse_args()), indent=1))


if __name__ == "__main__":
    main()
