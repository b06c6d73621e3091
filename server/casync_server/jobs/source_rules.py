"""Which sources the jobs of clients may use, and how their objects are reached."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from casync.jobs.egress import EgressPolicy
from casync.jobs.spec import JobSpec
from casync.remote.sources.item_sources import ItemSources
from casync.remote.sources.job_sources import JobSources
from casync.remote.sources.options import SourceOptions
from casync_server.jobs.policed_sources import PolicedSources
from casync_server.jobs.source_policy import SourcePolicy
from casync_server.options import ServeOptions
from casync_server.settings import ServerSettings

__all__ = ["SourceRules", "rules_of"]


class SourceRules(NamedTuple):
    """The rules of one server.

    Attributes:
        policy: Which sources are open.
        egress: Which addresses may be connected to.
        import_root: The folder below which local paths are open; None for none.
    """

    policy: SourcePolicy
    egress: EgressPolicy
    import_root: Path | None = None

    def open(self, namespace: str, spec: JobSpec) -> JobSources:
        """The sources of a job within these rules."""
        inner = ItemSources(spec, SourceOptions(egress=self.egress))
        return PolicedSources(inner, spec, namespace, self.policy, self.import_root)


def rules_of(options: ServeOptions, settings: ServerSettings, *, is_local: bool) -> SourceRules:
    """The rules of a server. Where only its own machine reaches it, jobs may reach that, too."""
    return SourceRules(
        SourcePolicy(options.import_root, settings.job_clouds),
        EgressPolicy(options.allow_hosts, loopback=is_local),
        options.import_root,
    )
