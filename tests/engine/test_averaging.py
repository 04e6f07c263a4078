"""Networks read as one by the mean of their outputs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from expunge.contract.model import Capabilities
from expunge.engine.averaging import Around, MeanNetwork, check_can_be_averaged, mean_of
from expunge.facts.errors import InputError
from expunge.modalities.array_tasks import Classification, Regression
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.tabular import Features, tabular_model


def lines(*slopes: float, dtype: torch.dtype = torch.float32) -> list[nn.Module]:
    found: list[nn.Module] = []
    for slope in slopes:
        line = nn.Linear(1, 1, bias=False, dtype=dtype)
        nn.init.constant_(line.weight, slope)
        found.append(line)
    return found


def test_the_mean_of_the_outputs() -> None:
    """Slopes 1, 2 and 6 make 3. Fails if outputs are summed, or one network's are given."""
    assert MeanNetwork(lines(1.0, 2.0, 6.0))(torch.tensor([[2.0]])).tolist() == [[6.0]]


def test_outputs_of_low_precision_are_averaged_in_float32() -> None:
    """1 and 1 + 2^-7, neighbours in bfloat16, make 1 + 2^-8, which it does not hold. Fails if the mean is rounded to the weights' type."""
    low = torch.bfloat16
    assert MeanNetwork(lines(1.0, 1 + 2**-7, dtype=low))(torch.ones(1, 1, dtype=low)).item() == 1 + 2**-8


def regression(seed: int) -> ArrayModel:
    return tabular_model("mlp", features=Features(width=2), task=Regression(mean=1.0, std=2.0), seed=seed, width=4)


def test_an_adapter_around_the_mean_shares_the_members_weights() -> None:
    """Gradients of the mean's loss reach every member, half of each. Fails if members are copied, so that relearning trains nothing."""
    one, two = regression(0), regression(1)
    both = mean_of([one, two])
    both.module(torch.ones(1, 2)).sum().backward()
    for member in (one, two):
        assert member.module.get_parameter("head.bias").grad.tolist() == [0.5]
    assert isinstance(one, Around)
    assert both.capabilities.numbers


def test_what_has_neither_probabilities_nor_another_network_is_refused() -> None:
    """Fails if an adapter of others is averaged by outputs of which it is not known what they are."""

    class Foreign:
        modality = "tabular"
        capabilities = Capabilities(logits=False)

    with pytest.raises(InputError, match="this tabular model offers neither") as refused:
        check_can_be_averaged(Foreign())  # type: ignore[arg-type]
    assert refused.value.do == "use retrain"
    check_can_be_averaged(regression(0))
    check_can_be_averaged(tabular_model("mlp", features=Features(width=2), task=Classification(classes=2)))
