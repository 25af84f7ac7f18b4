//! Upstream files: `[UPSTREAM]` with a name, and a `[NODE]` for each of several servers that serve alike.

use super::check;
use super::env::Env;
use super::ini;
use super::schema::Table;
use super::section::Section;
use crate::error::{Diags, Place};
use crate::util::suggest::nearest;
use std::path::Path;

crate::config! {
    /// What every node has.
    pub struct NodeKeys {
        /// The node's name, for messages.
        name: String => "Name" required,
        /// Its address.
        host: String => "Host" required,
        /// Its port.
        port: u16 => "Port" required,
    }
}

crate::config! {
    /// The head of the file.
    pub struct UpstreamKeys {
        /// A name for all of them.
        name: String => "Name" required,
    }
}

/// A server of an upstream file.
#[derive(Debug)]
pub struct Node {
    /// What every node has.
    pub keys: NodeKeys,
    /// All that was written, for the keys of the plugin.
    pub section: Section,
}

/// Reads a file: the path as it is, else beside the main file. Nodes may have the keys of `tables` beside their own; what is
/// wrong is reported.
pub fn read(path: &str, asked: &Place, dir: &Path, tables: &[Table], diags: &mut Diags) -> Option<Vec<Node>> {
    let (given, beside) = (Path::new(path).to_owned(), dir.join(path));
    let Some(found) = [&given, &beside].into_iter().find(|p| p.exists()) else {
        let help = format!("Looked for '{}' and '{}'", given.display(), beside.display());
        diags.error_help(asked, format!("upstream file '{path}' does not exist"), help);
        return None;
    };
    let mut wrong = Diags::new();
    let mut doc = ini::read(found, &mut wrong);
    Env::of_process().apply(&mut doc, &mut wrong);
    let is_broken = wrong.has_errors();
    for finding in wrong.sorted() {
        diags.push(finding.clone());
    }
    let nodes = nodes(doc.sections, asked, tables, diags);
    nodes.filter(|_| !is_broken)
}

fn nodes(sections: Vec<Section>, asked: &Place, tables: &[Table], diags: &mut Diags) -> Option<Vec<Node>> {
    let (mut name, mut is_good) = (None, true);
    let mut found: Vec<Node> = Vec::new();
    let mut of_node = vec![NodeKeys::TABLE];
    of_node.extend_from_slice(tables);
    for mut section in sections {
        if section.is("upstream") {
            section.label = format!("upstream:{}", section.value("name").unwrap_or("?"));
            is_good &= check::keys(&section, &[UpstreamKeys::TABLE], diags);
            if name.is_some() {
                diags.error_help(&section.place, "a second [UPSTREAM] section", "Write a file for each of them");
                is_good = false;
            }
            name = UpstreamKeys::load(&section, diags).map(|k| k.name).or(Some(String::new()));
        } else if section.is("node") {
            section.label = format!("upstream:node:{}", section.value("name").unwrap_or("?"));
            is_good &= check::keys(&section, &of_node, diags);
            match NodeKeys::load(&section, diags) {
                Some(keys) => {
                    if found.iter().any(|n| n.keys.name == keys.name) {
                        diags.error(&section.place, format!("a second node '{}'", keys.name));
                        is_good = false;
                    }
                    found.push(Node { keys, section });
                }
                None => is_good = false,
            }
        } else {
            let help = match nearest(section.name.trim(), ["UPSTREAM", "NODE"]) {
                Some(near) => format!("Did you mean '[{near}]'?"),
                None => "Only [UPSTREAM] and [NODE] belong there".to_owned(),
            };
            diags.error_help(&section.place, format!("unknown section [{}] in an upstream file", section.name), help);
            is_good = false;
        }
    }
    if name.is_none() {
        diags.error_help(asked, "the upstream file has no [UPSTREAM] section", "Add one with a Name");
        is_good = false;
    }
    if found.is_empty() {
        diags.error_help(asked, "the upstream file has no [NODE] section", "Add one for each server: Name, Host, Port");
        is_good = false;
    }
    is_good.then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn check(text: &str, said: &str) -> usize {
        static N: AtomicU32 = AtomicU32::new(0);
        let dir = std::env::temp_dir();
        let name = format!("collector-upstream-{}-{}", std::process::id(), N.fetch_add(1, Ordering::Relaxed));
        fs::write(dir.join(&name), text).unwrap();
        let mut diags = Diags::new();
        let nodes = read(&name, &Place::command_line(), &dir, &[crate::conf::common::TlsClient::TABLE], &mut diags);
        fs::remove_file(dir.join(&name)).unwrap();
        assert_eq!(nodes.is_some(), said.is_empty(), "{text}: {diags}");
        assert_eq!(diags.has_errors(), !said.is_empty(), "{text}: {diags}");
        assert!(diags.to_string().contains(said), "{text}: {diags}");
        nodes.map_or(0, |n| n.len())
    }

    #[test]
    fn files() {
        let node = |name: &str| format!("[NODE]\n  Name {name}\n  Host h\n  Port 1\n");
        let head = "[UPSTREAM]\n  Name u\n";
        assert_eq!(check(&format!("{head}{}{}", node("a"), node("b")), ""), 2);
        assert_eq!(check(&format!("{head}{}  tls on\n  tls.verify off\n", node("a")), ""), 1);
        check(head, "has no [NODE] section");
        check(&node("a"), "has no [UPSTREAM] section");
        check(&format!("{head}{}  tsl on\n", node("a")), "unknown configuration property 'tsl'. Did you mean 'tls'?");
        check(&format!("{head}{}{}", node("a"), node("a")), "a second node 'a'");
        check(&format!("{head}[NODES]\n  Name x\n"), "Did you mean '[NODE]'?");
        check(&format!("{head}[NODE]\n  Name x\n  Host h\n"), "the property 'Port' is required");
        check(&format!("{head}[NODE]\n  Name x\n  Host h\n  Port 99999\n"), "is not an integer between");
        check(&format!("{head}[NODE]\n  Name\tx\n"), "undefined value");
        let mut diags = Diags::new();
        assert!(read("/nonexistent/u", &Place::command_line(), Path::new("."), &[], &mut diags).is_none());
        assert!(diags.to_string().contains("does not exist"), "{diags}");
    }
}
