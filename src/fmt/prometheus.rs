//! Metrics, and the text in which Prometheus reads them (exposition format 0.0.4).

use std::fmt::Write as _;

/// What a metric does over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Type {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// Metrics of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// `fluentbit_input_records_total`
    pub name: &'static str,
    /// What it counts, in a sentence without its full stop.
    pub help: &'static str,
    /// What it does over time.
    pub kind: Type,
    /// Its values.
    pub samples: Vec<Sample>,
}

/// One value, told apart by its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Names and values.
    pub labels: Vec<(&'static str, String)>,
    /// The number; ours are whole.
    pub value: u64,
}

impl Family {
    /// A family without values.
    pub fn new(name: &'static str, kind: Type, help: &'static str) -> Self {
        Self { name, help, kind, samples: Vec::new() }
    }

    /// Adds a value.
    #[must_use]
    pub fn with(mut self, labels: &[(&'static str, &str)], value: u64) -> Self {
        self.add(labels, value);
        self
    }

    /// Adds a value.
    pub fn add(&mut self, labels: &[(&'static str, &str)], value: u64) {
        let labels = labels.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        self.samples.push(Sample { labels, value });
    }
}

/// Appends families that have values, each value with a time in milliseconds where one is given.
pub fn write(families: &[Family], time_ms: Option<u64>, out: &mut String) {
    for family in families.iter().filter(|f| !f.samples.is_empty()) {
        let Family { name, help, kind, samples } = family;
        let _ = write!(out, "# HELP {name} {help}.\n# TYPE {name} {}\n", kind.name());
        for sample in samples {
            out.push_str(name);
            labels(&sample.labels, out);
            let _ = write!(out, " {}", sample.value);
            if let Some(time) = time_ms {
                let _ = write!(out, " {time}");
            }
            out.push('\n');
        }
    }
}

/// Appends families as lines `TIME NAME{labels} = VALUE`, the time in RFC 3339.
pub fn write_lines(families: &[Family], time: &str, out: &mut String) {
    for family in families {
        for sample in &family.samples {
            let _ = write!(out, "{time} {}", family.name);
            labels(&sample.labels, out);
            let _ = writeln!(out, " = {}", sample.value);
        }
    }
}

fn labels(labels: &[(&'static str, String)], out: &mut String) {
    for (n, (name, text)) in labels.iter().enumerate() {
        let _ = write!(out, "{}{name}=\"", if n == 0 { '{' } else { ',' });
        for c in text.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    if !labels.is_empty() {
        out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let all = [
            Family::new("a_total", Type::Counter, "Number of a").with(&[], 1),
            Family::new("none", Type::Gauge, "Nothing"),
            Family::new("b", Type::Gauge, "What b is")
                .with(&[("name", "x\"\\\n"), ("k", "")], 2)
                .with(&[("name", "é")], 3),
        ];
        let mut out = String::new();
        write(&all, None, &mut out);
        assert_eq!(
            out,
            "# HELP a_total Number of a.\n# TYPE a_total counter\na_total 1\n# HELP b What b is.\n# TYPE b gauge\n\
             b{name=\"x\\\"\\\\\\n\",k=\"\"} 2\nb{name=\"é\"} 3\n"
        );
        out.clear();
        write(&all[..1], Some(5), &mut out);
        assert!(out.ends_with("\na_total 1 5\n"));
        out.clear();
        write_lines(&all[..1], "T", &mut out);
        assert_eq!(out, "T a_total = 1\n");
    }
}
