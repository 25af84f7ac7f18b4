//! `kubernetes`: accepts the configuration of the metadata filter and passes records on as they are.

use super::{Filter, FilterCx, FilterPlugin};
use crate::conf::PluginInfo;
use crate::event::Batch;
use crate::plugin::MakeCx;

/// The plugin.
pub static PLUGIN: FilterPlugin = FilterPlugin {
    info: PluginInfo {
        name: "kubernetes",
        doc: "Passes records on as they are: this version does not look up the metadata of pods.",
        keys: KubernetesConf::KEYS,
        unserved: KubernetesConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `kubernetes`.
    pub struct KubernetesConf {
        /// The parser that takes the tag apart; only its existence is checked.
        regex_parser: Option<String> => "Regex_Parser",
    }
    unserved [
        "Buffer_Size", "tls.debug", "tls.verify", "tls.vhost", "tls.verify_hostname", "Merge_Log=off", "Merge_Parser",
        "Merge_Log_Key", "Merge_Log_Trim", "Keep_Log=on", "Kube_URL", "Kube_Meta_Preload_Cache_Dir", "Kube_CA_File",
        "Kube_CA_Path", "Kube_Tag_Prefix", "Kube_Namespace_File", "Kube_Token_File", "Kube_Token_Command", "Labels=off",
        "Annotations=off", "Owner_References=off", "Namespace_Labels=off", "Namespace_Annotations=off",
        "Namespace_Metadata_Only=off", "K8S-Logging.Parser=off", "K8S-Logging.Exclude=off", "Use_Journal=off",
        "Dummy_Meta=off", "DNS_Retries", "DNS_Wait_Time", "Cache_Use_Docker_Id=off", "Use_Tag_For_Meta=off",
        "Use_Kubelet=off", "Kubelet_Host", "Kubelet_Port", "Kube_Token_TTL", "Kube_Meta_Cache_TTL",
        "Kube_Meta_Namespace_Cache_TTL", "AWS_Use_Pod_Association=off", "Use_Pod_Association=off",
        "AWS_Pod_Association_Host", "AWS_Pod_Association_Endpoint", "AWS_Pod_Association_Port",
        "AWS_Pod_Service_Map_TTL", "AWS_Pod_Service_Map_Refresh_Interval", "AWS_Pod_Service_Preload_Cache_Dir",
        "AWS_Pod_Association_Host_Server_CA_File", "AWS_Pod_Association_Host_Client_Cert_File",
        "AWS_Pod_Association_Host_Client_Key_File", "AWS_Pod_Association_Host_TLS_Debug",
        "AWS_Pod_Association_Host_TLS_Verify", "Set_Platform",
    ]
}

struct PassThrough;

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Filter>> {
    let conf = KubernetesConf::load(cx.section, cx.diags)?;
    if let Some((name, entry)) = conf.regex_parser.zip(cx.section.get("Regex_Parser")) {
        cx.parsers.require(&name, &cx.section.who(), &entry.value_place, cx.diags)?;
    }
    cx.diags.warn(
        &cx.section.place,
        format!(
            "{} metadata of pods is not looked up by this version: records pass through unchanged",
            cx.section.who()
        ),
    );
    Some(Box::new(PassThrough))
}

impl Filter for PassThrough {
    fn apply(&mut self, _batch: &mut Batch, _cx: &mut FilterCx) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::testing::{check, refused, said};

    #[test]
    fn records_pass_and_one_warning_says_so() {
        let r = r#"{"log":"{\"a\":1}\n","stream":"stdout","time":"t"}"#;
        check(&PLUGIN, &[], &[r], &[r]);
        let conf = [("Kube_Tag_Prefix", "kube."), ("Regex_Parser", "kube-custom"), ("Merge_Log", "On")];
        check(&PLUGIN, &conf, &[r], &[r]);
        let said = said(&PLUGIN, &conf);
        assert_eq!(said.matches("not looked up").count(), 1, "{said}");
        assert!(
            said.contains("'Kube_Tag_Prefix' is not served") && said.contains("'Merge_Log' is not served"),
            "{said}"
        );
        assert!(!said.contains("'Regex_Parser'"), "{said}");
    }

    #[test]
    fn every_key_is_known() {
        assert_eq!(KubernetesConf::KEYS.len() + KubernetesConf::UNSERVED.len(), 53);
        assert!(refused(&PLUGIN, &[("Kube_Tag_Prefixx", "x")]).contains("Did you mean 'Kube_Tag_Prefix'?"));
        assert!(refused(&PLUGIN, &[("Regex_Parser", "nope")]).contains("nope"));
        let off = said(&PLUGIN, &[("Merge_Log", "Off"), ("K8S-Logging.Exclude", "false")]);
        assert_eq!(off.lines().count(), 1, "{off}");
    }
}
