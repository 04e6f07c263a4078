"""Two gloo processes under `accelerate launch` give what one process gives."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import two_processes

from expunge.contract.weights import weights_digest
from expunge.modalities.text import load_text

Found = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two processes wrote what they found."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [
        *(
            sys.executable,
            "-m",
            "accelerate.commands.launch",
            "--multi_gpu",
            "--num_processes",
            "2",
            "--num_machines",
            "1",
        ),
        *("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", str(port)),
        *(two_processes.__file__, str(folder)),
    ]
    here = str(Path(two_processes.__file__).parent)
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def alone() -> Found:
    """What one process finds."""
    torch.set_num_threads(1)
    return two_processes.everything()


@pytest.fixture(scope="module")
def found(launched: Path, alone: Found) -> tuple[Found, list[Found]]:
    """What one process finds, and what each of two finds."""
    return alone, [dict(np.load(launched / f"{rank}.npz")) for rank in range(2)]


@pytest.fixture(scope="module")
def spread(launched: Path, alone: Found) -> tuple[Found, list[Found]]:
    """What one process finds, and what each of two finds whose weights are spread over both (FSDP)."""
    return alone, [dict(np.load(launched / f"spread-{rank}.npz")) for rank in range(2)]


def parts(one: Found, name: str) -> Found:
    return {key: value for key, value in one.items() if key.startswith(f"{name}/")}


def furthest(one: Found, other: Found, name: str) -> float:
    first = parts(one, name)
    assert first.keys() == parts(other, name).keys()
    assert first
    return max(float(np.abs(value - other[key]).max()) for key, value in first.items())


def test_scores_are_the_same_row_by_row(found: tuple[Found, list[Found]]) -> None:
    """42 rows in several batches. Fails if a share's rows come back in another order, one is lost, or batches depend on the processes."""
    one, two = found
    for other in two:
        for name in ("keys", "rank", "token", "offsets"):
            np.testing.assert_array_equal(one[f"score/{name}"], other[f"score/{name}"])
        for name in ("log_prob", "mean", "variance"):
            np.testing.assert_allclose(one[f"score/{name}"], other[f"score/{name}"], rtol=0, atol=1e-6)


def test_generations_are_the_same_row_by_row(found: tuple[Found, list[Found]]) -> None:
    """Fails if an answer goes to another row, or one process's are missing."""
    one, two = found
    assert all(list(other["score/said"]) == list(one["score/said"]) for other in two)


def test_gradient_norms_are_the_same_row_by_row(found: tuple[Found, list[Found]]) -> None:
    """Fails if a row's norm goes to another row."""
    one, two = found
    for other in two:
        for name in ("norms/whole", "norms/mean"):
            np.testing.assert_allclose(one[name], other[name], rtol=1e-5)


@pytest.mark.parametrize("name", ["fit", "sgd", "npo", "noise", "partly"])
def test_training_gives_the_same_parameters(found: tuple[Found, list[Found]], name: str) -> None:
    """20 steps or more (partly: 12) at one global batch, rows of 3 to 12 tokens, the last batch of an epoch a single row.

    Fails if means are taken a process (a share of short answers then weighs as much), gradients are averaged, clipped before they are
    summed, a process is left without rows, noise is drawn a process, or a weight that nobody used decays.
    """
    one, two = found
    start = two_processes.text_model("llama")[0] if name in ("fit", "sgd", "npo") else None
    for other in two:
        assert furthest(one, other, name) <= 1e-5
    if start is not None:
        before = {f"{name}/{key}": value for key, value in two_processes.weights(start).items()}
        assert furthest(one, before, name) > 1e-2


def test_processes_agree_to_the_bit(found: tuple[Found, list[Found]]) -> None:
    """Fails if processes drift apart: each must hold the same model after every step."""
    _, (first, second) = found
    for name in ("fit", "sgd", "npo", "noise", "partly"):
        assert furthest(first, second, name) == 0.0


def test_an_epochs_loss_is_that_of_all_rows(found: tuple[Found, list[Found]]) -> None:
    """It ends training at `stop_loss`. Fails if it is a share's, or a batch that both took counts twice."""
    one, two = found
    for other in two:
        assert float(other["fit_loss"]) == pytest.approx(float(one["fit_loss"]), rel=1e-5)


def test_spread_weights_score_the_same(spread: tuple[Found, list[Found]]) -> None:
    """Fails if a process waits for a forward pass that another does not make, or logits at every position are taken at other places."""
    one, two = spread
    for other in two:
        for name in ("keys", "rank", "token", "offsets", "said"):
            np.testing.assert_array_equal(one[f"score/{name}"], other[f"score/{name}"])
        assert (
            max(
                np.abs(one[f"score/{name}"] - other[f"score/{name}"]).max() for name in ("log_prob", "mean", "variance")
            )
            <= 1e-5
        )


@pytest.mark.parametrize("name", ["fit", "sgd", "npo"])
def test_spread_weights_train_to_the_same_parameters(spread: tuple[Found, list[Found]], name: str) -> None:
    """FSDP averages gradients over processes, and NPO scores the frozen target before its first step.

    Fails if the average is taken for the sum, or the root's weights stay whole after a
    pass without gradient: the optimiser is then given others than those that train (1e-2 off).
    """
    one, two = spread
    assert all(furthest(one, other, name) <= 1e-5 for other in two)


def test_spread_weights_have_a_digest_and_are_saved_whole(spread: tuple[Found, list[Found]], launched: Path) -> None:
    """Fails if a digest is that of a shard, or a process writes its shard."""
    one, two = spread
    for other in two:
        assert other["digests"][0] == one["digests"][0]
        assert other["digests"][1] == two[0]["digests"][1]
    assert not (launched / "saved-by-1").exists()
    saved = load_text(launched / "saved-by-0")
    assert weights_digest(saved.module) == two[0]["digests"][1]


def test_what_spread_weights_cannot_do_is_refused(spread: tuple[Found, list[Found]]) -> None:
    """A scope, a frozen copy, features. Fails if one of them runs into FSDP's own errors, or hangs."""
    for other in spread[1]:
        refused = list(other["refused"])
        assert len(refused) == 3
        assert [("no features and no scope" in words, "cannot be copied" in words) for words in refused] == [
            (True, False), (False, True), (True, False),
        ]  # fmt: skip


def test_the_lead_alone_writes_and_all_see_the_same(launched: Path) -> None:
    """Fails if a process reads its own cache (one would compute what the other reads, and wait for it for ever), writes beside the lead,
    goes on where the lead refused, or a directory has its name before it is whole.
    """
    first, second = (dict(np.load(launched / f"lead-{rank}.npz")) for rank in range(2))
    assert (bool(first.pop("lead")), bool(second.pop("lead"))) == (True, False)
    assert (first.pop("kept").tolist(), second.pop("kept").tolist()) == (["known", "new"], ["other"])
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert (int(first["asked"]), str(first["refused"])) == (0, "process 0 refuses")
    assert first["read"].tolist() == ["b'by the lead'", "None"]
    assert (bool(first["early"]), bool(first["late"])) == (False, True)
    assert not Path(str(first["partial"])).exists()
    assert first["left"].tolist() == []
