"""kwok's configuration: which nodes it plays, how many at a time, and by which stages. Pure."""

import json
from pathlib import Path

from .ports import LOOPBACK

__all__ = ["STAGES", "kwok_configuration"]

STAGES = Path(__file__).parent / "files" / "kwok-stages.yaml"
"""What kwok does to nodes, pods and volumes."""

PARALLELISM = 16
"""Stages of nodes, of pods, node leases and lists of pods handled at a time. kwok's default of 4 makes a 1,000-node lab
wait; more than this gains nothing on two cores. With a configuration document given, kwok defaults none of them."""

LEASE_SECONDS = 100
"""Length of a node's lease. kwok renews at a quarter of it, 25 s, well within the 50 s after which the controller
manager calls a node NotReady (--node-monitor-grace-period); a 1,000-node lab costs 40 requests a second, not 100."""


def kwok_configuration(*, pod_network: str, port: int) -> str:
    """Return the whole ``--config`` file: one KwokConfiguration and the stages.

    Parameters
    ----------
    pod_network
        Where pods get their addresses, in CIDR notation.
    port
        Of kwok's own server on 127.0.0.1 (health, metrics).
    """
    configuration = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "metadata": {"name": "kwok"},
        "options": {
            "cidr": pod_network,
            "nodeIP": LOOPBACK,
            "manageAllNodes": True,
            "serverAddress": f"{LOOPBACK}:{port}",
            # Logs and shells of simulated pods: there are none, and the server asks nobody who they are.
            "enableDebuggingHandlers": False,
            "enableProfilingHandler": False,
            "nodeLeaseDurationSeconds": LEASE_SECONDS,
            "nodeLeaseParallelism": PARALLELISM,
            "nodePlayStageParallelism": PARALLELISM,
            "podPlayStageParallelism": PARALLELISM,
            "podsOnNodeSyncParallelism": PARALLELISM,
            "enablePodsOnNodeSyncListPager": True,
            "enablePodsOnNodeSyncStreamWatch": False,
        },
    }
    stages = STAGES.read_text(encoding="utf-8")
    # JSON is YAML, and kwok reads a stream of documents; the stages begin with the mark between two of them.
    return f"{json.dumps(configuration, indent=1)}\n{stages}"
