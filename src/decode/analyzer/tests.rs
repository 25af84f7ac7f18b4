//! Behaviour of the whole way, with a protocol of questions and answers in lines.

use super::*;
use crate::conf::{FromConf, Table as Keys};
use crate::decode::talk::Docs;
use crate::decode::test_frames::Frames;
use crate::decode::{Conversation, Cx, Decoder, Head, MakeProtocol, Next, Probe, Protocol, Step};
use crate::fmt::capture::LinkType;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// `Q<text>\n` asks, `A<text>\n` answers; `X\n` says that another protocol follows, `S<n>\n` that n bytes are a body.
static LINES: Protocol = Protocol {
    name: "lines",
    doc: "For tests.",
    keys: Keys { keys: &[], unserved: &[] },
    over: &[Transport::Tcp, Transport::Udp],
    probe: |_, bytes| match bytes {
        [b'Q' | b'A' | b'S', b'a'..=b'z' | b'0'..=b'9', ..] => Probe::Yes,
        [b'Q' | b'A' | b'S'] => Probe::Maybe,
        _ => Probe::No,
    },
    make: |_: &mut MakeProtocol<'_>| Some(Box::new(Lines)),
};

struct Lines;

#[derive(Default)]
struct Line {
    asked: VecDeque<(String, Time, Dir)>,
    gaps: u64,
}

impl Decoder for Lines {
    fn ports(&self) -> &[u16] {
        &[7777]
    }
    fn open(&self, _: Transport) -> Box<dyn Conversation> {
        Box::<Line>::default()
    }
}

impl Line {
    fn say(&mut self, cx: &mut Cx<'_>, dir: Dir, line: &[u8]) {
        let text = String::from_utf8_lossy(&line[1..]).into_owned();
        if line[0] == b'Q' {
            self.asked.push_back((text, cx.since(), dir));
            cx.wake_at(Time(cx.time().0 + 5_000_000_000));
        } else if line[0] == b'A' {
            let asked = self.asked.pop_front();
            let (start, from) = asked.as_ref().map_or((None, dir.other()), |a| (Some(a.1), a.2));
            let question = asked.map_or(String::new(), |a| a.0);
            let head = Head { start, end: Some(cx.time()), ..Head::new("lines", from) };
            let gaps = std::mem::take(&mut self.gaps);
            cx.emit(&head, |d| {
                d.text(crate::event::Key::of("q"), question.as_bytes());
                d.text(crate::event::Key::of("a"), text.as_bytes());
                d.uint(crate::event::Key::of("gaps"), gaps);
            });
        }
    }
    fn unanswered(&mut self, cx: &mut Cx<'_>) {
        for (text, start, dir) in std::mem::take(&mut self.asked) {
            let head = Head { start: Some(start), status: "Error", ..Head::new("lines", dir) };
            cx.emit(&head, |d| d.text(crate::event::Key::of("q"), text.as_bytes()));
        }
    }
}

impl Conversation for Line {
    fn stream(&mut self, cx: &mut Cx<'_>, dir: Dir, buf: &[u8]) -> Step {
        let Some(end) = buf.iter().position(|&b| b == b'\n') else { return Step::need(buf.len() + 1) };
        let line = &buf[..end];
        let next = match line {
            [b'X'] => Next::Redetect,
            [b'S', n @ ..] => Next::Skip(String::from_utf8_lossy(n).parse().unwrap_or(0)),
            [] => Next::More(1),
            _ => {
                self.say(cx, dir, line);
                Next::More(1)
            }
        };
        Step { used: end + 1, next }
    }
    fn datagram(&mut self, cx: &mut Cx<'_>, dir: Dir, data: &[u8]) {
        self.say(cx, dir, data);
    }
    fn gap(&mut self, cx: &mut Cx<'_>, dir: Dir, lost: u64) {
        if cx.is_gap_skipped() {
            return;
        }
        self.gaps += lost;
        if self.asked.front().is_some_and(|a| a.2 != dir) {
            self.say(cx, dir, b"A?");
        }
    }
    fn close(&mut self, _: &mut Cx<'_>, _: Option<Dir>) {}
    fn expire(&mut self, cx: &mut Cx<'_>) {
        self.unanswered(cx);
    }
    fn finish(&mut self, cx: &mut Cx<'_>) {
        self.unanswered(cx);
    }
    fn memory(&self) -> usize {
        size_of::<Self>()
    }
}

fn settings() -> Settings {
    Settings {
        flows: Some(Some(Duration::from_secs(10))),
        flow_timeout: Duration::from_secs(30),
        layers: Default::default(),
        max_memory: 64 << 20,
        tcp: Limits::default(),
        networks: Networks::from_conf("private").unwrap(),
        seed: 7,
    }
}

fn analyzer(settings: Settings, detect: bool) -> Analyzer {
    let mut protocols = Protocols::none(detect);
    protocols.add(&LINES, Box::new(Lines));
    Analyzer::new(settings, protocols)
}

fn feed(analyzer: &mut Analyzer, frames: &[(Time, Vec<u8>)], docs: &mut Docs) {
    for (time, data) in frames {
        let packet = Packet { time: *time, link: LinkType::EN10MB, wire_len: data.len() as u32, data };
        analyzer.packet(&packet, docs);
    }
}

fn run(frames: &[(Time, Vec<u8>)]) -> Vec<Value> {
    let (mut analyzer, mut docs) = (analyzer(settings(), true), Docs::default());
    feed(&mut analyzer, frames, &mut docs);
    analyzer.finish(&mut docs);
    assert_eq!(analyzer.flows(), 0);
    assert_eq!(analyzer.heap, 0);
    assert_eq!(analyzer.stats().documents, docs.0.len() as u64);
    docs.0
}

/// Question and answer of all transactions.
fn lines(docs: &[Value]) -> Vec<(&str, &str)> {
    fn text<'a>(doc: &'a Value, key: &str) -> &'a str {
        doc.get(key).and_then(Value::as_str).unwrap_or("-")
    }
    docs.iter().filter(|d| d["type"] == "lines").map(|d| (text(d, "q"), text(d, "a"))).collect()
}

/// When the next frame would come.
fn now_of(frames: &Frames) -> i64 {
    frames.clone().take().last().unwrap().0.0 + 1_000_000
}

fn flows(docs: &[Value]) -> Vec<&Value> {
    docs.iter().filter(|d| d["type"] == "flow").collect()
}

const CLIENT: &str = "10.0.0.1:40000";
const SERVER: &str = "10.0.0.2:7777";

#[test]
fn a_transaction_and_its_flow() {
    let talk = Frames::tcp(CLIENT, SERVER).handshake().client(b"Qone\nQtwo\n").server(b"A1\nA2\n").fin();
    let frames = talk.take();
    let docs = run(&frames);
    assert_eq!(lines(&docs), [("one", "1"), ("two", "2")]);
    let doc = &docs[0];
    assert_eq!(doc["source"], json!({"ip": "10.0.0.1", "port": 40000}));
    assert_eq!(doc["server"], json!({"ip": "10.0.0.2", "port": 7777}));
    assert_eq!(doc["network"]["direction"], "internal");
    let flow = flows(&docs)[0];
    let bytes: usize = frames.iter().map(|f| f.1.len()).sum();
    assert_eq!(flow["network"]["bytes"], bytes);
    assert_eq!(flow["network"]["packets"], frames.len());
    assert_eq!((&flow["flow"]["final"], &flow["flow"]["end_reason"]), (&json!(true), &json!("end of capture")));
    assert_eq!(flow["event"]["duration"], frames.last().unwrap().0.0 - frames[0].0.0);
    assert_eq!(flow["network"]["community_id"], doc["network"]["community_id"]);
}

#[test]
fn a_closed_connection_lingers_and_a_silent_flow_times_out() {
    let first = Frames::tcp(CLIENT, SERVER).handshake().client(b"Qone\n").server(b"A1\n").fin();
    let later = Frames::udp("10.0.0.3:5", "10.0.0.4:6").at(Time(now_of(&first) + 4_000_000_000));
    let docs = run(&first.with(later.client(b"zzz").wait(Duration::from_secs(31)).client(b"zzz")).take());
    let reasons: Vec<_> = flows(&docs).iter().map(|f| f["flow"]["end_reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["fin", "timeout", "end of capture"]);
}

#[test]
fn a_flow_that_goes_on_is_reported_now_and_then() {
    let mut talk = Frames::udp(CLIENT, SERVER);
    for i in 0..6 {
        talk = talk.client(format!("Qa{i}").as_bytes()).server(b"Ab").wait(Duration::from_secs(5));
    }
    let docs = run(&talk.take());
    let seen: Vec<_> =
        flows(&docs).iter().map(|f| (f["flow"]["final"].clone(), f["network"]["packets"].clone())).collect();
    assert_eq!(seen.last().unwrap(), &(json!(true), json!(12)));
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen[..2].iter().all(|(is_final, _)| is_final == &json!(false)));
    let ids: std::collections::BTreeSet<_> = flows(&docs).iter().map(|f| f["flow"]["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(lines(&docs).len(), 6);
}

#[test]
fn a_question_that_nobody_answers_is_told_in_time() {
    let talk = Frames::tcp(CLIENT, SERVER).handshake().client(b"Qone\n").wait(Duration::from_secs(7)).client(b"Qtwo\n");
    let (mut analyzer, mut docs) = (analyzer(settings(), true), Docs::default());
    feed(&mut analyzer, &talk.take(), &mut docs);
    assert_eq!(lines(&docs.0), [("one", "-")]);
    analyzer.tick(Time(analyzer.clock.0 + 6_000_000_000), &mut docs);
    assert_eq!(lines(&docs.0), [("one", "-"), ("two", "-")]);
}

#[test]
fn a_clock_that_leaps_holds_nothing_up() {
    let hours = |n: i64| Time(1_700_000_000_000_000_000 + n * 3_600_000_000_000);
    let ask = |at: Time, client: &str| Frames::tcp(client, SERVER).at(at).handshake().client(b"Qone\n");
    let (mut analyzer, mut docs) = (analyzer(settings(), true), Docs::default());
    // A packet from the far future, as a damaged file has it, then a clock that was set back by two hours.
    for (at, client) in [(9, CLIENT), (900_000, "10.0.0.9:1"), (9, "10.0.0.8:1"), (7, "10.0.0.7:1")] {
        feed(&mut analyzer, &ask(hours(at), client).take(), &mut docs);
    }
    assert_eq!((analyzer.flows(), analyzer.stats().turned_back), (1, 2));
    assert_eq!(lines(&docs.0).len(), 3);
    analyzer.tick(Time(hours(7).0 + 40_000_000_000), &mut docs);
    assert_eq!(lines(&docs.0).len(), 4);
    // Late by a minute is late, not set back.
    feed(&mut analyzer, &ask(Time(hours(7).0 - 60_000_000_000), "10.0.0.6:1").take(), &mut docs);
    assert_eq!((analyzer.flows(), analyzer.stats().turned_back), (2, 2));
}

#[test]
fn who_pings_himself_is_answered() {
    for (end, ask, answer) in [("127.0.0.1:0", 8, 0), ("[::1]:0", 128, 129)] {
        let message = |kind: u8, number: u8| [kind, 0, 0, 0, 0, 7, 0, number, b'x'];
        let mut talk = Frames::icmp(end, end);
        for number in 0..3 {
            talk = talk.client(&message(ask, number)).server(&message(answer, number));
        }
        let mut protocols = Protocols::none(true);
        let decoder = (crate::decode::icmp::PROTOCOL.make)(&mut MakeProtocol {
            section: &crate::conf::Section::of("INPUT", &[]),
            diags: &mut crate::error::Diags::new(),
            timeout: Duration::from_secs(10),
        });
        protocols.add(&crate::decode::icmp::PROTOCOL, decoder.unwrap());
        let (mut analyzer, mut docs) = (Analyzer::new(settings(), protocols), Docs::default());
        feed(&mut analyzer, &talk.take(), &mut docs);
        analyzer.finish(&mut docs);
        let good = docs.0.iter().filter(|d| d["type"] == "icmp" && d["status"] == "OK").count();
        assert_eq!((good, docs.0.len()), (3, 4), "{:?}", docs.0);
        assert_eq!(flows(&docs.0)[0]["destination"]["packets"], 3);
    }
}

#[test]
fn ports_are_used_again() {
    let one = Frames::tcp(CLIENT, SERVER).isn(100, 200).handshake().client(b"Qone\n").server(b"A1\n").fin();
    let now = now_of(&one);
    let two =
        Frames::tcp(CLIENT, SERVER).at(Time(now)).isn(5_000_000, 700).handshake().client(b"Qtwo\n").server(b"A2\n");
    let docs = run(&one.with(two).take());
    assert_eq!(lines(&docs), [("one", "1"), ("two", "2")]);
    let reasons: Vec<_> = flows(&docs).iter().map(|f| f["flow"]["end_reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["port reused", "end of capture"]);
}

#[test]
fn a_protocol_is_recognised_on_any_port() {
    let talk = || Frames::tcp(CLIENT, "10.0.0.2:9").handshake().client(b"Q").client(b"one\n").server(b"A1\n");
    assert_eq!(lines(&run(&talk().take())), [("one", "1")]);
    let (mut silent, mut docs) = (analyzer(settings(), false), Docs::default());
    feed(&mut silent, &talk().take(), &mut docs);
    silent.finish(&mut docs);
    assert_eq!(lines(&docs.0), []);
    assert_eq!(flows(&docs.0).len(), 1);
    let midstream =
        Frames::tcp(CLIENT, "10.0.0.2:9").client(b"...tail\n").server(b"more").client(b"Qone\n").server(b"A1\n");
    assert_eq!(lines(&run(&midstream.take())), [("one", "1")]);
}

#[test]
fn a_protocol_may_begin_behind_words_of_another() {
    // The first byte may be that of a message, so that more is waited for.
    let talk =
        Frames::tcp(CLIENT, "10.0.0.2:9").handshake().client(b"Q").server(b"Z").client(b"Qone\n").server(b"A1\n");
    assert_eq!(lines(&run(&talk.take())), [("one", "1")]);
}

#[test]
fn another_protocol_may_follow() {
    let talk = Frames::tcp(CLIENT, SERVER).handshake().client(b"Qone\nX\nQnew\n").server(b"A1\nAold\n");
    let docs = run(&talk.take());
    assert_eq!(lines(&docs), [("one", "-"), ("new", "1"), ("", "old")]);
}

#[test]
fn bodies_are_skipped_with_their_gaps() {
    let talk = Frames::tcp(CLIENT, SERVER).handshake().client(b"Qone\nS10\n01").lose(0, 3).client(b"56789Qtwo\n");
    let docs = run(&talk.server(b"A1\nA2\n").take());
    assert_eq!(lines(&docs), [("one", "1"), ("two", "2")]);
    assert_eq!(docs[0]["gaps"], 0);
    let talk = Frames::tcp(CLIENT, SERVER).handshake().client(b"Qone\nS10\n01").lose(0, 12).client(b"Qtwo\n");
    let docs = run(&talk.server(b"A1\nA2\n").take());
    assert_eq!(docs[0]["gaps"], 12);
}

#[test]
fn memory_is_bounded_by_giving_up_the_oldest() {
    let mut settings = settings();
    settings.max_memory = 64 << 10;
    let (mut analyzer, mut docs) = (analyzer(settings, true), Docs::default());
    for i in 0..2000u32 {
        let client = format!("10.1.{}.{}:5000", i / 250, i % 250);
        let start = Time(1_700_000_000_000_000_000 + i64::from(i) * 1_000_000);
        feed(&mut analyzer, &Frames::tcp(&client, SERVER).at(start).handshake().client(b"Qone\n").take(), &mut docs);
        assert!(analyzer.heap + analyzer.flows() * Table::PER_FLOW <= 64 << 10);
    }
    assert!(analyzer.stats().evicted > 1500);
    analyzer.finish(&mut docs);
    assert_eq!(lines(&docs.0).len(), 2000);
    assert_eq!(flows(&docs.0).len(), 2000);
    let evicted = flows(&docs.0).iter().filter(|f| f["flow"]["end_reason"] == "memory limit").count();
    assert_eq!(evicted as u64, analyzer.stats().evicted);
}

#[test]
fn time_may_pass_and_a_capture_end_in_steps() {
    let begin = || {
        let (mut analyzer, mut docs) = (analyzer(settings(), true), Docs::default());
        for i in 0..100u32 {
            let talk = Frames::tcp(&format!("10.1.0.{i}:5000"), SERVER).handshake().client(b"Qone\n");
            feed(&mut analyzer, &talk.take(), &mut docs);
        }
        (analyzer, docs)
    };
    let ((mut one, mut all), (mut other, mut some)) = (begin(), begin());
    let later = Time(one.clock.0 + 60_000_000_000);
    one.tick(later, &mut all);
    let mut steps = 0;
    while other.tick_some(later, 7, &mut some) {
        steps += 1;
    }
    assert!(steps >= 14, "{steps}");
    assert_eq!(all.0, some.0);
    assert!(all.0.len() >= 100);
    let ((mut one, mut all), (mut other, mut some)) = (begin(), begin());
    one.finish(&mut all);
    let mut steps = 0;
    while other.finish_some(7, &mut some) {
        steps += 1;
    }
    assert_eq!((steps, other.flows()), (14, 0));
    assert_eq!(all.0, some.0);
    assert_eq!(all.0.len(), 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However a talk is cut into segments, and whichever of them come twice, the transactions are the same.
    #[test]
    fn segmentation_and_duplicates_do_not_matter(
        cuts in prop::collection::vec(1usize..30, 1..40),
        twice in prop::collection::vec(any::<bool>(), 120),
        skip in 0usize..200,
    ) {
        let asked = format!("Qone\nS{skip}\n{}Qtwo\nQthree\n", "x".repeat(skip));
        let answered = "A1\nA2\nA3\n";
        let mut talk = Frames::tcp(CLIENT, SERVER).handshake();
        for (side, text) in [(0, asked.as_str()), (1, answered)] {
            let (mut rest, mut cuts) = (text.as_bytes(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                talk = talk.send(side, now);
                rest = later;
            }
        }
        let mut frames = Vec::new();
        for (i, frame) in talk.take().into_iter().enumerate() {
            if twice[i % twice.len()] {
                frames.push(frame.clone());
            }
            frames.push(frame);
        }
        let docs = run(&frames);
        prop_assert_eq!(lines(&docs), [("one", "1"), ("two", "2"), ("three", "3")]);
    }

    /// Packets that overtake each other within a few places, responses their requests included, change nothing.
    #[test]
    fn reordering_does_not_matter(
        cuts in prop::collection::vec(1usize..12, 1..20),
        jumps in prop::collection::vec(0usize..4, 200),
    ) {
        let mut talk = Frames::tcp(CLIENT, SERVER).handshake();
        let mut cuts = cuts.iter().cycle();
        for i in 0..6 {
            for (side, text) in [(0, format!("Qquestion{i}\n")), (1, format!("Aanswer{i}\n"))] {
                let mut rest = text.as_bytes();
                while !rest.is_empty() {
                    let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                    talk = talk.send(side, now);
                    rest = later;
                }
            }
        }
        let mut frames = talk.take();
        let times: Vec<Time> = frames.iter().map(|f| f.0).collect();
        // The handshake stays in front: without it nobody knows where the streams begin.
        for (i, jump) in (3..frames.len()).zip(jumps.iter().cycle()) {
            let to = (i + jump).min(frames.len() - 1);
            frames[i..=to].rotate_left(1);
        }
        frames.iter_mut().zip(times).for_each(|(f, time)| f.0 = time);
        let docs = run(&frames);
        let want: Vec<_> = (0..6).map(|i| (format!("question{i}"), format!("answer{i}"))).collect();
        prop_assert_eq!(lines(&docs), want.iter().map(|(q, a)| (q.as_str(), a.as_str())).collect::<Vec<_>>());
    }

    /// A segment that was not captured costs what was in it, and nothing else.
    #[test]
    fn a_lost_segment_costs_no_other_transaction(lost in 3usize..15) {
        let mut talk = Frames::tcp(CLIENT, SERVER).handshake();
        for i in 0..6 {
            talk = talk.client(format!("Qquestion{i}\n").as_bytes()).server(format!("Aanswer{i}\n").as_bytes());
        }
        let mut frames = talk.take();
        frames.remove(lost);
        let docs = run(&frames);
        let whole = |(q, a): &&(&str, &str)| q.strip_prefix("question").is_some_and(|i| Some(i) == a.strip_prefix("answer"));
        prop_assert_eq!(lines(&docs).iter().filter(whole).count(), 5, "{:?}", lines(&docs));
        prop_assert_eq!(lines(&docs).len(), 6, "{:?}", lines(&docs));
    }

    /// Whatever is in the packets, nothing breaks and everything is accounted for.
    #[test]
    fn damaged_packets_are_harmless(
        flips in prop::collection::vec((0usize..12, 0usize..90, any::<u8>()), 0..12),
        cut in prop::option::of(0usize..90),
    ) {
        let talk = Frames::tcp(CLIENT, SERVER).handshake().client(b"Qone\nS3\nabcQtwo\n").server(b"A1\nA2\n").fin();
        let mut frames = talk.take();
        for (frame, at, bits) in flips {
            if let Some(byte) = frames.get_mut(frame).and_then(|f| f.1.get_mut(at)) {
                *byte ^= bits;
            }
        }
        if let Some(cut) = cut {
            frames.iter_mut().for_each(|f| f.1.truncate(cut));
        }
        run(&frames);
    }
}
