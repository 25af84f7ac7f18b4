//! The structures of a GPIO character device, version 2: `include/uapi/linux/gpio.h` of the Linux kernel. Numbers are in the
//! byte order of the machine; the layout is the same for 32 and 64 bits.

/// Lines that one request may name.
pub const MAX_LINES: usize = 64;
/// The length of an event (`struct gpio_v2_line_event`).
pub const EVENT: usize = 48;

/// `GPIO_V2_LINE_FLAG_…`
pub mod flag {
    /// The line is active when it is low: edges turn round.
    pub const ACTIVE_LOW: u64 = 1 << 1;
    /// The line is an input.
    pub const INPUT: u64 = 1 << 2;
    /// Tell when it becomes active.
    pub const EDGE_RISING: u64 = 1 << 4;
    /// Tell when it becomes inactive.
    pub const EDGE_FALLING: u64 = 1 << 5;
    /// Pulled up where nothing drives it.
    pub const BIAS_PULL_UP: u64 = 1 << 8;
    /// Pulled down where nothing drives it.
    pub const BIAS_PULL_DOWN: u64 = 1 << 9;
    /// Not pulled.
    pub const BIAS_DISABLED: u64 = 1 << 10;
}

/// `GPIO_V2_LINE_ATTR_ID_DEBOUNCE`
const ATTR_DEBOUNCE: u32 = 3;

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_ne_bytes)
}

/// A name of up to 32 bytes, ended by a NUL.
fn name_at(bytes: &[u8], at: usize) -> String {
    let name = bytes.get(at..).and_then(|b| b.split(|b| *b == 0).next()).unwrap_or_default();
    String::from_utf8_lossy(name.get(..name.len().min(32)).unwrap_or_default()).into_owned()
}

/// A chip: its label (`pinctrl-bcm2711`) and the number of its lines.
pub fn chip(info: &[u8; 68]) -> (String, u32) {
    (name_at(info, 32), u32_at(info, 64))
}

/// The question what is known of a line.
pub fn line_question(offset: u32) -> [u8; 256] {
    let mut bytes = [0; 256];
    put(&mut bytes, 64, &offset.to_ne_bytes());
    bytes
}

/// The answer: the line's name (`GPIO17`), and who uses it; both may be empty.
pub fn line(info: &[u8; 256]) -> (String, String) {
    (name_at(info, 0), name_at(info, 32))
}

/// A request for the events of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// The lines, at most [`MAX_LINES`].
    pub lines: &'a [u32],
    /// Who asks, as others see it.
    pub consumer: &'a str,
    /// Of [`flag`].
    pub flags: u64,
    /// Microseconds that a level must last.
    pub debounce: Option<u32>,
    /// Events that the kernel keeps until they are read.
    pub buffer: u32,
}

impl Request<'_> {
    /// As the kernel takes it.
    pub fn bytes(&self) -> [u8; 592] {
        let mut bytes = [0; 592];
        let count = self.lines.len().min(MAX_LINES);
        for (i, line) in self.lines.iter().take(count).enumerate() {
            put(&mut bytes, i * 4, &line.to_ne_bytes());
        }
        let consumer = self.consumer.as_bytes();
        put(&mut bytes, 256, consumer.get(..consumer.len().min(31)).unwrap_or_default());
        put(&mut bytes, 288, &self.flags.to_ne_bytes());
        if let Some(micros) = self.debounce {
            put(&mut bytes, 296, &1u32.to_ne_bytes());
            put(&mut bytes, 320, &ATTR_DEBOUNCE.to_ne_bytes());
            put(&mut bytes, 328, &micros.to_ne_bytes());
            let all = if count >= 64 { u64::MAX } else { (1 << count) - 1 };
            put(&mut bytes, 336, &all.to_ne_bytes());
        }
        put(&mut bytes, 560, &(count as u32).to_ne_bytes());
        put(&mut bytes, 564, &self.buffer.to_ne_bytes());
        bytes
    }
}

/// An edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds of the monotonic clock.
    pub nanos: u64,
    /// It became active, else inactive.
    pub rising: bool,
    /// The line.
    pub line: u32,
    /// Counted over all lines of the request, from 1: what is left out was lost.
    pub number: u32,
}

/// The events of a reading; what is shorter at its end is none.
pub fn events(bytes: &[u8]) -> impl Iterator<Item = Event> {
    bytes.chunks_exact(EVENT).map(|b| Event {
        nanos: u64_at(b, 0),
        rising: u32_at(b, 8) == 1,
        line: u32_at(b, 12),
        number: u32_at(b, 16),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The offsets are what a C compiler says of the kernel's header.
    #[test]
    fn a_request() {
        let flags = flag::INPUT | flag::EDGE_RISING | flag::BIAS_PULL_UP;
        let request = Request { lines: &[17, 27], consumer: "collector", flags, debounce: Some(5000), buffer: 256 };
        let bytes = request.bytes();
        assert_eq!((u32_at(&bytes, 0), u32_at(&bytes, 4), u32_at(&bytes, 8)), (17, 27, 0));
        assert_eq!(name_at(&bytes, 256), "collector");
        assert_eq!((u64_at(&bytes, 288), u32_at(&bytes, 296)), (0x114, 1));
        assert_eq!((u32_at(&bytes, 320), u32_at(&bytes, 328), u64_at(&bytes, 336)), (3, 5000, 0b11));
        assert_eq!((u32_at(&bytes, 560), u32_at(&bytes, 564), u32_at(&bytes, 588)), (2, 256, 0));
        let plain = Request { debounce: None, lines: &[1; 70], consumer: &"x".repeat(40), ..request }.bytes();
        assert_eq!(
            (u32_at(&plain, 560), u32_at(&plain, 296), plain[287]),
            (64, 0, 0),
            "64 lines, a NUL behind the name"
        );
    }

    #[test]
    fn answers() {
        let mut info = [0; 256];
        put(&mut info, 0, b"GPIO17\0rest");
        put(&mut info, 32, &[b'x'; 32]);
        assert_eq!(line(&info), ("GPIO17".into(), "x".repeat(32)));
        assert_eq!(u32_at(&line_question(9), 64), 9);
        let mut info = [0; 68];
        put(&mut info, 32, b"pinctrl-bcm2711");
        put(&mut info, 64, &58u32.to_ne_bytes());
        assert_eq!(chip(&info), ("pinctrl-bcm2711".into(), 58));
    }

    #[test]
    fn edges() {
        let mut bytes = Vec::new();
        for (nanos, id, line, number) in [(5u64, 1u32, 17u32, 1u32), (7, 2, 27, 2)] {
            bytes.extend(nanos.to_ne_bytes());
            [id, line, number, 1, 0, 0, 0, 0, 0, 0].iter().for_each(|n| bytes.extend(n.to_ne_bytes()));
        }
        bytes.push(1);
        let want = [
            Event { nanos: 5, rising: true, line: 17, number: 1 },
            Event { nanos: 7, rising: false, line: 27, number: 2 },
        ];
        assert_eq!(events(&bytes).collect::<Vec<_>>(), want);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(events(&bytes).count(), bytes.len() / EVENT);
        }
    }
}
