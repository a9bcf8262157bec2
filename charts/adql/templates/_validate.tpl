{{/* Combinations that cannot work, each with its way out; what a single key may be is in values.schema.json. */}}
{{- define "adql.validate" -}}
{{- $values := .Values -}}
{{- $kind := dig "network" "kind" "dense" $values.run -}}
{{- if and $values.valkey.enabled $values.redis.external.url -}}
{{- fail "valkey.enabled and redis.external.url are both set, and a run has one store; set valkey.enabled=false to use the external one, or remove redis.external.url" -}}
{{- end -}}
{{- if not (or $values.valkey.enabled $values.redis.external.url) -}}
{{- fail "valkey.enabled is false and redis.external.url is empty, so that there is no store; set one of them" -}}
{{- end -}}
{{- if and (has $kind (list "nature" "minatar")) (regexMatch "(^|/)adql/learner$" $values.image.learner.repository) -}}
{{- fail (printf "run.network.kind %s needs PyTorch, which the image %s does not have; set image.learner.repository=adql/learner-torch" $kind $values.image.learner.repository) -}}
{{- end -}}
{{- if and $values.autoscaling.enabled $values.controller.enabled -}}
{{- fail "autoscaling.enabled and controller.enabled are both set, and only one may set the number of learners; set one of them to false" -}}
{{- end -}}
{{- if and $values.controller.enabled (gt ($values.controller.minReplicas | int) ($values.controller.maxReplicas | int)) -}}
{{- fail (printf "controller.minReplicas %v is more than controller.maxReplicas %v; raise the latter or lower the former" $values.controller.minReplicas $values.controller.maxReplicas) -}}
{{- end -}}
{{- if and $values.controller.enabled $values.networkPolicy.enabled (not $values.networkPolicy.apiServer.cidrs) -}}
{{- fail "controller.enabled needs the API server's addresses, which its NetworkPolicy opens; set networkPolicy.apiServer.cidrs, such as {10.0.0.1/32}, to those that `kubectl get endpointslice kubernetes -n default` prints, or networkPolicy.enabled=false" -}}
{{- end -}}
{{- if and $values.actor.enabled (eq $values.learner.role "actor") -}}
{{- fail "actor.enabled is true and learner.role is actor, so that all act and nobody learns; set learner.role=learner" -}}
{{- end -}}
{{- include "adql.validateSizes" $values -}}
{{- end }}

{{/* What has to fit into what, where both are set. */}}
{{- define "adql.validateSizes" -}}
{{- $store := .valkey.enabled | ternary .valkey (dict "persistence" dict) -}}
{{- if and $store.rewriteMinSize (lt (include "adql.bytes" $store.rewriteMinSize | int64) 268435456) -}}
{{- fail (printf "valkey.rewriteMinSize %s is less than 256mb, with which the parameter server does not start; raise it" $store.rewriteMinSize) -}}
{{- end -}}
{{- range list
  (list "valkey.maxmemory" $store.maxmemory "valkey.resources.limits.memory" (dig "limits" "memory" "" ($store.resources | default dict)))
  (list "valkey.rewriteMinSize" $store.rewriteMinSize "valkey.persistence.size" $store.persistence.size)
-}}
{{- if and (index . 1) (index . 3) -}}
{{- if gt (include "adql.bytes" (index . 1) | int64) (include "adql.bytes" (index . 3) | int64) -}}
{{- fail (printf "%s %s does not fit into %s %s; lower the one or raise the other" (index . 0) (index . 1 | toYaml) (index . 2) (index . 3 | toYaml)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
