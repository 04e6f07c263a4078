"""The text adapter on five architectures, against Hugging Face's own forward and generate, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from expunge.contract.model import Batch
from expunge.contract.weights import weights_digest
from expunge.facts.rows import Row
from expunge.modalities.text import TextModel, load_text
from expunge.modalities.text_build import new_text_model, train_tokenizer
from expunge.modalities.text_tokens import Template, answers_of

LLAMA = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 128, "initializer_range": 0.3,
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "llama": LLAMA,
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 128, "initializer_range": 0.3},
    "gpt_neox": {**{k: v for k, v in LLAMA.items() if k != "num_key_value_heads"}, "rotary_pct": 0.5},
    "qwen2": LLAMA,
    "qwen3": {**LLAMA, "head_dim": 8},
}
WINDOW = {**LLAMA, "sliding_window": 24}
TEXTS = [
    "What is the city of Ana?",
    "The city of Ana is Lund.",
    "Which tree does Bo have?",
    "Bo has the oak.",
    "Question: \nAnswer:",
]
ROWS = (
    Row(
        id="a",
        fields={
            "prompt": "What is the city of Ana?",
            "answer": "The city of Ana is Lund.",
            "paraphrased_answer": "Ana has Lund.",
            "perturbed_answers": ("Ana has Oslo.", "Ana has Rome.", "Ana has Bergen and a tree.", "Oak.", "Ana"),
        },
    ),
    Row(
        id="b",
        fields={"prompt": "Which tree?", "answer": "The oak is the tree of Bo.", "perturbed_answers": ("The oak is",)},
    ),
    Row(id="c", fields={"prompt": "", "answer": "A text that has no question at all, only itself."}),
    Row(id="d", fields={"prompt": "What is the longest question that is asked of Bo and of Ana here?", "answer": "7"}),
)


def build(architecture: str, **settings: Any) -> TextModel:
    settings = {**SETTINGS.get(architecture, WINDOW), **settings}
    return new_text_model(train_tokenizer(TEXTS * 3, 300), architecture, settings, seed=1)


@pytest.fixture(scope="module", params=SETTINGS)
def model(request: pytest.FixtureRequest) -> TextModel:
    return build(request.param)


def alone(model: TextModel, row: Row) -> list[tuple[Tensor, Tensor]]:
    """Every answer of a row through Hugging Face's own forward, one sequence, no mask: (logits, targets) where it is scored."""
    found = []
    for answer in answers_of(row).values():
        coded = model.tokens.encode(row["prompt"], answer)
        ids = torch.tensor([coded.ids])
        with torch.no_grad():
            logits = model.module(input_ids=ids).logits[0]
        found.append((logits[coded.first - 1 : -1], ids[0, coded.first :]))
    return found


@torch.no_grad()
def logits_of(model: TextModel, batch: Batch) -> Tensor:
    return model.logits(batch)


def test_packed_plain_and_own_logits_agree(model: TextModel) -> None:
    """Fails if a position sees another question or answer, has a wrong position id, or if a branch starts a token late.

    Logits of packed rows, of plain rows and of Hugging Face's forward on each sequence alone agree to 1e-4.
    """
    many = ROWS * 3
    own = [pair for row in many for pair in alone(model, row)]
    wanted, targets = torch.cat([logits for logits, _ in own]), torch.cat([target for _, target in own])
    assert model.packed, "the architecture takes no block mask: plain rows would be compared with themselves"
    assert wanted.std() > 0.5, "logits so flat that anything agrees"
    plain = model.copy()
    plain.packed = False
    for kind in (model, plain):
        batch = kind.pack_questions(kind.questions(many))
        assert torch.equal(batch.targets, targets)
        assert (logits_of(kind, batch) - wanted).abs().max() < 1e-4
        assert batch.lengths().tolist() == [len(target) for _, target in own]
        assert batch.size == 3 * (7 + 2 + 1 + 1)
    packed, rows = (kind.pack_questions(kind.questions(many)) for kind in (model, plain))
    assert packed.inputs["mask"].ndim == 4
    assert rows.inputs["mask"].ndim == 2
    assert (len(packed.inputs["ids"]), len(rows.inputs["ids"])) == (3, 33)
    # by hand: a position for every distinct beginning of a question with one of its answers, the whole left out
    cost = 0
    for row in many:
        whole = [model.tokens.encode(row["prompt"], answer).ids for answer in answers_of(row).values()]
        cost += len({ids[:n] for ids in whole for n in range(1, len(ids))})
    assert sum(model.question_cost(question) for question in model.questions(many)) == cost
    assert cost <= packed.positions <= 1.1 * cost < 0.6 * rows.positions


def test_total_loss_is_a_plain_loop(model: TextModel) -> None:
    """Fails if the loss is a mean, leaves out the end token, or scores a prompt token: -sum log p of each answer, in float64."""
    by_hand = []
    for row in ROWS:
        logits, targets = alone(model, row)[0]
        total = 0.0
        for position, target in zip(logits.double(), targets.tolist(), strict=True):
            total -= float(position[target] - position.exp().sum().log())
        by_hand.append(total)
    batch = model.pack(ROWS)
    with torch.no_grad():
        losses = model.total_loss(batch)
    assert losses.tolist() == pytest.approx(by_hand, rel=1e-5)
    assert batch.is_end is not None
    assert batch.is_end.sum() == 4
    assert (batch.targets[batch.is_end] == model.tokens.eos).all()
    assert torch.equal(batch.owner[batch.is_end], torch.arange(4))


def test_gradients_flow_and_equal_those_of_plain_rows(model: TextModel) -> None:
    """Fails if packing detaches a shared prompt: its gradient is the sum over the answers behind it."""
    found = []
    for packed in (True, False):
        kind = model.copy()
        kind.packed = packed
        kind.total_loss(kind.pack_questions(kind.questions(ROWS))).sum().backward()  # type: ignore[no-untyped-call]
        found.append(torch.cat([p.grad.flatten() for p in kind.module.parameters() if p.grad is not None]))
    assert (found[0] - found[1]).norm() < 1e-4 * found[1].norm()


@pytest.mark.parametrize("architecture", [*SETTINGS, "mistral"])
def test_generation_is_hugging_faces(architecture: str) -> None:
    """Fails if a row sees padding, gets positions that count it, loses its cache when another ends, or runs past its end.

    Against `generate(do_sample=False)` of each prompt alone. The end token's output weights are raised so that rows end at
    different steps.
    """
    model = build(architecture, **({"sliding_window": 12} if architecture == "mistral" else {}))
    prompts = [f"{'What of ' * (i % 4)}{chr(65 + 2 * i)} tree {i * i}?" for i in range(24)]
    rows = [Row(id=str(i), fields={"prompt": prompt, "answer": "x"}) for i, prompt in enumerate(prompts)]
    head = model.module.get_output_embeddings()
    wanted, ended = [], set()
    with torch.no_grad():
        head.weight[model.tokens.eos] += 1.2 * head.weight.std() * torch.sign(head.weight[model.tokens.eos])
        for row in rows:
            ids = torch.tensor([model.tokens.prompt_ids(row["prompt"])])
            out = model.module.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=20
            )
            wanted.append(model.tokens.decode(out[0, ids.shape[1] :].tolist()))
            ended.add(out.shape[1] - ids.shape[1])
    assert len(ended) > 2, f"all rows end alike ({ended}): nothing is dropped from the batch"
    assert model.generate(rows, max_new_tokens=20) == wanted
    assert model.generate(rows[::-1], max_new_tokens=20) == wanted[::-1]


def test_relabel_changes_every_target_but_the_end(model: TextModel) -> None:
    """Fails if a drawn target may be the true one (randint from 0), or if the end is redrawn."""
    batch = model.pack(ROWS)
    draws = [model.relabel(batch, torch.Generator().manual_seed(seed)) for seed in (0, 0, *range(1, 60))]
    assert batch.is_end is not None
    for drawn in draws:
        assert ((drawn.targets != batch.targets) == ~batch.is_end).all()
        assert drawn.targets.max() < model.module.config.vocab_size
    assert torch.equal(draws[0].targets, draws[1].targets)
    assert not torch.equal(draws[0].targets, draws[2].targets)


def test_features_are_the_blocks_output_and_run_no_deeper(model: TextModel) -> None:
    """Fails if features are of another block or position, or if blocks behind the one asked for still run."""
    sites, batch = model.sites(), model.pack(ROWS[:1])
    coded = model.tokens.encode(ROWS[0]["prompt"], ROWS[0]["answer"])
    with torch.no_grad():
        hidden = model.module(input_ids=torch.tensor([coded.ids]), output_hidden_states=True).hidden_states
        ran: list[str] = []
        blocks = [model.module.get_submodule(name) for name in sites.blocks]
        handles = [
            b.register_forward_hook(lambda *_, n=n: ran.append(n)) for n, b in zip(sites.blocks, blocks, strict=True)
        ]
        found = model.features(batch, sites.blocks[1])
        for handle in handles:
            handle.remove()
    assert ran == list(sites.blocks[:1]) or ran == list(sites.blocks[:2])
    assert (found - hidden[2][0, coded.first - 1 : -1]).abs().max() < 1e-4
    assert len(sites.blocks) == len(sites.attention) == len(sites.feed_forward) == 3
    assert len(sites.embedding) == len(sites.head) == 1


def test_copies_and_fresh_weights(model: TextModel) -> None:
    """Fails if a copy shares a tensor, if `fresh` moves the global generator, or if two seeds draw the same weights."""
    twin, given = model.copy(), weights_digest(model.module)
    with torch.no_grad():
        for parameter in twin.module.parameters():
            parameter.add_(1.0)
    assert weights_digest(model.module) == given != weights_digest(twin.module)
    state = torch.random.get_rng_state()
    digests = [weights_digest(model.fresh(seed).module) for seed in (1, 1, 2)]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert digests[0] == digests[1] != digests[2]


def test_save_and_load_agree(model: TextModel, tmp_path: Path) -> None:
    """Fails if a weight, the tokenizer or the end token is lost on the way: same weights, same ids, same logits."""
    model.save(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]
    again = load_text(tmp_path)
    assert weights_digest(again.module) == weights_digest(model.module)
    assert again.tokens.template == Template()
    assert again.tokens.eos == model.tokens.eos
    batches = [kind.pack_questions(kind.questions(ROWS)) for kind in (model, again)]
    assert all(torch.equal(batches[0].inputs[key], batches[1].inputs[key]) for key in batches[0].inputs)
    assert torch.equal(logits_of(model, batches[0]), logits_of(again, batches[1]))


def test_a_window_shorter_than_a_packed_row_takes_plain_rows() -> None:
    """Fails if sliding-window attention meets packed rows longer than the window: distance in a row is not distance in a text."""
    model = build("mistral")
    own = torch.cat([logits for row in ROWS for logits, _ in alone(model, row)])
    batch = model.pack_questions(model.questions(ROWS))
    assert (logits_of(model, batch) - own).abs().max() < 1e-4


def test_capped_logits_are_not_taken_apart() -> None:
    """Fails if logits are the output embedding of the last state where the architecture caps or scales them (Gemma 2)."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    from expunge.modalities.text_tokens import Tokens

    tokenizer = train_tokenizer(TEXTS * 3, 300)
    config = Gemma2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=128, final_logit_softcapping=2.0, sliding_window=128,
        initializer_range=0.3, eos_token_id=tokenizer.eos_token_id, bos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    model = TextModel(Gemma2ForCausalLM(config), Tokens(tokenizer))
    own = torch.cat([logits for row in ROWS for logits, _ in alone(model, row)])
    assert not model.split_head
    assert own.abs().max() <= 2.0
    assert (logits_of(model, model.pack_questions(model.questions(ROWS))) - own).abs().max() < 1e-4
