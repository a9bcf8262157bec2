{{- define "adql.redisUrl" -}}
{{- $own := printf "redis://adql@%s:6379/0" (include "adql.componentName" (dict "root" . "component" "valkey")) -}}
{{- .Values.redis.external.url | default $own -}}
{{- end }}

{{/* The chart's own variables of one component, name by name. */}}
{{- define "adql.variables" -}}
{{- $ports := .fact.ports -}}
ADQL_LOG_FORMAT: {{ .root.Values.logFormat }}
{{- if .root.Values.auth.enabled }}
ADQL_TOKEN_FILE: /run/secrets/adql/tokens
{{- else }}
ADQL_AUTH: "false"
{{- end }}
{{- with $ports.side }}
ADQL_SIDE: http://0.0.0.0:{{ . }}
{{- end }}
{{- with $ports.http }}
ADQL_LISTEN: http://0.0.0.0:{{ . }}
ADQL_DIRECTORY: /data/{{ include "adql.run" $.root }}
{{- end }}
{{- range $callee := index (include "adql.calls" .root | fromYaml) .component }}
{{- if ne $callee "valkey" }}
ADQL_{{ $callee | upper | replace "-" "_" }}_URL: {{ include "adql.url" (dict "root" $.root "component" $callee) }}
{{- end }}
{{- end }}
{{- if eq .component "parameter-server" }}
ADQL_REDIS_URL: {{ include "adql.redisUrl" .root | quote }}
{{- /* Its pod may be pending, or its image under way: to wait costs less than to be started again ever later. */}}
ADQL_STORE_WAIT_SECONDS: "600"
{{- if include "adql.storeSecret" .root }}
ADQL_REDIS_PASSWORD_FILE: /run/secrets/store/password
{{- end }}
{{- end }}
{{- if has .component (list "learner" "actor") }}
ADQL_ROLE: {{ .values.role | default "actor" }}
{{- end }}
{{- if eq .component "controller" }}
ADQL_NAMESPACE: {{ .root.Release.Namespace | quote }}
ADQL_DEPLOYMENT: {{ include "adql.componentName" (dict "root" .root "component" "learner") }}
ADQL_ROLE: {{ .root.Values.learner.role }}
ADQL_MIN_REPLICAS: {{ .values.minReplicas | quote }}
ADQL_MAX_REPLICAS: {{ .values.maxReplicas | quote }}
ADQL_INTERVAL_SECONDS: {{ .values.intervalSeconds | quote }}
ADQL_WINDOW_SECONDS: {{ .values.windowSeconds | quote }}
ADQL_COOL_DOWN_SECONDS: {{ .values.coolDownSeconds | quote }}
ADQL_START_SECONDS: {{ .values.startSeconds | quote }}
ADQL_RETRY_SECONDS: {{ .values.retrySeconds | quote }}
ADQL_SCALE_TO_ZERO_WHEN_DONE: {{ .values.scaleToZeroWhenDone | quote }}
{{- end }}
{{- end }}

{{/* `env` of one container: extraEnv takes the place of the chart's own by name, since server-side apply refuses two. */}}
{{- define "adql.env" -}}
{{- $last := dict -}}
{{- range $index, $extra := .values.extraEnv }}{{ $_ := set $last $extra.name $index }}{{ end -}}
{{- $env := list -}}
{{- $own := eq .component "valkey" | ternary (include "adql.valkeyVariables" .root) (include "adql.variables" .) -}}
{{- range $name, $value := $own | fromYaml -}}
{{- if not (hasKey $last $name) }}{{ $env = append $env (dict "name" $name "value" $value) }}{{ end -}}
{{- end -}}
{{- range $index, $extra := .values.extraEnv -}}
{{- if eq $index (get $last $extra.name) }}{{ $env = append $env $extra }}{{ end -}}
{{- end -}}
{{- with $env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
