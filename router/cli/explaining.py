"""`explain`: what would happen to a question, and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from edgewise import exits
from router.cli.asking import Mode, Private, label
from router.cli.local import AsJson, DataDir, EmbeddedCloud, as_given, client, data_directory

if TYPE_CHECKING:
    from edgewise.types import Explanation


_MAY = {"PUBLIC": "labelled public", "UNKNOWN": "not labelled, and no detector objects", "PRIVATE": ""}


def explain(
    question: Annotated[str, typer.Argument(help="The question that would be asked.")],
    mode: Mode = "",
    private: Private = None,
    as_json: AsJson = False,
    embedded_cloud: EmbeddedCloud = False,
    data_dir: DataDir = None,
) -> None:
    """Say who would answer a question, why, and for how much. Nothing is generated, and the cloud sees nothing."""
    from edgewise.types import Question

    with as_given():
        asked = Question(text=question, mode=mode, privacy=label(private))

    async def work() -> Explanation:
        async with client(data_directory(data_dir), embedded_cloud=embedded_cloud) as edgewise:
            return await edgewise.explain(asked)

    found = exits.run(work())
    if as_json:
        print(json.dumps(found.model_dump(mode="json"), ensure_ascii=False, indent=2))
    else:
        print("\n".join(_lines(found)))


def _lines(found: Explanation) -> list[str]:
    lines = [f"{found.mode}: {found.decision}"]
    if found.score is not None:
        against = "" if found.threshold is None else f" against {found.threshold:.3f}"
        lines.append(f"  score {found.score:.3f}{against}")
    elif found.threshold is not None:
        lines.append(f"  trust that is wanted: {found.threshold:.3f}")
    if not found.familiar:
        lines.append("  unlike all that was learned from: the score is a guess")
    ordered = sorted(found.contributions.items(), key=lambda item: -abs(item[1]))
    lines += [f"    {name:<24} {value:+.3f}" for name, value in ordered]
    lines.append(f"  cost: {_cost(found)}")
    if found.expected_s is not None:
        lines.append(f"  time: {found.expected_s:.2f} s, the median of {found.answers_before} such answers")
    lines += _leaving(found)
    lines.append(f"  decided by {found.policy_version}")
    return lines


def _leaving(found: Explanation) -> list[str]:
    """What would leave, to whom, and why; of a text that is held, what speaks against it and none of its words."""
    to = f" ({found.destination})" if found.destination else ""
    head = f"may leave the device, for the cloud{to}" if found.leaves else f"stays on the device: {found.leaves_reason}"
    lines = [f"  the question {head}"]
    for one in found.outgoing:
        may = f"is held: {one.held_because}" if one.held_because else f"may be sent: {_MAY[one.label.value]}"
        lines.append(f"    {one.what} {may}")
    passages = any("passages" in one.what for one in found.outgoing)
    lines.append(f"    all {'other ' if passages else ''}passages of this device stay here, and so do names and ids")
    return lines


def _cost(found: Explanation) -> str:
    if found.author == "edge" and found.most_usd is not None:
        return "none for the answer" if found.expected_usd is None else f"${found.expected_usd:.6f} on average"
    basis = f" ({found.cost_basis.value.lower()})" if found.cost_basis else ""
    most = "unknown" if found.most_usd is None else f"at most ${found.most_usd:.6f}{basis}"
    return most if found.expected_usd is None else f"{most}, ${found.expected_usd:.6f} on average so far"
