//! Changes to captured TCP that leave its streams as they were: cut again, out of order, twice; and changes that lose
//! bytes.

use super::run::Frame;
use collector::fmt::capture::LinkType;
use std::collections::BTreeMap;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;

/// Where the parts of a TCP segment lie in its frame.
#[derive(Clone)]
pub struct Segment {
    ip: usize,
    v6: bool,
    tcp: usize,
    payload: usize,
    end: usize,
    flags: u8,
    seq: u32,
    /// Sender and receiver, with ports.
    pub ends: [Vec<u8>; 2],
}

impl Segment {
    /// A TCP segment in IP in Ethernet, VLANs between them, or in IP alone; not a fragment, and captured whole.
    pub fn of(frame: &Frame) -> Option<Self> {
        let data = &frame.data;
        let be = |at: usize| Some(u16::from_be_bytes([*data.get(at)?, *data.get(at + 1)?]));
        let ip = match frame.link {
            LinkType::EN10MB => {
                let mut at = 12;
                while matches!(be(at)?, 0x8100 | 0x88a8) {
                    at += 4;
                }
                matches!(be(at)?, 0x0800 | 0x86dd).then_some(at + 2)?
            }
            LinkType::RAW => 0,
            _ => return None,
        };
        let v6 = data.get(ip)? >> 4 == 6;
        let (tcp, end, addresses) = if v6 {
            (*data.get(ip + 6)? == 6).then_some(())?;
            (ip + 40, ip + 40 + usize::from(be(ip + 4)?), [ip + 8..ip + 24, ip + 24..ip + 40])
        } else {
            let fragment = be(ip + 6)? & 0x3fff;
            (*data.get(ip + 9)? == 6 && fragment == 0 && data[ip] >> 4 == 4).then_some(())?;
            let head = usize::from(data[ip] & 15) * 4;
            (ip + head, ip + usize::from(be(ip + 2)?), [ip + 12..ip + 16, ip + 16..ip + 20])
        };
        let payload = tcp + usize::from(data.get(tcp + 12)? >> 4) * 4;
        (end <= data.len() && payload <= end && payload >= tcp + 20).then_some(())?;
        let ends = [0, 1].map(|i| [&data[addresses[i].clone()], &data[tcp + 2 * i..tcp + 2 * i + 2]].concat());
        let seq = u32::from_be_bytes(data[tcp + 4..tcp + 8].try_into().unwrap());
        Some(Self { ip, v6, tcp, payload, end, flags: data[tcp + 13], seq, ends })
    }

    /// Bytes of the stream in it.
    pub fn len(&self) -> usize {
        self.end - self.payload
    }

    /// Data and nothing else of meaning: it may be cut and moved.
    pub fn is_plain(&self) -> bool {
        self.len() > 0 && self.flags & (SYN | FIN | RST) == 0
    }

    /// The connection, whichever side speaks.
    pub fn connection(&self) -> [Vec<u8>; 2] {
        let mut ends = self.ends.clone();
        ends.sort();
        ends
    }

    /// The bytes `from..to` of its payload as a segment of its own.
    fn piece(&self, frame: &Frame, from: usize, to: usize) -> Frame {
        let mut data = frame.data[..self.payload].to_vec();
        data.extend(&frame.data[self.payload + from..self.payload + to]);
        let (at, counted) = if self.v6 { (self.ip + 4, self.ip + 40) } else { (self.ip + 2, self.ip) };
        let length = (data.len() - counted) as u16;
        data[at..at + 2].copy_from_slice(&length.to_be_bytes());
        data[self.tcp + 4..self.tcp + 8].copy_from_slice(&self.seq.wrapping_add(from as u32).to_be_bytes());
        if to < self.len() {
            data[self.tcp + 13] &= !(FIN | PSH);
        }
        Frame { wire_len: data.len() as u32, data, ..frame.clone() }
    }
}

/// Every segment of data in two.
pub fn cut(frames: &[Frame]) -> Vec<Frame> {
    let mut out = Vec::new();
    for frame in frames {
        match Segment::of(frame).filter(|s| s.is_plain() && s.len() > 1) {
            Some(s) => {
                let at = s.len() / 2;
                out.extend([s.piece(frame, 0, at), s.piece(frame, at, s.len())]);
            }
            None => out.push(frame.clone()),
        }
    }
    out
}

/// Turns round each three segments of data that follow each other in one direction, with nothing of the other direction
/// between them: what it acknowledged it had, so that a capture shows it after it. Times stay where they are.
pub fn reorder(frames: &[Frame]) -> Vec<Frame> {
    let mut out = frames.to_vec();
    // For each connection: who spoke last, and where.
    let mut runs = BTreeMap::<_, (Vec<u8>, Vec<usize>)>::new();
    let turn = |out: &mut Vec<Frame>, places: &mut Vec<usize>| {
        for (a, b) in (0..places.len() / 2).map(|i| (places[i], places[places.len() - 1 - i])) {
            let (time_a, time_b) = (out[a].time, out[b].time);
            out.swap(a, b);
            (out[a].time, out[b].time) = (time_a, time_b);
        }
        places.clear();
    };
    for (i, frame) in frames.iter().enumerate() {
        let Some(s) = Segment::of(frame) else { continue };
        let (from, places) = runs.entry(s.connection()).or_default();
        if !s.is_plain() || *from != s.ends[0] || places.len() == 3 {
            turn(&mut out, places);
            *from = s.ends[0].clone();
        }
        if s.is_plain() {
            places.push(i);
        }
    }
    for (_, places) in runs.values_mut() {
        turn(&mut out, places);
    }
    out
}

/// Every TCP frame twice.
pub fn double(frames: &[Frame]) -> Vec<Frame> {
    let times = |frame: &Frame| if Segment::of(frame).is_some() { 2 } else { 1 };
    frames.iter().flat_map(|f| std::iter::repeat_n(f.clone(), times(f))).collect()
}

/// As captured with a snap length.
pub fn snap(frames: &[Frame], length: usize) -> Vec<Frame> {
    let mut out = frames.to_vec();
    out.iter_mut().for_each(|f| f.data.truncate(length));
    out
}

/// What one side of each connection says.
pub fn one_side(frames: &[Frame], low: bool) -> Vec<Frame> {
    let keep = |f: &&Frame| Segment::of(f).is_none_or(|s| (s.ends[0] < s.ends[1]) == low);
    frames.iter().filter(keep).cloned().collect()
}

/// Without one frame of data: the place of the frame, and the rest.
pub fn lose(frames: &[Frame], nth: usize) -> Option<(usize, Vec<Frame>)> {
    let plain = |i: &usize| Segment::of(&frames[*i]).is_some_and(|s| s.is_plain());
    let places: Vec<usize> = (0..frames.len()).filter(plain).collect();
    let at = *places.get(nth)?;
    Some((at, [&frames[..at], &frames[at + 1..]].concat()))
}
