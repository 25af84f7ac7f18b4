//! The node that we are on: its pods are those whose logs are read here.

use crate::fmt::json_span::{elements, find, find_text};
use crate::kube::{Api, Fail};
use crate::util::percent;
use std::path::Path;

/// Variables that manifests name the node in.
const VARIABLES: [&str; 5] = ["KUBERNETES_NODE_NAME", "NODE_NAME", "K8S_NODE_NAME", "MY_NODE_NAME", "KUBE_NODE_NAME"];
/// The largest answer about our own pod, in bytes.
const LARGEST: usize = 8 << 20;

/// Who we are in the cluster, as far as the environment says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The node, when a variable says so.
    pub node: Option<String>,
    /// Our own namespace, when we are in a pod.
    pub space: Option<String>,
    /// Our own pod, if its name is that of the host.
    pub pod: Option<String>,
}

impl Place {
    /// Reads the environment, and the file with our namespace.
    pub fn read(namespace_file: &Path) -> Self {
        let some = |text: String| Some(text.trim().to_owned()).filter(|t| !t.is_empty());
        let variable = |name: &str| std::env::var(name).ok().and_then(some);
        let host = || some(rustix::system::uname().nodename().to_string_lossy().into_owned());
        Self {
            node: VARIABLES.iter().find_map(|name| variable(name)),
            space: std::fs::read_to_string(namespace_file).ok().and_then(some),
            pod: variable("HOSTNAME").or_else(host),
        }
    }

    /// Asks for our own pod, which says on which node it is. `Ok(None)` when nobody can tell.
    ///
    /// # Errors
    /// When there is no answer: ask again.
    pub async fn ask(&self, api: &Api) -> Result<Option<String>, Fail> {
        let (Some(space), Some(pod)) = (&self.space, &self.pod) else { return Ok(None) };
        let path = format!("/api/v1/namespaces/{}/pods/{}", percent::encode(space), percent::encode(pod));
        match api.get(&path, LARGEST).await {
            Ok(body) => Ok(find_text(&body, &["spec", "nodeName"])),
            // In the node's own network the host's name is that of the node, which is true if there are pods.
            Err(Fail::NotFound) => {
                let path = format!("/api/v1/pods?{}&limit=1", selector(pod));
                let body = api.get(&path, LARGEST).await?;
                let has_pods = find(&body, &["items"]).is_some_and(|items| elements(items).next().is_some());
                Ok(Some(pod.clone()).filter(|_| has_pods))
            }
            Err(why) => Err(why),
        }
    }
}

/// The pods of a node, as a part of a URL.
pub fn selector(node: &str) -> String {
    format!("fieldSelector=spec.nodeName%3D{}", percent::encode(node))
}
