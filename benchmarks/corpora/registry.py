"""All corpora, real data first."""

from __future__ import annotations

from benchmarks.corpora.corpus import Corpus
from benchmarks.corpora.database import DATABASE
from benchmarks.corpora.edits import EDITED
from benchmarks.corpora.releases import RELEASES
from benchmarks.corpora.vm import VM
from benchmarks.corpora.weights import WEIGHTS

CORPORA: dict[str, Corpus] = {
    corpus.name: corpus for corpus in (VM, RELEASES, DATABASE, WEIGHTS, EDITED)
}
