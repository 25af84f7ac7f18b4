//! The keys of whoever asks an API server.

use crate::conf::common::TlsDebug;
use std::time::Duration;

crate::config! {
    /// An API server: where it is, whom to trust, who we are.
    pub struct ApiConf {
        /// The API server: `http://` or `https://`, host, port, perhaps a path before `/api`. While the name of the default
        /// cannot be resolved, the address in `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT` is taken.
        kube_url: String => "Kube_URL" = "https://kubernetes.default.svc:443",
        /// A file with the authorities to trust. When it is missing, requests fail and say so until it is there.
        kube_ca_file: String => "Kube_CA_File" = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
        /// A directory with such files, used beside `Kube_CA_File`, or instead of it where only this is given.
        kube_ca_path: Option<String> => "Kube_CA_Path",
        /// The file with our token: read again when it changes, after `Kube_Token_TTL`, and when the server does not take it any
        /// more. Without the file requests are made without a token.
        kube_token_file: String => "Kube_Token_File" = "/var/run/secrets/kubernetes.io/serviceaccount/token",
        /// A command that prints our token, instead of a file. It runs in a shell, for a minute at most.
        kube_token_command: Option<String> => "Kube_Token_Command",
        /// How long a token is used before it is read again; 0 reads it for each request.
        kube_token_ttl: Duration => "Kube_Token_TTL" = "10m",
        /// From 2 on the log tells of each handshake what was agreed on.
        tls_debug: TlsDebug => "tls.debug" = "0",
        /// Check the server's certificate.
        tls_verify: bool => "tls.verify" = "on",
        /// Check that the certificate is made out to the host's name (Fluent Bit: off).
        tls_verify_hostname: bool => "tls.verify_hostname" = "on",
        /// The name to ask for and to check, when it is not the host's.
        tls_vhost: Option<String> => "tls.vhost",
        /// So many failures in a row to resolve the server's name are told as information, further ones as warnings. It is
        /// asked for until it is known; nothing waits for it.
        dns_retries: u32 => "DNS_Retries" = "6",
        /// The longest wait between two attempts while the server's name does not resolve.
        dns_wait_time: Duration => "DNS_Wait_Time" = "30s",
        /// Accepted, and without effect: answers are taken apart as they arrive, none is too large for a buffer.
        buffer_size: String => "Buffer_Size" = "32K",
    }
}
