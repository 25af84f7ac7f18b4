//! Who is let in: basic authentication (RFC 7617) and bearer tokens (RFC 6750).

use crate::net::web::{Head, Response};
use crate::util::bytes::same;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The field in which Amazon Data Firehose shows its key.
const FIREHOSE_KEY: &str = "x-amz-firehose-access-key";

/// What a client has to show; nothing when neither is set.
#[derive(Clone, Default)]
pub struct Auth {
    /// Name and password as they stand in the field.
    basic: Option<String>,
    bearer: Option<String>,
}

impl Auth {
    /// A name with its password, or a token: one of them is enough.
    pub fn new(login: Option<(&str, &str)>, token: Option<&str>) -> Self {
        let basic = login.map(|(user, password)| BASE64_STANDARD.encode(format!("{user}:{password}")));
        Self { basic, bearer: token.map(str::to_owned) }
    }

    /// Whether a request shows one of them.
    pub fn allows(&self, head: &Head) -> bool {
        if self.basic.is_none() && self.bearer.is_none() {
            return true;
        }
        let shown = head.field("authorization").and_then(|value| {
            let at = value.iter().position(|b| *b == b' ')?;
            Some((value.get(..at)?, value.get(at..)?.trim_ascii()))
        });
        let shows = |scheme: &[u8], want: &Option<String>| match (shown, want) {
            (Some((s, key)), Some(want)) => s.eq_ignore_ascii_case(scheme) && same(key, want.as_bytes()),
            _ => false,
        };
        let firehose = match (head.field(FIREHOSE_KEY), &self.bearer) {
            (Some(key), Some(want)) => same(key, want.as_bytes()),
            _ => false,
        };
        shows(b"basic", &self.basic) || shows(b"bearer", &self.bearer) || firehose
    }

    /// Says how to log in.
    pub fn challenge(&self, response: Response) -> Response {
        let response = match &self.basic {
            Some(_) => response.with("WWW-Authenticate", "Basic realm=\"collector\", charset=\"UTF-8\""),
            None => response,
        };
        match &self.bearer {
            Some(_) => response.with("WWW-Authenticate", "Bearer realm=\"collector\""),
            None => response,
        }
    }
}

impl std::fmt::Debug for Auth {
    /// Without the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("basic", &self.basic.is_some()).field("bearer", &self.bearer.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::web::Inlet;

    fn allows(auth: &Auth, fields: &str) -> bool {
        let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let mut inlet = Inlet::default();
        inlet.room(false)[..text.len()].copy_from_slice(text.as_bytes());
        inlet.filled(text.len());
        auth.allows(&inlet.head().unwrap().unwrap())
    }

    #[test]
    fn logins_and_tokens() {
        let both = Auth::new(Some(("joe", "a:b")), Some("t0k"));
        for (fields, want) in [
            ("Authorization: Basic am9lOmE6Yg==\r\n", true),
            ("authorization: basic  am9lOmE6Yg== \r\n", true),
            ("Authorization: Bearer t0k\r\n", true),
            ("X-Amz-Firehose-Access-Key: t0k\r\n", true),
            ("", false),
            ("Authorization: am9lOmE6Yg==\r\n", false),
            ("Authorization: Basic t0k\r\n", false),
            ("Authorization: Bearer t0kk\r\n", false),
            ("Authorization: Bearer \r\n", false),
            ("X-Amz-Firehose-Access-Key: am9lOmE6Yg==\r\n", false),
        ] {
            assert_eq!(allows(&both, fields), want, "{fields:?}");
        }
        assert!(allows(&Auth::default(), ""));
        let said = both.challenge(Response::new(401));
        let mut out = Vec::new();
        said.write(false, false, &mut out);
        assert_eq!(String::from_utf8(out).unwrap().matches("WWW-Authenticate").count(), 2);
        assert!(!format!("{both:?}").contains("t0k"));
    }
}
