{{/*
The tokens: kept over upgrades; another word in auth.rotation puts a new one first and keeps the former as second, so
that whoever has read the file before or after is known.
*/}}
{{- define "adql.tokens" -}}
{{- $live := lookup "v1" "Secret" .Release.Namespace (include "adql.tokensSecret" .) | default dict -}}
{{- $former := dig "data" "tokens" "" $live | b64dec -}}
{{- $word := .Values.auth.rotation | default "" | toString -}}
{{- if and $former (eq $word (dig "metadata" "annotations" "adql/rotation" "" $live)) -}}
{{- $former -}}
{{- else -}}
{{- printf "%s\n" (randAlphaNum 48) -}}
{{- with $former }}{{ printf "%s\n" (splitList "\n" . | first) }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "adql.storePassword" -}}
{{- $live := lookup "v1" "Secret" .Release.Namespace (include "adql.storeSecret" .) | default dict -}}
{{- dig "data" "password" "" $live | b64dec | default (randAlphaNum 48) -}}
{{- end }}
