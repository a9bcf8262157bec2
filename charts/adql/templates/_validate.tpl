{{/* Combinations that cannot work, each with its way out; what a single key may be is in values.schema.json. */}}
{{- define "adql.validate" -}}
{{- $values := .Values -}}
{{- include "adql.validateFractions" . -}}
{{- $kind := dig "network" "kind" "dense" $values.run -}}
{{- $prefix := include "adql.fullname" . -}}
{{- if not (regexMatch "^[a-z][a-z0-9-]*$" $prefix) -}}
{{- fail (printf "Services would be called %s-…, and their names begin with a letter and have small letters, digits and - alone; set fullnameOverride" $prefix) -}}
{{- end -}}
{{- if and $values.valkey.enabled $values.redis.external.url -}}
{{- fail "valkey.enabled and redis.external.url are both set, and a run has one store; set valkey.enabled=false to use the external one, or remove redis.external.url" -}}
{{- end -}}
{{- if not (or $values.valkey.enabled $values.redis.external.url) -}}
{{- fail "valkey.enabled is false and redis.external.url is empty, so that there is no store; set one of them" -}}
{{- end -}}
{{- with $values.valkey -}}
{{- if and .enabled (not .image.tag) (not .image.digest) -}}
{{- fail "valkey.image.tag and valkey.image.digest are both empty, so that the store's image has no version; set one of them" -}}
{{- end -}}
{{- end -}}
{{- if and (eq $kind "nature") (regexMatch "(^|/)adql/learner$" $values.image.learner.repository) -}}
{{- fail (printf "run.network.kind nature needs PyTorch, which the image %s does not have; set image.learner.repository=adql/learner-torch" $values.image.learner.repository) -}}
{{- end -}}
{{- if regexMatch "^[a-z]+://[^/]*:[^/]*@" ($values.redis.external.url | default "") -}}
{{- fail "redis.external.url holds a password, which every pod's description would show; keep user@ alone, and name a Secret with the password in redis.external.existingSecret" -}}
{{- end -}}
{{- if and $values.autoscaling.enabled $values.controller.enabled -}}
{{- fail "autoscaling.enabled and controller.enabled are both set, and only one may set the number of learners; set one of them to false" -}}
{{- end -}}
{{- if and $values.controller.enabled $values.networkPolicy.enabled (not $values.networkPolicy.apiServer.cidrs) -}}
{{- fail "controller.enabled needs the API server's addresses, which its NetworkPolicy opens; set networkPolicy.apiServer.cidrs, such as {10.0.0.1/32}, to those that `kubectl get endpointslice kubernetes -n default` prints, or networkPolicy.enabled=false" -}}
{{- end -}}
{{- $account := include "adql.controllerAccountName" . -}}
{{- if and $values.controller.enabled (has $account (list "default" (include "adql.serviceAccountName" .))) -}}
{{- fail (printf "the controller's service account %s is not its own, so that others might change the number of learners as well; set controller.serviceAccount.create=true, or controller.serviceAccount.name to one for it alone" $account) -}}
{{- end -}}
{{- if and $values.actor.enabled (eq $values.learner.role "actor") -}}
{{- fail "actor.enabled is true and learner.role is actor, so that all act and nobody learns; set learner.role=learner" -}}
{{- end -}}
{{- include "adql.validateRun" . -}}
{{- include "adql.validateNumbers" $values -}}
{{- include "adql.validateSizes" $values -}}
{{- end }}

{{/* A fraction of `--set` is a text, which no schema can hold to the bounds of a number. */}}
{{- define "adql.validateFractions" -}}
{{- $words := dict "minimum" "at least" "exclusiveMinimum" "more than" "maximum" "at most" "exclusiveMaximum" "less than" -}}
{{- range $key, $bounds := .Files.Get "files/numbers.json" | fromJson -}}
{{- range $given := include "adql.at" (dict "tree" $.Values "key" $key) | fromJsonArray -}}
{{- if kindIs "string" $given -}}
{{- if not (regexMatch (printf "^%s$" (include "adql.number" $)) $given) -}}
{{- fail (printf "%s is %q, and has to be a number such as 0.5" $key $given) -}}
{{- end -}}
{{- $number := float64 $given -}}
{{- range $bound, $limit := $bounds -}}
{{- $holds := dict "minimum" (ge $number $limit) "exclusiveMinimum" (gt $number $limit) "maximum" (le $number $limit) "exclusiveMaximum" (lt $number $limit) -}}
{{- if not (get $holds $bound) -}}
{{- fail (printf "%s is %s, and has to be %s %v" $key $given (get $words $bound) $limit) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Numbers of pods and seconds that leave nothing to do. */}}
{{- define "adql.validateNumbers" -}}
{{- range $section, $values := . -}}
{{- if and (has $section (list "autoscaling" "controller")) $values.enabled (gt ($values.minReplicas | int) ($values.maxReplicas | int)) -}}
{{- fail (printf "%s.minReplicas %v is more than %s.maxReplicas %v; raise the latter or lower the former" $section $values.minReplicas $section $values.maxReplicas) -}}
{{- end -}}
{{- if has $section (list "learner" "actor") -}}
{{- with $values.strategy.rollingUpdate -}}
{{- if and (has (toString .maxSurge) (list "0" "0%")) (has (toString .maxUnavailable) (list "0" "0%")) -}}
{{- fail (printf "%s.strategy.rollingUpdate: maxSurge and maxUnavailable are both 0, with which no pod can be replaced; raise one of them" $section) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if kindIs "map" $values -}}
{{- if and (hasKey $values "preStopSleepSeconds") (ge ($values.preStopSleepSeconds | int) ($values.terminationGracePeriodSeconds | int)) -}}
{{- fail (printf "%s.preStopSleepSeconds %v leaves nothing of %s.terminationGracePeriodSeconds %v to end in; lower the former or raise the latter" $section $values.preStopSleepSeconds $section $values.terminationGracePeriodSeconds) -}}
{{- end -}}
{{- end -}}
{{- end -}}
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
