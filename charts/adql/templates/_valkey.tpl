{{/* The store: files/valkey.sh says how it is set, here and under compose. */}}
{{- define "adql.valkeyCommand" -}}
command: [sh, -c]
args:
  - |
    {{- .Files.Get "files/valkey.sh" | trim | nindent 4 }}
{{- end }}

{{- define "adql.valkeyVariables" -}}
MAXMEMORY: {{ include "adql.maxmemory" . | quote }}
REWRITE_MIN_SIZE: {{ .Values.valkey.rewriteMinSize | quote }}
{{- end }}

{{/*
Alive: it answers, if only to ask who it is; a node that is busy with everything else gets a minute. Ready: its data are
loaded. The password comes by stdin.
*/}}
{{- define "adql.valkeyProbes" -}}
startupProbe:
  exec: {command: [sh, -c, valkey-cli ping | grep -q .]}
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 300
livenessProbe:
  exec: {command: [sh, -c, valkey-cli ping | grep -q .]}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  exec: {command: [sh, -c, valkey-cli --user adql --askpass ping </run/secrets/store/password | grep -q PONG]}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}
