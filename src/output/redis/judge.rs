//! What a reply means for the records of its command.

use super::Why;
use crate::fmt::resp::Reply;

/// How much of a server's error is kept, in bytes.
const REASON: usize = 300;

/// The verdict on one command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The server has it; of a message to a channel also how many subscribers heard it.
    Stored(Option<i64>),
    /// The server takes nothing of this kind now.
    Down(Why),
    /// This command again, later.
    Retry(Why),
    /// Never.
    Refused(Why),
}

/// Judges the reply to a command that pushes, publishes or adds. `is_fixed`: the key is the same for all records, so that an
/// error about it concerns all of them, and only the operator can mend it.
pub(super) fn judge(reply: Reply<'_>, is_fixed: bool) -> Verdict {
    match reply {
        Reply::Integer(n) => Verdict::Stored(Some(n)),
        Reply::Text(_) => Verdict::Stored(None),
        Reply::Error(text) => error(text, is_fixed),
        other => Verdict::Down(format!("an answer that fits no command: {other:?}; is this a Redis server?").into()),
    }
}

/// The words for an error, and what helps; `None` for one that is not known.
fn remedy(code: &str, text: &str) -> Option<&'static str> {
    Some(match code {
        "OOM" => {
            "its memory is full (maxmemory): it takes nothing until consumers have emptied it or maxmemory is raised"
        }
        "LOADING" => "it is loading its data set",
        "READONLY" => "it is a replica that takes no writes: name the primary in Host or Hosts",
        "MASTERDOWN" => "it is a replica that has lost its primary",
        "NOAUTH" => "it asks for a password: set Password (and Username)",
        "WRONGPASS" => "Username or Password is wrong",
        "NOPERM" => "this user may not do that: give it the command and the key (ACL SETUSER)",
        "MOVED" | "ASK" | "CROSSSLOT" => {
            "it is a node of a Redis Cluster, and the key belongs to another one: name that one in Host"
        }
        "CLUSTERDOWN" | "TRYAGAIN" => "its cluster is not in order",
        "MISCONF" => "it cannot write its own snapshots and so takes nothing",
        "NOREPLICAS" => "it has fewer replicas than min-replicas-to-write",
        "BUSY" => "it is running a script",
        "NOPROTO" | "DENIED" => "it does not let us in",
        // Before it knows who asks it takes ten words of a command at most.
        "ERR" if text.contains("unauthenticated") => "it asks for a password: set Password (and Username)",
        "ERR" if text.contains("max number of clients") => "it has as many clients as maxclients allows",
        "ERR" if text.contains("unknown command") => {
            "it does not know the command: is it renamed, or the server too old?"
        }
        "ERR" if text.contains("AUTH") => "it has no password: remove Password",
        "ERR" if text.contains("DB index") => "it has no database of that number: set DB",
        _ => return None,
    })
}

/// An error of the server in words; the second says whether it is one that concerns all commands.
pub(super) fn words(text: &[u8]) -> (Why, bool) {
    let text = text.get(..REASON).unwrap_or(text);
    let text = String::from_utf8_lossy(text);
    let code = text.split(' ').next().unwrap_or_default();
    match remedy(code, &text) {
        Some(remedy) => (format!("{text}: {remedy}").into(), true),
        None => (text.into_owned().into(), false),
    }
}

fn error(text: &[u8], is_fixed: bool) -> Verdict {
    let (why, is_general) = words(text);
    let code = text.split(|b| *b == b' ').next().unwrap_or_default();
    match code {
        b"WRONGTYPE" if is_fixed => {
            let help = "the key holds something else: delete it there, or set another Key or Data_Type";
            Verdict::Down(format!("{why}: {help}").into())
        }
        b"WRONGTYPE" => Verdict::Refused(why),
        // One key of many lives elsewhere: others may well be stored.
        b"MOVED" | b"ASK" if !is_fixed => Verdict::Retry(why),
        _ if is_general => Verdict::Down(why),
        _ => Verdict::Retry(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let of = |text: &str, is_fixed| match judge(Reply::Error(text.as_bytes()), is_fixed) {
            Verdict::Down(why) => format!("down {why}"),
            Verdict::Retry(why) => format!("retry {why}"),
            Verdict::Refused(why) => format!("refused {why}"),
            Verdict::Stored(_) => "stored".into(),
        };
        let table = [
            ("OOM command not allowed when used memory > 'maxmemory'.", "down OOM", "(maxmemory)"),
            ("LOADING Redis is loading the dataset in memory", "down", "loading its data"),
            ("READONLY You can't write against a read only replica.", "down", "primary"),
            ("NOAUTH Authentication required.", "down", "set Password"),
            ("NOPERM this user has no permissions", "down", "ACL"),
            ("MOVED 3999 127.0.0.1:6381", "down", "name that one"),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", "down", "another Key"),
            ("MISCONF Redis is configured to save RDB snapshots", "down", "snapshots"),
            ("ERR Protocol error: unauthenticated multibulk length", "down", "set Password"),
            ("ERR unknown command 'XADD'", "down", "renamed"),
            ("ERR something new", "retry ERR something new", ""),
        ];
        for (text, begin, part) in table {
            let said = of(text, true);
            assert!(said.starts_with(begin) && said.contains(part), "{said}");
        }
        assert!(of("WRONGTYPE x", false).starts_with("refused WRONGTYPE x"));
        assert!(of("MOVED 1 h:1", false).starts_with("retry"));
        assert_eq!(judge(Reply::Integer(3), true), Verdict::Stored(Some(3)));
        assert_eq!(judge(Reply::Text(b"1-1"), true), Verdict::Stored(None));
        assert!(matches!(judge(Reply::Status(b"OK"), true), Verdict::Down(_)));
        assert_eq!(words(&[b'x'; 5000]).0.len(), REASON);
    }
}
