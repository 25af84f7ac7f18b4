//! What is known of the cluster: its brokers, the topics that are written to, and who leads their partitions.

use super::link::{Broker, Turn, body};
use super::settings::Settings;
use crate::fmt::kafka::metadata::{self, Metadata};
use crate::fmt::kafka::{Api, request};
use crate::net::Target;
use crate::util::sort;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

/// Topics that are remembered at one time.
const MAX_TOPICS: usize = 1000;
/// Brokers of a cluster.
const MAX_BROKERS: usize = 10_000;

/// A topic.
#[derive(Debug, Clone)]
pub struct Topic {
    /// The error that the brokers told, or 0.
    pub error: i16,
    /// The leader of each partition, below zero when it has none.
    pub leaders: Rc<[i32]>,
    /// Counts the deliveries of messages that may go to any partition.
    pub turn: usize,
    used: Instant,
}

/// The cluster.
#[derive(Debug)]
pub struct Cluster {
    settings: Rc<Settings>,
    /// By address: nodes, and those to begin with.
    brokers: RefCell<Vec<Rc<Broker>>>,
    nodes: RefCell<FxHashMap<i32, Rc<Broker>>>,
    topics: RefCell<FxHashMap<Box<str>, Topic>>,
    fetched: Cell<Option<Instant>>,
    turn: Turn,
    seed: usize,
}

impl Cluster {
    /// A cluster of which nothing is known but where to ask.
    pub fn new(settings: Rc<Settings>, seed: usize) -> Result<Self, String> {
        let brokers = settings.bootstrap.iter().map(|t| Broker::new(t.clone(), &settings).map(Rc::new));
        let brokers = RefCell::new(brokers.collect::<Result<_, _>>()?);
        Ok(Self {
            settings,
            brokers,
            nodes: RefCell::default(),
            topics: RefCell::default(),
            fetched: Cell::default(),
            turn: Turn::default(),
            seed,
        })
    }

    /// A topic, when it was asked for.
    pub fn topic(&self, name: &str) -> Option<Topic> {
        let mut topics = self.topics.borrow_mut();
        let topic = topics.get_mut(name)?;
        topic.used = Instant::now();
        Some(topic.clone())
    }

    /// The next delivery to this topic goes elsewhere.
    pub fn step(&self, name: &str) {
        if let Some(topic) = self.topics.borrow_mut().get_mut(name) {
            topic.turn = topic.turn.wrapping_add(1);
        }
    }

    /// The broker that leads a partition.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<Rc<Broker>> {
        let id = *self.topics.borrow().get(topic)?.leaders.get(usize::try_from(partition).ok()?)?;
        self.nodes.borrow().get(&id).cloned()
    }

    /// Whether what is known is too old.
    pub fn is_stale(&self) -> bool {
        self.fetched.get().is_none_or(|at| at.elapsed() > self.settings.metadata_age)
    }

    /// Any broker, those first to which there is a connection.
    pub fn some_broker(&self) -> Vec<Rc<Broker>> {
        let mut all = self.brokers.borrow().clone();
        sort::by_key(&mut all, |b| !b.is_connected());
        all
    }

    /// Asks about these topics and those that are remembered.
    ///
    /// # Errors
    /// When no broker answers; in the words of the last one that was tried.
    pub async fn refresh(&self, wanted: &[Rc<str>]) -> Result<(), String> {
        let _mine = self.turn.take().await;
        let names = self.names(wanted);
        let mut last = String::new();
        for broker in self.some_broker() {
            match self.ask(&broker, &names).await {
                Ok(metadata) => {
                    self.learn(metadata);
                    return Ok(());
                }
                Err(why) if last.is_empty() => last = why,
                Err(why) => last = format!("{last}; {why}"),
            }
        }
        Err(last)
    }

    async fn ask(&self, broker: &Broker, names: &[Box<str>]) -> Result<Metadata, String> {
        let settings = &*self.settings;
        let names: Vec<&str> = names.iter().map(|n| &**n).collect();
        let make = |version, correlation| {
            request(Api::Metadata, version, correlation, &settings.client_id, 0, |w| {
                metadata::write(&names, w, version)
            })
        };
        let (version, answer) = broker.call(settings, Api::Metadata, true, make).await.map_err(|f| f.into_words())?;
        let read = body(&answer, Api::Metadata, version).and_then(|r| metadata::read(r, version));
        read.map_err(|e| format!("{}: its metadata cannot be read: {e}", broker.target()))
    }

    /// The topics to ask about. The one that nobody used for the longest time makes room for a new one.
    fn names(&self, wanted: &[Rc<str>]) -> Vec<Box<str>> {
        let mut topics = self.topics.borrow_mut();
        let new = wanted.iter().filter(|t| !topics.contains_key(&***t)).count();
        while !topics.is_empty() && topics.len() + new > MAX_TOPICS {
            let oldest = topics.iter().filter(|(n, _)| !wanted.iter().any(|w| **w == ***n)).min_by_key(|(_, t)| t.used);
            let Some(oldest) = oldest.map(|(n, _)| n.clone()) else { break };
            topics.remove(&oldest);
        }
        let mut names: Vec<Box<str>> = topics.keys().cloned().collect();
        for topic in wanted {
            if !names.iter().any(|n| **n == **topic) {
                names.push((&**topic).into());
            }
        }
        names
    }

    fn learn(&self, metadata: Metadata) {
        let mut nodes = FxHashMap::default();
        let mut brokers = self.brokers.borrow_mut();
        for (id, host, port) in metadata.brokers.into_iter().take(MAX_BROKERS) {
            let target = Target::Tcp(host, port);
            let known = brokers.iter().find(|b| *b.target() == target).cloned();
            let broker = match known {
                Some(broker) => broker,
                // The one error is about a key that was checked.
                None => match Broker::new(target, &self.settings) {
                    Ok(broker) => Rc::new(broker),
                    Err(_) => continue,
                },
            };
            nodes.insert(id, broker.clone());
            if !brokers.iter().any(|b| Rc::ptr_eq(b, &broker)) {
                brokers.push(broker);
            }
        }
        let is_node = |b: &Rc<Broker>| nodes.values().any(|n: &Rc<Broker>| Rc::ptr_eq(n, b));
        brokers.retain(|b| {
            let stays = is_node(b) || self.settings.bootstrap.contains(b.target());
            if !is_node(b) && !nodes.is_empty() {
                // It told us where the others are.
                b.close();
            }
            stays
        });
        let mut topics = self.topics.borrow_mut();
        for told in metadata.topics {
            let (turn, used) = topics.get(&*told.name).map_or((self.seed, Instant::now()), |t| (t.turn, t.used));
            let topic = Topic { error: told.error, leaders: told.leaders.into(), turn, used };
            if topics.len() < 2 * MAX_TOPICS {
                topics.insert(told.name.into(), topic);
            }
        }
        *self.nodes.borrow_mut() = nodes;
        self.fetched.set(Some(Instant::now()));
    }

    /// Closes all connections.
    pub fn close(&self) {
        self.brokers.borrow().iter().for_each(|b| b.close());
    }
}
