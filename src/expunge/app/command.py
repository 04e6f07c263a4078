"""The `expunge` command: errors become messages and exit codes here, and nowhere else."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import typer

from expunge.app import (
    attack_command,
    bench_command,
    certificate_command,
    demo_command,
    doctor_command,
    forget_command,
    ledger_command,
    report_command,
    run_command,
    tune_command,
    units_command,
    verify_command,
)
from expunge.facts.errors import ExpungeError, InputError

app = typer.Typer(
    help="Remove data, knowledge, concepts and behaviours from trained models on request, and show how far it got.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (
    forget_command, verify_command, attack_command, run_command, bench_command, tune_command, units_command,
    certificate_command, ledger_command, report_command, demo_command, doctor_command,
):  # fmt: skip
    module.add_to(app)


EXTRAS = ("torch", "transformers", "tokenizers", "peft", "accelerate", "sklearn", "rapidfuzz", "optuna")
"""What the core install leaves out: an auditor needs none of it."""


ALONE = ("run", "bench", "demo", "tune")
"""Commands that hold a run of the store, which one process does at a time."""


def _refuse_several(arguments: list[str]) -> None:
    """Refuse a launcher's processes where each would do the whole work; forget, verify and attack share theirs."""
    if (
        {"RANK", "WORLD_SIZE"} <= os.environ.keys()
        and os.environ["WORLD_SIZE"] != "1"
        and set(arguments[:1]) & set(ALONE)
    ):
        raise InputError(
            f"expunge {arguments[0]} runs in one process",
            do="start it without a launcher; under one, use forget, verify or attack",
        )


def main() -> None:
    """Run the command; 0 done, 1 a rung not reached or a verification failed, 2 bad input, 3 contradicted evidence, 130 interrupted."""
    try:
        _refuse_several(sys.argv[1:])
        app()
    except ExpungeError as error:
        rank = os.environ.get("RANK", "0")
        typer.echo(error.text() if rank == "0" else f"process {rank}: {error.what}", err=True)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRAS:
            raise
        typer.echo(f"{error.name} is not installed\n  try: pip install 'expunge[models]'", err=True)
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        typer.echo(f"{error.filename}: {error.strerror}", err=True)
        sys.exit(2)
    except SystemExit as leaving:
        if leaving.code == 130:
            typer.echo("interrupted; finished pieces are kept, run the same command again to go on", err=True)
        raise


if __name__ == "__main__":
    main()
