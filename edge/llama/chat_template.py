"""A chat prompt in the form that a model was trained on: its own template, run in a sandbox."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from edge.llama.vocabulary import Vocabulary
from edgewise.errors import InvalidInput, NotReady
from edgewise.types import Prompt

_SLOT = re.compile("\ue000(\\d+)\ue001")


@dataclass(frozen=True, slots=True)
class Rendered:
    """The tokens of a prompt, and which of them are the text of its last message."""

    tokens: list[int]
    last: slice


class ChatTemplate:
    """Renders with marks where the texts go, and tokenises what is between them.

    Only the template's own words may become control tokens: a text that says <|im_end|> cannot end its turn.
    """

    def __init__(self, source: str | None, vocabulary: Vocabulary) -> None:
        """NotReady if the model has no template, or one that does not parse."""
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        if not source:
            raise NotReady("this model has no chat template, so it cannot chat; choose an instruction-tuned model")
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = _now
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise NotReady(f"the model's chat template is broken: {error}; choose another model") from error
        self._vocabulary = vocabulary

    def render(self, prompt: Prompt) -> Rendered:
        """The prompt up to where the assistant speaks. InvalidInput if the template has no place for a message."""
        from jinja2 import TemplateError

        messages = [
            {"role": message.role, "content": f"\ue000{index}\ue001"} for index, message in enumerate(prompt.messages)
        ]
        words = self._vocabulary
        try:
            rendered = self._template.render(
                messages=messages,
                add_generation_prompt=True,
                bos_token=words.name(words.bos),
                eos_token=words.name(words.eos),
            )
        except TemplateError as error:
            raise InvalidInput(f"the model's chat template refuses these messages: {error}") from error
        # Template text and message numbers alternate.
        parts = _SLOT.split(rendered)
        if sorted(map(int, parts[1::2])) != list(range(len(messages))):
            roles = ", ".join(message.role for message in prompt.messages)
            raise InvalidInput(f"the model's chat template does not show each of these messages once: {roles}")
        tokens: list[int] = []
        last = slice(0)
        for index, part in enumerate(parts):
            if index % 2 == 0:
                tokens += words.tokenize(part, control=True)
                if words.adds_bos and index == 0 and tokens[:1] != [words.bos]:
                    tokens.insert(0, words.bos)
                continue
            start = len(tokens)
            tokens += words.tokenize(prompt.messages[int(part)].content.value)
            if int(part) == len(messages) - 1:
                last = slice(start, len(tokens))
        return Rendered(tokens, last)


def _refuse(message: str) -> str:
    from jinja2 import TemplateError

    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now(tz=UTC).astimezone().strftime(form)
