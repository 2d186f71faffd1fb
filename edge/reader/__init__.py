"""Reading passages for a question: the sentences that matter, and the short answers in their words."""

from edge.reader.reader import Reader as Reader
