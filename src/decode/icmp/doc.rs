//! The document of an exchange, or of a single message.
//!
//! Beside Packetbeat's fields (`icmp.version`, `icmp.{request,response}.{type,code,message}`, `path`) there are own ones,
//! present where the message says so:
//!
//! | field | of |
//! |---|---|
//! | `icmp.original.{source,destination}.{ip,port}`, `icmp.original.transport` | the packet an error or a redirect quotes; its addresses are among `related.ip` |
//! | `icmp.mtu`, `icmp.pointer`, `icmp.gateway` | packet too big, parameter problem, redirect |
//! | `icmp.target`, `icmp.groups` | neighbor discovery, multicast groups |
//! | `icmp.mpls[].{label,traffic_class,ttl}` | labels of the quoted packet (RFC 4950) |
//! | `icmp.interfaces[].{role,index,ip,name,mtu}` | interfaces that are named (RFC 5837) or probed (RFC 8335) |

use super::names::{self, Role, Version};
use super::parse::{Details, Message};
use super::quoted::Quoted;
use crate::decode::layers::Addr;
use crate::decode::layers::addr::TEXT_MAX;
use crate::decode::{Cx, Dir, Doc, Head};
use crate::event::Key;
use crate::time::Time;
use std::net::IpAddr;

crate::keys! {
    /// The keys of ICMP's documents.
    pub struct Keys {
        code, destination, gateway, groups, icmp, index, interfaces, ip, kind = "type", label, message, mpls, mtu, name,
        original, path, pointer, port, request, response, role, source, target, traffic_class, transport, ttl, version,
    }
}

/// What is kept of a request or a reply.
#[derive(Debug, Clone, Copy)]
pub struct Side {
    pub kind: u8,
    pub code: u8,
    pub time: Time,
    /// Behind the header.
    pub bytes: u32,
    pub is_failure: bool,
    pub role: Role,
}

impl Side {
    /// Of the message at hand.
    pub fn of(message: &Message<'_>, cx: &Cx<'_>) -> Self {
        let (time, captured) = (cx.time(), u32::try_from(message.payload().len()).unwrap_or(u32::MAX));
        // Of a message that was cut inside its header nobody knows where the rest of it ends.
        let bytes = if message.is_whole() { captured.saturating_add(cx.cut()) } else { captured };
        let is_failure = message.is_failure();
        Self { kind: message.kind, code: message.code, time, bytes, is_failure, role: message.role }
    }
}

/// What becomes one document.
pub struct Transaction<'a> {
    pub version: Version,
    pub requester: Dir,
    pub request: Option<Side>,
    pub response: Option<Side>,
    pub notes: &'a [&'a str],
}

impl Transaction<'_> {
    /// Writes it.
    pub fn emit(&self, cx: &mut Cx<'_>, keys: &Keys, details: &Details<'_>) {
        let unanswered = matches!(self.request, Some(Side { role: Role::Request(_), .. })) && self.response.is_none();
        let failed = [self.request, self.response].iter().flatten().any(|s| s.is_failure);
        let quoted = details.quoted.map(|q| [q.source, q.destination]);
        let head = Head {
            start: self.request.map(|s| s.time),
            end: self.response.map(|s| s.time),
            bytes: [self.request, self.response].map(|s| s.map(|s| s.bytes.into())),
            status: if failed || unanswered || self.request.is_none() { "Error" } else { "OK" },
            notes: self.notes,
            ips: quoted.as_ref().map_or(&[], |ends| ends),
            ..Head::new("icmp", self.requester)
        };
        let path = cx.flow().addr(self.requester.other()).to_ip(cx.flow().is_v6());
        cx.emit(&head, |doc| {
            doc.map(keys.icmp, |icmp| {
                icmp.uint(keys.version, self.version.number());
                for (key, side) in [(keys.request, self.request), (keys.response, self.response)] {
                    if let Some(side) = side {
                        icmp.map(key, |map| self.side(map, keys, &side));
                    }
                }
                write_details(icmp, keys, details);
            });
            address(doc, keys.path, path);
        });
    }

    fn side(&self, map: &mut Doc<'_>, keys: &Keys, side: &Side) {
        map.uint(keys.kind, side.kind.into());
        map.uint(keys.code, side.code.into());
        map.plain(keys.message, names::message(self.version, side.kind, side.code).as_bytes());
    }
}

fn write_details(icmp: &mut Doc<'_>, keys: &Keys, details: &Details<'_>) {
    if let Some(mtu) = details.mtu {
        icmp.uint(keys.mtu, mtu.into());
    }
    if let Some(pointer) = details.pointer {
        icmp.uint(keys.pointer, pointer.into());
    }
    if let Some(gateway) = details.gateway {
        address(icmp, keys.gateway, gateway);
    }
    if let Some(target) = details.target {
        address(icmp, keys.target, target.into());
    }
    icmp.list_unless_empty(keys.groups, |list| {
        for group in &details.groups {
            address(list, Key::NONE, (*group).into());
        }
    });
    if let Some(quoted) = &details.quoted {
        icmp.map(keys.original, |map| original(map, keys, quoted));
    }
    icmp.list_unless_empty(keys.mpls, |list| {
        for entry in &details.labels {
            list.map(Key::NONE, |map| {
                map.uint(keys.label, entry.label.into());
                map.uint(keys.traffic_class, entry.traffic_class.into());
                map.uint(keys.ttl, entry.ttl.into());
            });
        }
    });
    icmp.list_unless_empty(keys.interfaces, |list| {
        for interface in &details.interfaces {
            list.map(Key::NONE, |map| {
                map.plain(keys.role, interface.role.as_bytes());
                if let Some(index) = interface.index {
                    map.uint(keys.index, index.into());
                }
                if let Some(ip) = interface.ip {
                    address(map, keys.ip, ip);
                }
                if let Some(name) = interface.name {
                    map.text(keys.name, name);
                }
                if let Some(mtu) = interface.mtu {
                    map.uint(keys.mtu, mtu.into());
                }
            });
        }
    });
}

fn original(map: &mut Doc<'_>, keys: &Keys, quoted: &Quoted) {
    let (from, to) = quoted.ports.unzip();
    for (key, ip, port) in [(keys.source, quoted.source, from), (keys.destination, quoted.destination, to)] {
        map.map(key, |end| {
            address(end, keys.ip, ip);
            if let Some(port) = port {
                end.uint(keys.port, port.into());
            }
        });
    }
    match (quoted.transport(), quoted.protocol) {
        (Some(name), _) => map.plain(keys.transport, name.as_bytes()),
        (None, Some(number)) => map.plain(keys.transport, itoa::Buffer::new().format(number).as_bytes()),
        (None, None) => {}
    }
}

/// Writes an address as text, RFC 5952 for version 6.
fn address(doc: &mut Doc<'_>, key: Key, ip: IpAddr) {
    doc.plain(key, Addr::from(ip).text(ip.is_ipv6(), &mut [0; TEXT_MAX]));
}
