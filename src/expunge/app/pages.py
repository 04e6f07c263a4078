"""A unit's page in Markdown, made from the unit itself."""

from __future__ import annotations

import inspect

from expunge.contract.about import NAMED
from expunge.contract.registry import Listing


def unit_page(unit: Listing) -> str:
    """Return the page of one unit: what it does, its source and departures, what it needs, its settings."""
    about = unit.about
    lines = [f"# {unit.name} ({unit.kind})", "", inspect.cleandoc(unit.doc), "", "## Facts", ""]
    lines.append(
        f"- Source: {about.paper} ({about.year}), {about.link}" + (f" [{about.paper_id}]" if about.paper_id else "")
    )
    lines.append(f"- Claim to test: {about.claim}")
    lines.append(f"- Serves: {', '.join(about.modalities)}")
    lines.append(f"- Needs: {', '.join(about.needs) or 'nothing'}")
    if about.takes:
        lines.append(f"- Takes, where a run has them: {', '.join(about.takes)}")
    if unit.kind == "method":
        lines.append(f"- Scopes: {', '.join(about.scope)}; provenance it can give: {about.provenance}")
    if about.before_training:
        lines.append("- Must act before training: the target is prepared by it.")
    if unit.kind == "attack":
        held = "by name only, in no battery" if about.battery == NAMED else f"in the batteries from: {about.battery}"
        lines.append(f"- Read by the step: {about.step}; {held}")
    if about.cost:
        lines.append(f"- Cost: {about.cost}")
    lines.extend(f"- Differs: {text}" for text in about.differs)
    lines.extend(f"- Allowance: {name}: {why}" for name, why in about.allowances.items())
    if unit.knobs:
        lines += ["", "## Settings", "", "| setting | type | default | meaning |", "|---|---|---|---|"]
        lines.extend(f"| `{k.name}` | `{k.annotation}` | `{k.default}` | {k.doc} |" for k in unit.knobs)
    return "\n".join(lines) + "\n"
