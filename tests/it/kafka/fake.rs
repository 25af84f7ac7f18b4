//! A broker that speaks the protocol, checks the producer's numbers as a real one does, and has moods.

use crate::lab::Peer;
use collector::fmt::kafka::record::{Batch, read_batch};
use collector::fmt::kafka::{Reader, Writer};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the broker does with a batch.
pub enum Mood {
    /// Stores it and says so.
    Store,
    /// Stores it and closes the connection.
    StoreAndLeave,
    /// Closes the connection.
    Leave,
    /// Answers with an error, and the places of records that are at fault.
    Error(i16, Vec<i32>),
    /// Says nothing for so long, then goes on.
    Wait(Duration),
}

/// A batch that was received.
pub struct Seen {
    /// Counts the batches from 0 on.
    pub n: usize,
    /// Its messages.
    pub values: Vec<String>,
}

/// Key and value.
pub type Message = (Option<String>, String);

#[derive(Default)]
struct State {
    seen: usize,
    producers: i64,
    next: BTreeMap<(i64, String, i32), i32>,
    stored: BTreeMap<(String, i32), Vec<Message>>,
    /// What broke the rules.
    wrong: Vec<String>,
}

/// The broker.
pub struct Fake {
    peer: Peer,
    state: Arc<Mutex<State>>,
}

/// How it behaves.
pub struct Rules {
    /// Partitions of each topic; none when the topic is not there.
    pub partitions: fn(&str) -> usize,
    /// What it does with a batch.
    pub mood: fn(&Seen) -> Mood,
}

impl Default for Rules {
    fn default() -> Self {
        Self { partitions: |_| 1, mood: |_| Mood::Store }
    }
}

impl Fake {
    /// On a free port.
    pub fn new(rules: Rules) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), rules)
    }

    /// On this socket.
    pub fn on(listener: TcpListener, rules: Rules) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, rules) = (state.clone(), Arc::new(rules));
        let port = listener.local_addr().unwrap().port();
        let peer = Peer::on(listener, move |stream| {
            let _ = serve(stream, port, &shared, &rules);
        });
        Self { peer, state }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.peer.port()
    }

    /// Key and value of what a partition has.
    pub fn stored(&self, topic: &str, partition: i32) -> Vec<Message> {
        let state = self.state.lock().unwrap();
        assert!(state.wrong.is_empty(), "{:?}", state.wrong);
        state.stored.get(&(topic.to_owned(), partition)).cloned().unwrap_or_default()
    }

    /// The values of the only partition of a topic.
    pub fn values(&self, topic: &str) -> Vec<String> {
        self.stored(topic, 0).into_iter().map(|(_, v)| v).collect()
    }

    /// Batches so far, and connections.
    pub fn counts(&self) -> (usize, usize) {
        (self.state.lock().unwrap().seen, self.peer.connections())
    }
}

fn serve(mut stream: TcpStream, port: u16, state: &Mutex<State>, rules: &Rules) -> std::io::Result<()> {
    loop {
        let mut head = [0; 4];
        stream.read_exact(&mut head)?;
        let mut bytes = vec![0; u32::from_be_bytes(head) as usize];
        stream.read_exact(&mut bytes)?;
        let mut r = Reader::new(&bytes, false);
        let (api, version, id) = (r.i16().unwrap(), r.i16().unwrap(), r.i32().unwrap());
        r.string().unwrap();
        let mut answer = vec![0; 4];
        let mut w = Writer::new(&mut answer, false);
        w.i32(id);
        match (api, version) {
            // Version 3 is not known here: that is said in version 0, with the versions that are.
            (18, _) => {
                w.i16(35);
                w.count(4);
                [[0, 3, 8], [3, 0, 4], [18, 0, 0], [22, 0, 0]].concat().into_iter().for_each(|v| w.i16(v));
            }
            (3, 4) => metadata(&mut r, &mut w, port, rules),
            (22, 0) => {
                let mut state = state.lock().unwrap();
                state.producers += 1;
                w.i32(0);
                w.i16(0);
                w.i64(1000 + state.producers);
                w.i16(0);
            }
            (0, 8) => {
                if !produce(&mut r, &mut w, state, rules) {
                    return Ok(());
                }
            }
            other => panic!("nobody told it about {other:?}"),
        }
        let len = (answer.len() - 4) as u32;
        answer[..4].copy_from_slice(&len.to_be_bytes());
        stream.write_all(&answer)?;
    }
}

fn metadata(r: &mut Reader<'_>, w: &mut Writer<'_>, port: u16, rules: &Rules) {
    w.i32(0);
    w.count(1);
    w.i32(7);
    w.string("127.0.0.1");
    w.i32(port.into());
    w.nullable_string(None);
    w.nullable_string(None);
    w.i32(7);
    let topics = r.count(2).unwrap();
    w.count(topics);
    for _ in 0..topics {
        let name = r.string().unwrap();
        let partitions = (rules.partitions)(name);
        w.i16(if partitions == 0 { 3 } else { 0 });
        w.string(name);
        w.i8(0);
        w.count(partitions);
        for n in 0..partitions {
            w.i16(0);
            w.i32(n as i32);
            w.i32(7);
            w.count(0);
            w.count(0);
        }
    }
}

/// Whether to go on.
fn produce(r: &mut Reader<'_>, w: &mut Writer<'_>, state: &Mutex<State>, rules: &Rules) -> bool {
    r.nullable_string().unwrap();
    assert_eq!(r.i16(), Ok(-1), "acks");
    r.i32().unwrap();
    let topics = r.count(1).unwrap();
    w.count(topics);
    for _ in 0..topics {
        let topic = r.string().unwrap().to_owned();
        w.string(&topic);
        let parts = r.count(1).unwrap();
        w.count(parts);
        for _ in 0..parts {
            let partition = r.i32().unwrap();
            let batch = read_batch(r.bytes().unwrap(), 64 << 20).unwrap();
            let Some((error, bad)) = take(&topic, partition, &batch, state, rules) else { return false };
            w.i32(partition);
            w.i16(error);
            [0, -1, 0].into_iter().for_each(|v| w.i64(v));
            w.count(bad.len());
            for place in bad {
                w.i32(place);
                w.nullable_string(Some("not this one"));
            }
            w.nullable_string(None);
        }
    }
    w.i32(0);
    true
}

/// The error to answer; `None` to leave.
fn take(topic: &str, partition: i32, batch: &Batch, state: &Mutex<State>, rules: &Rules) -> Option<(i16, Vec<i32>)> {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    let messages: Vec<_> =
        batch.records().map(|r| r.unwrap()).map(|r| (r.key.map(text), text(r.value.unwrap()))).collect();
    let producer = batch.head.producer.map(|(id, first)| (id.id, first));
    let n = {
        let mut state = state.lock().unwrap();
        state.seen += 1;
        state.seen - 1
    };
    let seen = Seen { n, values: messages.iter().map(|m| m.1.clone()).collect() };
    let mood = (rules.mood)(&seen);
    if let Mood::Error(code, bad) = mood {
        return Some((code, bad));
    }
    if matches!(mood, Mood::Leave) {
        return None;
    }
    if let Mood::Wait(time) = mood {
        std::thread::sleep(time);
    }
    let mut state = state.lock().unwrap();
    if let Some((id, first)) = producer {
        let next = state.next.entry((id, topic.to_owned(), partition)).or_default();
        if first < *next {
            // A duplicate: it is there already.
            return if matches!(mood, Mood::StoreAndLeave) { None } else { Some((0, Vec::new())) };
        }
        if first > *next {
            let wrong = format!("{topic}-{partition}: {first} after {next}");
            state.wrong.push(wrong);
            return Some((45, Vec::new()));
        }
        *next += messages.len() as i32;
    }
    state.stored.entry((topic.to_owned(), partition)).or_default().extend(messages);
    if matches!(mood, Mood::StoreAndLeave) { None } else { Some((0, Vec::new())) }
}
