{{/* The chart's name. */}}
{{- define "collector.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The release's name, with the chart's unless it says so already. Room is left for "-events". */}}
{{- define "collector.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 56 | trimSuffix "-" }}
{{- else }}
{{- $name := include "collector.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 56 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 56 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* What selects the pods of a component: a list of the root and the component's name. */}}
{{- define "collector.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "collector.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "collector.labels" -}}
{{- $root := index . 0 -}}
{{ include "collector.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "collector.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The account of the nodes' collector. */}}
{{- define "collector.account" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "collector.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The files of a configuration: a list of the root and the map. */}}
{{- define "collector.files" -}}
{{- $root := index . 0 -}}
{{- range $name, $text := index . 1 }}
{{ $name }}: |
{{- tpl $text $root | trimSuffix "\n" | nindent 2 }}
{{- end }}
{{- end }}

{{/* Variables of a container: a list of the root and the component's values. */}}
{{- define "collector.env" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
- name: ELASTICSEARCH_HOST
  value: {{ $root.Values.elasticsearch.host | quote }}
- name: ELASTICSEARCH_PORT
  value: {{ $root.Values.elasticsearch.port | quote }}
{{- with $part.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "collector.probes" -}}
ports:
- name: http
  containerPort: {{ .Values.http.port }}
livenessProbe:
  httpGet:
    path: /api/v1/uptime
    port: http
  initialDelaySeconds: 5
  periodSeconds: 20
  timeoutSeconds: 5
readinessProbe:
  httpGet:
    path: /api/v1/health
    port: http
  periodSeconds: 10
  timeoutSeconds: 5
{{- end }}

{{/* Where pods go: a component's values. */}}
{{- define "collector.placement" -}}
{{- with .tolerations }}
tolerations:
{{ toYaml . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
{{ toYaml . | indent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
{{ toYaml . | indent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}
