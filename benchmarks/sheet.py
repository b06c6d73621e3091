"""The results of a suite: figures by case, contender and measure. Stored as JSON; pure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

OURS = "casync (this)"
"""The name of this project among the contenders."""

SCHEMA = "casync.benchmark/1"


@dataclass
class Sheet:
    """The figures of one suite.

    Attributes:
        suite: Its name.
        about: Machine, versions and date, as texts by key.
        figures: Values by case, contender and measure, one per round.
        commands: Command lines by case and contender.
        notes: Sentences for the reader of the tables.
    """

    suite: str
    about: dict[str, str] = field(default_factory=dict)
    figures: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    commands: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, case: str, contender: str, **values: float | None) -> None:
        """Adds the values of a round; None was not measured."""
        measures = self.figures.setdefault(case, {}).setdefault(contender, {})
        for measure, value in values.items():
            if value is not None:
                measures.setdefault(measure, []).append(round(float(value), 4))

    def note(self, sentence: str) -> None:
        """Adds a sentence, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def get(self, case: str, contender: str, measure: str) -> float | None:
        """The median over the rounds; None if it was not measured."""
        values = self.figures.get(case, {}).get(contender, {}).get(measure)
        return statistics.median(values) if values else None

    def spread(self, case: str, contender: str, measure: str) -> tuple[float, float] | None:
        """The least and the greatest value of the rounds."""
        values = self.figures.get(case, {}).get(contender, {}).get(measure)
        return (min(values), max(values)) if values else None

    def contenders(self, case: str) -> list[str]:
        """The contenders of a case, this project first."""
        return sorted(self.figures.get(case, {}), key=lambda name: not name.startswith(OURS))

    def ratio(self, case: str, other: str, measure: str, ours: str = OURS) -> float | None:
        """The other's median divided by ours."""
        mine, theirs = self.get(case, ours, measure), self.get(case, other, measure)
        return theirs / mine if mine and theirs is not None else None

    def to_json(self) -> str:
        """The sheet as readable JSON."""
        document = {"schema": SCHEMA, **vars(self)}
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Sheet:
        """Reads a stored sheet.

        Raises:
            ValueError: It is not one.
        """
        document = json.loads(text)
        if document.pop("schema", None) != SCHEMA:
            raise ValueError(f"not a {SCHEMA}")
        return cls(**document)


def turns(names: Iterable[str], round_number: int) -> list[str]:
    """The order of one round, rotated so that no contender is always first."""
    order = list(names)
    start = round_number % len(order) if order else 0
    return order[start:] + order[:start]


Results = Mapping[str, Sheet]
"""All sheets by the name of their suite."""
