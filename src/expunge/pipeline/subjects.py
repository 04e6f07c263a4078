"""The models of one verification, each by its directory or in memory, opened when needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from expunge.contract.model import Model
from expunge.contract.units import Guarded
from expunge.contract.weights import weights_digest
from expunge.facts.digest import directory_digests, safetensors_digest
from expunge.facts.record import ModelFacts, Role
from expunge.pipeline.loading import Placement, load_model


@dataclass(frozen=True)
class Subject:
    """A model under a name and a role. `open()` returns it; a directory is loaded each time, so that one is in memory."""

    name: str
    role: Role
    open: Callable[[], Model]
    directory: Path | None = None
    guarded: Guarded | None = None

    @classmethod
    def at(cls, directory: Path, name: str, role: Role, placement: Placement | None = None) -> Subject:
        """Return the model in a directory."""
        return cls(name, role, lambda: load_model(directory, placement), directory)

    @classmethod
    def held(cls, model: Model, name: str, role: Role) -> Subject:
        """Return a model that is in memory."""
        return cls(name, role, lambda: model)

    def facts(self, model: Model) -> ModelFacts:
        """Return digests and size for the record."""
        digest = safetensors_digest(self.directory) if self.directory else weights_digest(model.module)
        return ModelFacts(
            role=self.role,
            name=self.name,
            content_digest=digest,
            files=directory_digests(self.directory) if self.directory else {},
            parameters=sum(parameter.numel() for parameter in model.module.parameters()),
        )
