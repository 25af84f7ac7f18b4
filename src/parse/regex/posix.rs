//! Character sets by name: `\d`, `[[:alpha:]]`, `\p{Alpha}`.
//!
//! As Ruby has it, `\d`, `\s` and `\w` mean ASCII unless `(?u)` says otherwise, while POSIX brackets, properties and
//! word boundaries mean Unicode unless `(?a)` says otherwise.

/// Which characters the named sets take in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Range {
    /// `(?d)`: escapes mean ASCII, brackets mean Unicode.
    #[default]
    Ruby,
    /// `(?a)`: ASCII everywhere.
    Ascii,
    /// `(?u)`: Unicode everywhere.
    Unicode,
}

/// `\h`.
pub(super) const HEX: &str = "0-9A-Fa-f";

/// `\d`, as the inside of a class.
pub(super) fn digit(range: Range) -> &'static str {
    if range == Range::Unicode { r"\p{Nd}" } else { "0-9" }
}

/// `\w`, as the inside of a class.
pub(super) fn word(range: Range) -> &'static str {
    if range == Range::Unicode { r"\w" } else { "0-9A-Za-z_" }
}

/// `\s`, as the inside of a class.
pub(super) fn space(range: Range) -> &'static str {
    if range == Range::Unicode { r"\s" } else { r"\t-\r\x20" }
}

/// The inside of a class for the POSIX bracket `[:name:]`; `None` when there is none of that name.
pub(super) fn bracket(name: &str, range: Range) -> Option<&'static str> {
    let unicode = range != Range::Ascii;
    Some(match name {
        "alnum" if unicode => r"\p{Alphabetic}\p{Nd}",
        "alpha" if unicode => r"\p{Alphabetic}",
        "blank" if unicode => r"\p{Zs}\t",
        "cntrl" if unicode => r"\p{Cc}",
        "digit" if unicode => r"\p{Nd}",
        "graph" if unicode => r"[^\s\p{Cc}\p{Cn}]",
        "lower" if unicode => r"\p{Lowercase}",
        "print" if unicode => r"[^\p{Cc}\p{Cn}\p{Zl}\p{Zp}]",
        "punct" if unicode => r"\p{P}$+<=>\^`\|\~",
        "space" if unicode => r"\s",
        "upper" if unicode => r"\p{Uppercase}",
        "word" if unicode => r"\w",
        "alnum" => "0-9A-Za-z",
        "alpha" => "A-Za-z",
        "blank" => r"\t\x20",
        "cntrl" => r"\x00-\x1F\x7F",
        "digit" => "0-9",
        "graph" => r"\x21-\x7E",
        "lower" => "a-z",
        "print" => r"\x20-\x7E",
        "punct" => r"\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E",
        "space" => r"\t-\r\x20",
        "upper" => "A-Z",
        "word" => "0-9A-Za-z_",
        "xdigit" => HEX,
        "ascii" => r"\x00-\x7F",
        _ => return None,
    })
}

/// The inside of a class for `\p{name}` where the name is one of the POSIX ones; other names are Unicode's own.
pub(super) fn property(name: &str, range: Range) -> Option<&'static str> {
    let plain: String = name.chars().filter(|c| !" -_".contains(*c)).map(|c| c.to_ascii_lowercase()).collect();
    match plain.as_str() {
        "punct" if range != Range::Ascii => Some(r"\p{P}"),
        "xposixpunct" => bracket("punct", range),
        "any" => Some(r"\x00-\x{10FFFF}"),
        other => bracket(other, range),
    }
}
