"""Figures as Prometheus reads them: its own text format, or OpenMetrics, which has room for exemplars.

Written by hand, since a hub shows thousands of lines at a time, and nobody else is answered meanwhile.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

PLAIN = "text/plain; version=1.0.0; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

#: Figures whose names begin so have no other prefix.
OURS = ("hubbub_", "process_", "python_")

Labels = tuple[str, ...]
#: Numbers, and the values of labels that each is of.
Values = Iterable[tuple[Labels, float]]


@dataclass(frozen=True)
class Exemplar:
    """One of those in a bucket: the id of its trace, how long it took, and when it ended (Unix time), in seconds."""

    trace: str
    seconds: float
    at: float

    def __str__(self) -> str:
        return f' # {{trace_id="{self.trace}"}} {self.seconds!r} {self.at:.3f}'


#: The newest of each bucket, by the values of labels and the number of the bound.
Exemplars = dict[tuple[Labels, int], Exemplar]


class Text:
    """*prefix*: of all names that are JupyterHub's. *openmetrics*: whether it is to be that."""

    def __init__(self, prefix: str = "jupyterhub", *, openmetrics: bool = False) -> None:
        self._prefix = prefix
        self._openmetrics = openmetrics
        self._lines: list[str] = []

    def gauge(self, name: str, words: str, value: float) -> None:
        self.gauges(name, words, (), [((), value)])

    def gauges(self, name: str, words: str, labels: Labels, values: Values) -> None:
        self._plain(name, words, "gauge", labels, values)

    def counters(self, name: str, words: str, labels: Labels, values: Values) -> None:
        """*name* ends in `_total`."""
        self._plain(name, words, "counter", labels, values)

    def histogram(
        self,
        name: str,
        words: str,
        labels: Labels,
        bounds: Sequence[float],
        values: Iterable[tuple[Labels, Sequence[int], float]],
        exemplars: Exemplars | None = None,
    ) -> None:
        """*values*: those of *labels*; how many took up to each of *bounds* (seconds) and longer than the one before,
        and at last longer than all; seconds in all.
        """
        full = self._head(name, words, "histogram")
        for which, counts, seconds in values:
            buckets, total, count = _of_histogram(full, labels, which, tuple(bounds))
            found = list(accumulate(counts))
            lines = list(map("{}{}.0".format, buckets, found))
            if exemplars and self._openmetrics:
                for place in range(len(lines)):
                    lines[place] += str(exemplars.get((which, place), ""))
            self._lines += lines
            self._lines += (f"{count}{found[-1]}.0", f"{total}{float(seconds)!r}")

    def bytes(self) -> bytes:
        return ("\n".join((*self._lines, "# EOF") if self._openmetrics else self._lines) + "\n").encode()

    def _plain(self, name: str, words: str, kind: str, labels: Labels, values: Values) -> None:
        full = self._head(name, words, kind)
        for which, value in values:
            self._lines.append(f"{full}{_labelled(labels, which)} {float(value)!r}")

    def _head(self, name: str, words: str, kind: str) -> str:
        full = name if name.startswith(OURS) else f"{self._prefix}_{name}"
        family = full.removesuffix("_total") if self._openmetrics and kind == "counter" else full
        self._lines += (f"# HELP {family} {words}", f"# TYPE {family} {kind}")
        return full


@lru_cache(maxsize=10_000)
def _of_histogram(name: str, labels: Labels, values: Labels, bounds: tuple[float, ...]) -> tuple[list[str], str, str]:
    """All of its lines but for their numbers: the buckets', the sum's and the count's."""
    limits = [*(repr(float(bound)) for bound in bounds), "+Inf"]
    buckets = [f"{name}_bucket{_labelled((*labels, 'le'), (*values, limit))} " for limit in limits]
    plain = _labelled(labels, values)
    return buckets, f"{name}_sum{plain} ", f"{name}_count{plain} "


def _labelled(labels: Labels, values: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(labels, values, strict=True)) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
