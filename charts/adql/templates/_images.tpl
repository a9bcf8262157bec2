{{/* registry/repository:tag; with a digest, which then is what counts, the tag stands beside it if the image was given one. */}}
{{- define "adql.image" -}}
{{- $values := .root.Values -}}
{{- $image := eq .image "valkey" | ternary $values.valkey.image (index $values.image .image) -}}
{{- $ours := eq .image "valkey" | ternary dict (dict "registry" $values.image.registry "tag" ($values.image.tag | default .root.Chart.AppVersion)) -}}
{{- $registry := $image.registry | default $ours.registry -}}
{{- $tag := $image.tag | default $ours.tag -}}
{{- with $values.global.imageRegistry | default $registry }}{{ . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}{{ with $image.tag }}:{{ . }}{{ end }}@{{ $image.digest }}{{ else }}:{{ $tag }}{{ end -}}
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
