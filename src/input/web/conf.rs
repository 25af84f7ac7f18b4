//! The keys of inputs that speak HTTP.

use super::Auth;
use crate::conf::BinarySize;
use crate::conf::common::{NetIn, TlsServer};
use crate::input::serve::AckWhen;
use crate::net::ServerTls;
use crate::plugin::MakeCx;
use std::time::Duration;

crate::config! {
    /// Keys of inputs that speak HTTP.
    pub struct WebConf {
        /// The longest body, packed or unpacked; a longer one is answered with 413.
        buffer_max_size: BinarySize => "Buffer_Max_Size" = "4M",
        /// Bytes read from a connection at a time, at most.
        buffer_chunk_size: BinarySize => "Buffer_Chunk_Size" = "512K",
        /// Serve only clients that log in with this name (basic authentication).
        http_user: Option<String> => "HTTP_User",
        /// The password of HTTP_User.
        http_passwd: Option<String> => "HTTP_Passwd",
        /// Serve only clients that show this token (`Authorization: Bearer …`, or the access key of Amazon Data Firehose).
        bearer_token: Option<String> => "Bearer_Token",
        /// When a request is answered: once its records are delivered or in a chunk file, or at once (as Fluent Bit does).
        /// A client that repeats what was not answered with success then loses nothing.
        ack: AckWhen => "Ack" = "delivered",
        /// How long an answer may wait for the delivery; then it is 503 (elasticsearch: 429), and what the client sends again may come
        /// twice. 0 is for ever.
        ack_timeout: Duration => "Ack_Timeout" = "60s",
        /// How long a client may take for the head of a request, and for each 128 KiB of its body. 0 is for ever.
        request_timeout: Duration => "Request_Timeout" = "30s",
    }
    unserved ["http2=on", "http_server.*", "oauth2.*", "Workers=1"]
}

/// What is made of these keys and those of the network.
#[derive(Debug)]
pub struct WebIn {
    /// Where to listen.
    pub net: NetIn,
    /// With a certificate.
    pub tls: Option<ServerTls>,
    /// Who is let in.
    pub auth: Auth,
    /// The rest.
    pub conf: WebConf,
}

impl WebIn {
    /// Reads and checks the keys.
    pub fn load(cx: &mut MakeCx<'_>) -> Option<Self> {
        let conf = WebConf::load(cx.section, cx.diags)?;
        let net = NetIn::load(cx.section, cx.diags)?;
        let tls = TlsServer::load(cx.section, cx.diags)?;
        let tls = cx.server_tls(&tls)?.map(|tls| tls.with_alpn(&[b"http/1.1"]));
        if conf.http_passwd.is_some() && conf.http_user.is_none() {
            return cx.refuse("HTTP_Passwd", "HTTP_Passwd needs HTTP_User", "Add HTTP_User.");
        }
        if conf.bearer_token.as_deref() == Some("") {
            return cx.refuse("Bearer_Token", "Bearer_Token is empty", "Leave it out to let everybody in.");
        }
        if conf.buffer_max_size.0 == 0 || conf.buffer_max_size.0 > LARGEST {
            let help = "The whole body is held in memory: 4M is usual.";
            return cx.refuse("Buffer_Max_Size", "Buffer_Max_Size is not between 1 and 256M", help);
        }
        let login = conf.http_user.as_deref().map(|user| (user, conf.http_passwd.as_deref().unwrap_or_default()));
        let auth = Auth::new(login, conf.bearer_token.as_deref());
        Some(Self { net, tls, auth, conf })
    }
}

/// The largest Buffer_Max_Size, in bytes.
const LARGEST: u64 = 256 << 20;
