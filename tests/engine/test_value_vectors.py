"""Value vectors: where they stand, the words they speak, the noise on them, and what became of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from expunge.engine.value_vectors import Outputs, Place, changes, columns, disturb, head_of, top_tokens
from expunge.facts.errors import InputError
from expunge.modalities.text_build import new_text_model, train_tokenizer

TOKENIZER = train_tokenizer(["Who built it? the miller", "Which town? Tarn"], 280)
LLAMA = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
GPT2 = {"n_embd": 16, "n_inner": 24, "n_layer": 2, "n_head": 2, "n_positions": 64}


def model(architecture: str, sizes: dict[str, int], **more: int) -> Any:
    return new_text_model(TOKENIZER, architecture, {**sizes, **more}, seed=0)


def parameters(one: Any) -> dict[str, torch.Tensor]:
    return dict(one.module.named_parameters())


def test_vectors_are_columns_of_a_linear_layer_and_rows_of_conv1d() -> None:
    """By name: llama's down_proj is (width, units), gpt2's c_proj (units, width). Fails if either is read along the other axis."""
    llama, gpt2 = model("llama", LLAMA), model("gpt2", GPT2)
    place = Place(1, "model.layers.1.mlp.down_proj.weight", 5)
    assert Outputs.of(llama).places()[24 + 5] == place
    assert torch.equal(Outputs.of(llama).at(place), parameters(llama)[place.parameter][:, 5])
    other = Place(0, "transformer.h.0.mlp.c_proj.weight", 23)
    assert Outputs.of(gpt2).places()[23] == other
    assert torch.equal(Outputs.of(gpt2).at(other), parameters(gpt2)[other.parameter][23])
    for one, at, column in ((llama, place, True), (gpt2, other, False)):
        entry = columns(one, [at]).entries[at.parameter]
        wanted = torch.zeros_like(entry)
        wanted[(slice(None), at.unit) if column else at.unit] = True
        assert torch.equal(entry, wanted)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_square_matrices_keep_their_direction(architecture: str) -> None:
    """As many units as the hidden state is wide. Fails if the axis, or the layer, is guessed from the shape alone."""
    llama = architecture == "llama"
    one = model("llama", LLAMA, intermediate_size=16) if llama else model("gpt2", GPT2, n_inner=16)
    place = Outputs.of(one).places()[3]
    weight = parameters(one)[place.parameter]
    assert place.parameter.rsplit(".", 2)[1] == ("down_proj" if llama else "c_proj")
    assert torch.equal(Outputs.of(one).at(place), weight[:, 3] if llama else weight[3])
    assert int(columns(one, [place]).entries[place.parameter][:, 3].sum()) == (16 if llama else 1)


def test_words_are_read_by_the_head_without_the_norm() -> None:
    """Against NumPy on E v. Fails if the final norm, whose gain here favours one entry, or the smallest come in."""
    one = model("llama", LLAMA)
    with torch.no_grad():
        one.module.model.norm.weight[0] = 100.0
    vectors = torch.cat(Outputs.of(one).matrices)
    logits = vectors.numpy() @ one.module.lm_head.weight.detach().numpy().T
    wanted = np.argsort(-logits, axis=1)[:, :7]
    assert top_tokens(one, vectors, 7).tolist() == wanted.tolist()
    with pytest.raises(InputError, match="likeliest tokens of a vocabulary"):
        top_tokens(one, vectors, 10_000)


def test_noise_is_as_long_as_said() -> None:
    """In 10,000 dimensions |v' - v| / |v| = noise within 3%. Fails if the noise has no regard to the vector's length or the dimension."""
    for length in (0.01, 100.0):
        vector = torch.full((10_000,), length / 100)
        (found,) = disturb([vector], 4.0, torch.Generator().manual_seed(0))
        assert float((found - vector).norm()) == pytest.approx(4 * length, rel=0.03)
        assert abs(float((found - vector).mean())) < 0.2 * length / 100


def test_changes_by_hand() -> None:
    """Doubled: cosine 1, distance 1, same words. Turned round: -1 and 2, and none of the same words. Orthogonal of equal length: 0, root 2.

    Fails if the distance is absolute, the sets are compared in order, or another vector is looked at.
    """
    before = model("llama", LLAMA)
    after = before.copy()
    places = Outputs.of(before).places()[:4]
    with torch.no_grad():
        vectors = [Outputs.of(after).at(place) for place in places]
        vectors[1].mul_(2)
        vectors[2].neg_()
        pairs = vectors[3].clone().view(-1, 2)
        vectors[3].copy_(torch.stack([-pairs[:, 1], pairs[:, 0]], 1).flatten())
    same, doubled, turned, orthogonal = changes(before, after, places, 7)
    assert (same.cosine, same.distance, same.jaccard) == (pytest.approx(1), 0, 1)
    assert (doubled.cosine, doubled.distance, doubled.jaccard) == (pytest.approx(1), pytest.approx(1), 1)
    assert (turned.cosine, turned.distance, turned.jaccard) == (pytest.approx(-1), pytest.approx(2), 0)
    assert orthogonal.cosine == pytest.approx(0, abs=1e-6)
    assert orthogonal.distance == pytest.approx(2**0.5)
    kept, head = Outputs.of(before).at(places[3]), head_of(before)
    first, second = (set((head @ one).numpy().argsort()[-7:].tolist()) for one in (kept, vectors[3].detach()))
    assert orthogonal.jaccard == pytest.approx(len(first & second) / len(first | second))
