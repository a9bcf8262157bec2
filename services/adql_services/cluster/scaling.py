"""``adql k8s scale N``: how many learners there are to be."""

import sys

from adql.errors import InputError
from adql_services.cluster.api import Cluster
from adql_services.cluster.diagnosis import wanted
from adql_services.cluster.release import LEARNER, find_release, name_of

MAX_LEARNERS = 4_096
"""As many sessions as a parameter server leases."""


def scale(cluster: Cluster, name: str, learners: int) -> int:
    """Sets the scale of the release's learners, and nothing else; returns 0."""
    if not 0 <= learners <= MAX_LEARNERS:
        raise InputError(f"{learners} learners: name a number from 0 to {MAX_LEARNERS}")
    deployment = find_release(cluster, name).workload(LEARNER)
    cluster.scale(name_of(deployment), learners)
    sys.stdout.write(f"deployment {name_of(deployment)}: {wanted(deployment)} learners before, now {learners}\n")
    return 0
