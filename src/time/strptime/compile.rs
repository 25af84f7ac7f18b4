//! From the text of a format to the steps that read a time by it.

/// One step of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Any run of white space, none included.
    Blank,
    Literal(u8),
    /// A `Z` behind the seconds or their fraction: it says that the time is UTC.
    Zulu,
    Year,
    /// `%y`: two digits, 69 to 99 in the 1900s, others in the 2000s unless `%C` says more.
    ShortYear,
    Century,
    Month,
    MonthName,
    Day,
    /// `%e`: a day that may have a blank in front.
    BlankDay,
    YearDay,
    Hour,
    /// `%k`: an hour that may have a blank in front.
    BlankHour,
    Hour12,
    /// `%l`: as `%k` with twelve hours.
    BlankHour12,
    AmPm,
    Minute,
    Second,
    /// `%L`
    Fraction,
    /// `%s`
    Epoch,
    /// `%z`
    Offset,
    /// `%Z`
    ZoneName,
    DayName,
    /// A number that is checked and then of no use: weeks, days of the week.
    Unused {
        low: u8,
        high: u8,
    },
    /// `%G`: digits, as many as there are.
    UnusedDigits,
    /// Tries `HH:MM:SS` in one go, and the five steps after it where that fails.
    Clock,
    /// Tries `YYYY-MM-DD` likewise.
    DashDate,
    /// Tries `dd/Mon/YYYY` likewise.
    SlashDate,
}

/// Steps that a step tried in one go stands for.
pub(super) const FUSED: usize = 5;

/// Compiles `format`; the error says which part of it is not understood.
pub(super) fn compile(format: &str) -> Result<Vec<Op>, String> {
    let mut ops = Vec::new();
    append(format, &mut ops)?;
    if ops.iter().filter(|&&op| op == Op::Fraction).count() > 1 {
        return Err(format!("time format '{format}' has more than one %L"));
    }
    Ok(fuse(&ops))
}

fn append(format: &str, ops: &mut Vec<Op>) -> Result<(), String> {
    let mut rest = format.bytes();
    while let Some(b) = rest.next() {
        if is_blank(b) {
            ops.push(Op::Blank);
            continue;
        }
        if b != b'%' {
            let zulu = b == b'Z' && matches!(ops.last(), Some(Op::Second | Op::Fraction));
            ops.push(if zulu { Op::Zulu } else { Op::Literal(b) });
            continue;
        }
        let mut spec = rest.next().unwrap_or_default();
        let mut modifier = None;
        if matches!(spec, b'E' | b'O') {
            modifier = Some(spec);
            spec = rest.next().unwrap_or_default();
        }
        let allowed = match modifier {
            None => true,
            Some(b'E') => b"cCxXyY".contains(&spec),
            Some(_) => b"deHImMSuUwWy".contains(&spec),
        };
        if !allowed || !append_spec(spec, ops)? {
            let modifier = modifier.map_or("", |m| if m == b'E' { "E" } else { "O" });
            let shown = if spec == 0 { String::new() } else { char::from(spec).to_string() };
            return Err(format!("time format '{format}': unknown specifier '%{modifier}{shown}'"));
        }
    }
    Ok(())
}

/// Adds the steps of `%spec`; `false` when there is no such specifier.
fn append_spec(spec: u8, ops: &mut Vec<Op>) -> Result<bool, String> {
    ops.push(match spec {
        b'%' => Op::Literal(b'%'),
        b'a' | b'A' => Op::DayName,
        b'b' | b'B' | b'h' => Op::MonthName,
        b'C' => Op::Century,
        b'd' => Op::Day,
        b'e' => Op::BlankDay,
        b'G' => Op::UnusedDigits,
        b'g' => Op::Unused { low: 0, high: 99 },
        b'H' => Op::Hour,
        b'I' => Op::Hour12,
        b'j' => Op::YearDay,
        b'k' => Op::BlankHour,
        b'L' => Op::Fraction,
        b'l' => Op::BlankHour12,
        b'M' => Op::Minute,
        b'm' => Op::Month,
        b'n' | b't' => Op::Blank,
        b'p' => Op::AmPm,
        b'S' => Op::Second,
        b's' => Op::Epoch,
        b'U' | b'V' | b'W' => Op::Unused { low: 0, high: 53 },
        b'u' => Op::Unused { low: 1, high: 7 },
        b'w' => Op::Unused { low: 0, high: 6 },
        b'Y' => Op::Year,
        b'y' => Op::ShortYear,
        b'Z' => Op::ZoneName,
        b'z' => Op::Offset,
        _ => {
            let whole = match spec {
                b'c' => "%a %b %e %H:%M:%S %Y",
                b'D' | b'x' => "%m/%d/%y",
                b'F' => "%Y-%m-%d",
                b'R' => "%H:%M",
                b'r' => "%I:%M:%S %p",
                b'T' | b'X' => "%H:%M:%S",
                _ => return Ok(false),
            };
            append(whole, ops)?;
            return Ok(true);
        }
    });
    Ok(true)
}

/// Puts a step that tries the usual shape before every run of steps that has one.
fn fuse(ops: &[Op]) -> Vec<Op> {
    use Op::{Day, Hour, Literal, Minute, Month, MonthName, Second, Year};
    let mut out = Vec::with_capacity(ops.len() + 2);
    for n in 0..ops.len() {
        match ops.get(n..n + FUSED) {
            Some([Hour, Literal(b':'), Minute, Literal(b':'), Second]) => out.push(Op::Clock),
            Some([Year, Literal(b'-'), Month, Literal(b'-'), Day]) => out.push(Op::DashDate),
            Some([Day, Literal(b'/'), MonthName, Literal(b'/'), Year]) => out.push(Op::SlashDate),
            _ => {}
        }
        out.extend(ops.get(n));
    }
    out
}

/// White space as C's isspace has it.
pub(super) const fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_specifier_compiles() {
        for spec in "%aAbBhcCdDeFgGHIjklLmMnprRsStTuUVwWxXyYzZ".chars() {
            assert!(compile(&format!("%{spec}")).is_ok(), "%{spec}");
        }
        for format in ["%Ec %EC %Ex %EX %Ey %EY", "%Od %Oe %OH %OI %Om %OM %OS %Ou %OU %Ow %OW %Oy"] {
            assert!(compile(format).is_ok(), "{format}");
        }
    }

    #[test]
    fn errors_name_the_specifier() {
        let table = [
            ("%Q", "unknown specifier '%Q'"),
            ("a %", "unknown specifier '%'"),
            ("%E", "unknown specifier '%E'"),
            ("%Ed", "unknown specifier '%Ed'"),
            ("%Ob", "unknown specifier '%Ob'"),
            ("%EOy", "unknown specifier '%EO'"),
            ("%S.%L %L", "has more than one %L"),
        ];
        for (format, expected) in table {
            let error = compile(format).unwrap_err();
            assert!(error.contains(expected) && error.contains(format), "{error}");
        }
    }

    #[test]
    fn usual_shapes_are_fused() {
        let fused = |format| {
            compile(format)
                .unwrap()
                .into_iter()
                .filter(|op| matches!(op, Op::Clock | Op::DashDate | Op::SlashDate))
                .count()
        };
        assert_eq!(fused("%d/%b/%Y:%H:%M:%S %z"), 2);
        assert_eq!(fused("%FT%T.%L%z"), 2);
        assert_eq!(fused("%b %d %H:%M:%S"), 1);
        assert_eq!(fused("%H:%M"), 0);
    }

    #[test]
    fn only_a_z_behind_the_seconds_is_a_zone() {
        let zulu = |format| compile(format).unwrap().contains(&Op::Zulu);
        assert!(zulu("%H:%M:%SZ") && zulu("%S.%LZ") && zulu("%TZ"));
        assert!(!zulu("Z%S") && !zulu("%S Z") && !zulu("%MZ"));
    }
}
