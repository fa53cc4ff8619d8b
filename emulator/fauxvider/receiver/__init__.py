"""A programmable callback receiver: records every request, answers by script, may front an application."""

from __future__ import annotations

from fauxvider.receiver.core import Receiver
from fauxvider.receiver.records import Answered, AnswerLike, NotReceivedError, Received
from fauxvider.receiver.script import Answers

__all__ = ["AnswerLike", "Answered", "Answers", "NotReceivedError", "Received", "Receiver"]
