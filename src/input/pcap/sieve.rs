//! `BPF_Filter` for files: the filter is asked for each packet.

use super::libpcap::Filter;
use crate::fmt::capture::{LinkType, Packet};

/// Link types for which programs are kept; a file has one, or a few.
const KEPT: usize = 16;

/// The filter's programs, one for each link type.
#[derive(Debug)]
pub struct Sieve {
    text: String,
    /// The one asked last comes first.
    programs: Vec<(LinkType, Result<Filter, String>)>,
}

impl Sieve {
    /// A filter whose text was found right.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), programs: Vec::new() }
    }

    /// Whether a packet passes.
    ///
    /// # Errors
    /// Libpcap's words when the filter cannot be used on the packet's link type.
    #[inline]
    pub fn takes(&mut self, packet: &Packet<'_>) -> Result<bool, &str> {
        if self.programs.first().is_none_or(|(link, _)| *link != packet.link) {
            self.bring(packet.link);
        }
        match self.programs.first() {
            Some((_, Ok(filter))) => Ok(filter.takes(packet.data)),
            Some((_, Err(why))) => Err(why),
            None => Ok(true),
        }
    }

    /// Puts the program of a link type first.
    #[cold]
    fn bring(&mut self, link: LinkType) {
        match self.programs.iter().position(|(known, _)| *known == link) {
            Some(at) => self.programs.swap(0, at),
            None => {
                self.programs.truncate(KEPT - 1);
                self.programs.insert(0, (link, Filter::compile(&self.text, link)));
            }
        }
    }
}

#[cfg(all(test, feature = "pcap"))]
mod tests {
    use super::*;
    use crate::time::Time;

    #[test]
    fn each_link_type_has_its_program() {
        let mut sieve = Sieve::new("ip proto 17");
        let mut ethernet = vec![0; 12];
        ethernet.extend([8, 0, 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
        let packet = |link, data| Packet { time: Time(0), link, wire_len: 0, data };
        for _ in 0..2 {
            assert_eq!(sieve.takes(&packet(LinkType::EN10MB, &ethernet)), Ok(true));
            assert_eq!(sieve.takes(&packet(LinkType::RAW, &ethernet[14..])), Ok(true));
            assert_eq!(sieve.takes(&packet(LinkType::RAW, &ethernet)), Ok(false));
        }
        for link in 1000..1100 {
            sieve.takes(&packet(LinkType(link), &ethernet)).unwrap_err();
        }
        assert_eq!(sieve.programs.len(), KEPT);
        assert_eq!(sieve.takes(&packet(LinkType::EN10MB, &ethernet)), Ok(true));
    }
}
