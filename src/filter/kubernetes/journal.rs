//! `Use_Journal`: records of the journal name their container in a field.

use super::names::{NameReader, Names};
use crate::event::{Batch, Key};

/// Reads the fields.
pub struct Journal {
    /// As Docker writes them, and in lower case.
    name: [Key; 2],
    id: [Key; 2],
    text: String,
    /// Where the id begins in it.
    split: usize,
    last: String,
}

impl Default for Journal {
    fn default() -> Self {
        let keys = |names: [&str; 2]| names.map(Key::of);
        let (name, id) = (["CONTAINER_NAME", "container_name"], ["CONTAINER_ID_FULL", "container_id_full"]);
        Self { name: keys(name), id: keys(id), text: String::new(), split: 0, last: String::new() }
    }
}

impl Journal {
    /// Reads the container of a record; `None` when it is of none, else whether it is that of the record before.
    pub fn read(&mut self, batch: &Batch, i: usize) -> Option<bool> {
        std::mem::swap(&mut self.text, &mut self.last);
        self.text.clear();
        let body = batch.body(i);
        let field = |keys: [Key; 2]| keys.iter().find_map(|key| body.find(*key)).and_then(|v| v.as_text());
        let name = field(self.name)?;
        self.text.push_str(&String::from_utf8_lossy(&name.bytes()));
        self.split = self.text.len();
        if let Some(id) = field(self.id) {
            self.text.push('/');
            self.text.push_str(&String::from_utf8_lossy(&id.bytes()));
        }
        Some(self.text == self.last)
    }

    /// A name for the container.
    pub fn name(&self) -> &str {
        &self.text
    }

    /// What that name says.
    pub fn names(&self, reader: &mut NameReader) -> Option<Names> {
        let (name, id) = self.text.split_at_checked(self.split)?;
        let mut names = reader.read(name.as_bytes())?;
        if names.id.is_empty() {
            names.id = id.trim_start_matches('/').into();
        }
        Some(names)
    }
}
