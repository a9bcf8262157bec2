{{/* The one container of `component`; what differs is in the table of components and in values. */}}
{{- define "adql.container" -}}
name: {{ .component }}
image: {{ include "adql.image" (dict "root" .root "image" .fact.image) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- if eq .component "valkey" }}
{{ include "adql.valkeyCommand" .root }}
{{- else if eq .component "controller" }}
args: [controller]
{{- else }}
args: [{{ .fact.command | default .component }}, /etc/adql/run.yaml]
{{- end }}
{{- include "adql.env" . }}
{{- with .fact.ports }}
ports:
  {{- range $name, $port := . }}
  - name: {{ $name }}
    containerPort: {{ $port }}
  {{- end }}
{{- end }}
{{- with include "adql.probes" . | trim }}
{{ . }}
{{- end }}
{{- with .values.preStopSleepSeconds }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ . }}
{{- end }}
{{- with .values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
# What a service said last of why it ended is shown by `kubectl describe pod`.
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts:
  {{- include "adql.volumeMounts" . | trim | nindent 2 }}
{{- end }}

{{/* Alive: its loop goes round, whatever the others do. Ready: it does its work. A start may take five minutes. */}}
{{- define "adql.probes" -}}
{{- if eq .component "valkey" -}}
{{ include "adql.valkeyProbes" . }}
{{- else if .fact.ports.side -}}
startupProbe:
  httpGet: {path: /livez, port: side}
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 300
livenessProbe:
  httpGet: {path: /livez, port: side}
  periodSeconds: 10
  timeoutSeconds: 5
  # What hangs has nothing left to save: it does not get the grace of what is told to end.
  terminationGracePeriodSeconds: 10
readinessProbe:
  httpGet: {path: /readyz, port: side}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}
{{- end }}
