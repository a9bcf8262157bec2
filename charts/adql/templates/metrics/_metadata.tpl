{{/* As adql.metadata, with the `labels` that the Prometheus Operator or Grafana's sidecar looks for. */}}
{{- define "adql.monitoringMetadata" -}}
{{- $metadata := include "adql.metadata" . | fromYaml -}}
{{- $_ := set $metadata "labels" (merge (dict) (.labels | default dict) $metadata.labels) -}}
{{- toYaml $metadata -}}
{{- end }}

{{/* The pods or Services of the components in `among`. */}}
{{- define "adql.monitored" -}}
namespaceSelector:
  matchNames: [{{ .root.Release.Namespace | quote }}]
selector:
  matchLabels:
    {{- include "adql.releaseLabels" .root | nindent 4 }}
  matchExpressions:
    - key: app.kubernetes.io/component
      operator: In
      values: {{ .among | toJson }}
{{- end }}

{{/* How one is scraped: no token, since the side ports ask for none. */}}
{{- define "adql.endpoint" -}}
- port: side
  path: /metrics
  {{- with .interval }}
  interval: {{ . }}
  {{- end }}
{{- end }}
