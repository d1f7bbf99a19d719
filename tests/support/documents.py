"""Documentation texts in the form that Context7 sends them.

Pure functions from a library, a question and a revision to text. Every question gets a text of its
own (a snippet that quotes it stands first), and so does every revision and every version (they show
in each source address).
"""

import json
import re
from dataclasses import dataclass

from support.catalogue import CodeSnippet, InfoSnippet, Library

BETWEEN = "\n\n" + "-" * 32 + "\n\n"
CODE_IN_A_BODY = 5
INFO_IN_A_BODY = 2


@dataclass(frozen=True, kw_only=True)
class Edition:
    """Edition of a library's text: its version (None is the newest) and its revision."""

    library: Library
    version: str | None
    revision: int

    def source(self, path: str) -> str:
        suffix = "" if self.revision == 1 else f"-revision-{self.revision}"
        return f"https://github.com{self.library.id}/blob/{self.version or 'main'}{suffix}/{path}"


def context_text(edition: Edition, question: str) -> str:
    """Return the body of `/v2/context`: code, then one blank line, then information."""
    code = BETWEEN.join(_code_text(edition, each) for each in _code(edition, question))
    info = BETWEEN.join(_info_text(edition, each) for each in _info(edition, question))
    return f"{code}\n\n{info}" if info else code


def context_json(edition: Edition, question: str) -> dict[str, object]:
    """Return the body of `/v2/context?type=json`."""
    return {
        "codeSnippets": [_code_json(edition, each) for each in _code(edition, question)],
        "infoSnippets": [_info_json(edition, each) for each in _info(edition, question)],
    }


def page_text(edition: Edition, mode: str, topic: str, page: int, limit: int) -> str:
    """One page of what the older `/v2/docs/{mode}/…` answers; a page too far has no content."""
    everything = len(edition.library.code) + len(edition.library.info)
    if mode == "code":
        texts = [_code_text(edition, each) for each in _code(edition, topic, everything + 1)]
    else:
        texts = [_info_text(edition, each) for each in _info(edition, topic, everything)]
    start = (page - 1) * limit
    return BETWEEN.join(texts[start : start + limit]) or "No content available"


def _code(edition: Edition, question: str, most: int = CODE_IN_A_BODY) -> list[CodeSnippet]:
    ranked = sorted(
        edition.library.code, key=lambda each: -_overlap(question, each.title, each.description)
    )
    return [_walkthrough(edition, question), *ranked][:most]


def _info(edition: Edition, question: str, most: int = INFO_IN_A_BODY) -> list[InfoSnippet]:
    ranked = sorted(
        edition.library.info, key=lambda each: -_overlap(question, each.title, each.text)
    )
    return ranked[:most]


def _walkthrough(edition: Edition, question: str) -> CodeSnippet:
    library = edition.library
    quoted = " ".join(question.replace("`", "'").split())[:200] or f"{library.title} overview"
    return CodeSnippet(
        title=f"Walk through: {quoted}",
        path="docs/walkthroughs.md",
        description=(
            f'How {library.title} answers "{quoted}", checked against revision '
            f"{edition.revision} of its documentation. Start from these lines and replace the "
            "question by your own; the snippets below show the parts that they rest on."
        ),
        blocks=((library.language, f"question = {json.dumps(quoted)}\nwalk_through(question)"),),
    )


def _overlap(question: str, *texts: str) -> int:
    return len(_words(question) & _words(" ".join(texts)))


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]{3,}", text.lower()))


def _code_text(edition: Edition, snippet: CodeSnippet) -> str:
    fences = "\n\n".join(f"```{language}\n{code}\n```" for language, code in snippet.blocks)
    return f"{_head(edition, snippet)}\n\n{snippet.description}\n\n{fences}"


def _info_text(edition: Edition, snippet: InfoSnippet) -> str:
    return f"{_head(edition, snippet)}\n\n{snippet.text}"


def _head(edition: Edition, snippet: CodeSnippet | InfoSnippet) -> str:
    return f"### {snippet.title}\n\nSource: {edition.source(snippet.path)}"


def _code_json(edition: Edition, snippet: CodeSnippet) -> dict[str, object]:
    return {
        "codeTitle": snippet.title,
        "codeDescription": snippet.description,
        "codeLanguage": snippet.blocks[0][0],
        "codeTokens": sum(len(code) for _, code in snippet.blocks) // 4,
        "codeId": edition.source(snippet.path),
        "pageTitle": edition.library.title,
        "codeList": [{"language": language, "code": code} for language, code in snippet.blocks],
    }


def _info_json(edition: Edition, snippet: InfoSnippet) -> dict[str, object]:
    return {
        "pageId": edition.source(snippet.path),
        "breadcrumb": snippet.title,
        "content": snippet.text,
        "contentTokens": len(snippet.text) // 4,
    }
