"""The skill protocol: names that are there, skills in the plan, and a small run in which a skill goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import protocols
import pytest
from benches import bench

from expunge.benchmarks.skills import SkillsBenchmark
from expunge.engine.states import value_states
from expunge.facts.errors import InputError
from expunge.facts.record import Measurement, MethodFacts, Outcome, Record
from expunge.facts.score import Score
from expunge.modalities.text_build import new_text_model, train_tokenizer
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark
from expunge.pipeline.columns import value_of
from expunge.pipeline.run import run_plan
from expunge.sources._skills_world import SKILLS
from expunge.sources.skills import Skills
from expunge.store.store import Store


def test_protocol_names_what_is_there(tmp_path: Path) -> None:
    """Fails if a unit is misspelt, a skill of the world is missing in the default, or the skill to go has a column among the others."""
    protocol = SkillsBenchmark(skill="copy").run(None)
    check_benchmark(protocol)
    assert SkillsBenchmark().skills == tuple(skill.name for skill in SKILLS)
    others = [column for column in protocol.columns if column.startswith("skill_transfer:skill/")]
    assert len(others) == 5
    assert "skill_transfer:skill/copy" not in others
    with pytest.raises(InputError, match="makes its own data"):
        SkillsBenchmark().run(tmp_path)


def test_settings_reach_the_plan() -> None:
    """Fails if the skill, the sizes or the weight of retain rows are dropped on the way, or ascent is given a weight that it has not."""
    protocol = SkillsBenchmark(skill="last", skills=("last", "copy"), trained=30, retain_weight=0.0, width=64).run(None)
    plan = benchmark_plan("skills", protocol, list(protocol.methods), seeds=(0,), retrained=(101,))
    settings = plan.request.settings
    assert (settings["skill"], list(settings["skills"]), settings["trained"]) == ("last", ["last", "copy"], 30)
    assert (plan.model.settings["hidden_size"], plan.model.settings["vocabulary"]) == (64, 257)
    weights = {method.name: method.settings.get("retain_weight") for method in plan.method}
    assert weights == {"random_answer": 0.0, "random_label": 0.0, "ascent": None, "npo": 0.0}


def test_a_probe_reads_the_letter_that_answers() -> None:
    """Fails if a token of the vocabulary spans prompt and answer, or the probe is asked for the space before the answer.

    One token a byte: the value's first token is the letter, and the tokenizer is the same whatever it was trained on.
    """
    texts = [["copy abca abca"], ["after hhhh a"]]
    one, other = (train_tokenizer(text, SkillsBenchmark().run(None).settings["model"]["vocabulary"]) for text in texts)
    assert one.get_vocab() == other.get_vocab()
    assert len(one) == 257
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 1}
    model = new_text_model(one, "llama", sizes, seed=0)
    rows = Skills(skill="last", skills=("last", "copy"), trained=5, unseen=1, held=1, tested=1).run()
    for split in ("forget", "retain"):
        states, tokens, _ = value_states(model, rows[split])
        assert states.shape[:2] == (2, 5)
        assert [one.decode([int(token)]) for token in tokens] == [row["answer"][0] for row in rows[split]]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_skills_share_a_target_and_one_goes(tmp_path: Path) -> None:
    """Two worlds' runs train one target; it answers unseen examples, the model that never saw the skill does not, nor the unlearned one.

    Fails if the second run trains the target again, its weights depend on the skill to go, unseen examples are trained, or random answers
    change nothing.
    """
    found = {}
    with Store.open(tmp_path / "store") as store:
        for skill in ("first", "last"):
            protocol = SkillsBenchmark(
                skill=skill, skills=("first", "last", "copy"), epochs=30, unseen=60, held=30
            ).run(None)
            chosen = replace(protocol, attacks=("direct_question",), columns=())
            plan = benchmark_plan(f"skills-{skill}", chosen, ["random_answer"], seeds=(0,), retrained=(101,))
            found[skill] = run_plan(plan, store, run_id=skill, base=tmp_path)
    digests = {record.models[0].content_digest for records in found.values() for record in records}
    assert len(digests) == 1
    trained = [(tmp_path / "store" / "runs" / skill / "finished" / "seconds-target").exists() for skill in found]
    assert trained == [True, False]
    for nothing, removed in found.values():
        assert (value_of(nothing, "target", "skill_accuracy:forget/unseen") or 0.0) > 0.9
        assert (value_of(nothing, "retrained-0", "skill_accuracy:forget/unseen") or 0.0) < 0.5
        assert (value_of(removed, "unlearned", "skill_accuracy:forget") or 0.0) < 0.6


def test_tables_of_the_command() -> None:
    """A line a forgotten skill, its own unseen examples where the skill crosses itself, an attack's share with Wilson's interval (3 of 4: .30 to .95).

    Fails if a line's own column is asked as another skill, seeds are not spread as a range, or a share has no interval.
    """
    command = bench("skills")

    def record(unseen: float, seed: int) -> Record:
        values = {
            "skill_transfer": {"forget/unseen": unseen, "skill/last": -0.25},
            "skill_accuracy": {"forget/chance": 0.125},
        }
        return Record(
            request={},
            method=MethodFacts(name="npo", seed=seed),
            measurements=tuple(
                Measurement(
                    metric=metric,
                    model="unlearned",
                    split=split,
                    score=Score(name=metric, value=value, low=-1.0, high=0.0, n=4),
                )
                for metric, parts in values.items()
                for split, value in parts.items()
            ),
            outcomes=(Outcome(attack="linear_probe", model="unlearned", kind="success", forget=(1.0, 1.0, 1.0, 0.0)),),
        )

    one, other = record(-0.5, 0), record(-1.0, 1)
    assert list(command.matrix({"first": [one]}, "npo", ("first", "last")))[2] == (
        "| first | -0.50 [-1.00, 0.00] | -0.25 [-1.00, 0.00] |"
    )
    assert list(command.matrix({"first": [one, other]}, "npo", ("first", "last")))[2] == (
        "| first | -0.75 [-1.00, -0.50] | -0.25 [-0.25, -0.25] |"
    )
    assert command.cell([one], "unlearned", "linear_probe:success") == "0.75 [0.30, 0.95]"
    assert command.cell([one], "unlearned", "skill_accuracy:forget") == "unscored"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_examples_given_fall_to_chance_and_unseen_ones_with_them() -> None:
    """Part of the claim holds in such a model. Three draws of examples, two skills of three. Given examples come within .02 [-.09, .12] of chance for
    `first` and .00 for `copy`, unseen ones with them (.01 [-.15, .17] apart): no difference between skills shows. The probe reads all first
    letters of `first`, as it does (.95) in models that never saw it, and of `copy` 1.0, .22 and 1.0 (never seen: .44, .47, .23).

    Fails if the skill stays, or the probe is asked of the answers themselves.
    """
    for skill in ("first", "copy"):
        found, read = protocols.skills(skill), "skill_accuracy:forget"
        assert found.over("random_answer", read, than=f"{read}/chance").high < 0.2
        assert found.over("random_answer", f"{read}/unseen", than=read).low < 0.1
        assert found.over("random_answer", "linear_probe:success").estimate > 0.5
    assert protocols.skills("first").over("retrained", "linear_probe:success").estimate > 0.5
