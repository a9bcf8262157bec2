{{/*
How many pods of `component`, learner or actor. Emits `replicas` and `annotation`, or nothing where the field must not
be rendered.

The annotation adql/replica-count says that the field was rendered, and by which replicaCount.
1. Never rendered before (no Deployment, or one without the annotation): replicaCount and its annotation; nothing where
   it is null, nor for learners with autoscaling or the controller, so that upgrades and rollbacks keep any count.
2. Rendered before, with another replicaCount: the new value wins.
3. Rendered before otherwise, in whatever mode: the live count again, since a field that is dropped becomes 1.
A count of 0 is a count. A rollback applies what was recorded.
*/}}
{{- define "adql.replicas" -}}
{{- $values := .root.Values -}}
{{- $live := lookup "apps/v1" "Deployment" .root.Release.Namespace (include "adql.componentName" .) | default dict -}}
{{- $rendered := dig "metadata" "annotations" "adql/replica-count" "" $live -}}
{{- $others := and (eq .component "learner") (or $values.autoscaling.enabled $values.controller.enabled) -}}
{{- $count := index $values .component "replicaCount" -}}
{{- $unset := or (kindIs "invalid" $count) $others -}}
{{- $wanted := $unset | ternary "" ($count | default 0 | int | toString) -}}
{{- if and (ne $wanted "") (ne $wanted $rendered) -}}
replicas: {{ $wanted }}
annotation: {{ $wanted | quote }}
{{- else if ne $rendered "" -}}
replicas: {{ $live.spec.replicas | int }}
annotation: {{ $rendered | quote }}
{{- end }}
{{- end }}
