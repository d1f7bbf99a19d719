"""Sentences in documentation that give the reading model orders: recognising them.

Documentation commands its readers all day ("you must call", "do not use", "ignore the previous
value"). So an order counts only where it is about the conversation: what was said to the model
before, who speaks, what the user may know, which secret belongs into the reply.
"""

from __future__ import annotations

import re

_MODELS = r"(?:assistants?|llms?|ais?|(?:ai|llm|coding|language) (?:assistants?|agents?|models?))"
_EARLIER = r"(?:previous|prior|above|earlier|preceding|existing|original|system)"
_ALL_OF = r"(?: (?:all|any|every|everything|of|the|these|those|your|my)){0,4}"
_RULES = r"(?:instructions?|prompts?|guidelines)\b"
_ABOUT_THIS = r"(?: (?:about|of) (?:this|these|it|that)\b| that (?:you|this|these)\b|[.,;:!)]|$)"
_FETCH = r"(?:read|run|execute|open|fetch|send|upload|cat|print|visit|curl|include)\b"
_CONFIDENCE = (
    r"(?:~/\.(?:ssh|aws)\b|/etc/passwd\b|\.env\b|\bid_rsa\b|\b(?:credential|password|secret)s?\b)"
)
_QUESTION = r"(?: the user| (?:this|the|any) question)?"
# Each is looked for in what a paragraph says: lower case, single spaces, straight apostrophes.
_SIGNS = (
    # What was said before
    rf"(?:ignore|disregard|forget){_ALL_OF} {_EARLIER}(?: \w+)? {_RULES}",
    rf"(?:ignore|disregard|forget)(?: all)?(?: of)? your(?: \w+)? (?:{_RULES}|rules\b|training\b)",
    r"supersedes?(?: all| any)? (?:previous|prior|earlier|your)(?: \w+)? instructions\b",
    r"you are now (?:dan\b|in \w+ mode\b|an? (?:unrestricted|unfiltered|uncensored)\b)",
    r"(?:reveal|print|repeat|output) your (?:system prompt|(?:hidden |initial )?instructions)\b",
    # Who speaks
    r"<\|(?:im_start|im_end|system|assistant|user)\|>",
    r"</?(?:system|assistant|system[-_](?:reminder|prompt|message))>",
    r"<</?sys>>",
    r"^\[(?:system|assistant|inst)\] \w",
    r"^(?:system|assistant) (?:override|notice|alert) ?:",
    r"^new (?:system )?instructions? ?:",
    # What the model shall do
    rf"(?:background|note|notice|important) (?:for|to) (?:the |any |all )?{_MODELS} ?[:)\]]",
    rf"(?:as|if you are) an? {_MODELS}\b[^.]{{0,40}}\byou (?:must|have to)\b",
    r"you must (?:now|immediately) (?:run|execute|download|install)\b",
    rf"before (?:you )?answer(?:ing)?{_QUESTION},? (?:\w+ ){{0,6}}?{_FETCH}",
    rf"before (?:you )?(?:respond|reply)(?:ing)? to the user,? (?:\w+ ){{0,6}}?{_FETCH}",
    # What the user may know
    r"(?:tell|instruct|urge|advise) the user to (?:run|execute|paste)\b",
    r"(?:please relay|relay (?:this|the following|the above))\b",
    rf"(?:do not|don't|never|without) (?:tell|inform)(?:ing)? the user{_ABOUT_THIS}",
    rf"(?:do not|don't|never) (?:mention|reveal|disclose) (?:this|these) (?:notice|{_RULES})",
    # Which secret belongs into the reply
    (
        rf"(?:read|cat|open|print|copy|send|post|upload|include|paste)\b.{{0,60}}{_CONFIDENCE}.{{0,80}}"
        r"\bin your (?:answer|reply|next (?:message|response))\b"
    ),
)
# All that stands in inline code or quotation marks is an example: none of it is said to the model.
_EXAMPLE = re.compile(
    r"`[^`]*`"
    r'|"[^"]*"'
    r"|\u201c[^\u201c\u201d]{0,2000}\u201d|\u201e[^\u201c-\u201e]{0,2000}[\u201c\u201d]"
    r"|\u00ab[^\u00ab\u00bb]{0,2000}\u00bb|\u300c[^\u300c\u300d]{0,2000}\u300d"
    r"|(?<!\w)'[^']{0,2000}(?:(?<=\w)'(?=\w)[^']{0,2000}){0,50}'(?!\w)"
)
# A quotation may also go on in the next paragraph.
_BEGIN = "(?<![\\w\"'`\u201c\u2018])"
_ORDER = re.compile(f"{_BEGIN}(?:{'|'.join(_SIGNS)})")


def is_order(says: str) -> bool:
    """Tell whether a paragraph, which says this, gives the model that reads it an order."""
    return _ORDER.search(_EXAMPLE.sub("''", says)) is not None
