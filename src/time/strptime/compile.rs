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
    /// Tries a usual shape in one go. The steps that it stands for follow it, for texts of another shape.
    Try(Usual),
}

/// Shapes that are read in one go when every number in them has its full width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usual {
    /// `HH:MM:SS`
    Clock,
    /// `dd/Mon/YYYY:HH:MM:SS`, as web servers write it.
    Web,
    /// `YYYY-MM-DD`, this byte, `HH:MM:SS`
    Iso(u8),
    /// `Mon dd HH:MM:SS`, as syslog writes it: the day may have a blank for its first digit.
    Syslog,
}

impl Usual {
    /// The shape at the start of `ops`, if there is one.
    fn at(ops: &[Op]) -> Option<Self> {
        use Op::{Blank, Day, Literal, Month, MonthName, Year};
        let is_clock = |ops: &[Op]| {
            use Op::{Hour, Minute, Second};
            ops.starts_with(&[Hour, Literal(b':'), Minute, Literal(b':'), Second])
        };
        match ops {
            [Day, Literal(b'/'), MonthName, Literal(b'/'), Year, Literal(b':'), clock @ ..] if is_clock(clock) => {
                Some(Self::Web)
            }
            [Year, Literal(b'-'), Month, Literal(b'-'), Day, Literal(b), clock @ ..] if is_clock(clock) => {
                Some(Self::Iso(*b))
            }
            [Year, Literal(b'-'), Month, Literal(b'-'), Day, Blank, clock @ ..] if is_clock(clock) => {
                Some(Self::Iso(b' '))
            }
            [MonthName, Blank, Day, Blank, clock @ ..] if is_clock(clock) => Some(Self::Syslog),
            clock if is_clock(clock) => Some(Self::Clock),
            _ => None,
        }
    }

    /// Steps that the shape stands for.
    pub(super) const fn steps(self) -> usize {
        match self {
            Self::Clock => 5,
            Self::Web | Self::Iso(_) => 11,
            Self::Syslog => 9,
        }
    }
}

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
fn fuse(mut ops: &[Op]) -> Vec<Op> {
    let mut out = Vec::with_capacity(ops.len() + 1);
    while let Some((&first, after)) = ops.split_first() {
        if let Some(usual) = Usual::at(ops)
            && let Some((run, after)) = ops.split_at_checked(usual.steps())
        {
            out.push(Op::Try(usual));
            out.extend_from_slice(run);
            ops = after;
            continue;
        }
        // An offset reads over blanks in front of it by itself.
        if first != Op::Blank || after.first() != Some(&Op::Offset) {
            out.push(first);
        }
        ops = after;
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
    fn usual_shapes_are_found() {
        let table: &[(&str, &[Usual])] = &[
            ("%d/%b/%Y:%H:%M:%S %z", &[Usual::Web]),
            ("[%d/%b/%Y:%T]", &[Usual::Web]),
            ("%FT%T.%L%z", &[Usual::Iso(b'T')]),
            ("%Y-%m-%d %H:%M:%S", &[Usual::Iso(b' ')]),
            ("%b %d %H:%M:%S", &[Usual::Syslog]),
            ("%a %b %d %H:%M:%S %Y", &[Usual::Syslog]),
            ("%T %T", &[Usual::Clock, Usual::Clock]),
            ("%F", &[]),
            ("%H:%M", &[]),
        ];
        for &(format, expected) in table {
            let ops = compile(format).unwrap();
            let found: Vec<Usual> =
                ops.iter().filter_map(|op| if let Op::Try(usual) = op { Some(*usual) } else { None }).collect();
            assert_eq!(found, expected, "{format}");
            for (n, op) in ops.iter().enumerate() {
                if let Op::Try(usual) = op {
                    assert_eq!(Usual::at(&ops[n + 1..n + 1 + usual.steps()]), Some(*usual), "{format}");
                }
            }
        }
    }

    #[test]
    fn only_a_z_behind_the_seconds_is_a_zone() {
        let zulu = |format| compile(format).unwrap().contains(&Op::Zulu);
        assert!(zulu("%H:%M:%SZ") && zulu("%S.%LZ") && zulu("%TZ"));
        assert!(!zulu("Z%S") && !zulu("%S Z") && !zulu("%MZ"));
    }
}
