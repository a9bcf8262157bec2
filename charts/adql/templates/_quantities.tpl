{{/* Bytes of a quantity such as 1.5Gi, 200M or 1024, or as Valkey writes it, 256mb. */}}
{{- define "adql.bytes" -}}
{{- $units := dict "" 1 "m" 0.001 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "P" 1000000000000000 "E" 1000000000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 "kb" 1024 "mb" 1048576 "gb" 1073741824 -}}
{{- $text := toString . -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- if not (hasKey $units $unit) -}}
{{- fail (printf "%q is no quantity of bytes; write one such as 512Mi or 2Gi" $text) -}}
{{- end -}}
{{- mulf (trimSuffix $unit $text | float64) (index $units $unit) | int64 -}}
{{- end }}

{{/* Three quarters of the store's memory limit, unless set: a rewrite of its file needs the rest. */}}
{{- define "adql.maxmemory" -}}
{{- $limit := dig "limits" "memory" "" .Values.valkey.resources -}}
{{- if .Values.valkey.maxmemory -}}
{{- .Values.valkey.maxmemory -}}
{{- else if $limit -}}
{{- div (mul 3 (include "adql.bytes" $limit)) 4 -}}
{{- else -}}
0
{{- end -}}
{{- end }}
