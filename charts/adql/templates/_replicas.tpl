{{/*
How many learners. Emits `replicas` and `annotation`, or nothing where the field must not be rendered.

The annotation adql/replica-count says that the field was rendered, and by which learner.replicaCount.
1. Never rendered before (no Deployment, or one without the annotation): learner.replicaCount and its annotation;
   nothing with autoscaling, the controller or replicaCount null, so that upgrades and rollbacks keep any count.
2. Rendered before, with another learner.replicaCount: the new value wins.
3. Rendered before otherwise, in whatever mode: the live count again, since a field that is dropped becomes 1.
A count of 0 is a count. A rollback applies what was recorded.
*/}}
{{- define "adql.learnerReplicas" -}}
{{- $name := include "adql.componentName" (dict "root" . "component" "learner") -}}
{{- $live := lookup "apps/v1" "Deployment" .Release.Namespace $name | default dict -}}
{{- $rendered := dig "metadata" "annotations" "adql/replica-count" "" $live -}}
{{- $unset := or (kindIs "invalid" .Values.learner.replicaCount) .Values.autoscaling.enabled .Values.controller.enabled -}}
{{- $wanted := $unset | ternary "" (.Values.learner.replicaCount | default 0 | int | toString) -}}
{{- if and (ne $wanted "") (ne $wanted $rendered) -}}
replicas: {{ $wanted }}
annotation: {{ $wanted | quote }}
{{- else if ne $rendered "" -}}
replicas: {{ $live.spec.replicas | int }}
annotation: {{ $rendered | quote }}
{{- end }}
{{- end }}
