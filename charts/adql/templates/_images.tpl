{{/* registry/repository:tag or registry/repository@digest of `component`. */}}
{{- define "adql.image" -}}
{{- $values := .root.Values -}}
{{- $registry := $values.image.registry -}}
{{- $image := index $values.image .image | default dict -}}
{{- $tag := coalesce $image.tag $values.image.tag .root.Chart.AppVersion -}}
{{- if eq .image "valkey" -}}
{{- $image = $values.valkey.image -}}
{{- $registry = $image.registry -}}
{{- $tag = $image.tag -}}
{{- end -}}
{{- with $values.global.imageRegistry | default $registry }}{{ . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $tag }}{{ end -}}
{{- end }}

{{/* Pull secrets may be written as names, or as Kubernetes has them. */}}
{{- define "adql.imagePullSecrets" -}}
{{- with .Values.global.imagePullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - {{ kindIs "string" . | ternary (dict "name" .) . | toJson }}
  {{- end }}
{{- end }}
{{- end }}
