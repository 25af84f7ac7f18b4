//! The engine's own HTTP server (`HTTP_Server on`): is it well, and what has it done. It only tells: nothing can be changed.

mod families;
mod health;
mod shapes;

use super::core::Core;
use crate::conf::common::NetIn;
use crate::conf::{Section, Service};
use crate::error::{Diags, Error, Place};
use crate::fmt::prometheus;
use crate::net::web::{Connection, Failure, Head, Limits, Response};
use crate::net::{Listener, Stream};
use crate::rt::{self, Task};
use crate::time::Time;
use health::Health;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

/// Connections at one time; further ones are closed at once.
const CONNECTIONS: usize = 64;
const LIMITS: Limits = Limits { request: Duration::from_secs(10), idle: Duration::from_secs(60), read: 4096 };

/// What the service asks for.
pub(super) struct Monitor {
    net: NetIn,
    port: u16,
    health: Option<health::Terms>,
}

impl Monitor {
    /// `None` with `HTTP_Server off`.
    pub(super) fn of(service: &Service) -> Option<Self> {
        if !service.http_server {
            return None;
        }
        let section = Section::new("SERVICE", Place::command_line());
        let mut net = NetIn::load(&section, &mut Diags::new())?;
        net.listen.clone_from(&service.http_listen);
        let health = service.health_check.then_some(health::Terms {
            errors: service.hc_errors_count,
            failures: service.hc_retry_failure_count,
            period: Duration::from_secs(service.hc_period.max(1)),
        });
        Some(Self { net, port: service.http_port, health })
    }

    /// Listens, and serves until the task is dropped.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub(super) fn start(self, core: &Rc<Core>) -> Result<Task<()>, Error> {
        let failed = |why: String| Error::Plugin("HTTP_Server".to_owned(), why);
        let listener = Listener::bind(&self.net, self.port, None).map_err(failed)?;
        log::info!("[http_server] listening on http://{}:{}", self.net.listen, self.port);
        let health = self.health.map(|terms| Rc::new(Health::new(terms, core)));
        let desk = Rc::new(Desk { core: core.clone(), health, begun: Instant::now(), open: Cell::new(0) });
        Ok(rt::spawn(desk.serve(listener)))
    }
}

/// What connections share.
struct Desk {
    core: Rc<Core>,
    health: Option<Rc<Health>>,
    begun: Instant,
    open: Cell<usize>,
}

impl Desk {
    async fn serve(self: Rc<Self>, listener: Listener) {
        let watch = self.health.clone().map(|health| rt::spawn(health.watch(self.core.clone())));
        loop {
            match listener.accept().await {
                Ok((stream, _)) if self.open.get() < CONNECTIONS => {
                    self.open.set(self.open.get() + 1);
                    let desk = self.clone();
                    rt::spawn(async move {
                        desk.connection(stream).await;
                        desk.open.set(desk.open.get().saturating_sub(1));
                    })
                    .detach();
                }
                Ok(_) => log::debug!("[http_server] a connection is closed: {CONNECTIONS} are open"),
                Err(e) => {
                    log::error!("[http_server] no more requests are served: {e}");
                    break;
                }
            }
        }
        drop(watch);
    }

    async fn connection(&self, stream: Stream) {
        let mut connection = Connection::new(stream, LIMITS);
        loop {
            match connection.head().await {
                Ok(Some(head)) => {
                    if !connection.respond(&self.answer(&head)).await.unwrap_or(false) {
                        return;
                    }
                }
                Err(Failure::Refused(refusal)) => return connection.refuse(refusal).await,
                Ok(None) | Err(Failure::Io(_)) => return,
            }
        }
    }

    fn answer(&self, head: &Head) -> Response {
        let path = match head.path().trim_end_matches('/') {
            "" => "/",
            path => path,
        };
        let reads = matches!(head.method(), "GET" | "HEAD");
        if path == "/api/v2/reload" {
            return match head.method() {
                "GET" | "HEAD" => Response::json(200, "{\"hot_reload_count\":0}"),
                "POST" | "PUT" => Response::json(200, "{\"reload\":\"not enabled\",\"status\":-1}"),
                _ => Response::text(405, "GET, POST or PUT").with("Allow", "GET, POST, PUT"),
            };
        }
        let core = &self.core;
        let uptime = self.begun.elapsed().as_secs();
        let answer = match path {
            "/" => Response::json(200, shapes::about()),
            "/api/v1/uptime" => Response::json(200, shapes::uptime(uptime)),
            "/api/v1/metrics" => Response::json(200, shapes::metrics(core)),
            "/api/v1/metrics/prometheus" => {
                text(|out| prometheus::write(&families::v1(core, uptime), Some(now_ms()), out))
            }
            "/api/v2/metrics" => text(|out| {
                let now = Time::from_system(SystemTime::now());
                prometheus::write_lines(&self.families(uptime), &shapes::rfc3339(now), out);
            }),
            "/api/v2/metrics/prometheus" | "/metrics" => {
                text(|out| prometheus::write(&self.families(uptime), None, out))
            }
            "/api/v1/storage" if core.show_storage => Response::json(200, shapes::storage(core)),
            "/api/v1/plugins" => Response::json(200, shapes::plugins()),
            "/api/v1/health" | "/api/v2/health" => match &self.health {
                Some(health) => health.answer(core, path),
                None => Response::text(404, "set Health_Check on in [SERVICE]"),
            },
            _ => return Response::text(404, "not found"),
        };
        if reads { answer } else { Response::text(405, "GET").with("Allow", "GET, HEAD") }
    }

    fn families(&self, uptime: u64) -> Vec<prometheus::Family> {
        let mut all = families::snapshot(&self.core);
        all.extend(families::runtime(uptime));
        all
    }
}

fn text(write: impl FnOnce(&mut String)) -> Response {
    let mut out = String::new();
    write(&mut out);
    Response::plain(200, "text/plain; version=0.0.4; charset=utf-8", out)
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
