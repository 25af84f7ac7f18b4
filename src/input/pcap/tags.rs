//! The tag of each protocol: `<protocol>` in the configured one stands for its name.

use crate::event::Tag;

/// What is replaced.
const MARK: &str = "<protocol>";

/// Makes the tags of one input; each is made once.
#[derive(Debug)]
pub struct Tags {
    template: Tag,
    /// By protocol: `decode` names a handful.
    made: Vec<(&'static str, Tag)>,
}

impl Tags {
    /// Tags of this template.
    pub fn new(template: &Tag) -> Self {
        Self { template: template.clone(), made: Vec::new() }
    }

    /// The tag of a protocol's records.
    pub fn of(&mut self, protocol: &'static str) -> &Tag {
        let known = self.made.iter().position(|(name, _)| *name == protocol);
        let at = known.unwrap_or_else(|| {
            let tag = match self.template.contains(MARK) {
                true => Tag::new(&self.template.replace(MARK, protocol)),
                false => self.template.clone(),
            };
            self.made.push((protocol, tag));
            self.made.len() - 1
        });
        self.made.get(at).map_or(&self.template, |(_, tag)| tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_have_tags() {
        let mut tags = Tags::new(&Tag::new("packet.<protocol>.x.<protocol>"));
        assert_eq!(&**tags.of("http"), "packet.http.x.http");
        assert_eq!(&**tags.of("flow"), "packet.flow.x.flow");
        assert_eq!(&**tags.of("http"), "packet.http.x.http");
        let mut tags = Tags::new(&Tag::new("pcap.0"));
        assert_eq!(&**tags.of("http"), "pcap.0");
    }
}
