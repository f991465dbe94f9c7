"""What was found, what was brought, and what is different from now on, in words for the operator."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Report:
    """`found`: how many of each kind there are; `brought`: how many of them are new here. `notes`: sentences, each with
    how often and a few of whom.
    """

    found: Counter[str] = field(default_factory=Counter)
    brought: Counter[str] = field(default_factory=Counter)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def note(self, sentence: str, whom: str = "") -> None:
        self.notes.setdefault(sentence, []).append(whom)

    def lines(self, *, dry: bool = False) -> list[str]:
        """*dry*: nothing was done."""
        told = []
        for kind, number in self.found.items():
            done = "" if dry or self.brought[kind] == number else f", {self.brought[kind]} brought now"
            told.append(f"{kind}: {number}{done}")
        return [*told, *(self._told(sentence) for sentence in self.notes)]

    def _told(self, sentence: str) -> str:
        names = [name for name in self.notes[sentence] if name]
        if not names:
            return f"- {sentence}"
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        return f"- {sentence}: {shown}"
