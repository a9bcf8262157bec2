{{/* The pod of `component`: what all of them have in common, around one container. */}}
{{- define "adql.podTemplate" -}}
metadata:
  labels:
    {{- $own := include "adql.selectorLabels" . | fromYaml | merge (dict "app.kubernetes.io/part-of" "adql") }}
    {{- merge $own (.values.podLabels | default dict) (.root.Values.commonLabels | default dict) | toYaml | nindent 4 }}
  {{- with include "adql.podAnnotations" . }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
spec:
  {{- include "adql.podSpec" . | nindent 2 }}
{{- end }}

{{/* A changed run rolls what reads it. Secrets are left out: they are read anew while a service runs. */}}
{{- define "adql.podAnnotations" -}}
{{- $own := dict -}}
{{- if ne .component "valkey" -}}
{{- if ne .component "controller" }}{{ $_ := set $own "checksum/config" (include "adql.runYaml" .root | sha256sum) }}{{ end -}}
{{- if and .fact.ports.side .root.Values.metrics.annotations.enabled -}}
{{- $scraped := dict "prometheus.io/scrape" "true" "prometheus.io/port" (toString .fact.ports.side) "prometheus.io/path" "/metrics" -}}
{{- $own = merge $own $scraped -}}
{{- end -}}
{{- end -}}
{{- with merge (dict) (.values.podAnnotations | default dict) $own }}{{ toYaml . }}{{ end -}}
{{- end }}

{{- define "adql.podSpec" -}}
serviceAccountName: {{ include (eq .component "controller" | ternary "adql.controllerAccountName" "adql.serviceAccountName") .root | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .values.terminationGracePeriodSeconds }}
terminationGracePeriodSeconds: {{ . }}
{{- end }}
{{- with include "adql.imagePullSecrets" .root }}
{{ . }}
{{- end }}
{{- with include "adql.scheduling" . | trim }}
{{ . }}
{{- end }}
containers:
  - {{- include "adql.container" . | nindent 4 }}
volumes:
  {{- include "adql.volumes" . | nindent 2 }}
{{- end }}

{{/* Where the pods may run; a spread without a selector of its own counts the pods of the component. */}}
{{- define "adql.scheduling" -}}
{{- range $field := list "nodeSelector" "affinity" "tolerations" "priorityClassName" "runtimeClassName" }}
{{- with index $.values $field }}
{{ dict $field . | toYaml }}
{{- end }}
{{- end }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  {{- $selector := dict "matchLabels" (include "adql.selectorLabels" $ | fromYaml) }}
  - {{- set (deepCopy .) "labelSelector" (.labelSelector | default $selector) | toYaml | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
