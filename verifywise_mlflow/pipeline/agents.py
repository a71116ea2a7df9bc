"""The agents of a server. The stage of training runs lists them at a reconcile, as it lists the experiments anyway.

An agent is a logged model in an experiment. Often, no version was registered from this logged model. As with runs,
nothing shows that an agent's tags have changed, so a reconcile reads all agents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from verifywise_mlflow.common.untrusted_text import quote, truncate
from verifywise_mlflow.connector.models import Experiment, LoggedModel
from verifywise_mlflow.connector.pagination import Listing
from verifywise_mlflow.connector.tracking_reader import AGENT_EXPERIMENTS
from verifywise_mlflow.http.errors import DeadlineExceededError, HttpError
from verifywise_mlflow.normalizer.prompt_links import PromptIndex, linked_prompts_json, prompt_links
from verifywise_mlflow.normalizer.prompt_reference import linked_prompts_text
from verifywise_mlflow.persistence.repositories import agents, prompts
from verifywise_mlflow.persistence.repositories.agents import ListedAgent
from verifywise_mlflow.persistence.repositories.registry import ListedObject, StoredObject
from verifywise_mlflow.persistence.row_mapping import key_problem
from verifywise_mlflow.pipeline.asset_removals import STATE_BYTES, RemovableAsset, remove_missing
from verifywise_mlflow.pipeline.change_detection import ChangeSet
from verifywise_mlflow.pipeline.context import Note, Progress, ReadFailure, StageContext

MAX_SEARCHES: Final = 20
"""The maximum number of searches in a sync. Each search covers ``AGENT_EXPERIMENTS`` experiments. Agents in further
experiments are not listed."""
MAX_VALUES: Final = 200
"""The maximum number of an agent's parameters, metrics and tags that are stored: the first ones by name."""
MAX_VALUE_LENGTH: Final = 500
"""The maximum number of characters that are stored of a parameter or tag."""
_LINKED_PROMPTS: Final = "mlflow.linkedPrompts"


def refresh(context: StageContext, progress: Progress, experiments: Callable[[], Listing[Experiment]]) -> None:
    """List the agents, store the agents that differ from their rows, and mark missing agents as deleted.

    Args:
        context: the stage.
        progress: its progress.
        experiments: lists the server's experiments.
    """
    scope = context.tenant.agents.experiments
    if scope == "none" or context.reader().server.logged_models is False:
        return
    try:
        _refresh(context, progress, experiments(), only_registry=scope == "registry")
    except DeadlineExceededError as error:
        progress.notes.append(Note(f"not all agents were read: {error}"))
        progress.is_cut_short = True
    except HttpError as error:
        progress.notes.append(Note(f"the agents could not be listed: {error}"))


def _refresh(
    context: StageContext, progress: Progress, experiments: Listing[Experiment], *, only_registry: bool
) -> None:
    names = {experiment.experiment_id: experiment.name for experiment in experiments.rows}
    with context.begin() as session:
        known = agents.known_agents(session)
        searched = agents.registry_experiments(session) if only_registry else list(names)
    listing = _list(context, searched)
    if listing is None:
        return  # the server has no logged models, which does not mean that its agents were deleted
    progress.notes += map(Note, listing.problems)
    _write(context, progress, listing.rows, names, {model_id: stored for model_id, (stored, _) in known.items()})
    in_scope = set(searched)
    is_complete = listing.is_complete and experiments.is_complete
    progress.agents_changed += remove_missing(
        context,
        progress,
        RemovableAsset("agent", quote, context.reader().logged_model, agents.mark_agents_deleted),
        [
            model_id
            for model_id, (stored, experiment) in known.items()
            if not stored.is_deleted and (not only_registry or experiment in in_scope)
        ],
        {agent.model_id for agent in listing.rows},
        listing_is_complete=is_complete,
    )
    if is_complete:
        with context.begin() as session:
            if not agents.were_listed(session):
                agents.record_complete_listing(session, context.sync_id, context.now)


def _list(context: StageContext, experiments: Sequence[str]) -> Listing[LoggedModel] | None:
    """Return the agents of experiments; None if the server offers no logged models."""
    rows: dict[str, LoggedModel] = {}
    whole: Listing[LoggedModel] = Listing(())
    reachable = experiments[: MAX_SEARCHES * AGENT_EXPERIMENTS]
    for start in range(0, len(reachable), AGENT_EXPERIMENTS):
        part = context.reader().agents(reachable[start : start + AGENT_EXPERIMENTS])
        if part is None:
            return None
        rows |= {agent.model_id: agent for agent in part.rows}
        whole.problems.merge(part.problems)
    if len(experiments) > len(reachable):
        whole.problems.add(
            f"agents: only {len(reachable):,} of {len(experiments):,} experiments were searched, the most in one sync"
        )
    return Listing(tuple(rows.values()), whole.problems)


def _write(
    context: StageContext,
    progress: Progress,
    listed: Iterable[LoggedModel],
    experiment_names: Mapping[str, str | None],
    known: Mapping[str, StoredObject],
) -> None:
    """Write the agents that differ from the stored agents, in batches of one transaction each."""
    listed = list(listed)
    index: PromptIndex | None = None
    if any(_LINKED_PROMPTS in agent.tags for agent in listed):
        with context.begin() as session:
            index = prompts.prompt_index(session)
    changed: ChangeSet[ListedAgent] = ChangeSet()
    for agent in listed:
        if problem := key_problem(agent.model_id):
            progress.read_failures.append(ReadFailure("agent", quote(agent.model_id), f"its ID {problem}"))
            continue
        shown = _listed_agent(agent, experiment_names.get(agent.experiment_id or ""), index)
        changed.add_if_changed(shown, agent.created_at, known.get(agent.model_id))
    for batch in changed.batches():
        admitted = [change for change in batch if _is_admitted(context, change)]
        with context.begin() as session:
            agents.write_agents(session, admitted, context.sync_id, context.now)
            context.history.record(session, context.now)
        progress.agents_changed += len(admitted)


def _is_admitted(context: StageContext, change: ListedObject[ListedAgent]) -> bool:
    """Return whether an agent may be written: writing a known agent adds to the history, which has a daily quota."""
    return change.stored is None or context.history.admit(STATE_BYTES)


def _listed_agent(agent: LoggedModel, experiment_name: str | None, index: PromptIndex | None) -> ListedAgent:
    """Return the fields of an agent that are stored, with the prompts that MLflow has linked to it."""
    linked = agent.tags.get(_LINKED_PROMPTS)
    return ListedAgent(
        agent.model_id,
        agent.name,
        agent.status,
        agent.experiment_id,
        experiment_name,
        agent.source_run_id,
        agent.created_at,
        agent.last_updated_at,
        _bounded(agent.params),
        dict(sorted(agent.metrics.items())[:MAX_VALUES]),
        _bounded({key: value for key, value in agent.tags.items() if key != _LINKED_PROMPTS}),
        linked_prompts_json(prompt_links(linked_prompts_text(linked) if linked else None, index)),
        agent.problems,
        agent.redactions,
    )


def _bounded(pairs: Mapping[str, str]) -> dict[str, str]:
    return {key: truncate(value, MAX_VALUE_LENGTH) for key, value in sorted(pairs.items())[:MAX_VALUES]}
