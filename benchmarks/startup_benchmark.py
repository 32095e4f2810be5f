"""How soon checkroom is there: `import checkroom`, `checkroom --help`, and Python itself beside them.

    python benchmarks/startup_benchmark.py

The three are run in turn, so that whatever else the machine does meets them alike.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 15
CODES = {
    "python alone": ["-c", "pass"],
    "import checkroom": ["-c", "import checkroom"],
    "checkroom estimate --help": ["-m", "checkroom", "estimate", "--help"],
}


def main() -> None:
    """Prints the median and the minimum of each, in milliseconds."""
    took: dict[str, list[float]] = {name: [] for name in CODES}
    for _ in range(ROUNDS):
        for name, words in CODES.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
            took[name].append((time.perf_counter() - start) * 1000)
    for name, times in took.items():
        print(f"{name:<26} median {statistics.median(times):7.1f} ms   minimum {min(times):7.1f} ms")
    alone = min(took["python alone"])
    print(f"import checkroom costs {min(took['import checkroom']) - alone:.1f} ms beside Python itself (target: 100)")


if __name__ == "__main__":
    main()
