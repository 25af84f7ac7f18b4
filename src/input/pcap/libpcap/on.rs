//! libpcap through its binding: no unsafe code, errors worded.

use super::{BLOCK_AGE, Counts, Refusal, Terms, Turn};
use crate::fmt::capture::{LinkType, Packet};
use crate::input::pcap::interfaces::{ANY, Interface};
use crate::rt::{self, Source};
use crate::time::Time;
use pcap::{Active, BpfProgram, Device, Linktype, Precision};
use std::fmt;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Packets that are read, and time that is taken, before other tasks have their turn.
const TURN: usize = 1024;
const TURN_TIME: Duration = Duration::from_millis(2);
/// Packets between two looks at the clock.
const STEP: usize = 64;

/// A capture that is going on.
pub struct Handle {
    capture: pcap::Capture<Active>,
    link: LinkType,
    /// A second descriptor of the packet socket, for the reactor.
    ready: Source<OwnedFd>,
}

impl Handle {
    /// Starts capturing.
    ///
    /// # Errors
    /// When the interface cannot be captured from.
    pub fn open(name: &str, terms: &Terms) -> Result<Self, Refusal> {
        rt::libpcap::load().map_err(Refusal::Other)?;
        let mut capture = activate(name, terms).map_err(|e| refusal(name, &e))?;
        let mut applied = Err(Refusal::Filter("there is none".into()));
        for text in &terms.filters {
            applied = capture.filter(text, true).map_err(|e| Refusal::Filter(said(&e)));
            if applied.is_ok() {
                break;
            }
        }
        applied?;
        let other = |e: std::io::Error| Refusal::Other(e.to_string());
        let ready = capture.as_fd().try_clone_to_owned().map_err(other)?;
        let link = LinkType(u16::try_from(capture.get_datalink().0).unwrap_or(u16::MAX));
        Ok(Self { capture, link, ready: Source::new(ready).map_err(other)? })
    }

    /// What its frames begin with.
    pub fn link(&self) -> LinkType {
        self.link
    }

    /// Waits for packets and hands at most a turn of them to `each`.
    ///
    /// # Errors
    /// When the capture has ended: mostly because the interface is gone.
    pub async fn read(&mut self, mut each: impl FnMut(&Packet<'_>)) -> Result<Turn, String> {
        let Self { capture, link, ready } = self;
        // Readiness is told on its edges: the first empty read says that all was taken, the next one, after a wait,
        // that there was nothing to take.
        let mut waited = false;
        let done = ready.read(|_| match turn(capture, *link, &mut each) {
            Ok(0) if waited => Ok(Ok(Turn::Nothing)),
            Ok(0) => {
                waited = true;
                Err(ErrorKind::WouldBlock.into())
            }
            Ok(n) => Ok(Ok(Turn::Packets(n))),
            Err(e) => Ok(Err(said(&e))),
        });
        done.await.map_err(|e| e.to_string())?
    }

    /// Hands at most a turn of packets to `each` without waiting; answers how many.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_now(&mut self, mut each: impl FnMut(&Packet<'_>)) -> Result<usize, String> {
        turn(&mut self.capture, self.link, &mut each).map_err(|e| said(&e))
    }

    /// What was counted since the start.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn counts(&mut self) -> Result<Counts, String> {
        let s = self.capture.stats().map_err(|e| said(&e))?;
        Ok(Counts { received: s.received, dropped: s.dropped, if_dropped: s.if_dropped })
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("link", &self.link).finish_non_exhaustive()
    }
}

fn activate(name: &str, terms: &Terms) -> Result<pcap::Capture<Active>, pcap::Error> {
    // libpcap would warn that `any` cannot be promiscuous; its binding takes warnings for errors.
    let promisc = terms.promisc && name != ANY;
    let precision = if NANOSECONDS { Precision::Nano } else { Precision::Micro };
    pcap::Capture::from_device(name)?
        .snaplen(i32::try_from(terms.snaplen).unwrap_or(i32::MAX))
        .promisc(promisc)
        .buffer_size(i32::try_from(terms.buffer).unwrap_or(i32::MAX))
        .timeout(BLOCK_AGE.as_millis() as i32)
        .precision(precision)
        .open()?
        .setnonblock()
}

/// Linux gives nanoseconds; elsewhere some interfaces do not, and the binding does not tell which.
const NANOSECONDS: bool = cfg!(target_os = "linux");

/// Reads until there is nothing more, or until the turn is over.
fn turn(
    capture: &mut pcap::Capture<Active>,
    link: LinkType,
    each: &mut impl FnMut(&Packet<'_>),
) -> Result<usize, pcap::Error> {
    let start = rt::now();
    let mut total = 0;
    while total < TURN {
        let n = capture.dispatch(Some(STEP), |p| {
            each(&Packet { time: time(p.header), link, wire_len: p.header.len, data: p.data });
        })?;
        total += n;
        if n < STEP || start.elapsed() > TURN_TIME {
            break;
        }
    }
    Ok(total)
}

// The fields are wider on some platforms than on others.
#[allow(clippy::unnecessary_cast)]
fn time(header: &pcap::PacketHeader) -> Time {
    let scale = if NANOSECONDS { 1 } else { 1000 };
    let (secs, sub) = (header.ts.tv_sec as i64, header.ts.tv_usec as i64);
    Time(secs.saturating_mul(1_000_000_000).saturating_add(sub.saturating_mul(scale)))
}

/// libpcap's words, without the binding's.
fn said(e: &pcap::Error) -> String {
    match e {
        pcap::Error::PcapError(text) => text.trim().to_owned(),
        other => other.to_string(),
    }
}

/// libpcap's binding keeps the words of an error and not its number.
fn refusal(name: &str, e: &pcap::Error) -> Refusal {
    let text = said(e);
    let has = |words: &[&str]| words.iter().any(|w| text.contains(w));
    if has(&["CAP_NET_RAW", "CAP_NET_ADMIN", "ermission", "not permitted"]) {
        return Refusal::Denied;
    }
    match interfaces() {
        Ok(all) => match all.iter().find(|i| i.name == name) {
            None if name != ANY && has(&["o such device", "not exist", "No such"]) => Refusal::Missing,
            Some(i) if !i.is_up && has(&["not up", "down"]) => Refusal::Down,
            _ => Refusal::Other(text),
        },
        Err(_) => Refusal::Other(text),
    }
}

/// All interfaces, and libpcap's pseudo-devices; needs no privilege.
///
/// # Errors
/// When the system does not say.
pub fn interfaces() -> Result<Vec<Interface>, String> {
    rt::libpcap::load()?;
    let all = Device::list().map_err(|e| format!("cannot list the interfaces: {}", said(&e)))?;
    Ok(all.into_iter().map(Interface::from).collect())
}

impl From<Device> for Interface {
    fn from(d: Device) -> Self {
        Self {
            is_up: d.flags.is_up(),
            is_running: d.flags.is_running(),
            is_loopback: d.flags.is_loopback(),
            addresses: d.addresses.iter().map(|a| a.addr).collect(),
            description: d.desc.unwrap_or_default(),
            name: d.name,
        }
    }
}

/// The link type of an interface; `None` where it cannot be opened.
pub fn link_type(name: &str) -> Option<LinkType> {
    rt::libpcap::load().ok()?;
    let capture = pcap::Capture::from_device(name).ok()?.buffer_size(1 << 19).open().ok()?;
    u16::try_from(capture.get_datalink().0).ok().map(LinkType)
}

/// A compiled filter, for packets of files.
pub struct Filter(BpfProgram);

impl Filter {
    /// Compiles `text` for frames of a link type.
    ///
    /// # Errors
    /// libpcap's words about the text, or about the link type.
    pub fn compile(text: &str, link: LinkType) -> Result<Self, String> {
        rt::libpcap::load()?;
        // The numbers of files and of libpcap differ here (LINKTYPE_RAW, DLT_RAW).
        let dlt = if link == LinkType::RAW { LinkType::RAW_12 } else { link };
        let dead = pcap::Capture::dead(Linktype(i32::from(dlt.0))).map_err(|e| said(&e))?;
        dead.compile(text, true).map(Self).map_err(|e| said(&e))
    }

    /// Whether it takes a frame.
    pub fn takes(&self, frame: &[u8]) -> bool {
        self.0.filter(frame)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Transport;
    use crate::input::pcap::generated;

    /// An Ethernet frame with IPv4, UDP and a destination port, behind so many VLAN tags.
    fn frame(port: u16, tags: usize) -> Vec<u8> {
        let mut f = vec![2; 12];
        for tag in 0..tags {
            f.extend([0x81, 0, 0, tag as u8 + 1]);
        }
        f.extend([8, 0, 0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        f.extend([0xff, 0xfe]);
        f.extend(port.to_be_bytes());
        f.extend([0, 9, 0, 0, b'x']);
        f
    }

    #[test]
    fn filters_are_compiled_and_asked() {
        let filter = Filter::compile("udp port 53", LinkType::EN10MB).unwrap();
        assert!(filter.takes(&frame(53, 0)));
        assert!(!filter.takes(&frame(54, 0)));
        assert!(!filter.takes(&[]));
        let raw = Filter::compile("udp port 53", LinkType::RAW).unwrap();
        assert!(raw.takes(&frame(53, 0)[14..]));
        let why = Filter::compile("udp prt 53", LinkType::EN10MB).unwrap_err();
        assert!(why.contains("syntax error"), "{why}");
    }

    #[test]
    fn the_generated_filter_sees_through_vlan_tags() {
        let wanted = [(Transport::Tcp, vec![80]), (Transport::Udp, vec![53]), (Transport::Icmp, vec![])];
        let [tagged, plain] = generated::filter(&wanted, true);
        let with_tags = Filter::compile(&tagged, LinkType::EN10MB).unwrap();
        for tags in 0..3 {
            assert!(with_tags.takes(&frame(53, tags)), "{tags} tags");
            assert!(!with_tags.takes(&frame(54, tags)), "{tags} tags");
        }
        assert!(with_tags.takes(&frame(4789, 1)));
        let mut fragment = frame(54, 0);
        fragment[21] = 2;
        assert!(with_tags.takes(&fragment));
        assert!(Filter::compile(&plain, LinkType::LINUX_SLL2).is_ok());
        assert!(Filter::compile(&plain, LinkType::RAW).is_ok());
    }

    #[test]
    fn interfaces_are_listed_without_a_privilege() {
        let all = interfaces().unwrap();
        let lo = all.iter().find(|i| i.name == "lo");
        assert!(lo.is_none_or(|lo| lo.is_loopback), "{all:?}");
    }
}
