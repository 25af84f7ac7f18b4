//! The engines of last resort: `regex` where lowering was not possible or ran out of budget, `fancy-regex` for what
//! `regex` cannot say. Built when first needed: most patterns never need them.

use std::sync::{Mutex, OnceLock};

use super::Slots;
use super::error::RegexError;
use super::fancy::Fancy;
use super::piece::{Flavour, Translated};

/// Longer texts are not given to `fancy-regex`: between two steps back it may read all of the text.
const FANCY_TEXT_MAX: usize = 32 << 10;

/// One pattern for these engines, in up to four builds.
#[derive(Debug)]
pub(super) struct Slow {
    pattern: String,
    fancy: bool,
    /// Searches valid UTF-8, classes in characters.
    chars: OnceLock<Option<Engine>>,
    /// Searches any bytes, each a character of its own.
    bytes: OnceLock<Option<Engine>>,
    /// As the above, but only at the start of the text.
    chars_at_start: OnceLock<Option<Engine>>,
    bytes_at_start: OnceLock<Option<Engine>>,
}

#[derive(Debug)]
enum Engine {
    Plain(regex::bytes::Regex, Mutex<regex::bytes::CaptureLocations>),
    Fancy(Fancy),
}

/// What a search wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// A match anywhere.
    Anywhere,
    /// A match that begins with the text.
    AtStart,
}

impl Slow {
    /// Keeps the pattern; engines are built when they are needed.
    pub(super) fn new(translated: &Translated, fancy: bool) -> Self {
        let flavour = if fancy { Flavour::Fancy } else { Flavour::Plain };
        Self {
            pattern: translated.write(flavour).map(|written| written.text).unwrap_or_default(),
            fancy,
            chars: OnceLock::new(),
            bytes: OnceLock::new(),
            chars_at_start: OnceLock::new(),
            bytes_at_start: OnceLock::new(),
        }
    }

    /// Builds the main engine now, which shows what is wrong with a pattern.
    pub(super) fn build(&self, translated: &Translated) -> Result<(), RegexError> {
        let engine = if self.fancy {
            let written = translated.write(Flavour::Fancy)?;
            let place = |at: Option<usize>| at.map_or(0, |at| written.place(at));
            let built = Fancy::new(&self.pattern, true).map_err(|(at, why)| RegexError::new(place(at), why));
            Engine::Fancy(built?)
        } else {
            build_plain(&self.pattern, true)
                .ok_or_else(|| RegexError::new(0, "the pattern grows too big when its repetitions are written out"))?
        };
        _ = self.chars.set(Some(engine));
        Ok(())
    }

    pub(super) fn is_fancy(&self) -> bool {
        self.fancy
    }

    /// Whether the engine takes the pattern at all.
    #[cfg(all(test, feature = "patterns"))]
    pub(super) fn is_usable(&self) -> bool {
        self.chars.get_or_init(|| self.make(true, Want::Anywhere)).is_some()
    }

    /// Searches `text`; groups go to `slots` when they are wanted.
    pub(super) fn search(&self, text: &[u8], want: Want, slots: Option<&mut Slots>) -> bool {
        if self.fancy && text.len() > FANCY_TEXT_MAX {
            return false;
        }
        let valid = std::str::from_utf8(text).ok();
        let cell = match (valid.is_some(), want) {
            (true, Want::Anywhere) => &self.chars,
            (true, Want::AtStart) => &self.chars_at_start,
            (false, Want::Anywhere) => &self.bytes,
            (false, Want::AtStart) => &self.bytes_at_start,
        };
        let engine = cell.get_or_init(|| self.make(valid.is_some(), want));
        match engine {
            Some(Engine::Plain(regex, locations)) => search_plain(regex, locations, text, slots),
            Some(Engine::Fancy(regex)) => regex.search(text, valid, slots),
            None => false,
        }
    }

    fn make(&self, chars: bool, want: Want) -> Option<Engine> {
        let anchored;
        let pattern = match want {
            Want::Anywhere => &self.pattern,
            Want::AtStart => {
                anchored = format!(r"\A(?:{})", self.pattern);
                &anchored
            }
        };
        match (self.fancy, chars) {
            (true, chars) => Fancy::new(pattern, chars).ok().map(Engine::Fancy),
            (false, true) => build_plain(pattern, true),
            (false, false) => build_plain(pattern, false).or_else(|| build_plain(pattern, true)),
        }
    }
}

fn build_plain(pattern: &str, unicode: bool) -> Option<Engine> {
    let regex = regex::bytes::RegexBuilder::new(pattern).unicode(unicode).build().ok()?;
    let locations = Mutex::new(regex.capture_locations());
    Some(Engine::Plain(regex, locations))
}

fn search_plain(
    regex: &regex::bytes::Regex,
    locations: &Mutex<regex::bytes::CaptureLocations>,
    text: &[u8],
    slots: Option<&mut Slots>,
) -> bool {
    let Some(slots) = slots else { return regex.is_match(text) };
    let mut own;
    let mut shared = locations.try_lock();
    let locations = match &mut shared {
        Ok(locations) => &mut **locations,
        Err(_) => {
            own = regex.capture_locations();
            &mut own
        }
    };
    let hit = regex.captures_read(locations, text).is_some();
    if hit {
        slots.fill((0..locations.len()).map(|group| locations.get(group)));
    }
    hit
}
