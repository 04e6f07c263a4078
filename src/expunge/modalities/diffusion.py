"""A small text-conditional image diffusion model behind the one adapter."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from expunge.contract.model import Batch, Capabilities, Question, Sites
from expunge.facts.errors import InputError, nearest
from expunge.facts.rows import Row
from expunge.modalities.arrays import ENTRIES_PER_POSITION
from expunge.modalities.diffusion_network import NETWORKS
from expunge.modalities.diffusion_schedule import STEPS, denoise, noised, signal
from expunge.modalities.directory import Architecture, fields_of, read_description, read_weights, write_directory
from expunge.modalities.vision import Images

DROPPED = 0.1
"""Share of training examples whose prompt is emptied, so that the model also learns to draw without one (guidance)."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """A closed vocabulary; a prompt is at most `length` words, padded with the empty word 0."""

    known: tuple[str, ...]
    length: int = 1

    def encode(self, prompt: str) -> list[int]:
        """Return word ids, (length,); the empty prompt is all empty words."""
        words = prompt.split()
        for word in words:
            if word not in self.known:
                close = nearest(word, self.known)
                raise InputError(f"the prompt {prompt!r} has the unknown word {word!r}; the nearest is {close!r}")
        if len(words) > self.length:
            raise InputError(f"the prompt {prompt!r} has {len(words)} words, the model reads {self.length}")
        return [self.known.index(word) + 1 for word in words] + [0] * (self.length - len(words))


@dataclass
class DiffusionModel:
    """A noise predictor. Rows carry `image` and `prompt`; scored positions are an image's entries, so `loss` is their mean.

    `noise` (size, 2 + entries) carries all that is random, in float32 whatever the weights are: column 0 the timestep (a whole
    number, exact below 2^24), column 1 whether the prompt is kept (always, outside training), the rest epsilon. A frozen copy
    that is handed the same noise sees the same timestep, the same prompt and the same epsilon.
    """

    module: nn.Module
    architecture: Architecture
    images: Images
    words: Words
    modality: str = field(default="diffusion", init=False)
    capabilities: Capabilities = field(default=Capabilities(logits=False, features=False), init=False)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.module.parameters()).device

    @property
    def entries(self) -> int:
        """Numbers an image is made of."""
        return math.prod(self.images.shape)

    def questions(self, rows: Sequence[Row]) -> list[Question]:
        """Return each row's prompt with its image."""
        for row in rows:
            for name in ("image", "prompt"):
                if row.get(name) is None:
                    raise InputError(f"row {row.id!r} has no {name}", do=f"map the column: --map {name}=COLUMN")
        return [Question(row.id, str(row["prompt"]), {"image": row["image"]}) for row in rows]

    def question_cost(self, question: Question) -> int:
        """Return what the example takes, in positions."""
        return max(1, self.entries // ENTRIES_PER_POSITION) * len(question.answers)

    def word_ids(self, prompts: Sequence[str]) -> Tensor:
        """Return word ids of prompts, (prompts, length)."""
        return torch.tensor([self.words.encode(prompt) for prompt in prompts], device=self.device)

    def pack_questions(self, questions: Sequence[Question]) -> Batch:
        """Return one example an image, in order."""
        asked = [(question, image) for question in questions for image in question.answers.values()]
        images = self.images.read([image for _, image in asked], [question.row_id for question, _ in asked])
        x = images.to(next(self.module.parameters()))
        return Batch(
            {"x": x, "words": self.word_ids([question.prompt for question, _ in asked])},
            x.flatten(),
            torch.arange(len(asked), device=self.device).repeat_interleave(self.entries),
            len(asked),
            positions=sum(self.question_cost(question) for question in questions),
        )

    def pack(self, rows: Sequence[Row]) -> Batch:
        """Return rows as one batch, examples in order."""
        return self.pack_questions(self.questions(rows))

    def pack_apart(self, rows: Sequence[Row]) -> Batch:
        """Return rows as one batch, one example a batch row: what `pack` does here."""
        return self.pack(rows)

    def noise(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Draw timestep, whether the prompt is kept, and epsilon of each example, (size, 2 + entries)."""
        steps = torch.randint(STEPS, (batch.size, 1), generator=generator)
        kept = torch.rand(batch.size, 1, generator=generator) >= (DROPPED if self.module.training else 0.0)
        epsilon = torch.randn(batch.size, self.entries, generator=generator)
        return torch.cat([steps.float(), kept.float(), epsilon], dim=1).to(self.device)

    def total_loss(self, batch: Batch, noise: Tensor | None = None) -> Tensor:
        """Return the squared error of the predicted noise, summed over each image's entries, (size,)."""
        if noise is None:
            raise InputError(
                "the loss of a diffusion model needs noise", do="draw it with model.noise(batch, generator)"
            )
        x = batch.inputs["x"]
        steps, kept = noise[:, 0].long(), noise[:, 1:2].long()
        epsilon = noise[:, 2:].view_as(x)
        given = noised(x.float(), epsilon, signal().to(x.device)[steps])
        predicted = self.module(given.to(x.dtype), steps, batch.inputs["words"] * kept)
        errors: Tensor = (predicted.float() - epsilon).square()
        return errors.flatten(1).sum(1)

    @torch.no_grad()
    def sample(
        self, conditions: Sequence[str], *, generator: torch.Generator, steps: int = 12, guidance: float = 2.0
    ) -> Tensor:
        """Return one image a prompt, (prompts, C, H, W), on the scale of the rows' images.

        Classifier-free guidance: eps = eps(empty) + guidance (eps(prompt) - eps(empty)).
        """
        start = torch.randn(len(conditions), *self.images.shape, generator=generator)
        ids = torch.cat([self.word_ids([""] * len(conditions)), self.word_ids(conditions)])
        weight = next(self.module.parameters())

        def predict(x: Tensor, t: int) -> Tensor:
            both = torch.cat([x, x]).to(weight)
            empty, prompted = self.module(both, torch.full((len(both),), t, device=x.device), ids).float().chunk(2)
            return torch.lerp(empty, prompted, guidance)

        return self.images.restore(denoise(start.to(self.device), predict, steps))

    def logits(self, batch: Batch) -> Tensor:
        """Refuse: a noise predictor gives no probabilities."""
        raise InputError("a diffusion model has no logits", do="use a unit that needs the loss only")

    def features(self, batch: Batch, at: str) -> Tensor:
        """Refuse: hidden states depend on noise, which this call does not carry."""
        raise InputError("a diffusion model offers no features", do="use a unit that needs the loss only")

    def relabel(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Refuse: an image has no class to redraw, and another prompt would teach the image under that prompt."""
        raise InputError("a diffusion model has no labels to redraw", do="use a unit that needs the loss only")

    def sites(self) -> Sites:
        """Return the parts by module name."""
        names = [name for name, _ in self.module.named_modules()]
        return Sites(
            blocks=tuple(name for name in names if name.startswith("blocks.") and name.count(".") == 1),
            cross_attention=tuple(name for name in names if name.endswith(".cross_attention")),
            embedding=("words",),
            head=("head",),
        )

    def around(self, module: nn.Module) -> Self:
        """Return this adapter around another network of the same input and output."""
        twin = copy.copy(self)
        twin.module = module
        return twin

    def copy(self) -> Self:
        """Return a copy that shares no tensor."""
        return self.around(copy.deepcopy(self.module))

    def fresh(self, seed: int) -> Self:
        """Return the same architecture with every weight drawn anew under `seed`."""
        module = self.architecture.build(self.images.shape, len(self.words.known) + 1, seed=seed)
        return self.around(module.to(next(self.module.parameters())))

    def save(self, directory: Path) -> None:
        """Write `model.safetensors` and `expunge.json`."""
        description = {
            "modality": self.modality,
            "network": self.architecture.name,
            "arguments": dict(self.architecture.arguments),
            "input": self.images.describe(),
            "words": {"known": list(self.words.known), "length": self.words.length},
        }
        write_directory(directory, self.module, description)


def diffusion_model(network: str, *, images: Images, words: Words, seed: int = 0, **arguments: Any) -> DiffusionModel:
    """Return a new diffusion model: `network` is denoiser, `arguments` its own (width, context, heads)."""
    architecture = Architecture(network, arguments, NETWORKS)
    return DiffusionModel(
        architecture.build(images.shape, len(words.known) + 1, seed=seed), architecture, images, words
    )


def load_diffusion(directory: Path, *, dtype: str = "float32", device: str = "cpu") -> DiffusionModel:
    """Load what `save` wrote."""
    names = ("network", "arguments", "input", "words")
    network, arguments, given, words = fields_of(read_description(directory), "diffusion", names)
    vocabulary = Words(known=tuple(words["known"]), length=words["length"])
    model = diffusion_model(network, images=Images.described(given), words=vocabulary, **arguments)
    read_weights(directory, model.module)
    model.module.to(device=device, dtype=getattr(torch, dtype))
    return model
