//! What kubelets, administrators and users ask the Kubernetes API for: HTTPS, with a token.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Stream = BufReader<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>;

/// A client that keeps its connections.
pub struct Api {
    address: String,
    token: String,
    tls: Arc<rustls::ClientConfig>,
    idle: Mutex<Vec<Stream>>,
}

impl Api {
    /// The API at port 443 of an address, whose certificate was signed by the authority in this file.
    pub fn new(address: &str, ca: &Path, token: &str) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = Arc::new(tls.with_root_certificates(roots).with_no_client_auth());
        Self { address: address.into(), token: token.into(), tls, idle: Mutex::default() }
    }

    /// The same API with another token.
    pub fn with(&self, token: &str) -> Self {
        Self { address: self.address.clone(), token: token.into(), tls: self.tls.clone(), idle: Mutex::default() }
    }

    /// Creates an object.
    pub fn create(&self, path: &str, object: &Value) -> Value {
        self.must("POST", path, "application/json", &object.to_string())
    }

    /// Changes a part of an object.
    pub fn patch(&self, path: &str, part: &Value) -> Value {
        self.must("PATCH", path, "application/merge-patch+json", &part.to_string())
    }

    /// Deletes an object, at once.
    pub fn delete(&self, path: &str) {
        let now = r#"{"gracePeriodSeconds":0,"propagationPolicy":"Background"}"#;
        self.must("DELETE", path, "application/json", now);
    }

    fn must(&self, method: &str, path: &str, kind: &str, body: &str) -> Value {
        let (status, answer) = self.ask(method, path, kind, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}\n{body}");
        answer
    }

    /// Status and body of an answer. A kept connection that was closed meanwhile is made anew.
    pub fn ask(&self, method: &str, path: &str, kind: &str, body: &str) -> (u16, Value) {
        let kept = self.idle.lock().unwrap().pop();
        if let Some(mut stream) = kept
            && let Ok(answer) = self.exchange(&mut stream, method, path, kind, body)
        {
            self.idle.lock().unwrap().push(stream);
            return answer;
        }
        let answer = self.connect().and_then(|mut stream| {
            let answer = self.exchange(&mut stream, method, path, kind, body)?;
            self.idle.lock().unwrap().push(stream);
            Ok(answer)
        });
        answer.unwrap_or_else(|e| (0, Value::from(e.to_string())))
    }

    fn connect(&self) -> std::io::Result<Stream> {
        let tcp = TcpStream::connect((self.address.as_str(), 443))?;
        tcp.set_read_timeout(Some(Duration::from_secs(60)))?;
        let name = ServerName::try_from("kubernetes.default.svc").unwrap();
        let session = rustls::ClientConnection::new(self.tls.clone(), name).unwrap();
        Ok(BufReader::new(rustls::StreamOwned::new(session, tcp)))
    }

    fn exchange(
        &self,
        stream: &mut Stream,
        method: &str,
        path: &str,
        kind: &str,
        body: &str,
    ) -> std::io::Result<(u16, Value)> {
        let token = match self.token.as_str() {
            "" => String::new(),
            token => format!("Authorization: Bearer {token}\r\n"),
        };
        let kind = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: kubernetes.default.svc\r\n{token}{kind}Accept: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.get_mut().write_all(request.as_bytes())?;
        stream.get_mut().flush()?;
        let broken = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(broken)?;
        let (mut length, mut chunked) = (0, false);
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap_or(0),
                "transfer-encoding" => chunked = value == "chunked",
                _ => {}
            }
        }
        let mut text = Vec::new();
        loop {
            if chunked {
                line.clear();
                stream.read_line(&mut line)?;
                length = usize::from_str_radix(line.trim(), 16).map_err(|_| broken())?;
            }
            let from = text.len();
            text.resize(from + length, 0);
            stream.read_exact(&mut text[from..])?;
            if chunked {
                line.clear();
                stream.read_line(&mut line)?;
            }
            if !chunked || length == 0 {
                break;
            }
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }
}
