"""Run the benches: python -m bench [NAME | CHECKOUT TOFU_FOLDER].

NAME runs one alone (per_example, second_order, estimators, shadows, dampening). Those beside the standard framework need a clone of it
and TOFU's folder.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Run every bench that the arguments allow, one after another, and return the first status that is not 0."""
    here = Path(__file__).parent
    todo = [["per_example.py"], ["second_order.py"], ["estimators.py"], ["shadows.py"], ["dampening.py"]]
    if len(arguments) == 1:
        todo = [[f"{arguments[0]}.py"]]
    elif len(arguments) == 2:
        checkout, data = arguments
        todo += [["steps.py", checkout, "--data", data], ["evaluate.py", checkout, "--data", data]]
    else:
        print("steps.py and evaluate.py are left out: give the path of an open-unlearning checkout and TOFU's folder")
    for script, *rest in todo:
        print(f"\n{script}", flush=True)
        status = subprocess.run([sys.executable, str(here / script), *rest], check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
