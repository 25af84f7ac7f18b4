//! An API server: how it is reached and asked.

use super::address::Address;
use super::fail::named;
use super::token::Token;
use super::{ApiConf, Fail, ListSplit, Problem};
use crate::conf::Section;
use crate::conf::common::{NetOut, TlsClient};
use crate::error::Diags;
use crate::net::ask::{self, Answer};
use crate::net::{ClientTls, Prefer, Resolver, Target, Upstream};
use crate::rt::{timeout, yield_now};
use crate::util::counters::OwnCounters;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// How long the server may be silent: its own limit for a request is a minute.
pub(super) const PATIENCE: Duration = Duration::from_secs(70);
/// The part of an error's body that is looked at.
const MAX_STATUS: usize = 64 << 10;

/// Address, TLS, credentials of an API server (or a kubelet).
#[derive(Debug)]
pub struct Api {
    label: String,
    address: Address,
    /// Where to go while the name does not resolve.
    spare: Option<Target>,
    net: NetOut,
    tls: Tls,
    token: Token,
    /// To the address, and to the spare one; made when first needed.
    ups: [RefCell<Option<Upstream>>; 2],
    pub(super) dns_retries: u32,
    pub(super) dns_wait: Duration,
    /// Where requests are counted.
    counters: Option<Rc<OwnCounters>>,
}

/// The keys that TLS is made from.
#[derive(Debug)]
struct Tls {
    verify: bool,
    verify_hostname: bool,
    vhost: Option<String>,
    ca_file: Option<String>,
    ca_path: Option<String>,
    debug: crate::conf::common::TlsDebug,
}

impl Api {
    /// An API server as these keys describe it. Nothing is connected yet; files that are missing are asked for again with each
    /// request, and [`Self::cautions`] names them.
    ///
    /// # Errors
    /// Names the key that cannot be honoured, why, and the remedy.
    pub fn new(conf: &ApiConf) -> Result<Self, Problem> {
        Self::made(conf, Address::parse(&conf.kube_url)?)
    }

    /// Another server with the same credentials and authorities: a kubelet, over TLS.
    ///
    /// # Errors
    /// As [`Self::new`]; `host` is said to be of `Kubelet_Host`.
    pub fn kubelet(conf: &ApiConf, host: &str, port: u16) -> Result<Self, Problem> {
        let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let address = Address::parse(&format!("https://{shown}:{port}"));
        let help = "Write for example: Kubelet_Host 127.0.0.1";
        Self::made(conf, address.map_err(|p| Problem { key: "Kubelet_Host", why: p.why, help })?)
    }

    fn made(conf: &ApiConf, address: Address) -> Result<Self, Problem> {
        let env = |name| std::env::var(name).ok();
        let spare = address.spare(env("KUBERNETES_SERVICE_HOST"), env("KUBERNETES_SERVICE_PORT"));
        let file = Some(conf.kube_ca_file.clone());
        let tls = Tls {
            verify: conf.tls_verify,
            verify_hostname: conf.tls_verify_hostname,
            vhost: conf.tls_vhost.clone(),
            // A directory alone stands for the file that nobody named.
            ca_file: file.filter(|f| conf.kube_ca_path.is_none() || Path::new(f).exists()),
            ca_path: conf.kube_ca_path.clone(),
            debug: conf.tls_debug,
        };
        let api = Self {
            label: "kube".into(),
            spare,
            net: net().ok_or(Problem { key: "Kube_URL", why: "no connection can be made".into(), help: "" })?,
            tls,
            token: Token::new(conf),
            ups: Default::default(),
            dns_retries: conf.dns_retries,
            dns_wait: conf.dns_wait_time,
            counters: None,
            address,
        };
        match api.upstream(0) {
            Err(p) if !api.missing(&p) => Err(p),
            _ => Ok(api),
        }
    }

    /// Gives it a name for log lines: `filter:kubernetes:kubernetes.0`.
    #[must_use]
    pub fn labelled(mut self, label: &str) -> Self {
        label.clone_into(&mut self.label);
        self
    }

    /// Counts each request in `counters`, as `API requests`.
    #[must_use]
    pub fn counted(mut self, counters: &Rc<OwnCounters>) -> Self {
        self.counters = Some(counters.clone());
        self
    }

    /// The name for log lines.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// What is missing already now, in words: to be warned about when the program starts.
    pub fn cautions(&self) -> Vec<String> {
        let mut all = Vec::new();
        if let Err(p) = self.upstream(0) {
            all.push(format!("{} {}: no request is made until it is there", p.key, p.why));
        }
        match self.token.caution() {
            Some(why) if self.address.tls => all.push(format!("{why}: requests are made without a token")),
            None if !self.address.tls && !matches!(self.address.host.as_str(), "127.0.0.1" | "::1" | "localhost") => {
                all.push("Kube_URL is no https: our token crosses the network in clear text".into());
            }
            _ => {}
        }
        all
    }

    /// GET of one object or page; the body, at most `most` bytes.
    ///
    /// # Errors
    /// Why there is no answer with status 200.
    pub async fn get(&self, path: &str, most: usize) -> Result<Vec<u8>, Fail> {
        let answer = self.open(path, PATIENCE).await?;
        answer.whole(most, PATIENCE).await?.ok_or(Fail::TooLarge)
    }

    /// GET of a list; tells `put` of each object as it arrives.
    ///
    /// # Errors
    /// Why there is no list, or not all of it.
    pub async fn list(&self, path: &str, mut put: impl FnMut(&[u8])) -> Result<(), Fail> {
        let mut answer = self.open(path, PATIENCE).await?;
        let mut list = ListSplit::default();
        while let Some(piece) = answer.piece(PATIENCE).await? {
            list.feed(piece, &mut put)?;
            yield_now().await;
        }
        list.end().map(|_| ())
    }

    /// GET, whose body is still to come. A token that the server does not take is read again, once.
    pub(super) async fn open(&self, target: &str, patience: Duration) -> Result<Answer, Fail> {
        let token = self.token.get().await;
        let known = token.as_deref().ok();
        let mut answer = self.ask(target, known, patience).await?;
        if answer.head.status == 401
            && let Some(newer) = self.token.other_than(known).await
        {
            answer = self.ask(target, Some(&newer), patience).await?;
        }
        let status = answer.head.status;
        if status == 200 {
            return Ok(answer);
        }
        let wait = answer.head.text("Retry-After").and_then(|t| t.trim().parse().ok()).map(Duration::from_secs);
        let body = answer.whole(MAX_STATUS, PATIENCE).await.ok().flatten().unwrap_or_default();
        Err(match (Fail::of(status, &body, target, wait), token) {
            (Fail::Unauthorized(said), Err(why)) => Fail::Unauthorized(format!("{said}; there is none: {why}")),
            // Nobody in particular may do nothing: no rule helps with that.
            (Fail::Forbidden(_), Err(why)) => {
                let said = super::fail::words(&body);
                Fail::Unauthorized(format!("access is refused (403, {said}): no token was sent, {why}"))
            }
            (fail, _) => fail,
        })
    }

    async fn ask(&self, target: &str, token: Option<&str>, patience: Duration) -> Result<Answer, Fail> {
        let up = self.way().await?;
        let bearer = token.map(|t| format!("Bearer {t}"));
        let host = self.address.field();
        let mut fields = vec![
            ("Host", host.as_str()),
            ("User-Agent", concat!("collector/", env!("CARGO_PKG_VERSION"))),
            ("Accept", "application/json"),
        ];
        if let Some(bearer) = &bearer {
            fields.push(("Authorization", bearer));
        }
        let target = format!("{}{target}", self.address.base);
        if let Some(counters) = &self.counters {
            counters.add("API requests", 1);
        }
        Ok(ask::get(&up, &target, &fields, patience).await?)
    }

    /// Where to connect now: to the address, or to the spare one while its name does not resolve.
    async fn way(&self) -> Result<Upstream, Fail> {
        let prefer = Prefer::of(&self.net);
        let names = Resolver::shared();
        let found = timeout(self.net.connect_timeout, names.resolve(&self.address.host, self.address.port, prefer));
        let found =
            found.await.unwrap_or_else(|| Err(format!("cannot resolve '{}': no answer in time", self.address.host)));
        let n = match (found, &self.spare) {
            (Ok(_), _) => 0,
            (Err(_), Some(_)) => 1,
            (Err(why), None) => return Err(Fail::Unresolved(why)),
        };
        self.upstream(n).map_err(|p| Fail::Other(format!("{} {}", p.key, p.why)))
    }

    fn upstream(&self, n: usize) -> Result<Upstream, Problem> {
        let slot = self.ups.get(n);
        if let Some(up) = slot.and_then(|s| s.borrow().clone()) {
            return Ok(up);
        }
        let target = match n {
            0 => self.address.target(),
            _ => self.spare.clone().unwrap_or_else(|| self.address.target()),
        };
        let tls = match self.address.tls {
            true => self.tls.client(&self.address.host)?,
            false => None,
        };
        let up = Upstream::new(target, &self.net, tls).map_err(|why| Problem { key: "Kube_URL", why, help: "" })?;
        if let Some(slot) = slot {
            *slot.borrow_mut() = Some(up.clone());
        }
        Ok(up)
    }

    /// Whether a problem may be gone later: the file is not there yet.
    fn missing(&self, problem: &Problem) -> bool {
        let path = match problem.key {
            "Kube_CA_File" => &self.tls.ca_file,
            "Kube_CA_Path" => &self.tls.ca_path,
            _ => return false,
        };
        path.as_ref().is_some_and(|p| !Path::new(p).exists())
    }
}

impl Tls {
    fn client(&self, host: &str) -> Result<Option<ClientTls>, Problem> {
        let conf = TlsClient {
            tls: true,
            verify: self.verify,
            verify_hostname: self.verify_hostname,
            vhost: Some(self.vhost.clone().unwrap_or_else(|| host.to_owned())),
            ca_file: self.ca_file.clone().filter(|_| self.verify),
            ca_path: self.ca_path.clone().filter(|_| self.verify),
            crt_file: None,
            key_file: None,
            min_version: None,
            max_version: None,
            key_passwd: None,
            ciphers: None,
            debug: self.debug,
        };
        let client = ClientTls::new(&conf).map_err(|p| match p.key {
            "tls.ca_file" => {
                let help = "In a pod the service account's volume holds it; elsewhere name the cluster's authority.";
                Problem { key: "Kube_CA_File", why: named(&p.why), help }
            }
            "tls.ca_path" => Problem { key: "Kube_CA_Path", why: named(&p.why), help: p.help },
            "tls" => Problem { key: "Kube_URL", why: p.why, help: "Build it with the feature `tls`, or use http." },
            _ => p,
        })?;
        Ok(client.map(|tls| tls.with_alpn(&[b"http/1.1"])))
    }
}

/// How connections are made: a watch is silent for a minute at a time, so the system asks whether the peer is still there.
fn net() -> Option<NetOut> {
    let keys = [
        ("net.tcp_keepalive", "on"),
        ("net.tcp_keepalive_time", "60s"),
        ("net.tcp_keepalive_interval", "10s"),
        ("net.tcp_keepalive_probes", "6"),
        ("net.keepalive_idle_timeout", "60s"),
    ];
    NetOut::load(&Section::of("kube", &keys), &mut Diags::new())
}
