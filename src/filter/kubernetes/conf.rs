//! The keys of the filter; those of the API server are `crate::kube::ApiConf`.

use crate::conf::Size;
use crate::conf::storage::StorageType;
use std::time::Duration;

crate::config! {
    /// Options of `kubernetes`.
    pub struct KubernetesConf {
        /// What stands before the name of the file in a tag.
        kube_tag_prefix: String => "Kube_Tag_Prefix" = "kube.var.log.containers.",
        /// A parser that takes the rest of the tag apart (with `Use_Journal` the name of the container): `namespace_name` and
        /// `pod_name`, perhaps `container_name`, `docker_id`, `container_hash`, and `pod_id` for the uid in the paths of
        /// /var/log/pods. Without it the names that the kubelet gives files are known.
        regex_parser: Option<String> => "Regex_Parser",
        /// Merge what the field `log` holds into the record: JSON, or what a parser makes of it. A field that is there already
        /// gives way to the merged one.
        merge_log: bool => "Merge_Log" = "off",
        /// Merge into a map under this key.
        merge_log_key: Option<String> => "Merge_Log_Key",
        /// Cut newlines from the ends of merged texts.
        merge_log_trim: bool => "Merge_Log_Trim" = "on",
        /// A parser for what is no JSON; a pod's annotation comes first.
        merge_parser: Option<String> => "Merge_Parser",
        /// Keep `log` when it was merged.
        keep_log: bool => "Keep_Log" = "on",
        /// Add the labels of the pod.
        labels: bool => "Labels" = "on",
        /// Add the annotations of the pod.
        annotations: bool => "Annotations" = "on",
        /// Add who made the pod.
        owner_references: bool => "Owner_References" = "off",
        /// Add the labels of the namespace, in a map `kubernetes_namespace`.
        namespace_labels: bool => "Namespace_Labels" = "off",
        /// Add the annotations of the namespace there.
        namespace_annotations: bool => "Namespace_Annotations" = "off",
        /// Add nothing but what is known of the namespace.
        namespace_metadata_only: bool => "Namespace_Metadata_Only" = "off",
        /// Let a pod choose the parser of its `log` by an annotation, `fluentbit.io/parser[_stdout|_stderr][-CONTAINER]`. Needs
        /// `Merge_Log`.
        logging_parser: bool => "K8S-Logging.Parser" = "off",
        /// Let a pod have its records dropped by an annotation, `fluentbit.io/exclude[_stdout|_stderr][-CONTAINER]: "true"`.
        logging_exclude: bool => "K8S-Logging.Exclude" = "off",
        /// The records come from the journal: the container's name stands in their field `CONTAINER_NAME`.
        use_journal: bool => "Use_Journal" = "off",
        /// Add nothing but what the tag says: nobody is asked.
        use_tag_for_meta: bool => "Use_Tag_For_Meta" = "off",
        /// Ask the kubelet of this node, not the API server.
        use_kubelet: bool => "Use_Kubelet" = "off",
        /// The kubelet.
        kubelet_host: String => "Kubelet_Host" = "127.0.0.1",
        /// Its port.
        kubelet_port: u16 => "Kubelet_Port" = "10250",
        /// Accepted, and without effect: containers are told apart by their ids always.
        cache_use_docker_id: bool => "Cache_Use_Docker_Id" = "off",
        /// How long an answer about one pod holds; 0 is for ever. What is watched is never old.
        kube_meta_cache_ttl: Duration => "Kube_Meta_Cache_TTL" = "0s",
        /// The same for namespaces.
        kube_meta_namespace_cache_ttl: Duration => "Kube_Meta_Namespace_Cache_TTL" = "15m",
        /// How long it is remembered that there is no such pod.
        kube_meta_negative_cache_ttl: Duration => "Kube_Meta_Negative_Cache_TTL" = "60s",
        /// A folder with metadata in files, `NAMESPACE_POD.meta` and `NAMESPACE.namespace_meta`. The API server is asked for pods
        /// without a file only.
        kube_meta_preload_cache_dir: Option<String> => "Kube_Meta_Preload_Cache_Dir",
        /// The file with our own namespace, in which our own pod tells on which node we are; `KUBERNETES_NODE_NAME` and
        /// `NODE_NAME` come first.
        kube_namespace_file: String => "Kube_Namespace_File" = "/var/run/secrets/kubernetes.io/serviceaccount/namespace",
        /// How long records wait for the metadata of their pod when the API answers and does not know it. They then go on with
        /// what the tag says, marked by `meta: unavailable` in the map `kubernetes`, and are counted.
        kube_meta_wait: Duration => "Kube_Meta_Wait" = "5s",
        /// How long they wait while the API does not answer. Inputs are paused meanwhile when the records that wait reach
        /// `Emitter_Mem_Buf_Limit`.
        kube_meta_wait_down: Duration => "Kube_Meta_Wait_Down" = "2m",
        /// Adds the field `aws_entity_platform` with this text (Fluent Bit: with `AWS_Use_Pod_Association` only).
        set_platform: Option<String> => "Set_Platform",
        /// Add nothing but a map with the present time, for tests.
        dummy_meta: bool => "Dummy_Meta" = "off",
        /// The name of the hidden input of records that waited, in logs and metrics.
        emitter_name: Option<String> => "Emitter_Name",
        /// Memory that records that wait may take; above it inputs are paused.
        emitter_mem_buf_limit: Size => "Emitter_Mem_Buf_Limit" = "10M",
        /// Where records that waited wait for their outputs.
        emitter_storage_type: StorageType => "Emitter_Storage.type" = "memory",
    }
    unserved [
        "AWS_Use_Pod_Association=off", "Use_Pod_Association=off", "AWS_Pod_Association_Host",
        "AWS_Pod_Association_Endpoint", "AWS_Pod_Association_Port", "AWS_Pod_Service_Map_TTL",
        "AWS_Pod_Service_Map_Refresh_Interval", "AWS_Pod_Service_Preload_Cache_Dir",
        "AWS_Pod_Association_Host_Server_CA_File", "AWS_Pod_Association_Host_Client_Cert_File",
        "AWS_Pod_Association_Host_Client_Key_File", "AWS_Pod_Association_Host_TLS_Debug",
        "AWS_Pod_Association_Host_TLS_Verify",
    ]
}
