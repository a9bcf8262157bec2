"""What the values of the chart may be, where their defaults do not tell."""

from typing import Any

Schema = dict[str, Any]

TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
"""Labels, annotations, node selectors."""
KUBERNETES: Schema = {"type": "object", "additionalProperties": True}
"""An object whose type is Kubernetes' own: the API server knows its keys."""
KUBERNETES_LIST: Schema = {"type": "array", "items": KUBERNETES}
QUANTITY: Schema = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$"},
    ]
}
QUANTITIES: Schema = {"type": "object", "additionalProperties": QUANTITY}
SIZE: Schema = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(k|Ki|M|Mi|G|Gi|T|Ti)?$"}
RESOURCES: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"requests": QUANTITIES, "limits": QUANTITIES, "claims": KUBERNETES_LIST},
}
VARIABLES: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            "value": {"type": "string"},
            "valueFrom": KUBERNETES,
        },
    },
}
PULL_SECRETS: Schema = {
    "type": "array",
    "items": {
        "anyOf": [
            {"type": "string", "minLength": 1},
            {
                "type": "object",
                "additionalProperties": False,
                "required": ["name"],
                "properties": {"name": {"type": "string", "minLength": 1}},
            },
        ]
    },
}
"""Names of Secrets, by themselves or as Kubernetes has them."""
NETWORKS: Schema = {
    "type": "array",
    "items": {"type": "string", "pattern": "^[0-9a-fA-F.:]+/[0-9]+$"},
}
NAME: Schema = {"type": "string", "pattern": "^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?$", "maxLength": 35}
"""A part of the name of an object, or nothing."""
SHARE: Schema = {"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+%$"}
"""A number of pods, or a percentage."""
STORE_BYTES: Schema = {"type": "string", "pattern": "^([0-9]+(kb|mb|gb)?)?$"}
"""As Valkey writes it, or nothing."""
DURATION: Schema = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))*$"}
"""As Prometheus writes it, or nothing."""

CONSTRAINTS: dict[str, Schema] = {
    "nameOverride": NAME,
    "fullnameOverride": NAME,
    "common*": TEXTS,
    "*.podLabels": TEXTS,
    "*.podAnnotations": TEXTS,
    "*.additionalLabels": TEXTS,
    "*serviceAccount.annotations": TEXTS,
    "*.nodeSelector": TEXTS,
    "*.tolerations": KUBERNETES_LIST,
    "*.affinity": KUBERNETES,
    "*.topologySpreadConstraints": KUBERNETES_LIST,
    "*.resources": RESOURCES,
    "*.extraEnv": VARIABLES,
    "*.extraVolumes": KUBERNETES_LIST,
    "*.extraVolumeMounts": KUBERNETES_LIST,
    "extraObjects": {"type": "array", "items": {"anyOf": [KUBERNETES, {"type": "string"}]}},
    "*.imagePullSecrets": PULL_SECRETS,
    "*.pullPolicy": {"type": "string", "enum": ["Always", "IfNotPresent", "Never"]},
    "*.repository": {"type": "string", "minLength": 1},
    "*.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "*.terminationGracePeriodSeconds": {"type": "integer", "minimum": 1},
    "*.preStopSleepSeconds": {"type": "integer", "minimum": 0},
    "*.persistence.size": SIZE,
    "*.maxSurge": SHARE,
    "*.maxUnavailable": SHARE,
    "*.interval": DURATION,
    "logFormat": {"type": "string", "enum": ["text", "json"]},
    "auth.rotation": {"type": ["string", "integer"]},
    "redis.external.url": {"type": "string", "pattern": "^(rediss?://.+)?$"},
    "redis.external.egress": KUBERNETES_LIST,
    "valkey.maxmemory": STORE_BYTES,
    "valkey.rewriteMinSize": {"type": "string", "pattern": "^[0-9]+(kb|mb|gb)?$"},
    "*.replicaCount": {"type": ["integer", "null"], "minimum": 0},
    "learner.role": {"type": "string", "enum": ["both", "actor", "learner"]},
    "*.extraEgress": KUBERNETES_LIST,
    "autoscaling.*Replicas": {"type": "integer", "minimum": 1},
    "autoscaling.fallback.replicas": {"type": "integer", "minimum": 1},
    "autoscaling.fallback.failureThreshold": {"type": "integer", "minimum": 1},
    "autoscaling.stalenessVersions": {"type": "number", "exclusiveMinimum": 0},
    "autoscaling.prometheusAddress": {"type": "string", "pattern": "^https?://.+$"},
    "autoscaling.pollingIntervalSeconds": {"type": "integer", "minimum": 1},
    "autoscaling.behavior": KUBERNETES,
    "controller.*Replicas": {"type": "integer", "minimum": 1},
    "controller.coolDownSeconds": {"type": "number", "minimum": 0},
    "controller.*Seconds": {"type": "number", "exclusiveMinimum": 0},
    "networkPolicy.dns.to": KUBERNETES_LIST,
    "networkPolicy.metrics.from": KUBERNETES_LIST,
    "networkPolicy.apiServer.cidrs": NETWORKS,
}
"""A key, ``*`` for anything, and what replaces the schema that its default suggests; the first match counts."""

EXCLUSIVE: list[tuple[str, str]] = [("autoscaling.enabled", "controller.enabled")]
"""Switches of which at most one is on."""
