"""What `test_two_processes` runs under a launcher and by itself: scores, generations, training; results to an npz a process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain_models import text_model
from torch import nn

from expunge.contract.apply import unlearn
from expunge.contract.job import Job, Remembering
from expunge.contract.splits import Splits
from expunge.contract.weights import is_sharded, whole
from expunge.engine.descend import Descent, Step, descend
from expunge.engine.fit import fit
from expunge.engine.parallel import gather_objects, world
from expunge.engine.per_example import gradient_norms
from expunge.engine.score import score
from expunge.facts.errors import InputError
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.methods.kl_retain import KLRetain
from expunge.methods.npo import NPO
from expunge.methods.rmu import RMU
from expunge.modalities.diffusion import Words, diffusion_model
from expunge.modalities.vision import Images
from expunge.pipeline.processes import (
    from_lead,
    is_lead,
    new_directory_of_lead,
    save_by_lead,
    shared,
    spread,
    together,
)

STEPS = 20
PLAIN = Recipe(epochs=7, lr=0.05, batch_size=3, optimiser="sgd", momentum=0.5, clip=None, seed=1)
"""A step in proportion to its gradient: AdamW and clipping hide a factor in it."""
RECIPE = Recipe(epochs=7, lr=1e-3, batch_size=3, weight_decay=0.1, clip=0.5, warmup=0.1, seed=1, stop_loss=1e-9)


def weights(model: Any) -> dict[str, np.ndarray]:
    return {name: whole(p.detach()).numpy().copy() for name, p in model.module.named_parameters()}


def drawings(n: int) -> tuple[Any, Rows]:
    draw = np.random.default_rng(0)
    images = draw.normal(size=(n, 4, 4)).astype(np.float32)
    rows = Rows(tuple(Row(id=f"d{i}", fields={"image": images[i], "prompt": "ab"[i % 2]}) for i in range(n)))
    shape = Images(shape=(1, 4, 4), mean=(0.5,), std=(0.5,))
    return diffusion_model(
        "denoiser", images=shape, words=Words(known=("a", "b")), seed=0, width=8, context=8, heads=2
    ), rows


class PartlyUsed(nn.Module):
    """A network with a weight that no loss depends on, and one that only rows of odd labels use."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.own = nn.Linear(3, 2)
        self.never = nn.Parameter(torch.ones(2, 2))
        self.sometimes = nn.Parameter(torch.ones(2, 3))


def partly_used() -> dict[str, np.ndarray]:
    """Train with decay on losses of which a share may use a weight and another not."""
    network = PartlyUsed()
    draw = torch.Generator().manual_seed(0)
    xs = torch.randn(7, 3, generator=draw)
    rows = Rows(tuple(Row(id=f"x{i}", fields={"features": xs[i].tolist(), "label": i % 2}) for i in range(7)))

    class Model:
        module = network

        def pack(self, given: Any) -> Any:
            return list(given)

    def loss(step: Step) -> torch.Tensor:
        values = []
        for row in step.forget:
            x = torch.tensor(row["features"])
            out = network.own(x) + (network.sometimes @ x if row["label"] else 0.0)
            values.append(out.square().sum())
        return step.forget_mean(torch.stack(values))

    settings = Descent(lr=1e-2, epochs=3, batch_size=2, weight_decay=0.5)
    descend(Model(), Job(), settings, loss, forget=rows)  # type: ignore[arg-type]
    return {name: p.detach().numpy().copy() for name, p in network.named_parameters()}


def asked(model: Any, rows: Rows) -> dict[str, np.ndarray]:
    """Scores and generations of 42 rows, in several batches."""
    copies = [(row, i) for row in rows for i in range(6)]
    fields = [{**row.fields, "answer": f"{row['answer']} {i}"} for row, i in copies]
    many = Rows(tuple(Row(id=f"{row.id}-{i}", fields=own) for (row, i), own in zip(copies, fields, strict=True)))
    scores = score(model, many, job=Job(), budget=90)
    names = ("log_prob", "mean", "variance", "rank", "token", "offsets")
    said = {"said": np.array(model.generate(many, max_new_tokens=5))}
    return {
        **{name: getattr(scores, name) for name in names},
        "keys": np.array([key[0] for key in scores.keys]),
        **said,
    }


def npo(model: Any, rows: Rows) -> Any:
    """Forget three rows through the harness, 20 steps."""
    method = NPO(descent=Descent(lr=1e-3, epochs=10, batch_size=2, weight_decay=0.1, clip=1.0))
    splits = Splits.of(forget=rows[:3], retain=rows[3:])
    return unlearn(method, model, splits, job=Job(seed=2), consume=True)


def spread_out(folder: Path) -> dict[str, np.ndarray]:
    """The same with weights spread over the processes as accelerate's FSDP setting asks for, and saved by the lead."""
    os.environ["ACCELERATE_USE_FSDP"] = "true"
    model, rows = text_model("llama")
    assert spread(model) is model
    assert is_sharded(model.module)
    found = {f"score/{name}": value for name, value in asked(model, rows).items()}
    changed, facts = npo(model, rows)
    found.update({f"npo/{name}": value for name, value in weights(changed).items()})
    save_by_lead(changed, folder / f"saved-by-{world()[0]}")
    found["digests"] = np.array([facts.digest_before, facts.digest_after])
    plain = fit(spread(text_model("llama")[0]), rows, PLAIN, job=Job())
    found.update({f"sgd/{name}": value for name, value in weights(plain).items()})
    other = spread(text_model("llama")[0])
    found.update({f"fit/{name}": value for name, value in weights(fit(other, rows, RECIPE, job=Job(seed=0))).items()})
    refused = []
    for scope, method in (("layers:0", NPO()), ("full", KLRetain()), ("full", RMU())):
        try:
            unlearn(method, other, Splits.of(forget=rows[:3], retain=rows[3:]), scope=scope, consume=True)
        except InputError as error:
            refused.append(error.what)
    found["refused"] = np.array(refused)
    return found


def everything() -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}

    def keep(name: str, values: dict[str, np.ndarray]) -> None:
        found.update({f"{name}/{key}": value for key, value in values.items()})

    model, rows = text_model("llama")
    keep("score", asked(model, rows))
    norms = gradient_norms(model, rows, job=Job())
    keep("norms", {"whole": norms[0].numpy(), "mean": norms[1].numpy()})
    job = Job(seed=0)
    keep("fit", weights(fit(model.copy(), rows, RECIPE, job=job)))
    found["fit_loss"] = np.array(job.notes["fit_loss"])
    keep("sgd", weights(fit(model.copy(), rows, PLAIN, job=Job())))
    changed, facts = npo(model.copy(), rows)
    keep("npo", weights(changed))
    found["digests"] = np.array([facts.digest_before, facts.digest_after])
    drawer, drawn = drawings(7)
    keep("noise", weights(fit(drawer, drawn, RECIPE, job=Job(seed=3))))
    keep("partly", partly_used())
    return found


def what_the_lead_does(folder: Path) -> dict[str, np.ndarray]:
    """What each process sees of what the first alone does."""
    rank = world()[0]
    found: dict[str, Any] = {"asked": from_lead(lambda: rank), "lead": is_lead()}

    def refuse() -> None:
        raise InputError(f"process {rank} refuses")

    try:
        from_lead(refuse)
    except InputError as error:
        found["refused"] = error.what
    own = Remembering({"known": b"by the lead"} if rank == 0 else {"other": b"by another"})
    both = shared(own)
    found["read"] = [str(both.get("known")), str(both.get("other"))]
    both.put("new", b"1")
    found["kept"] = sorted(own)
    with new_directory_of_lead(folder / "made") as partial:
        found["partial"] = str(partial)
        from_lead(lambda: (partial / "file").write_bytes(b"1"))
        found["early"] = (folder / "made").exists()
        gather_objects(0)  # both have looked before the lead goes on
    found["late"] = (folder / "made" / "file").exists()
    try:
        with new_directory_of_lead(folder / "broken") as partial:
            raise InputError("it broke in both")
    except InputError:
        found["left"] = from_lead(lambda: sorted(path.name for path in folder.iterdir() if "broken" in path.name))
    return {name: np.array(value) for name, value in found.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    with together("cpu"):
        rank, size = world()
        assert size == 2
        folder = Path(sys.argv[1])
        np.savez(folder / f"{rank}.npz", **everything())
        np.savez(folder / f"lead-{rank}.npz", **what_the_lead_does(folder))
        np.savez(folder / f"spread-{rank}.npz", **spread_out(folder))
