{{/* Combinations that cannot work, each with its way out; what a single key may be is in values.schema.json. */}}
{{- define "adql.validate" -}}
{{- $values := .Values -}}
{{- $kind := dig "network" "kind" "dense" $values.run -}}
{{- if and $values.valkey.enabled $values.redis.external.url -}}
{{- fail "valkey.enabled and redis.external.url are both set, and a run has one store; set valkey.enabled=false to use the external one, or remove redis.external.url" -}}
{{- end -}}
{{- if not (or $values.valkey.enabled $values.redis.external.url) -}}
{{- fail "valkey.enabled is false and redis.external.url is empty, so that there is no store; set one of them" -}}
{{- end -}}
{{- if and (has $kind (list "nature" "minatar")) (regexMatch "(^|/)adql/learner$" $values.image.learner.repository) -}}
{{- fail (printf "run.network.kind %s needs PyTorch, which the image %s does not have; set image.learner.repository=adql/learner-torch" $kind $values.image.learner.repository) -}}
{{- end -}}
{{- if and $values.autoscaling.enabled $values.controller.enabled -}}
{{- fail "autoscaling.enabled and controller.enabled are both set, and only one may set the number of learners; set one of them to false" -}}
{{- end -}}
{{- end }}
