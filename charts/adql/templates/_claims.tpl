{{/* Refuses a changed claim or selector: Kubernetes would refuse it too, and not say what to do. */}}
{{- define "adql.checkClaim" -}}
{{- $name := include "adql.componentName" . -}}
{{- $key := printf "%s.persistence" .fact.section -}}
{{- $live := lookup "apps/v1" "StatefulSet" .root.Release.Namespace $name | default dict -}}
{{- $label := dig "spec" "selector" "matchLabels" "app.kubernetes.io/name" "" $live -}}
{{- if and $live (ne $label (include "adql.name" .root)) -}}
{{- fail (printf "nameOverride: StatefulSet %s selects pods of the name %q, not %q, and a selector stays as it is; set it back, or install another release" $name $label (include "adql.name" .root)) -}}
{{- end -}}
{{- range dig "spec" "volumeClaimTemplates" (list) $live -}}
{{- $size := dig "spec" "resources" "requests" "storage" "" . -}}
{{- $class := hasKey .spec "storageClassName" | ternary (.spec.storageClassName | default "-") "" -}}
{{- $wanted := $.values.persistence.storageClass | default "" -}}
{{- $claim := printf "data-%s-0" $name -}}
{{- if ne (include "adql.bytes" $size) (include "adql.bytes" $.values.persistence.size) -}}
{{- fail (printf "%s.size: claim %s was made with %s, not %s, and a StatefulSet cannot change its claims; set it back, or, where the storage class allows growing: kubectl -n %s patch pvc %s -p '{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"%s\"}}}}' && kubectl -n %s delete statefulset %s --cascade=orphan, then the same upgrade again" $key $claim $size $.values.persistence.size $.root.Release.Namespace $claim $.values.persistence.size $.root.Release.Namespace $name) -}}
{{- end -}}
{{- if ne $class $wanted -}}
{{- fail (printf "%s.storageClass: claim %s was made with class %q, not %q, and a claim stays where it is; set it back, or give up what it holds: kubectl -n %s delete statefulset %s && kubectl -n %s delete pvc %s, then the same upgrade again" $key $claim $class $wanted $.root.Release.Namespace $name $.root.Release.Namespace $claim) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "adql.claim" -}}
metadata:
  name: data
  labels:
    {{- include "adql.selectorLabels" . | nindent 4 }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .values.persistence.storageClass }}
  storageClassName: {{ eq . "-" | ternary "" . | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ .values.persistence.size }}
{{- end }}
