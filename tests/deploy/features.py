"""Every optional feature of the chart, switched on by itself and all at once."""

from typing import Any

from tests.deploy.rendering import merged

DIGEST = "sha256:" + "0123456789abcdef" * 4
PLACED = ("parameterServer", "replay", "valkey", "learner", "actor", "evaluator", "controller")

_placement = {
    "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}
            ]
        }
    },
    "topologySpreadConstraints": [
        {"maxSkew": 2, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "priorityClassName": "training",
    "runtimeClassName": "sandboxed",
    "podLabels": {"team": "rl"},
    "podAnnotations": {"example.org/owner": "somebody"},
    "terminationGracePeriodSeconds": 77,
}
_extras = {
    "extraEnv": [
        {"name": "EXTRA", "value": "1"},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    ],
    "extraVolumes": [{"name": "roms", "emptyDir": {"sizeLimit": "1Gi"}}],
    "extraVolumeMounts": [{"name": "roms", "mountPath": "/roms"}],
}
_peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}}}
_way_out = {"to": [{"ipBlock": {"cidr": "10.9.0.0/16"}}], "ports": [{"port": 6380, "protocol": "TCP"}]}

FEATURES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "names": {"nameOverride": "q", "fullnameOverride": "learning"},
    "common labels and annotations": {
        "commonLabels": {"example.org/team": "rl"},
        "commonAnnotations": {"example.org/cost": "42"},
    },
    "images": {
        "global": {"imageRegistry": "registry.example.org", "imagePullSecrets": [{"name": "pull"}]},
        "image": {"tag": "9.9.9", "pullPolicy": "Always", "learner": {"digest": DIGEST}, "service": {"tag": "9.9.9-1"}},
    },
    "run": {"run": {"run": {"name": "another"}, "training": {"goal": None, "environment_steps": 50_000_000}}},
    "no authentication": {"auth": {"enabled": False}},
    "existing secrets": {
        "auth": {"existingSecret": "tokens", "tokensKey": "t"},
        "valkey": {"existingSecret": "store", "passwordKey": "p"},
        "learner": {"replicaCount": None},
    },
    "external store": {
        "valkey": {"enabled": False},
        "redis": {
            "external": {
                "url": "rediss://adql@redis.example.org:6380/0",
                "existingSecret": "redis",
                "egress": [_way_out],
            }
        },
    },
    "no service account": {"serviceAccount": {"create": False, "name": "mine"}},
    "network policies open": {"networkPolicy": {"enabled": False}},
    "network policies": {
        "networkPolicy": {
            "metrics": {"from": [_peer]},
            "dns": {"to": [_peer]},
            "apiServer": {"cidrs": ["10.0.0.1/32"]},
        },
        "learner": {"extraEgress": [_way_out]},
        "evaluator": {"extraEgress": [_way_out]},
    },
    "placement": dict.fromkeys(PLACED, _placement),
    "extras": dict.fromkeys(PLACED, _extras)
    | {"extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}}]},
    "storage": {
        section: {"persistence": {"size": "5Gi", "storageClass": "fast"}}
        for section in ("parameterServer", "replay", "valkey")
    },
    "graphics cards": {"learner": {"resources": {"limits": {"nvidia.com/gpu": 1}}}},
    "torch": {
        "run": {"network": {"kind": "nature"}},
        "image": {"learner": {"repository": "adql/learner-torch"}},
    },
    "no evaluator": {"evaluator": {"enabled": False}},
    "actors": {"learner": {"role": "learner"}, "actor": {"enabled": True, "extraEgress": [_way_out]}},
    "only actors": {"learner": {"role": "actor"}},
    "no budgets": {section: {"podDisruptionBudget": {"enabled": False}} for section in PLACED},
    "no scrape annotations": {"metrics": {"annotations": {"enabled": False}}},
    "autoscaling": {"autoscaling": {"enabled": True, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 600}}}},
    "controller": {"controller": {"enabled": True}, "networkPolicy": {"apiServer": {"cidrs": ["10.0.0.1/32"]}}},
    "prometheus operator": {
        "metrics": {
            part: {"enabled": True, "additionalLabels": {"release": "kube-prometheus-stack"}}
            for part in ("serviceMonitor", "podMonitor", "prometheusRule")
        }
        | {"dashboards": {"enabled": True}}
    },
}
"""What is switched on, and its values."""

_NOT_TOGETHER = {
    "own store and KEDA": ("external store", "only actors", "controller", "network policies open", "no evaluator"),
    "external store and controller": (
        "existing secrets",
        "only actors",
        "autoscaling",
        "network policies open",
        "no service account",
    ),
}
EVERYTHING: dict[str, dict[str, Any]] = {
    f"everything, {name}": merged(*(values for feature, values in FEATURES.items() if feature not in without))
    for name, without in _NOT_TOGETHER.items()
}
"""All of them at once, but for those that exclude each other."""
CASES = FEATURES | EVERYTHING
