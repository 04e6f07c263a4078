"""The Python interface: the commands' names, loaded lazily, with the commands' results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_directory import Command, Tiny


def test_importing_the_package_loads_nothing_heavy() -> None:
    """Fails if `import expunge` reads more than its own file; the four names are there all the same."""
    program = (
        "import sys, expunge\n"
        "loaded = {name for name in sys.modules if name.partition('.')[0] in ('torch', 'pydantic', 'numpy', 'transformers')}\n"
        "assert not loaded, loaded\n"
        "from expunge import attack, forget, units, verify\n"
        "assert 'torch' not in sys.modules\n"
        "assert 'npo' in units('method')\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """Fails if the lazy lookup hides a typing error."""
    import expunge

    with pytest.raises(AttributeError, match="no attribute 'forgot'"):
        _ = expunge.forgot


def test_rows_in_memory_and_in_files_give_the_same_weights(command: Command, tiny: Tiny, tmp_path: Path) -> None:
    """Fails if the two interfaces differ: same method, settings and seed, so the same bytes as the command's."""
    from expunge import forget

    record = forget(tiny.target, forget=tiny.rows("forget"), retain=tiny.rows("retain"), holdout=tiny.rows("holdout"), method="npo",
                    settings={"epochs": 1, "lr": 1e-3}, out=tmp_path / "a", store=tmp_path / "store")  # fmt: skip
    done = command("forget", "--model", tiny.target, *tiny.files("forget", "retain", "holdout"), "--method", "npo", "--set", "epochs=1",
                   "--set", "lr=1e-3", "--out", tmp_path / "b", "--store", tmp_path / "store", "--json")  # fmt: skip
    assert done.code == 0, done.err
    name = Path("model") / "model.safetensors"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    said = json.loads(done.out)
    assert said["method"]["digest_after"] == record.method.digest_after
    from expunge.facts.digest import read_json
    from expunge.facts.record import Record

    assert Record.model_validate(read_json(done.out)).digest() == record.digest()


def test_verify_and_attack_agree(tiny: Tiny, tmp_path: Path) -> None:
    """Fails if attack runs something else than verify does, or the order of models is mixed up.

    The model that never saw the forget rows stands in the unlearned one's place: the target's member scores are higher, its own not.
    """
    from expunge import attack, verify

    rows = {"forget": tiny.rows("forget"), "holdout": tiny.rows("holdout")}
    given = {"target": tiny.target, "unlearned": tiny.never, "attacks": ["loss"], "store": tmp_path / "store"}
    record = verify(**rows, **given)
    outcomes = attack(**rows, **given)
    assert [(one.model, one.forget) for one in outcomes] == [(one.model, one.forget) for one in record.outcomes]
    means = {one.model: (sum(one.forget) / 8, sum(one.holdout) / 8) for one in outcomes if one.attack == "loss"}
    assert means["target"][0] > means["target"][1] + 1
    assert abs(means["unlearned"][0] - means["unlearned"][1]) < 1


def test_verify_without_forget_rows_says_so(tiny: Tiny, tmp_path: Path) -> None:
    """Fails if nothing to forget is taken for a request."""
    from expunge import verify
    from expunge.facts.errors import InputError

    with pytest.raises(InputError, match="needs forget rows"):
        verify(target=tiny.target, unlearned=tiny.never, store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_an_unknown_kind_of_unit_names_the_known_ones() -> None:
    """Fails if a wrong kind is an empty list."""
    from expunge import units
    from expunge.facts.errors import InputError

    with pytest.raises(InputError, match="there is no kind 'methods'"):
        units("methods")
