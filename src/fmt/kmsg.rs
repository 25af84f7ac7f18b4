//! Records of `/dev/kmsg`: `6,339,5140900,-;message` and, behind it, lines ` KEY=value`.
//!
//! Source: Documentation/ABI/testing/dev-kmsg of the Linux kernel.

use memchr::memchr;

/// One record of the kernel's ring buffer; text as it stands, with `\xNN` for what cannot be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kmsg<'a> {
    /// 0 (emergency) to 7 (debug).
    pub priority: u8,
    /// Who wrote it: 0 is the kernel.
    pub facility: u32,
    /// Counted up from the start of the system.
    pub sequence: u64,
    /// Microseconds of the monotonic clock.
    pub usec: u64,
    /// The message.
    pub message: &'a [u8],
    /// The lines behind it.
    fields: &'a [u8],
}

impl<'a> Kmsg<'a> {
    /// The record at the beginning of `bytes`, and its length.
    ///
    /// # Errors
    /// The length of what is none.
    pub fn read(bytes: &'a [u8]) -> Result<(Self, usize), usize> {
        let line = memchr(b'\n', bytes).unwrap_or(bytes.len());
        let mut end = (line + 1).min(bytes.len());
        let fields_at = end;
        // What belongs to it is indented.
        while bytes.get(end) == Some(&b' ') {
            let rest = bytes.get(end..).unwrap_or_default();
            end += memchr(b'\n', rest).map_or(rest.len(), |n| n + 1);
        }
        let fields = bytes.get(fields_at..end).unwrap_or_default();
        match Self::head(bytes.get(..line).unwrap_or_default(), fields) {
            Some(record) => Ok((record, end)),
            None => Err(end),
        }
    }

    fn head(line: &'a [u8], fields: &'a [u8]) -> Option<Self> {
        let (head, message) = line.split_at(memchr(b';', line)?);
        let mut numbers = head.split(|b| *b == b',');
        let mut number = || -> Option<u64> { std::str::from_utf8(numbers.next()?).ok()?.parse().ok() };
        let (level, sequence, usec) = (number()?, number()?, number()?);
        let facility = u32::try_from(level >> 3).ok()?;
        let priority = (level & 7) as u8;
        Some(Self { priority, facility, sequence, usec, message: message.get(1..)?, fields })
    }

    /// The names and values behind the message.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let lines = self.fields.split(|b| *b == b'\n').filter_map(|line| line.strip_prefix(b" "));
        lines.filter_map(|line| {
            let (name, value) = line.split_at(memchr(b'=', line)?);
            (!name.is_empty()).then_some((name, value.get(1..)?))
        })
    }
}

/// Appends text with each `\xNN` as the byte it stands for.
pub fn unescape(mut text: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr(b'\\', text) {
        let (before, rest) = text.split_at(at);
        out.extend_from_slice(before);
        let byte = match rest {
            [_, b'x', high, low, ..] => {
                let digit = |b: &u8| char::from(*b).to_digit(16);
                digit(high).zip(digit(low)).and_then(|(h, l)| u8::try_from(h << 4 | l).ok())
            }
            _ => None,
        };
        out.push(byte.unwrap_or(b'\\'));
        text = rest.get(if byte.is_some() { 4 } else { 1 }..).unwrap_or_default();
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(text: &[u8]) -> String {
        let mut out = Vec::new();
        unescape(text, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn records() {
        let text = b"30,160,424069,-;pci_root PNP0A03:00: host bridge; [io 0x0000-0x0cf7]\n SUBSYSTEM=acpi\n DEVICE=+acpi:PNP0A03:00\n\
            6,339,5140900,c,more=x;NET: Registered\\x0aprotocol family 10\n";
        let (one, len) = Kmsg::read(text).unwrap();
        assert_eq!((one.priority, one.facility, one.sequence, one.usec), (6, 3, 160, 424_069));
        assert_eq!(one.message, b"pci_root PNP0A03:00: host bridge; [io 0x0000-0x0cf7]");
        let fields: Vec<_> = one.fields().collect();
        assert_eq!(fields, [(&b"SUBSYSTEM"[..], &b"acpi"[..]), (b"DEVICE", b"+acpi:PNP0A03:00")]);
        let (two, end) = Kmsg::read(&text[len..]).unwrap();
        assert_eq!((two.priority, two.sequence, two.fields().count()), (6, 339, 0));
        assert_eq!(plain(two.message), "NET: Registered\nprotocol family 10");
        assert_eq!(len + end, text.len());
    }

    #[test]
    fn what_is_none() {
        for (text, len) in [
            (&b""[..], 0),
            (b"\n", 1),
            (b"6,1,2,-no message\n6,", 18),
            (b"x,1,2,-;m\n SUBSYSTEM=y\nnext", 23),
            (b"6,1;m", 5),
            (b"6,-1,2,-;m", 10),
            (b"6,18446744073709551616,2,-;m", 28),
        ] {
            assert_eq!(Kmsg::read(text).unwrap_err(), len, "{}", text.escape_ascii());
        }
        assert_eq!(plain(b"a\\x\\xZ1\\x41\\"), "a\\x\\xZ1A\\");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            level in 0u32..200, sequence: u64, usec: u64, message in "[ -:<-~]{0,80}",
            fields in proptest::collection::vec(("[A-Z_]{1,9}", "[ -~]{0,20}"), 0..4),
        ) {
            let mut text = format!("{level},{sequence},{usec},-;{message}\n");
            fields.iter().for_each(|(k, v)| text.push_str(&format!(" {k}={v}\n")));
            let (got, len) = Kmsg::read(text.as_bytes()).unwrap();
            prop_assert_eq!((u32::from(got.priority), got.facility), (level & 7, level >> 3));
            prop_assert_eq!((got.sequence, got.usec, got.message, len), (sequence, usec, message.as_bytes(), text.len()));
            let read: Vec<_> = got.fields().map(|(k, v)| (String::from_utf8_lossy(k), String::from_utf8_lossy(v))).collect();
            let want: Vec<_> = fields.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into())).collect();
            prop_assert_eq!(read, want);
        }

        #[test]
        fn any_bytes_are_taken_apart_to_their_end(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(&b"0123456789,;-= \n\\x"[..])], 0..300)) {
            let mut rest = &bytes[..];
            let mut out = Vec::new();
            while !rest.is_empty() {
                let len = match Kmsg::read(rest) {
                    Ok((record, len)) => {
                        unescape(record.message, &mut out);
                        let inner: usize = record.fields().map(|(k, v)| k.len() + v.len()).sum();
                        prop_assert!(record.message.len() + inner <= len);
                        len
                    }
                    Err(len) => len,
                };
                prop_assert!(len > 0 && len <= rest.len());
                rest = &rest[len..];
            }
            prop_assert!(out.len() <= bytes.len());
        }
    }
}
