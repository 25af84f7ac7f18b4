//! The engine's own HTTP server (`HTTP_Server on`): is it well, and what has it done. It only tells: nothing can be changed.

mod families;
mod health;
mod shapes;

use super::core::Core;
use crate::conf::common::NetIn;
use crate::conf::{Document, Section, Service};
use crate::error::{Diags, Error, Place};
use crate::fmt::prometheus;
use crate::net::Listener;
use crate::net::web::{Head, Response, tell};
use crate::rt::{self, Task};
use crate::time::Time;
use health::Health;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// What the service asks for.
pub(super) struct Monitor {
    net: NetIn,
    port: u16,
    health: Option<health::Terms>,
}

impl Monitor {
    /// `None` with `HTTP_Server off`.
    pub(super) fn of(service: &Service, _: &Document, diags: &mut Diags) -> Option<Self> {
        if !service.http_server {
            return None;
        }
        let section = Section::new("SERVICE", Place::command_line());
        let mut net = NetIn::load(&section, diags)?;
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
        let watch = health.clone().map(|health| rt::spawn(health.watch(core.clone())));
        let desk = Desk { core: core.clone(), health };
        Ok(rt::spawn(async move {
            tell("http_server", listener, move |head| desk.answer(head)).await;
            drop(watch);
        }))
    }
}

/// The counters of the pipeline and of the process.
pub(super) fn metrics(core: &Core) -> Vec<prometheus::Family> {
    let mut all = families::snapshot(core);
    all.extend(families::runtime(core.begun.elapsed().as_secs()));
    all
}

/// What answers are made of.
struct Desk {
    core: Rc<Core>,
    health: Option<Rc<Health>>,
}

impl Desk {
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
        let uptime = core.begun.elapsed().as_secs();
        let answer = match path {
            "/" => Response::json(200, shapes::about()),
            "/api/v1/uptime" => Response::json(200, shapes::uptime(uptime)),
            "/api/v1/metrics" => Response::json(200, shapes::metrics(core)),
            "/api/v1/metrics/prometheus" => {
                text(|out| prometheus::write(&families::v1(core, uptime), Some(now_ms()), out))
            }
            "/api/v2/metrics" => text(|out| {
                let now = Time::from_system(SystemTime::now());
                prometheus::write_lines(&metrics(core), &shapes::rfc3339(now), out);
            }),
            "/api/v2/metrics/prometheus" | "/metrics" => text(|out| prometheus::write(&metrics(core), None, out)),
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
}

fn text(write: impl FnOnce(&mut String)) -> Response {
    let mut out = String::new();
    write(&mut out);
    Response::plain(200, "text/plain; version=0.0.4; charset=utf-8", out)
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
