"""Training steps with memory kept from step to step, or in large pages: python bench/memory.py [--threads 2] [--repeats 5].

Each network is trained in processes of its own, the ways in turn. Prints the median of each process's least seconds a step, their
range over processes, pages faulted in a step, and the largest memory that a process held.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from expunge.engine.loop import keep_memory
from expunge.modalities.vision import Images, vision_model

WAYS: dict[str, tuple[bool, dict[str, str]]] = {
    "given back": (False, {}),
    "kept": (True, {}),
    "kept, large pages": (True, {"THP_MEM_ALLOC_ENABLE": "1"}),
    "kept, all": (True, {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}),
}
"""Whether small arrays are kept, as training does, and the process's environment."""
IMAGES = {"cnn 16": ("cnn", 16), "cnn 8": ("cnn", 8), "resnet 16": ("resnet", 16), "vit 48": ("vit", 48)}
"""Networks on 64 images of 28x28, and their widths."""
TEXTS = {"llama 16x64, 8192": (16, 64, 8192), "llama 16x256, 32000": (16, 256, 32000)}
"""Rows, tokens a row and vocabulary of a Llama of four blocks of width 256."""


def step_of(name: str) -> Callable[[], None]:
    """Return a training step of a network."""
    if name in IMAGES:
        network, width = IMAGES[name]
        module = vision_model(network, images=Images(shape=(1, 28, 28)), classes=10, width=width).module.train()
        x, y = torch.randn(64, 1, 28, 28), torch.randint(10, (64,))

        def loss() -> Tensor:
            return torch.nn.functional.cross_entropy(module(x), y)
    else:
        from transformers import LlamaConfig, LlamaForCausalLM

        rows, tokens, vocabulary = TEXTS[name]
        sizes = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4, "num_attention_heads": 4}
        module = LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, max_position_embeddings=512, **sizes)).train()
        ids = torch.randint(vocabulary, (rows, tokens))

        def loss() -> Tensor:
            found: Tensor = module(input_ids=ids, labels=ids).loss
            return found

    rule = torch.optim.AdamW(module.parameters(), fused=True)

    def step() -> None:
        rule.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        rule.step()

    return step


def one(name: str, keep: bool, threads: int) -> None:
    """Print what steps of one network cost in this process."""
    torch.set_num_threads(threads)
    if keep:
        keep_memory()
    step = step_of(name)
    for _ in range(3):
        step()
    faults, found = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, []
    for _ in range(8):
        began = time.perf_counter()
        step()
        found.append(time.perf_counter() - began)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([min(found), (used.ru_minflt - faults) / 8, used.ru_maxrss / 1024]))


def main() -> None:
    """Compare the ways on every network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one")
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args()
    if given.one:
        one(given.one, given.keep, given.threads)
        return
    for name in (*IMAGES, *TEXTS):
        found: dict[str, list[list[float]]] = {way: [] for way in WAYS}
        for _ in range(given.repeats):
            for way, (keep, own) in WAYS.items():
                command = [sys.executable, __file__, "--one", name, "--threads", str(given.threads)]
                command += ["--keep"] if keep else []
                environment = {**os.environ, "OMP_NUM_THREADS": str(given.threads), **own}
                done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
                found[way].append(json.loads(done.stdout))
        base = median(each[0] for each in found["given back"])
        for way, several in found.items():
            times = [each[0] for each in several]
            print(
                f"{name:20} {way:18} {median(times) * 1e3:7.1f} ms ({min(times) * 1e3:.1f} to {max(times) * 1e3:.1f})"
                f"  {base / median(times):.2f}x  {median(each[1] for each in several):8.0f} faults"
                f"  {max(each[2] for each in several):6.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
