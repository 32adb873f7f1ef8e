"""A Ray cluster of several nodes on this machine, for tests and benchmarks."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

MEMORY = {"object_store_memory": 80 * 2**20}


class _PatientClock:
    """Ray gives up on a node that is not there after 30 s by the clock; a busy machine gets ten times that."""

    sleep, time = staticmethod(time.sleep), staticmethod(time.time)

    @staticmethod
    def monotonic() -> float:
        return time.monotonic() / 10


@contextlib.contextmanager
def start_cluster(nodes: int) -> Iterator[Any]:
    """A head without cores and so many nodes of one core; this process is connected to it."""
    import ray
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setattr("ray._private.node.time", _PatientClock)
        head = {"num_cpus": 0, "include_dashboard": False, **MEMORY}  # with its head a cluster ends
        started = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(nodes):
                started.add_node(num_cpus=1, **MEMORY)
            ray.init(address=started.address, log_to_driver=False, logging_level="ERROR")
            yield started
        finally:
            ray.shutdown()
            started.shutdown()
