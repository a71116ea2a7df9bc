"""Arguments and options that narrow a list of versions or gaps. Each may be given several times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from typer.models import OptionInfo

from verifywise_mlflow.common.unresolved_names import choice_hint
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.normalizer.record import NORMAL_FORMS

Tenants = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TENANT",
        help="Tenants in the database. Without one, all active tenants that the database role may see.",
        show_default=False,
    ),
]


def choice_option(name: str, meaning: str, choices: Sequence[str], *, metavar: str = "WORD") -> OptionInfo:
    """Return an option that takes a word of a closed set, ignoring case. It may be repeated.

    Args:
        name: The option's name, such as ``--stage``.
        meaning: The effect of the option, as the beginning of a sentence that ends with the list of choices.
        choices: The words that the option accepts.
        metavar: The name of a value. The help lists the words only if it is ``WORD``.
    """
    words = f": {', '.join(choices)}" if metavar == "WORD" else ""
    option = typer.Option(name, metavar=metavar, parser=_one_of(choices), help=f"{meaning}{words}.", show_default=False)
    assert isinstance(option, OptionInfo)  # typer declares Any
    return option


def text_option(name: str, metavar: str, meaning: str) -> OptionInfo:
    """Return an option that takes a text. It may be repeated."""
    option = typer.Option(name, metavar=metavar, help=meaning, show_default=False)
    assert isinstance(option, OptionInfo)  # typer declares Any
    return option


def _one_of(choices: Sequence[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        word = text.strip().casefold()
        if word not in choices:
            raise typer.BadParameter(f"{quote(text)} is none of the words: {choice_hint(word, choices)}")
        return word

    return parse


Models = Annotated[
    list[str] | None, text_option("--model", "MODEL", "Only this registered model; * stands for any characters.")
]
Stages = Annotated[
    list[str] | None, choice_option("--stage", "Only this lifecycle stage", NORMAL_FORMS["lifecycle_stage"])
]
Owners = Annotated[
    list[str] | None, text_option("--owner", "OWNER", "Only this owner, in any case; * stands for any characters.")
]
Risks = Annotated[list[str] | None, choice_option("--risk", "Only this risk category", NORMAL_FORMS["risk_category"])]
AiSystemNames = Annotated[list[str] | None, text_option("--system", "SYSTEM", "Only models of this AI system.")]
