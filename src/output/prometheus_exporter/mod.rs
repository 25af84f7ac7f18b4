//! `prometheus_exporter`: shows the metrics in records to Prometheus.

mod series;

use super::{Outcome, Output, OutputPlugin, Payload};
use crate::conf::common::{NetIn, OutputCommon};
use crate::conf::{Many, PluginInfo, Section};
use crate::error::{Diags, Error};
use crate::event::View;
use crate::net::Listener;
use crate::net::web::{Response, tell};
use crate::plugin::MakeCx;
use crate::rt::{LocalFuture, Task, spawn};
use series::{Series, is_name};
use std::cell::RefCell;
use std::rc::Rc;

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "prometheus_exporter",
        doc: "Serves the latest value of each metric at /metrics, on Host (127.0.0.1 when not given; Fluent Bit: 0.0.0.0) and Port \
              (2021). It takes records as the input fluentbit_metrics makes them: name, type, help, labels and value; what is no \
              such record is rejected.",
        keys: ExporterConf::KEYS,
        unserved: ExporterConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `prometheus_exporter`.
    pub struct ExporterConf {
        /// Add the time of each value.
        add_timestamp: bool => "Add_Timestamp" = "off",
        /// A label for every metric: its name and its value.
        add_label: Many<String> => "Add_Label",
    }
    unserved []
}

/// The port when none is given.
const PORT: u16 = 2021;

struct Exporter {
    name: String,
    net: NetIn,
    labels: Vec<(String, String)>,
    series: Rc<RefCell<Series>>,
    server: RefCell<Option<Task<()>>>,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let conf = ExporterConf::load(cx.section, cx.diags)?;
    let common = OutputCommon::load(cx.section, &mut Diags::new())?;
    let mut net = NetIn::load(&Section::new("OUTPUT", cx.section.place.clone()), cx.diags)?;
    net.listen = common.host.unwrap_or_else(|| "127.0.0.1".to_owned());
    net.port = common.port;
    let mut labels = Vec::new();
    for item in &conf.add_label.0 {
        let (name, value) = item.value.split_once([' ', '\t']).unwrap_or((&item.value, ""));
        if !is_name(name.as_bytes()) {
            let why = format!("'{name}' is not the name of a label");
            return cx.refuse_at(&item.place, why, "Write for example: Add_Label cluster one");
        }
        labels.push((name.to_owned(), value.trim().to_owned()));
    }
    let series = Rc::new(RefCell::new(Series::new(conf.add_timestamp)));
    Some(Box::new(Exporter { name: cx.label(), net, labels, series, server: RefCell::default() }))
}

impl Output for Exporter {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        for record in view.records() {
            series::line(&record, &self.labels, &mut out.bytes);
        }
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        let refused = self.series.borrow_mut().take(&payload.bytes);
        Box::pin(async move {
            match refused.is_empty() {
                true => Outcome::Done,
                false => Outcome::Part { retry: Vec::new(), why: "".into(), refused },
            }
        })
    }

    fn start(&self) -> Result<(), Error> {
        let failed = |why: String| Error::Plugin(self.name.clone(), why);
        let listener = Listener::bind(&self.net, PORT, None).map_err(failed)?;
        log::info!("[{}] listening on http://{}:{}", self.name, self.net.listen, self.net.port.unwrap_or(PORT));
        let (series, name) = (self.series.clone(), self.name.clone());
        let serve = async move {
            let answer = move |head: &crate::net::web::Head| match (head.method(), head.path()) {
                ("GET" | "HEAD", "/metrics") => {
                    let kind = "text/plain; version=0.0.4; charset=utf-8";
                    Response::plain(200, kind, series.borrow().text())
                }
                (_, "/metrics") => Response::text(405, "GET").with("Allow", "GET, HEAD"),
                _ => Response::text(404, "see /metrics"),
            };
            tell(&name, listener, answer).await;
        };
        self.server.replace(Some(spawn(serve)));
        Ok(())
    }
}
