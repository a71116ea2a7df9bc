"""The prompts of the registry. The searches for hidden models also list prompts, so the stage of versions stores them.

Prompts are compared with the stored rows, protected by the removal guard, and marked as deleted, as models are. A
record names prompts. So a change of a prompt's version or alias gives the prompt a new revision, and the records that
name the prompt become pending.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.connector.models import Prompt, PromptVersion
from verifywise_mlflow.connector.pagination import Listing
from verifywise_mlflow.persistence.repositories import prompts
from verifywise_mlflow.persistence.repositories.prompts import KnownPrompts, ListedPromptVersion
from verifywise_mlflow.persistence.repositories.registry import ListedObject, StoredObject
from verifywise_mlflow.persistence.row_mapping import Key, key_problem
from verifywise_mlflow.pipeline.asset_removals import STATE_BYTES, RemovableAsset, remove_missing
from verifywise_mlflow.pipeline.change_detection import ChangeSet
from verifywise_mlflow.pipeline.context import Note, Progress, ReadFailure, StageContext
from verifywise_mlflow.pipeline.point_reads import MAX_POINT_READS, read_named


def refresh(context: StageContext, progress: Progress, known: KnownPrompts) -> None:
    """Store the prompts that the listings of this sync have shown, and mark missing prompts as deleted.

    Args:
        context: the stage.
        progress: its progress.
        known: the prompts that were stored before.
    """
    reader = context.reader()
    listed = reader.prompts()
    if listed is None or (known.were_listed and listed.is_complete and not (listed.rows or known.by_name)):
        return
    stored, stored_versions = known.by_name, _stored_versions(context, known)
    names = {prompt.name for prompt in listed.rows}
    listed_versions: Listing[PromptVersion] = reader.prompt_versions() if stored or names else Listing(())
    _note_problems(progress, listed, listed_versions)
    versions = [version for version in listed_versions.rows if version.prompt_name in names]
    _write(context, progress, listed.rows, versions, stored, stored_versions)
    progress.prompts_changed += remove_missing(
        context,
        progress,
        RemovableAsset("prompt", quote, reader.prompt, prompts.mark_prompts_deleted),
        [name for name in stored if not stored[name].is_deleted],
        names,
        listing_is_complete=listed.is_complete,
    )
    progress.prompts_changed += remove_missing(
        context,
        progress,
        RemovableAsset("prompt version", _name, lambda key: reader.prompt_version(*key), prompts.mark_versions_deleted),
        # If a prompt is gone, its versions are marked as deleted with the prompt.
        [key for key, row in stored_versions.items() if not row.is_deleted and key[0] in names],
        set(map(_key, listed_versions.rows)),
        listing_is_complete=listed_versions.is_complete,
    )
    if listed.is_complete and listed_versions.is_complete and not known.were_listed:
        with context.begin() as session:
            prompts.record_complete_listing(session, context.sync_id, context.now)


def _stored_versions(context: StageContext, known: KnownPrompts) -> Mapping[Key, StoredObject]:
    if not known.by_name:
        return {}
    with context.begin() as session:
        return prompts.stored_versions(session)


def refresh_named(context: StageContext, progress: Progress, keys: Collection[Key]) -> None:
    """Read named prompts and versions one by one, and store those that differ. Missing objects are left to a listing.

    Args:
        context: the stage.
        progress: its progress.
        keys: the names of prompts, each with the number of a version; 0 for the prompt itself.
    """
    reader, ahead = context.reader(), context.tenant.limits.max_concurrent_requests
    names = sorted({name for name, _ in keys})
    reads = read_named(names, reader.prompt, lambda prompt: prompt.name, ahead)
    with context.begin() as session:
        stored = prompts.known_prompts(session).by_name
        stored_versions = prompts.stored_versions(session, names)
        due = _due_versions(keys, reads.found, prompts.aliases_by_version(session, names))
    context.left_to_listing.versions.update(due[MAX_POINT_READS:])
    version_reads = read_named(due[:MAX_POINT_READS], lambda key: reader.prompt_version(*key), _key, ahead)
    _write(context, progress, reads.found.values(), version_reads.found.values(), stored, stored_versions)
    reads.report(progress, "prompt", quote)
    version_reads.report(progress, "prompt version", _name)


def _due_versions(
    keys: Collection[Key], found: Mapping[str, Prompt], stored_aliases: Mapping[Key, Sequence[str]]
) -> list[Key]:
    """Return the named versions, and versions whose aliases differ from the prompt's aliases, which may have moved."""
    aliases: dict[Key, list[str]] = {}
    for prompt in found.values():
        for alias, number in sorted(prompt.aliases.items()):
            aliases.setdefault((prompt.name, number), []).append(alias)
    named = {key for key in keys if key[1]}
    moved = {key for key in {*aliases, *stored_aliases} if aliases.get(key, []) != stored_aliases.get(key, [])}
    return sorted(key for key in named | moved if key[0] in found)


def _note_problems(progress: Progress, listed: Listing[Prompt], versions: Listing[PromptVersion]) -> None:
    """Add the problems of the prompts' listings as notes, except for problems that are notes already."""
    known = {note.text for note in progress.notes}
    notes = (Note(problem) for problem in dict.fromkeys((*listed.problems, *versions.problems)))
    progress.notes += [note for note in notes if note.text not in known]


def _write(
    context: StageContext,
    progress: Progress,
    listed: Iterable[Prompt],
    versions: Iterable[PromptVersion],
    stored: Mapping[str, StoredObject],
    stored_versions: Mapping[Key, StoredObject],
) -> None:
    """Write the prompts and versions that differ from their rows, in batches of one transaction each."""
    changed: ChangeSet[Prompt] = ChangeSet()
    aliases: dict[Key, list[str]] = {}
    for prompt in listed:
        if problem := key_problem(prompt.name):
            progress.read_failures.append(ReadFailure("prompt", quote(prompt.name), f"its name {problem}"))
            continue
        for alias, number in sorted(prompt.aliases.items()):
            aliases.setdefault((prompt.name, number), []).append(alias)
        changed.add_if_changed(prompt, prompt.created_at, stored.get(prompt.name))
    changed_versions: ChangeSet[ListedPromptVersion] = ChangeSet()
    for version in versions:
        if key_problem(version.prompt_name) is None:
            key = _key(version)
            with_aliases = ListedPromptVersion(version, aliases.get(key, []))
            changed_versions.add_if_changed(with_aliases, version.created_at, stored_versions.get(key))
    # Versions are written before prompts: if the sync is killed in between, the next sync finds that the prompts still
    # differ, and renews their revisions.
    for batch in changed_versions.batches():
        admitted = [change for change in batch if _is_admitted(context, change)]
        with context.begin() as session:
            prompts.write_versions(session, admitted, context.sync_id, context.now)
            prompts.renew(session, {change.entity.version.prompt_name for change in admitted})
            context.history.record(session, context.now)
        progress.prompts_changed += len(admitted)
    for of_prompts in changed.batches():
        with context.begin() as session:
            prompts.write_prompts(session, of_prompts, context.now)
        progress.prompts_changed += len(of_prompts)


def _is_admitted(context: StageContext, change: ListedObject[ListedPromptVersion]) -> bool:
    """Return whether a version may be written: writing a known version adds to the history, which has a daily quota."""
    return change.stored is None or context.history.admit(STATE_BYTES)


def _key(version: PromptVersion) -> Key:
    return version.prompt_name, version.version_number


def _name(key: Key) -> str:
    return f"{key[0][:200]} version {key[1]}"
