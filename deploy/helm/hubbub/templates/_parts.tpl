{{/* What templates have in common. "." is the chart's root unless it says otherwise. */}}

{{/* The name that everything begins with. */}}
{{- define "hubbub.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "hubbub.secret" -}}
{{- .Values.secrets.existing | default (printf "%s-secrets" (include "hubbub.name" .)) -}}
{{- end -}}

{{/* Of what one part is: dict "root" and "part". */}}
{{- define "hubbub.selector" -}}
app.kubernetes.io/name: hubbub
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "hubbub.labels" -}}
{{ include "hubbub.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* dict "root" and "service". */}}
{{- define "hubbub.image" -}}
{{- printf "%s/%s:%s" .root.Values.images.registry .service (.root.Values.images.tag | default .root.Chart.AppVersion) -}}
{{- end -}}

{{- define "hubbub.baseUrl" -}}
{{- printf "/%s/" (trimAll "/" .Values.hub.baseUrl) | replace "//" "/" -}}
{{- end -}}

{{/* host:port of each node of NATS, with commas between them. */}}
{{- define "hubbub.nats" -}}
{{- if .Values.nats.enabled -}}
{{- $name := printf "%s-nats" (include "hubbub.name" .) -}}
{{- if eq (int .Values.nats.replicas) 1 -}}
{{ $name }}:4222
{{- else -}}
{{- $nodes := list -}}
{{- range $i := until (int .Values.nats.replicas) }}{{ $nodes = append $nodes (printf "%s-%d.%s-nodes:4222" $name $i $name) }}{{ end -}}
{{ join "," $nodes }}
{{- end -}}
{{- else -}}
{{ required "nats.at: say where your NATS is, or have one of the chart's own (nats.enabled)" (join "," .Values.nats.at) }}
{{- end -}}
{{- end -}}

{{- define "hubbub.postgres" -}}
{{- if .Values.postgres.enabled -}}
{{ include "hubbub.name" . }}-postgres:5432/hubbub
{{- else -}}
{{ required "postgres.at: say where your Postgres is, or have one of the chart's own (postgres.enabled)" .Values.postgres.at }}
{{- end -}}
{{- end -}}

{{/* What the configuration reads: the same for whoever runs it. */}}
{{- define "hubbub.environment" -}}
- {name: HUBBUB_CONFIG, value: /etc/hubbub/jupyterhub_config.py}
- {name: HUBBUB_LEASE_SECONDS, value: {{ .Values.hub.leaseSeconds | quote }}}
- {name: BASE_URL, value: {{ include "hubbub.baseUrl" . | quote }}}
- {name: PUBLIC_URL, value: {{ .Values.hub.publicUrl | quote }}}
- {name: ADMIN_USERS, value: {{ join "," .Values.hub.admins | quote }}}
- {name: LOGIN_PASSWORD_FILE, value: /run/secrets/hubbub/login-password}
- {name: HUB_NAME, value: {{ include "hubbub.name" . }}-api}
- {name: RELEASE, value: {{ .Release.Name }}}
- {name: USERS_NAMESPACE, value: {{ .Release.Namespace }}}
- {name: SINGLEUSER_IMAGE, value: {{ .Values.users.image | quote }}}
- {name: STORAGE_SIZE, value: {{ .Values.users.storage.size | quote }}}
- {name: STORAGE_CLASS, value: {{ .Values.users.storage.className | quote }}}
- {name: STORAGE_MOUNT, value: {{ .Values.users.storage.mount | quote }}}
- {name: MEM_GUARANTEE, value: {{ .Values.users.memory.guarantee | quote }}}
- {name: MEM_LIMIT, value: {{ .Values.users.memory.limit | quote }}}
- {name: CPU_GUARANTEE, value: {{ .Values.users.cpu.guarantee | quote }}}
- {name: CPU_LIMIT, value: {{ .Values.users.cpu.limit | quote }}}
{{- range $name, $value := .Values.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{/* The name of a pod is that of its service. */}}
{{- define "hubbub.instance" -}}
- name: HUBBUB_INSTANCE
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end -}}

{{/* Secrets by file. A dict of variables and names of files: "HUBBUB_NATS_URL": "nats-url-api". */}}
{{- define "hubbub.files" -}}
{{- range $variable, $file := . }}
- {name: {{ $variable }}_FILE, value: /run/secrets/hubbub/{{ $file }}}
{{- end }}
{{- end -}}

{{/* Of every pod of ours: dict "root" and "part". */}}
{{- define "hubbub.pod" -}}
automountServiceAccountToken: {{ .token | default false }}
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user | default 10001 }}
  runAsGroup: {{ .user | default 10001 }}
  fsGroup: {{ .user | default 10001 }}
  seccompProfile: {type: RuntimeDefault}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "hubbub.selector" . | nindent 8 }}
{{- end -}}

{{- define "hubbub.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* Whether the loop of a service goes round (hubbub.health). */}}
{{- define "hubbub.probes" -}}
startupProbe:
  exec: {command: [/opt/hubbub/bin/python, -m, hubbub.health]}
  periodSeconds: 3
  timeoutSeconds: 5
  failureThreshold: 60
livenessProbe:
  exec: {command: [/opt/hubbub/bin/python, -m, hubbub.health]}
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 3
{{- end -}}

{{- define "hubbub.mounts" -}}
- {name: config, mountPath: /etc/hubbub, readOnly: true}
- {name: secrets, mountPath: /run/secrets/hubbub, readOnly: true}
- {name: data, mountPath: /data}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* dict "root" and "files": names of the secrets that this pod sees, and no others. */}}
{{- define "hubbub.volumes" -}}
- name: config
  configMap: {name: {{ include "hubbub.name" .root }}-config}
- name: secrets
  secret:
    secretName: {{ include "hubbub.secret" .root }}
    defaultMode: 0440
    items:
      {{- range .files | uniq | sortAlpha }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
- name: data
  emptyDir: {}
- name: tmp
  emptyDir: {}
{{- end -}}

{{/* A new configuration is a new pod. */}}
{{- define "hubbub.annotations" -}}
checksum/config: {{ print .Values.config .Values.extraConfig (.Files.Get "files/jupyterhub_config.py") | sha256sum }}
{{- end -}}

{{/* What is there for the first moments of an installation or upgrade alone: "." is its place in order. */}}
{{- define "hubbub.hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/* All secrets, for the command line. */}}
{{- define "hubbub.kit.mounts" -}}
- {name: secrets, mountPath: /run/secrets/hubbub, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{- define "hubbub.kit.volumes" -}}
- name: secrets
  secret: {secretName: {{ include "hubbub.secret" . }}, defaultMode: 0440}
- name: tmp
  emptyDir: {}
{{- end -}}

{{/* dict "root", "part", "kind", "name" and "said". */}}
{{- define "hubbub.scaler" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ .name }}
  labels: {{- include "hubbub.labels" . | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: {{ .kind }}, name: {{ .name }}}
  minReplicas: {{ .said.min }}
  maxReplicas: {{ .said.max }}
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: {{ .said.cpu }}}}
  # A class that begins is over in minutes; who comes after it should not wait for new pods.
  behavior:
    scaleDown: {stabilizationWindowSeconds: 900}
{{- end -}}

{{/* Pods of a part, as a policy names them; people's servers have no name but these. */}}
{{- define "hubbub.peer" -}}
matchLabels:
  app.kubernetes.io/instance: {{ .root.Release.Name }}
  app.kubernetes.io/component: {{ .part }}
{{- end -}}
