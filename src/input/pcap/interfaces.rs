//! Network interfaces: those that exist, as a table for people, and what is said about one that does not.

use crate::fmt::capture::LinkType;
use crate::util::suggest::nearest;
use std::fmt::Write;
use std::net::IpAddr;

/// All interfaces at once; it always exists on Linux.
pub const ANY: &str = "any";

/// A network interface, or one of the pseudo-devices of libpcap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// `eth0`.
    pub name: String,
    /// libpcap's words; empty for most.
    pub description: String,
    /// IPv4 and IPv6.
    pub addresses: Vec<IpAddr>,
    /// It was brought up.
    pub is_up: bool,
    /// It is up and has a carrier, as far as the system knows.
    pub is_running: bool,
    /// Packets to this machine itself.
    pub is_loopback: bool,
}

/// Where the link type of an interface could not be learned.
pub const NO_LINK: &str = "?";

/// Every interface with its link type, as a table with a line of titles; what is known depends on the privileges.
///
/// # Errors
/// One line for the user.
pub fn report() -> Result<String, String> {
    let all = super::libpcap::interfaces()?;
    let links: Vec<_> = all.iter().map(|i| super::libpcap::link_type(&i.name)).collect();
    let mut text = table(&all, &links);
    if all.iter().zip(&links).any(|(i, link)| i.is_up && link.is_none()) {
        let _ = writeln!(text, "\nLink types are known to those who may capture (root, or CAP_NET_RAW).");
    }
    Ok(text)
}

/// The table.
fn table(all: &[Interface], links: &[Option<LinkType>]) -> String {
    let mut rows = vec![["NAME", "STATE", "LINK", "ADDRESSES", "DESCRIPTION"].map(str::to_owned)];
    for (i, link) in all.iter().zip(links) {
        let addresses: Vec<_> = i.addresses.iter().map(IpAddr::to_string).collect();
        let link = link.map_or(NO_LINK.to_owned(), |l| l.to_string());
        rows.push([printable(&i.name), i.state(), link, addresses.join(","), printable(&i.description)]);
    }
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let cell = if cell.is_empty() { "-" } else { cell };
            let _ = write!(line, "{cell:width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

impl Interface {
    /// `up,running,loopback`; `down` for one that is not up.
    fn state(&self) -> String {
        let words = [(self.is_up, "up"), (self.is_running, "running"), (self.is_loopback, "loopback")];
        let mut said: Vec<_> = words.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
        if !self.is_up {
            said.insert(0, "down");
        }
        said.join(",")
    }
}

/// Names come from the kernel, but whoever made the interface chose them.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// What is wrong with the name of an interface that does not exist, and what to write instead.
pub fn unknown(name: &str, all: &[Interface]) -> (String, String) {
    let names = || all.iter().map(|i| i.name.as_str());
    let listed = names().collect::<Vec<_>>().join(", ");
    let help = match nearest(name, names()) {
        Some(near) => format!("Did you mean '{near}'? There are: {listed}"),
        None => format!("There are: {listed}"),
    };
    (format!("there is no interface '{name}'"), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, is_up: bool) -> Interface {
        Interface {
            name: name.into(),
            description: String::new(),
            addresses: Vec::new(),
            is_up,
            is_running: is_up,
            is_loopback: name == "lo",
        }
    }

    #[test]
    fn a_table_for_people() {
        let mut lo = interface("lo", true);
        lo.addresses = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        let mut odd = interface("e\u{1b}[2J", false);
        odd.description = "An odd one".into();
        let links = [Some(LinkType::EN10MB), None];
        assert_eq!(
            table(&[lo, odd], &links),
            "NAME   STATE                LINK    ADDRESSES      DESCRIPTION\n\
             lo     up,running,loopback  EN10MB  127.0.0.1,::1  -\n\
             e?[2J  down                 ?       -              An odd one\n"
        );
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_exist() {
        let all = [interface("lo", true), interface("eth0", true)];
        let (what, help) = unknown("eth1", &all);
        assert_eq!(what, "there is no interface 'eth1'");
        assert_eq!(help, "Did you mean 'eth0'? There are: lo, eth0");
        assert_eq!(unknown("wlp2s0", &all).1, "There are: lo, eth0");
    }
}
