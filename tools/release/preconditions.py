"""The conditions for a release, apart from the conditions on the built files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from tools.release import ReleaseError
from tools.release.changelog import release_notes
from tools.release.checkout import Checkout

SHOWN_FILES = 5
IMAGE_TAG = re.compile(r"verifywise-mlflow(?:, (?:newTag|tag): |:)(?P<tag>\d[\w.-]*)")
"""The tag of our image in the manifests of deploy/."""
FINAL_VERSION = re.compile(r"\d+(\.\d+)*")
"""The final release that a pre-release, such as 0.2.0rc1, leads to. The manifests already name the final release."""


def refusals(checkout: Checkout, version: str, changelog: str, manifests: Mapping[str, str]) -> Iterator[str]:
    """Yield reasons not to release a version, as sentences. Without a tag of the version, only a few are checked.

    Args:
        checkout: The state of the checkout.
        version: The version that the build backend computes from the tags.
        changelog: The text of CHANGELOG.md.
        manifests: The text of each file that may name the image, by its path.
    """
    if checkout.changed_files:
        shown = ", ".join(checkout.changed_files[:SHOWN_FILES])
        more = len(checkout.changed_files) - SHOWN_FILES
        yield f"files are not committed: {shown}{f' and {more} more' if more > 0 else ''}. Commit or remove them"
    if f"v{version}" not in checkout.tags:
        tags = ", ".join(sorted(checkout.tags)) or "none"
        yield f"the last commit is {version} and has no tag of that version (its tags: {tags}): git tag --sign vX.Y.Z"
        return  # the version belongs to no release, so nothing else can name it
    try:
        release_notes(changelog, version)
    except ReleaseError as error:
        yield str(error)
    final = FINAL_VERSION.match(version)
    assert final
    for path, text in manifests.items():
        for tag in {match["tag"] for match in IMAGE_TAG.finditer(text)} - {final[0]}:
            yield f"{path} names the image of {tag}. Change it to {final[0]}"
