"""The one way from a mode to the cloud.

It is also the only code besides the gateway's own front door that makes a `Released` (a test holds that).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from edgewise.errors import (
    CloudUnavailable,
    DeadlineExceeded,
    EdgewiseError,
    Internal,
    NotReady,
    Overloaded,
    Unauthenticated,
    Withheld,
)
from edgewise.ports import Cloud
from edgewise.types import Chunk, Completion, Findings, Options, Prompt, Query, Released, SideStatus, Text
from router.egress.boundary import Boundary, Try

# Inabilities of the far side, whatever form they take: a mode sees them all as "the cloud cannot be used now".
_FAULTS_OF_THE_CLOUD = (DeadlineExceeded, Internal, NotReady, Overloaded, Unauthenticated)


class Gated:
    """The cloud as a mode sees it: a side that takes plain prompts and lets out only what the policy releases.

    Each call that is let out has a row in the audit log before it is sent; `record_id` says for which answer.
    `private_because` says why a question is private that nobody labelled so.
    """

    def __init__(self, cloud: Cloud, boundary: Boundary, record_id: str = "", private_because: str = "") -> None:
        self._cloud = cloud
        self._boundary = boundary
        self._record_id = record_id
        self._private_because = private_because

    async def generate(self, prompt: Prompt, options: Options) -> AsyncGenerator[Chunk | Completion]:
        given = filter(None, (options.response_schema, options.grammar, *options.sampling.stop))
        texts = [message.content for message in prompt.messages]
        texts += [Text(value=value, label=prompt.label) for value in given]
        try:
            with await self._let_out("generate", texts):
                async with aclosing(self._cloud.generate(Released(prompt), options)) as parts:
                    async for part in parts:
                        yield part
        except EdgewiseError as error:
            raise _seen_from_here(error) from None

    async def retrieve(self, query: Query) -> Findings:
        try:
            names = filter(None, (*query.collections, query.source))
            with await self._let_out("fetch_info", [query.text, *map(query.text.derive, names)]):
                return await self._cloud.retrieve(Released(query))
        except EdgewiseError as error:
            raise _seen_from_here(error) from None

    async def status(self) -> SideStatus:
        """Nothing of anybody's is sent for it, and so it has no row."""
        try:
            return await self._cloud.status()
        except EdgewiseError as error:
            raise _seen_from_here(error) from None

    async def _let_out(self, call: str, texts: Sequence[Text]) -> Try:
        if reason := await self._boundary.policy.held(texts):
            raise Withheld(
                f"not sent to the cloud: {self._private_because or reason}. Ask in a mode that stays on the device "
                "(edge_only), or label the question public if it may leave"
            )
        if self._boundary.cloud is None:
            return Try.of_nothing()
        return await self._boundary.noted(self._boundary.of_texts(call, texts, self._record_id, self._boundary.cloud))


def _seen_from_here(error: EdgewiseError) -> EdgewiseError:
    if isinstance(error, _FAULTS_OF_THE_CLOUD):
        return CloudUnavailable(error.message, retry_after_s=error.retry_after_s)
    return error
