"""``adql k8s scale N``: how many learners, or actors, there are to be."""

import sys

from adql.errors import InputError
from adql_services.cluster.api import Cluster
from adql_services.cluster.diagnosis import wanted
from adql_services.cluster.release import find_release, name_of

MAX_SESSIONS = 4_096
"""As many sessions as a parameter server leases."""


def scale(cluster: Cluster, name: str, component: str, number: int) -> int:
    """Sets the scale of ``component``, learner or actor, and nothing else; returns 0.

    Raises:
        InputError: a number out of bounds, or no such component in the release.
    """
    if not 0 <= number <= MAX_SESSIONS:
        raise InputError(f"{number} {component}s: name a number from 0 to {MAX_SESSIONS}")
    deployment = find_release(cluster, name).workload(component)
    cluster.scale(name_of(deployment), number)
    before = wanted(deployment)
    told = f"{before} {component}{'' if before == 1 else 's'} before, now {number}"
    sys.stdout.write(f"deployment {name_of(deployment)}: {told}\n")
    return 0
