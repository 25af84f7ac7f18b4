//! Messages built by hand.

/// A message under construction.
#[derive(Debug, Clone)]
pub struct Built(pub Vec<u8>);

/// A name on the wire, uncompressed.
pub fn name(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}

impl Built {
    /// A header without entries.
    pub fn new(id: u16, flags: u16) -> Self {
        Self([&id.to_be_bytes()[..], &flags.to_be_bytes(), &[0; 8]].concat())
    }

    fn count(&mut self, section: usize) {
        let at = 4 + section * 2;
        let n = u16::from_be_bytes([self.0[at], self.0[at + 1]]) + 1;
        self.0[at..at + 2].copy_from_slice(&n.to_be_bytes());
    }

    /// A question of class IN.
    pub fn ask(mut self, text: &str, rtype: u16) -> Self {
        self.count(0);
        self.0.extend(name(text));
        self.0.extend(rtype.to_be_bytes());
        self.0.extend([0, 1]);
        self
    }

    /// A record; section 1 to 3.
    pub fn record(mut self, section: usize, owner: &[u8], rtype: u16, class: u16, ttl: u32, data: &[u8]) -> Self {
        self.count(section);
        self.0.extend(owner);
        self.0.extend(rtype.to_be_bytes());
        self.0.extend(class.to_be_bytes());
        self.0.extend(ttl.to_be_bytes());
        self.0.extend((data.len() as u16).to_be_bytes());
        self.0.extend(data);
        self
    }

    /// An answer of class IN to the first question, by a pointer, for an hour.
    pub fn answer(self, rtype: u16, data: &[u8]) -> Self {
        self.record(1, b"\xc0\x0c", rtype, 1, 3600, data)
    }

    /// An OPT record.
    pub fn opt(self, size: u16, ttl: u32, options: &[u8]) -> Self {
        self.record(3, b"\0", 41, size, ttl, options)
    }

    /// Behind its length, for TCP.
    pub fn framed(&self) -> Vec<u8> {
        [&(self.0.len() as u16).to_be_bytes()[..], &self.0].concat()
    }
}

/// A query for the address of a host.
pub fn query(id: u16, host: &str) -> Built {
    Built::new(id, 0x0100).ask(host, 1)
}

/// A response without answers.
pub fn reply(id: u16, host: &str) -> Built {
    Built::new(id, 0x8180).ask(host, 1)
}
